//! The reporter between a mock GitHub server and a mock evaluator.

use std::sync::Arc;
use std::time::{Duration, Instant};

use clap::Parser as _;
use foretell_reporter::args::Args;
use foretell_service::tasks::Tasks;
use foretell_tests::github::{APP_ID, Delivery, GitHub, RepositoryHandle, Signature, Status, WEBHOOK_SECRET};
use foretell_tests::mock_evaluator::{Certificate, MockEvaluator, Recording};
use foretell_tests::{machine, shop};
use tokio_util::sync::CancellationToken;

const AUDITED: &str = "payments/policies/payments-ingress.audit.yaml";
pub(crate) const PROMOTED: &str = "payments/policies/payments-ingress.yaml";
pub(crate) const CONTEXT: &str = "foretell/would-deny";
pub(crate) const STATUS: &str = "POST /repos/{owner}/{repo}/statuses/{sha}";
pub(crate) const COMMENT: &str = "POST /repos/{owner}/{repo}/issues/{issue_number}/comments";

/// A mock GitHub server with the shop's repository, and the reporter and a mock evaluator once they are started. All end with the
/// test.
pub(crate) struct Scene {
    pub(crate) github: GitHub,
    pub(crate) shop: RepositoryHandle,
    certificate: Certificate,
    recording: Arc<Recording>,
    evaluator_port: u16,
    pub(crate) reporter_port: u16,
    pub(crate) client: reqwest::Client,
    stop: CancellationToken,
    folder: tempfile::TempDir,
}

impl Scene {
    /// The shop as it runs is on `main`. Neither the reporter nor the evaluator runs yet.
    pub(crate) async fn set() -> Self {
        foretell_service::kubernetes::use_one_tls_provider();
        let github = GitHub::start().await;
        let repository = github.repository("acme", "shop");
        let files = shop::files_below(&shop::repository().join("base"));
        let files: Vec<_> = files.iter().map(|(path, text)| (path.as_str(), Some(text.as_str()))).collect();
        repository.commit("main", None, &files);
        let certificate = Certificate::make();
        let authority = reqwest::Certificate::from_pem(certificate.certificate.as_bytes()).unwrap();
        let client = reqwest::Client::builder().tls_certs_only([authority]).no_proxy().build().unwrap();
        let (evaluator_port, reporter_port) = (machine::free_port(), machine::free_port());
        let folder = tempfile::tempdir().unwrap();
        let recording = Arc::new(Recording::demo());
        Self {
            github,
            shop: repository,
            certificate,
            recording,
            evaluator_port,
            reporter_port,
            client,
            stop: CancellationToken::new(),
            folder,
        }
    }

    pub(crate) fn evaluator(&self) -> MockEvaluator {
        MockEvaluator::start(self.evaluator_port, &self.certificate, Arc::clone(&self.recording))
    }

    /// Starts the reporter, and waits until it is ready.
    pub(crate) async fn reporter(&mut self) {
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

    /// Stops the reporter, and waits until it no longer listens.
    pub(crate) async fn stop_reporter(&self) {
        self.stop.cancel();
        let url = format!("https://localhost:{}/livez", self.reporter_port);
        until("the reporter has stopped", async || self.client.get(&url).send().await.is_err()).await;
    }

    /// Sends a signed `pull_request` delivery; returns the status of the response.
    pub(crate) async fn deliver(&self, id: &str, number: u64, action: &str) -> u16 {
        let payload = self.shop.payload(number, action);
        self.send(&Delivery { id: id.to_owned(), event: "pull_request".to_owned(), payload }, Signature::right()).await
    }

    pub(crate) async fn send(&self, delivery: &Delivery, signature: Signature) -> u16 {
        let url = format!("https://localhost:{}/webhook", self.reporter_port);
        self.github.deliver(&self.client, &url, delivery, signature).await
    }

    /// A branch that promotes the audit policy and forgets two callers, with its pull request.
    pub(crate) fn promotion(&self, branch: &str) -> u64 {
        let promoted = shop::text(&shop::repository().join("promote").join(PROMOTED));
        self.shop.commit(branch, Some("main"), &[(AUDITED, None), (PROMOTED, Some(&promoted))]);
        self.shop.open(branch, "main")
    }

    /// Commits a version of the policy that allows the two forgotten callers.
    pub(crate) fn fix(&self, branch: &str) {
        let fixed = shop::text(&shop::repository().join("fixed").join(PROMOTED));
        self.shop.commit(branch, None, &[(PROMOTED, Some(&fixed))]);
    }

    /// Waits until the status of a branch's head has this state, and returns it.
    pub(crate) async fn status(&self, branch: &str, state: &str) -> Status {
        let sha = self.shop.tip(branch);
        let last = || self.shop.statuses(&sha).pop();
        until(&format!("{branch} is {state}"), async || last().is_some_and(|status| status.state == state)).await;
        let status = last().unwrap();
        assert_eq!(status.context, CONTEXT);
        status
    }

    /// A comment without hashes: the fingerprint, which is a hash of the rest, and the commits.
    pub(crate) fn redacted(&self, body: &str) -> String {
        let (marker, rest) = body.split_once(" -->").unwrap();
        let (marker, _) = marker.rsplit_once(' ').unwrap();
        let rest = rest.replace(&self.shop.tip("promote")[..7], "HEAD").replace(&self.shop.tip("main")[..7], "BASE");
        format!("{marker} FINGERPRINT -->{rest}")
    }
}

impl Drop for Scene {
    fn drop(&mut self) {
        self.stop.cancel();
    }
}

/// Waits until the check succeeds.
pub(crate) async fn until(what: &str, mut check: impl AsyncFnMut() -> bool) {
    let begin = Instant::now();
    while !check().await {
        assert!(begin.elapsed() < Duration::from_secs(40), "not within 40 s: {what}");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}
