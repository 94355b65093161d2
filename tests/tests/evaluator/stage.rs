//! An evaluator on this machine with a real API server.

use std::fs;
use std::path::PathBuf;
use std::process::Command;
use std::sync::Arc;
use std::sync::atomic::{AtomicU8, Ordering};

use foretell_service::contract::Accepted;
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

/// Number of the next range of addresses.
static RANGES: AtomicU8 = AtomicU8::new(0);

pub(crate) const TOKEN: &str = "only for this test";

/// An evaluator on this machine with a token file and a self-issued certificate.
pub(crate) struct Stage {
    pub(crate) evaluator: Option<Running>,
    /// Namespace of its Secret and its ConfigMap.
    pub(crate) home: Namespace,
    pub(crate) shop: Namespace,
    pub(crate) files: TempDir,
    pub(crate) runtime: Runtime,
    pub(crate) port: u16,
    /// Each stage has its own addresses: all stages share one API server.
    pub(crate) range: u8,
    /// Dropped last: it deletes the namespaces.
    pub(crate) control_plane: Arc<ControlPlane>,
}

impl Stage {
    pub(crate) fn new() -> Option<Self> {
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

    pub(crate) fn ip(&self, name: &str) -> String {
        let (_, number) = PODS.iter().find(|pod| pod.0 == name).unwrap();
        format!("10.9.{}.{number}", self.range)
    }

    pub(crate) fn kubectl(&self, arguments: &[&str]) -> String {
        self.control_plane.kubectl().run(arguments)
    }

    /// A pod whose status says that it runs.
    pub(crate) fn pod(&self, name: &str, ip: &str) {
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

    pub(crate) fn start(&mut self, database: &Database) {
        let token_file = self.files.path().join("token");
        self.start_with(database, &["--token-file", token_file.to_str().unwrap()]);
    }

    pub(crate) fn start_with(&mut self, database: &Database, arguments: &[&str]) {
        let mut command = machine::built("foretell-evaluator");
        command
            .env("KUBECONFIG", self.control_plane.kubeconfig())
            .arg(format!("--database-url={}", database.url()))
            .args(arguments);
        self.start_by(command);
    }

    pub(crate) fn start_by(&mut self, mut command: Command) {
        command
            .arg(format!("--listen=127.0.0.1:{}", self.port))
            .arg(format!("--namespace={}", self.home.name()))
            // So that the certificate is valid for this machine.
            .arg("--service=localhost")
            // The test's traffic is seconds old.
            .arg("--min-window=0s");
        self.evaluator = Some(Running::start("evaluator", command));
    }

    /// The CA certificates that the evaluator publishes.
    pub(crate) fn authorities(&self) -> PathBuf {
        let path = self.files.path().join("ca.crt");
        if path.exists() {
            return path;
        }
        let text = until("the evaluator publishes its authorities", || {
            let get = ["get", "configmap", "localhost-ca", "--namespace", self.home.name(), "--output=json"];
            let ended = self.control_plane.kubectl().attempt(&get);
            let map: Value = serde_json::from_str(&ended.stdout).map_err(|_| ended.stderr)?;
            map["data"]["ca.crt"].as_str().map(str::to_owned).ok_or_else(|| map.to_string())
        });
        fs::write(&path, text).unwrap();
        path
    }

    pub(crate) fn client(&self) -> Evaluator {
        let url = format!("https://localhost:{}", self.port).parse().unwrap();
        let token_file = self.files.path().join("token");
        Evaluator::new(EvaluatorArgs { url, token_file, ca_file: Some(self.authorities()) })
    }

    /// Runs `foretell` against this evaluator: its exit status and output.
    pub(crate) fn foretell(&self, arguments: &[&str]) -> (Option<i32>, String) {
        let mut command = machine::built("foretell");
        command.args(arguments).arg(format!("--evaluator=https://localhost:{}", self.port));
        command.arg("--token-file").arg(self.files.path().join("token"));
        let ended = command.arg("--ca-file").arg(self.authorities()).output().unwrap();
        let said = String::from_utf8(ended.stdout).unwrap() + &String::from_utf8(ended.stderr).unwrap();
        (ended.status.code(), said)
    }

    pub(crate) fn http(&self, token: Option<&str>, method: &str, path: &str, body: Option<&str>) -> (u16, String) {
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

    pub(crate) fn get<T: serde::de::DeserializeOwned>(&self, path: &str) -> T {
        let (status, body) = self.http(Some(TOKEN), "GET", path, None);
        assert_eq!(status, 200, "{path}: {body}");
        serde_json::from_str(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body}"))
    }

    pub(crate) fn becomes_ready(&self) {
        until("the evaluator is ready", || match self.http(None, "GET", "/readyz", None) {
            (200, _) => Ok(()),
            (_, reasons) => Err(reasons),
        });
    }

    /// A token of a service account in the home namespace, for an audience; bound to a pod, if one is given.
    pub(crate) fn token(&self, account: &str, audience: &str, pod: Option<&str>) -> String {
        let (namespace, audience) = (format!("--namespace={}", self.home.name()), format!("--audience={audience}"));
        let bound = pod.map(|pod| ["--bound-object-kind=Pod".to_owned(), format!("--bound-object-name={pod}")]);
        let bound: Vec<&str> = bound.iter().flatten().map(String::as_str).collect();
        let words = [&["create", "token", account, &namespace, &audience], bound.as_slice()].concat();
        self.kubectl(&words).trim().to_owned()
    }

    /// Sends a batch as the agent of n1.
    pub(crate) fn send(&self, boot: &str, sequence: u64, lines: &[Value]) -> Result<Accepted, EvaluatorError> {
        let text = lines.iter().map(Value::to_string).collect::<Vec<_>>().join("\n");
        let batch = Batch { agent: "n1".to_owned(), boot: boot.to_owned(), sequence, lines: text.into_bytes() };
        self.runtime.block_on(self.client().send(&batch))
    }

    /// Waits until the status of the policy `web` passes a test.
    pub(crate) fn status(&self, what: &str, test: impl Fn(&Value) -> bool) -> Value {
        until(what, || {
            let get = ["get", "auditnetworkpolicies.kguardian.dev", "web", "--namespace", self.shop.name()];
            let status = self.control_plane.kubectl().json(&get)["status"].take();
            if test(&status) { Ok(status) } else { Err(status.to_string()) }
        })
    }

    /// Three connections, observed at their destination.
    pub(crate) fn flow(&self, src: &str, dst: &str, port: u16) -> Value {
        let now = Timestamp::now().to_string();
        let (src, dst) = (self.ip(src), self.ip(dst));
        json!({
            "start": now, "end": now, "node": "n1", "observed": "Ingress", "src": {"ip": src}, "dst": {"ip": dst},
            "protocol": "TCP", "port": port, "outcome": "established", "connections": 3,
        })
    }

    pub(crate) fn apply(&self, manifest: &Value) {
        let mut manifest = manifest.clone();
        manifest["metadata"]["namespace"] = self.shop.name().into();
        self.control_plane.kubectl().apply(&manifest.to_string());
    }
}

pub(crate) fn report() -> Value {
    let now = Timestamp::now();
    let start = (now - jiff::SignedDuration::from_secs(10)).to_string();
    let report = json!({"node": "n1", "start": start, "end": now.to_string(), "addresses": ["192.0.2.1"], "lost": {}});
    json!({ "report": report })
}

/// A policy of `web` that allows these callers.
pub(crate) fn policy(callers: &[&str]) -> Value {
    let from: Vec<Value> = callers.iter().map(|name| json!({"podSelector": {"matchLabels": {"app": name}}})).collect();
    json!({
        "apiVersion": "kguardian.dev/v1alpha1",
        "kind": "AuditNetworkPolicy",
        "metadata": {"name": "web"},
        "spec": {"podSelector": {"matchLabels": {"app": "web"}}, "ingress": [{"from": from}]},
    })
}

pub(crate) fn condition<'a>(status: &'a Value, name: &str) -> &'a str {
    let conditions = status["conditions"].as_array().into_iter().flatten();
    let found = conditions.filter(|condition| condition["type"] == name).find_map(|found| found["status"].as_str());
    found.unwrap_or_default()
}
