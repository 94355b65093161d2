//! The evaluator with a real Postgres and a real API server. Its pods are objects alone: agents' lines are written here.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::fs;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use foretell_policy::preview::{Preview, WireChange};
use foretell_policy::report::{Decision, State};
use foretell_service::contract::{Accepted, DenialPage, VerdictRow};
use foretell_service::evaluator::{Batch, Evaluator, EvaluatorArgs, EvaluatorError};
use foretell_tests::control_plane::ControlPlane;
use foretell_tests::machine;
use foretell_tests::namespace::Namespace;
use foretell_tests::patience::until;
use foretell_tests::postgres::Database;
use foretell_tests::program::Running;
use jiff::Timestamp;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// Pods of the shop, each with the last number of its address.
const PODS: [(&str, u8); 3] = [("web", 1), ("batch", 2), ("scraper", 3)];

/// Ranges of addresses that are taken.
static RANGES: AtomicU8 = AtomicU8::new(0);

const TOKEN: &str = "only for this test";

/// An evaluator on this machine, known by a token file, with a certificate of its own making.
struct Stage {
    evaluator: Option<Running>,
    /// Where its Secret and its ConfigMap are.
    home: Namespace,
    shop: Namespace,
    files: TempDir,
    runtime: Runtime,
    port: u16,
    /// Addresses of this stage alone: those of two clusters would be taken for one another's.
    range: u8,
    /// The last to go: namespaces are removed by it.
    control_plane: Arc<ControlPlane>,
}

impl Stage {
    fn new() -> Option<Self> {
        let control_plane = ControlPlane::shared()?;
        let kubectl = control_plane.kubectl();
        let definitions = machine::root().join("manifests/crds");
        kubectl.run(&["apply", "--server-side", "--force-conflicts", "--filename", definitions.to_str().unwrap()]);
        let files = tempfile::Builder::new().prefix("foretell-").tempdir().unwrap();
        fs::write(files.path().join("token"), TOKEN).unwrap();
        let free = std::net::TcpListener::bind(("127.0.0.1", 0)).unwrap();
        let port = free.local_addr().unwrap().port();
        let (home, shop) = (control_plane.namespace("evaluator"), control_plane.namespace("shop"));
        let runtime = Runtime::new().unwrap();
        let range = RANGES.fetch_add(1, Ordering::Relaxed);
        let stage = Self { control_plane, home, shop, files, runtime, evaluator: None, port, range };
        for (name, _) in PODS {
            stage.pod(name, &stage.ip(name));
        }
        Some(stage)
    }

    fn ip(&self, name: &str) -> String {
        let (_, number) = PODS.iter().find(|pod| pod.0 == name).unwrap();
        format!("10.9.{}.{number}", self.range)
    }

    fn kubectl(&self, arguments: &[&str]) -> String {
        self.control_plane.kubectl().run(arguments)
    }

    /// A pod that runs, by its status.
    fn pod(&self, name: &str, ip: &str) {
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": self.shop.name(), "labels": {"app": name}},
            "spec": {"nodeName": "n1", "containers": [{"name": "it", "image": "none"}]},
        });
        self.control_plane.kubectl().apply(&pod.to_string());
        let started = Timestamp::now().to_string();
        let status = json!({"status": {"phase": "Running", "podIP": ip, "podIPs": [{"ip": ip}], "startTime": started}});
        self.kubectl(&[
            "patch",
            "pod",
            name,
            "--namespace",
            self.shop.name(),
            "--subresource=status",
            "--type=merge",
            "--patch",
            &status.to_string(),
        ]);
    }

    fn start(&mut self, database: &Database) {
        let token_file = self.files.path().join("token");
        self.start_with(database, &["--token-file", token_file.to_str().unwrap()]);
    }

    fn start_with(&mut self, database: &Database, arguments: &[&str]) {
        let mut command = machine::built("foretell-evaluator");
        command
            .env("KUBECONFIG", self.control_plane.kubeconfig())
            .arg(format!("--listen=127.0.0.1:{}", self.port))
            .arg(format!("--database-url={}", database.url()))
            .arg(format!("--namespace={}", self.home.name()))
            // Under the name by which this machine calls itself.
            .arg("--service=localhost")
            .args(arguments);
        self.evaluator = Some(Running::start("evaluator", command));
    }

    /// What clients trust, as it is published.
    fn authorities(&self) -> PathBuf {
        let path = self.files.path().join("ca.crt");
        let text = until("the evaluator publishes its authorities", || {
            let get = ["get", "configmap", "localhost-ca", "--namespace", self.home.name(), "--output=json"];
            let ended = self.control_plane.kubectl().attempt(&get);
            let map: Value = serde_json::from_str(&ended.stdout).map_err(|_| ended.stderr)?;
            map["data"]["ca.crt"].as_str().map(str::to_owned).ok_or_else(|| map.to_string())
        });
        fs::write(&path, text).unwrap();
        path
    }

    fn client(&self) -> Evaluator {
        let url = format!("https://localhost:{}", self.port).parse().unwrap();
        let token_file = self.files.path().join("token");
        Evaluator::new(EvaluatorArgs { url, token_file, ca_file: Some(self.authorities()) })
    }

    /// The command, asking this evaluator: its exit status and what it prints.
    fn foretell(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = machine::built("foretell");
        command.args(arguments).arg(format!("--evaluator=https://localhost:{}", self.port));
        command.arg("--token-file").arg(self.files.path().join("token"));
        let ended = command.arg("--ca-file").arg(self.authorities()).output().unwrap();
        let said = String::from_utf8(ended.stdout).unwrap() + &String::from_utf8(ended.stderr).unwrap();
        (ended.status.code(), said)
    }

    fn http(&self, token: Option<&str>, method: &str, path: &str, body: Option<&str>) -> (u16, String) {
        let bundle = fs::read(self.authorities()).unwrap();
        let client = reqwest::Client::builder()
            .tls_certs_only(reqwest::Certificate::from_pem_bundle(&bundle).unwrap())
            .no_proxy()
            .build()
            .unwrap();
        let mut request = client.request(method.parse().unwrap(), format!("https://localhost:{}{path}", self.port));
        if let Some(token) = token {
            request = request.bearer_auth(token);
        }
        if let Some(body) = body {
            request = request.header("content-type", "application/json").body(body.to_owned());
        }
        self.runtime.block_on(async {
            let answer = request.send().await.map_err(|error| format!("{error:?}"));
            match answer {
                Ok(answer) => (answer.status().as_u16(), answer.text().await.unwrap_or_default()),
                Err(problem) => (0, problem),
            }
        })
    }

    fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> T {
        let (status, body) = self.http(Some(TOKEN), "GET", path, None);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
    }

    fn becomes_ready(&self) {
        until("the evaluator is ready", || match self.http(None, "GET", "/readyz", None) {
            (200, _) => Ok(()),
            (_, reasons) => Err(reasons),
        });
    }

    /// A token of a service account of this home, for an audience; of a pod, if one is named.
    fn token(&self, account: &str, audience: &str, pod: Option<&str>) -> String {
        let (namespace, audience) = (format!("--namespace={}", self.home.name()), format!("--audience={audience}"));
        let bound = pod.map(|pod| ["--bound-object-kind=Pod".to_owned(), format!("--bound-object-name={pod}")]);
        let bound: Vec<&str> = bound.iter().flatten().map(String::as_str).collect();
        let words = [&["create", "token", account, &namespace, &audience], bound.as_slice()].concat();
        self.kubectl(&words).trim().to_owned()
    }

    /// Sends lines of the agent of n1.
    fn send(&self, boot: &str, sequence: u64, lines: &[Value]) -> Result<Accepted, EvaluatorError> {
        let text = lines.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
        let batch = Batch { agent: "n1".to_owned(), boot: boot.to_owned(), sequence, lines: text.into_bytes() };
        self.runtime.block_on(self.client().send(&batch))
    }

    /// Waits until the status of the policy `web` satisfies.
    fn status(&self, what: &str, test: impl Fn(&Value) -> bool) -> Value {
        until(what, || {
            let get = ["get", "auditnetworkpolicies.kguardian.dev", "web", "--namespace", self.shop.name()];
            let status = self.control_plane.kubectl().json(&get)["status"].take();
            if test(&status) { Ok(status) } else { Err(status.to_string()) }
        })
    }

    /// Three connections, as the agent at their end saw them.
    fn flow(&self, src: &str, dst: &str, port: u16) -> Value {
        let now = Timestamp::now().to_string();
        let (src, dst) = (self.ip(src), self.ip(dst));
        json!({
            "start": now, "end": now, "node": "n1", "observed": "Ingress", "src": {"ip": src}, "dst": {"ip": dst},
            "protocol": "TCP", "port": port, "outcome": "established", "connections": 3,
        })
    }

    fn apply(&self, manifest: &Value) {
        let mut manifest = manifest.clone();
        manifest["metadata"]["namespace"] = self.shop.name().into();
        self.control_plane.kubectl().apply(&manifest.to_string());
    }
}

fn report() -> Value {
    let now = Timestamp::now();
    let start = (now - jiff::SignedDuration::from_secs(10)).to_string();
    let report = json!({"node": "n1", "start": start, "end": now.to_string(), "addresses": ["192.0.2.1"], "lost": {}});
    json!({ "report": report })
}

/// Lets in whom it names.
fn policy(callers: &[&str]) -> Value {
    let from: Vec<Value> = callers.iter().map(|name| json!({"podSelector": {"matchLabels": {"app": name}}})).collect();
    json!({
        "apiVersion": "kguardian.dev/v1alpha1",
        "kind": "AuditNetworkPolicy",
        "metadata": {"name": "web"},
        "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [{"from": from}]},
    })
}

fn condition<'a>(status: &'a Value, name: &str) -> &'a str {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let found = conditions.filter(|condition| condition["type"] == name).find_map(|found| found["status"].as_str());
    found.unwrap_or_default()
}

#[test]
fn what_a_policy_would_deny_is_told_and_outlives_database_and_evaluator() {
    let Some(mut database) = Database::here() else { return };
    let Some(mut stage) = Stage::new() else { return };
    stage.apply(&policy(&["nobody"]));

    // Before there is a database it waits, and says for what; flows are not taken, so that agents keep them.
    stage.start(&database);
    until("the evaluator listens", || match stage.http(None, "GET", "/livez", None) {
        (200, _) => Ok(()),
        (_, problem) => Err(problem),
    });
    let (status, reasons) = stage.http(None, "GET", "/readyz", None);
    assert_eq!(status, 503);
    assert!(reasons.contains("waits for Postgres"), "{reasons}");
    let refused = stage.send("one", 1, &[report()]).unwrap_err();
    assert!(refused.is_transient() && refused.to_string().contains("503"), "{refused}");
    database.resume();
    stage.becomes_ready();

    // Two callers that the policy does not name, one of them twice over: a batch that comes again counts once.
    let lines = [report(), stage.flow("batch", "web", 8080), stage.flow("scraper", "web", 9090)];
    let accepted = stage.send("one", 1, &lines).unwrap();
    assert_eq!(accepted, Accepted { flows: 2, reports: 1, duplicate: false });
    assert!(stage.send("one", 1, &lines).unwrap().duplicate);
    let status = stage.status("the status counts both", |status| status["evaluation"]["flowsWouldDeny"] == 2);
    assert_eq!(status["evaluation"]["unresolvedDenials"], 2);
    assert_eq!(status["observedGeneration"], 1);
    assert_eq!((condition(&status, "Ready"), condition(&status, "Promotable")), ("True", "False"));
    let page: DenialPage = stage.get(&format!("/v1/denials?namespace={}", stage.shop.name()));
    let callers: Vec<String> = page.denials.iter().map(|denial| denial.peer.to_string()).collect();
    assert_eq!(page.denials.len(), 2, "{callers:?}");
    assert!(page.denials.iter().all(|denial| denial.state == State::Unresolved && denial.seen.in_use == 3));
    let rows = |stage: &Stage, count: u64| -> Vec<VerdictRow> {
        until("the rows are there", || {
            let path = format!("/audit/verdicts?policy=web&namespace={}&verdict=WouldDeny", stage.shop.name());
            let rows: Vec<VerdictRow> = stage.get(&path);
            let of_batch = rows.iter().find(|row| row.src_pod.as_deref() == Some("batch"));
            let is_there = rows.len() == 2 && of_batch.is_some_and(|row| row.count == count);
            if is_there { Ok(rows) } else { Err(format!("{rows:?}")) }
        })
    };
    let before = rows(&stage, 3);
    let named: Vec<_> = before.iter().map(|row| (row.src_pod.as_deref(), row.dst_port, row.count)).collect();
    assert!(named.contains(&(Some("batch"), 8080, 3)) && named.contains(&(Some("scraper"), 9090, 3)), "{named:?}");

    let listed = stage.foretell(&["denials", "--namespace", stage.shop.name(), "--state", "unresolved"]);
    assert_eq!(listed.0, Some(0), "{}", listed.1);
    assert!(listed.1.contains("Pod/batch") && listed.1.contains("TCP 9090"), "{}", listed.1);

    // A database that goes away: nothing is taken, and nothing that was taken is lost.
    database.stop();
    let refused = stage.send("one", 2, &[stage.flow("batch", "web", 8080)]).unwrap_err();
    assert!(refused.is_transient(), "{refused}");
    database.resume();
    let accepted = until("the database is used again", || {
        stage.send("one", 2, &[stage.flow("batch", "web", 8080)]).map_err(|error| error.to_string())
    });
    assert!(!accepted.duplicate);

    // Another process knows what this one knew, who had an address included: the pod goes while nobody looks.
    stage.evaluator.take().unwrap().kill();
    stage.kubectl(&["delete", "pod", "scraper", "--namespace", stage.shop.name(), "--force", "--grace-period=0"]);
    stage.start(&database);
    stage.becomes_ready();
    assert!(stage.send("one", 2, &[stage.flow("batch", "web", 8080)]).unwrap().duplicate);
    let after = rows(&stage, 6);
    let ids = |rows: &[VerdictRow]| rows.iter().map(|row| row.id).collect::<std::collections::BTreeSet<_>>();
    assert_eq!(ids(&after), ids(&before), "{after:?}");
    assert!(after.iter().any(|row| row.src_pod.as_deref() == Some("scraper")), "{after:?}");

    // A policy that changes is judged again, over the same traffic.
    stage.apply(&policy(&["batch", "scraper"]));
    let status = stage.status("the new generation is judged", |status| status["observedGeneration"] == 2);
    assert_eq!(status["evaluation"]["flowsWouldDeny"], 0, "{status}");
    assert_eq!(condition(&status, "Promotable"), "True");

    // A change that is asked about is judged by the same engine: enforcing what names nobody.
    let mut enforced = policy(&["nobody"]);
    enforced["apiVersion"] = "networking.k8s.io/v1".into();
    enforced["kind"] = "NetworkPolicy".into();
    enforced["metadata"]["namespace"] = stage.shop.name().into();
    let wire = json!({
        "before": [],
        "after": [{"object": enforced, "place": {"file": "web.yaml", "document": 1, "item": ""}}],
    });
    let preview = Preview {
        base: "main".to_owned(),
        head: "topic".to_owned(),
        window_seconds: None,
        min_window_seconds: None,
        exceptions_on_base_only: false,
        change: serde_json::from_value::<WireChange>(wire).unwrap(),
    };
    let report = stage.runtime.block_on(stage.client().preview(&preview)).unwrap();
    assert_eq!((report.decision, report.exit_status), (Decision::Blocked, 1), "{report:#?}");
    assert_eq!(report.denials.len(), 2, "{report:#?}");
    let (base, head) = (stage.files.path().join("base"), stage.files.path().join("head"));
    fs::create_dir_all(&base).unwrap();
    fs::create_dir_all(&head).unwrap();
    fs::write(head.join("web.yaml"), enforced.to_string()).unwrap();
    let checked =
        stage.foretell(&["check", "--base-dir", base.to_str().unwrap(), "--head-dir", head.to_str().unwrap()]);
    assert_eq!(checked.0, Some(1), "{}", checked.1);
    assert!(checked.1.contains("2 unresolved denials"), "{}", checked.1);
}

/// Everything that is asked of it, and health, which anybody may ask for.
const PATHS: &[(&str, &str)] = &[
    ("POST", "/v1/flows"),
    ("POST", "/v1/preview"),
    ("GET", "/v1/policies"),
    ("GET", "/v1/policies/shop/web"),
    ("GET", "/v1/cluster-policies/web"),
    ("GET", "/v1/denials"),
    ("GET", "/v1/evidence"),
    ("GET", "/audit/verdicts"),
    ("POST", "/evaluate"),
    ("GET", "/metrics"),
];

#[test]
fn nobody_is_answered_who_has_no_business_there() {
    let Some(mut database) = Database::here() else { return };
    let Some(mut stage) = Stage::new() else { return };
    database.resume();
    stage.start_with(&database, &[]);
    stage.becomes_ready();

    // The roles as they are installed, bound to accounts of this test alone.
    let home = stage.home.name().to_owned();
    let roles = fs::read_to_string(machine::root().join("manifests/evaluator/access.yaml")).unwrap();
    stage.control_plane.kubectl().apply(&roles);
    for account in ["agent", "reader", "nobody"] {
        stage.kubectl(&["create", "serviceaccount", account, "--namespace", &home]);
    }
    for (account, role) in [("agent", "foretell-agent"), ("reader", "foretell-reader")] {
        let (name, role) = (format!("{home}-{account}"), format!("--clusterrole={role}"));
        let account = format!("--serviceaccount={home}:{account}");
        stage.kubectl(&["create", "clusterrolebinding", &name, &role, &account]);
    }
    for (name, node) in [("agent-n1", "n1"), ("agent-n2", "n2")] {
        let pod = json!({
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": home},
            "spec": {"serviceAccountName": "agent", "nodeName": node, "containers": [{"name": "it", "image": "none"}]},
        });
        stage.control_plane.kubectl().apply(&pod.to_string());
    }
    let reader = stage.token("reader", "foretell-evaluator", None);
    let elsewhere = stage.token("reader", "elsewhere", None);
    let nobody = stage.token("nobody", "foretell-evaluator", None);
    let agent = stage.token("agent", "foretell-evaluator", Some("agent-n1"));
    let stranger = stage.token("agent", "foretell-evaluator", Some("agent-n2"));
    let unbound = stage.token("agent", "foretell-evaluator", None);

    for (method, path) in PATHS {
        let asked = |token: Option<&str>| stage.http(token, method, path, None);
        for (who, token, status) in [
            ("without a token", None, 401),
            ("with no token at all", Some("nonsense"), 401),
            ("with a token for another audience", Some(elsewhere.as_str()), 401),
            ("without a role", Some(nobody.as_str()), 403),
        ] {
            let answer = asked(token);
            assert_eq!(answer.0, status, "{method} {path} {who}: {}", answer.1);
        }
        let may_read = !matches!(*path, "/v1/flows" | "/metrics");
        assert_eq!(asked(Some(&reader)).0 != 403, may_read, "{method} {path} by a reader: {}", asked(Some(&reader)).1);
        let may_send = *path == "/v1/flows";
        assert_eq!(asked(Some(&agent)).0 != 403, may_send, "{method} {path} by an agent: {}", asked(Some(&agent)).1);
    }
    for path in ["/livez", "/readyz", "/healthz"] {
        assert_eq!(stage.http(None, "GET", path, None).0, 200, "{path}");
    }

    // An agent speaks for the node that its pod runs on, and for no other.
    let send = |token: &str| {
        fs::write(stage.files.path().join("token"), token).unwrap();
        stage.send("one", 1, &[report()])
    };
    for (token, reason) in [(&stranger, "runs on node n2"), (&unbound, "names no node")] {
        let refused = send(token).unwrap_err().to_string();
        assert!(refused.contains("403") && refused.contains(reason), "{refused}");
    }
    assert!(send(&agent).is_ok());
    for account in ["agent", "reader"] {
        stage.kubectl(&["delete", "clusterrolebinding", &format!("{home}-{account}")]);
    }
}
