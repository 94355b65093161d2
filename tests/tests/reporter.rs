//! The reporter against a double of GitHub and an evaluator that asks the real engine about the demo's recording.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::net::TcpListener;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser as _;
use foretell_reporter::args::Args;
use foretell_service::tasks::Tasks;
use foretell_tests::engine::{Certificate, Engine, Recording};
use foretell_tests::github::{APP_ID, Delivery, GitHub, LOGIN, RepositoryHandle, Signature, Status, WEBHOOK_SECRET};
use tokio_util::sync::CancellationToken;

const AUDITED: &str = "payments/policies/payments-ingress.audit.yaml";
const PROMOTED: &str = "payments/policies/payments-ingress.yaml";
const CONTEXT: &str = "foretell/would-deny";
const STATUS: &str = "POST /repos/{owner}/{repo}/statuses/{sha}";
const COMMENT: &str = "POST /repos/{owner}/{repo}/issues/{issue_number}/comments";

/// Everything that a test needs; it ends with the test.
struct Scene {
    github: GitHub,
    shop: RepositoryHandle,
    certificate: Certificate,
    recording: Arc<Recording>,
    evaluator_port: u16,
    reporter_port: u16,
    client: reqwest::Client,
    stop: CancellationToken,
    folder: tempfile::TempDir,
}

impl Scene {
    /// The shop as it runs is on `main`; nobody reports yet.
    async fn set() -> Self {
        foretell_service::kubernetes::use_one_tls_provider();
        let github = GitHub::start().await;
        let shop = github.repository("acme", "shop");
        let files = files_below(&demo().join("base"));
        let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), Some(text.as_str()))).collect();
        shop.commit("main", None, &files);
        let certificate = Certificate::make();
        let authority = reqwest::Certificate::from_pem(certificate.certificate.as_bytes()).unwrap();
        let client = reqwest::Client::builder().tls_certs_only([authority]).no_proxy().build().unwrap();
        let (evaluator_port, reporter_port) = (free_port(), free_port());
        let folder = tempfile::tempdir().unwrap();
        let recording = Arc::new(Recording::demo());
        Self {
            github,
            shop,
            certificate,
            recording,
            evaluator_port,
            reporter_port,
            client,
            stop: CancellationToken::new(),
            folder,
        }
    }

    fn evaluator(&self) -> Engine {
        Engine::start(self.evaluator_port, &self.certificate, Arc::clone(&self.recording))
    }

    /// Starts the reporter, and waits until it is ready.
    async fn reporter(&mut self) {
        let write = |name: &str, text: &str| {
            let path = self.folder.path().join(name);
            std::fs::write(&path, text).unwrap();
            path.display().to_string()
        };
        let arguments = [
            "foretell-reporter".to_owned(),
            format!("--listen=127.0.0.1:{}", self.reporter_port),
            format!("--tls-cert-file={}", write("tls.crt", &self.certificate.certificate)),
            format!("--tls-key-file={}", write("tls.key", &self.certificate.key)),
            format!("--access-token-file={}", write("access", "metrics-token")),
            format!("--webhook-secret-file={}", write("webhook-secret", WEBHOOK_SECRET)),
            format!("--github-url={}", self.github.url),
            format!("--github-app-id={APP_ID}"),
            format!("--github-key-file={}", write("app.pem", self.github.private_key())),
            "--github-write-pause-ms=1".to_owned(),
            format!("--log={}", std::env::var("FORETELL_LOG").unwrap_or_else(|_| "error".to_owned())),
            format!("--evaluator=https://localhost:{}", self.evaluator_port),
            format!("--token-file={}", write("token", "a-token")),
            format!("--ca-file={}", write("ca.crt", &self.certificate.certificate)),
        ];
        let args = Args::parse_from(arguments);
        args.log.begin().unwrap();
        let tasks = Tasks::new().unwrap();
        self.stop = tasks.stop();
        tokio::spawn(async move { foretell_reporter::run::run(args, tasks).await.unwrap() });
        let url = format!("https://localhost:{}/readyz", self.reporter_port);
        until("the reporter is ready", async || self.client.get(&url).send().await.is_ok()).await;
    }

    /// Stops the reporter, and waits until it listens no more.
    async fn stop_reporter(&self) {
        self.stop.cancel();
        let url = format!("https://localhost:{}/livez", self.reporter_port);
        until("the reporter has stopped", async || self.client.get(&url).send().await.is_err()).await;
    }

    async fn deliver(&self, id: &str, number: u64, action: &str) -> u16 {
        let payload = self.shop.payload(number, action);
        self.send(&Delivery { id: id.to_owned(), event: "pull_request".to_owned(), payload }, Signature::right()).await
    }

    async fn send(&self, delivery: &Delivery, signature: Signature) -> u16 {
        let url = format!("https://localhost:{}/webhook", self.reporter_port);
        self.github.deliver(&self.client, &url, delivery, signature).await
    }

    /// A branch that promotes the audit policy and forgets two callers, with its pull request.
    fn promotion(&self, branch: &str) -> u64 {
        let promoted = text(&demo().join("promote").join(PROMOTED));
        self.shop.commit(branch, Some("main"), &[(AUDITED, None), (PROMOTED, Some(&promoted))]);
        self.shop.open(branch, "main")
    }

    fn mend(&self, branch: &str) {
        let mended = text(&demo().join("mended").join(PROMOTED));
        self.shop.commit(branch, None, &[(PROMOTED, Some(&mended))]);
    }

    /// The status of a branch's head, once it has this state.
    async fn status(&self, branch: &str, state: &str) -> Status {
        let sha = self.shop.tip(branch);
        let last = || self.shop.statuses(&sha).pop();
        until(&format!("{branch} is {state}"), async || last().is_some_and(|status| status.state == state)).await;
        let status = last().unwrap();
        assert_eq!(status.context, CONTEXT);
        status
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_promotion_that_forgets_callers_is_held_up_until_it_is_mended() {
    let mut scene = Scene::set().await;
    let _evaluator = scene.evaluator();
    scene.reporter().await;
    let number = scene.promotion("promote");
    assert_eq!(scene.deliver("d-1", number, "opened").await, 202);
    let status = scene.status("promote", "failure").await;
    assert_eq!(status.description, "Blocked: 2 connections in use would be denied");
    let comments = scene.shop.comments(number);
    let [comment] = &comments[..] else { panic!("one comment, not {comments:?}") };
    assert_eq!(comment.login, LOGIN);
    for caller in ["`Deployment/prometheus`", "`CronJob/settlement`"] {
        assert!(comment.body.contains(caller), "{caller} is missing in\n{}", comment.body);
    }
    golden("blocked.md", &redacted(&scene, &comment.body));

    scene.mend("promote");
    assert_eq!(scene.deliver("d-2", number, "synchronize").await, 202);
    scene.status("promote", "success").await;
    let edited = scene.shop.comments(number);
    assert_eq!((edited.len(), edited[0].id, edited[0].edits), (1, comment.id, 1));
    golden("mended.md", &redacted(&scene, &edited[0].body));
    scene.github.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_delivery_that_comes_again_changes_nothing() {
    let mut scene = Scene::set().await;
    let evaluator = scene.evaluator();
    scene.reporter().await;
    let number = scene.promotion("promote");
    scene.deliver("d-1", number, "opened").await;
    scene.status("promote", "failure").await;
    until("it is told as answered before", async || scene.deliver("d-1", number, "opened").await == 200).await;
    // Another delivery of the same is answered anew, and finds all of it said.
    let asked = evaluator.asked();
    scene.deliver("d-2", number, "reopened").await;
    until("it was asked again", async || evaluator.asked() > asked).await;
    until("it is told as answered before", async || scene.deliver("d-2", number, "reopened").await == 200).await;
    assert_eq!((scene.github.requests(STATUS), scene.github.requests(COMMENT)), (1, 1));
    assert_eq!(scene.shop.comments(number)[0].edits, 0);
    scene.github.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn only_what_github_signed_is_taken() {
    let mut scene = Scene::set().await;
    scene.reporter().await;
    let number = scene.promotion("promote");
    let payload = scene.shop.payload(number, "opened");
    let delivery = Delivery { id: "d-1".to_owned(), event: "pull_request".to_owned(), payload };
    assert_eq!(scene.send(&delivery, Signature::None).await, 401);
    assert_eq!(scene.send(&delivery, Signature::By("guessed".to_owned())).await, 401);
    let ping = Delivery { event: "ping".to_owned(), ..delivery.clone() };
    assert_eq!(scene.send(&ping, Signature::right()).await, 200);
    let push = Delivery { event: "push".to_owned(), ..delivery };
    assert_eq!(scene.send(&push, Signature::right()).await, 204);
    assert!(scene.shop.statuses(&scene.shop.tip("promote")).is_empty());

    let metrics = format!("https://localhost:{}/metrics", scene.reporter_port);
    assert_eq!(scene.client.get(&metrics).send().await.unwrap().status(), 401);
    let told = scene.client.get(&metrics).bearer_auth("metrics-token").send().await.unwrap().text().await.unwrap();
    assert!(told.contains(r#"foretell_reporter_deliveries_total{outcome="refused"} 2"#), "{told}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_pull_request_without_policies_gets_a_status_and_no_comment() {
    let mut scene = Scene::set().await;
    // Nobody has to be asked: no evaluator runs.
    scene.reporter().await;
    scene.shop.commit("words", Some("main"), &[("README.md", Some("# Another shop\n"))]);
    let number = scene.shop.open("words", "main");
    assert_eq!(scene.deliver("d-1", number, "opened").await, 202);
    let status = scene.status("words", "success").await;
    assert_eq!(status.description, "May merge: no policy changed, and nothing that policies look at.");
    assert!(scene.shop.comments(number).is_empty());
    scene.github.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_evaluator_that_is_down_is_an_error_which_mends_itself() {
    let mut scene = Scene::set().await;
    scene.reporter().await;
    let number = scene.promotion("promote");
    scene.deliver("d-1", number, "opened").await;
    let status = scene.status("promote", "error").await;
    let told = "Could not decide yet: the evaluator cannot be reached. It is tried again by itself.";
    assert_eq!(status.description, told);
    assert!(scene.shop.comments(number).is_empty());
    let _evaluator = scene.evaluator();
    scene.status("promote", "failure").await;
    assert_eq!(scene.shop.comments(number).len(), 1);
    scene.github.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_opened_while_nobody_listened_is_answered_on_start() {
    let mut scene = Scene::set().await;
    let evaluator = scene.evaluator();
    let number = scene.promotion("promote");
    let closed = scene.promotion("closed");
    scene.shop.close(closed);
    scene.reporter().await;
    scene.status("promote", "failure").await;
    assert!(scene.shop.statuses(&scene.shop.tip("closed")).is_empty());
    assert!(scene.shop.comments(closed).is_empty());

    // The next start finds all of it said.
    scene.stop_reporter().await;
    let asked = evaluator.asked();
    scene.reporter().await;
    until("it was asked again", async || evaluator.asked() > asked).await;
    until("it is told as answered", async || scene.deliver("d-1", number, "reopened").await == 200).await;
    assert_eq!((scene.github.requests(STATUS), scene.github.requests(COMMENT)), (1, 1));
    scene.github.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_else_s_marker_is_not_ours() {
    let mut scene = Scene::set().await;
    let _evaluator = scene.evaluator();
    scene.reporter().await;
    let number = scene.promotion("promote");
    scene.shop.write_comment(number, "somebody", &format!("<!-- foretell: {CONTEXT} f00 -->\nAll is well"));
    scene.deliver("d-1", number, "opened").await;
    scene.status("promote", "failure").await;
    let comments = scene.shop.comments(number);
    assert_eq!(comments.iter().map(|comment| comment.login.as_str()).collect::<Vec<_>>(), ["somebody", LOGIN]);
    scene.github.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_merged_or_listed_is_not_decided() {
    let mut scene = Scene::set().await;
    let _evaluator = scene.evaluator();
    scene.reporter().await;
    let number = scene.promotion("promote");
    scene.shop.commit("main", None, &[(PROMOTED, Some("# Written meanwhile\n"))]);
    scene.deliver("d-1", number, "opened").await;
    let status = scene.status("promote", "error").await;
    assert!(status.description.contains("into main is a conflict"), "{}", status.description);

    scene.shop.commit("words", Some("main"), &[("notes.yaml", Some("a: b\n"))]);
    let number = scene.shop.open("words", "main");
    scene.shop.hide_files();
    scene.deliver("d-2", number, "opened").await;
    let status = scene.status("words", "error").await;
    assert!(status.description.contains("more files than GitHub lists"), "{}", status.description);
    scene.github.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_judged_is_what_merging_makes() {
    let mut scene = Scene::set().await;
    let _evaluator = scene.evaluator();
    scene.reporter().await;
    let number = scene.promotion("promote");
    // The base moves: its settings count, and its own changes are not laid at the pull request.
    scene.shop.commit("main", None, &[("payments/policies/postgres.yaml", None)]);
    scene.deliver("d-1", number, "opened").await;
    scene.status("promote", "failure").await;
    let body = &scene.shop.comments(number)[0].body;
    assert!(body.contains(&format!("against `{}`", &scene.shop.tip("main")[..7])), "{body}");
    assert!(!body.contains("payments/postgres"), "{body}");

    scene.shop.commit("main", None, &[(".foretell.yaml", Some("exceptions: {require: yes}\n"))]);
    scene.deliver("d-2", number, "reopened").await;
    let status = scene.status("promote", "error").await;
    assert!(status.description.contains(".foretell.yaml at the base"), "{}", status.description);
    scene.github.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn github_that_fails_is_asked_again_and_no_comment_is_written_twice() {
    let mut scene = Scene::set().await;
    let _evaluator = scene.evaluator();
    scene.reporter().await;
    let number = scene.promotion("promote");
    scene.github.fail_next(STATUS, 502, &[]);
    scene.deliver("d-1", number, "opened").await;
    scene.status("promote", "failure").await;
    assert_eq!(scene.github.requests(STATUS), 2);

    scene.mend("promote");
    scene.github.expire_tokens();
    scene.github.fail_next("GET /repos/{owner}/{repo}/pulls/{pull_number}", 403, &[("retry-after", "1")]);
    scene.deliver("d-2", number, "synchronize").await;
    scene.status("promote", "success").await;
    assert_eq!(scene.shop.comments(number).len(), 1);
    scene.github.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_head_that_moves_while_it_is_judged_is_not_spoken_of() {
    let mut scene = Scene::set().await;
    let _evaluator = scene.evaluator();
    scene.reporter().await;
    let number = scene.promotion("promote");
    let former = scene.shop.tip("promote");
    scene.deliver("d-1", number, "opened").await;
    // The double has not made its test merge yet, so that the reporter waits; of this push nobody tells it.
    scene.mend("promote");
    scene.status("promote", "success").await;
    assert!(scene.shop.statuses(&former).is_empty());
    assert_eq!(scene.shop.comments(number).iter().map(|comment| comment.edits).collect::<Vec<_>>(), [0]);
    scene.github.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn of_two_pull_requests_with_one_head_the_worse_status_stands() {
    let mut scene = Scene::set().await;
    let _evaluator = scene.evaluator();
    scene.reporter().await;
    let blocked = scene.promotion("promote");
    scene.deliver("d-1", blocked, "opened").await;
    scene.status("promote", "failure").await;
    // The same head into a branch where it changes nothing.
    scene.shop.commit("stacked", Some("promote"), &[]);
    let harmless = scene.shop.open("promote", "stacked");
    scene.deliver("d-2", harmless, "opened").await;
    until("it is answered", async || scene.deliver("d-2", harmless, "opened").await == 200).await;
    scene.status("promote", "failure").await;
    assert_eq!(scene.github.requests(STATUS), 1);
    scene.shop.close(blocked);
    scene.deliver("d-3", blocked, "closed").await;
    scene.status("promote", "success").await;
    scene.github.assert_clean();
}

#[tokio::test(flavor = "multi_thread")]
async fn the_double_remembers_what_breaks_the_contract() {
    let scene = Scene::set().await;
    let ask = async |path: &str, token: Option<&str>| {
        let mut request =
            reqwest::Client::new().get(format!("{}{path}", scene.github.url)).header("user-agent", "a test");
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        request.send().await.unwrap().status().as_u16()
    };
    assert_eq!(ask("/app", None).await, 401);
    assert_eq!(ask("/app", Some("a.forged.token")).await, 401);
    assert_eq!(ask("/repos/acme/shop/pulls/1", Some("guessed")).await, 401);
    assert_eq!(ask("/repos/acme/shop/pulls/1/no-such-thing", None).await, 404);
    assert_eq!(scene.github.breaches().len(), 4, "{:?}", scene.github.breaches());
}

fn demo() -> std::path::PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../demo/shop/repository")
}

fn text(path: &Path) -> String {
    std::fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// Files by their path from the folder.
fn files_below(folder: &Path) -> Vec<(String, String)> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in std::fs::read_dir(&next).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push((path.strip_prefix(folder).unwrap().display().to_string(), text(&path)));
            }
        }
    }
    found.sort();
    found
}

/// A port that was free a moment ago.
fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

async fn until(what: &str, mut holds: impl AsyncFnMut() -> bool) {
    let begin = Instant::now();
    while !holds().await {
        assert!(begin.elapsed() < Duration::from_secs(40), "in 40 s it has not come to pass that {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

/// The comment with the fingerprint taken out: it is a hash of the rest.
fn redacted(scene: &Scene, body: &str) -> String {
    let (marker, rest) = body.split_once(" -->").unwrap();
    let (marker, _) = marker.rsplit_once(' ').unwrap();
    let rest = rest.replace(&scene.shop.tip("promote")[..7], "HEAD").replace(&scene.shop.tip("main")[..7], "BASE");
    format!("{marker} FINGERPRINT -->{rest}")
}

/// Compares with a file in `tests/golden/reporter`; with `FORETELL_UPDATE_GOLDEN` it is written.
fn golden(name: &str, text: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("golden/reporter").join(name);
    if std::env::var_os("FORETELL_UPDATE_GOLDEN").is_some() {
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
    }
    let expected = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(expected == text, "{} differs; `make golden` writes it. It is now:\n{text}", path.display());
}
