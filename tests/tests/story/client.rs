//! A user's client of the evaluator.

use std::fs;
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::Command;

use foretell_service::contract::VerdictRow;
use foretell_tests::kubectl::Kubectl;
use foretell_tests::machine;
use foretell_tests::patience::until;
use foretell_tests::program::Running;
use serde::de::DeserializeOwned;
use tempfile::TempDir;
use tokio::runtime::Runtime;

/// A user with the role `foretell-reader`, who reaches the evaluator through a forwarded port.
pub(crate) struct Client {
    _forwarded: Running,
    url: String,
    files: TempDir,
}

impl Client {
    pub(crate) fn of(kubectl: &Kubectl) -> Self {
        kubectl.run(&["create", "serviceaccount", "me", "--namespace=foretell"]);
        let binding = ["create", "clusterrolebinding", "me-reads-foretell", "--clusterrole=foretell-reader"];
        kubectl.run(&[&binding[..], &["--serviceaccount=foretell:me"]].concat());
        let files = TempDir::with_prefix("foretell-").unwrap();
        let token = kubectl.run(&["create", "token", "me", "--namespace=foretell", "--audience=foretell-evaluator"]);
        fs::write(files.path().join("token"), token).unwrap();
        let published = kubectl.json(&["get", "configmap", "foretell-evaluator-ca", "--namespace=foretell"]);
        fs::write(files.path().join("ca.crt"), published["data"]["ca.crt"].as_str().unwrap()).unwrap();
        let port = machine::free_port();
        let forward = ["port-forward", "--namespace=foretell", "service/foretell-evaluator", &format!("{port}:443")];
        let forwarded = Running::start("kubectl port-forward", kubectl.command(&forward));
        until("the evaluator can be reached", || {
            let connected = TcpStream::connect(("127.0.0.1", port));
            connected.map(drop).map_err(|error| format!("{error}: {}", forwarded.output()))
        });
        Self { _forwarded: forwarded, url: format!("https://localhost:{port}"), files }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// The output of `foretell denials`.
    pub(crate) fn denials(&self) -> String {
        let mut command: Command = machine::built("foretell");
        command
            .env("COLUMNS", "180")
            .arg("denials")
            .arg("--evaluator")
            .arg(&self.url)
            .arg("--token-file")
            .arg(self.file("token"));
        let ended = command.arg("--ca-file").arg(self.file("ca.crt")).output().unwrap();
        let output = String::from_utf8(ended.stdout).unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        for caller in ["Deployment/prometheus", "CronJob/settlement"] {
            assert!(output.contains(caller), "{output}");
        }
        output
    }

    /// The ports of denied connections, from `GET /audit/verdicts`, in descending order.
    pub(crate) fn verdicts(&self) -> Vec<u16> {
        let rows: Vec<VerdictRow> = self.get("/audit/verdicts?policy=payments-ingress&verdict=WouldDeny");
        let mut found: Vec<u16> = rows.iter().map(|row| row.dst_port).collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.dedup();
        found
    }

    pub(crate) fn get<T: DeserializeOwned>(&self, path: &str) -> T {
        let bundle = fs::read(self.file("ca.crt")).unwrap();
        let client = reqwest::Client::builder()
            .tls_certs_only(reqwest::Certificate::from_pem_bundle(&bundle).unwrap())
            .no_proxy()
            .build()
            .unwrap();
        let token = fs::read_to_string(self.file("token")).unwrap();
        let request = client.get(format!("{}{path}", self.url)).bearer_auth(token.trim());
        let answer = async { request.send().await.unwrap().error_for_status().unwrap().json::<T>().await };
        Runtime::new().unwrap().block_on(answer).unwrap()
    }
}
