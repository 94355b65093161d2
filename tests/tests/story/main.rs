//! Foretell in a cluster, as it is installed, with a shop whose pods talk.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::fs;
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::Command;
use std::time::Instant;

use foretell_service::contract::VerdictRow;
use foretell_tests::cluster::Cluster;
use foretell_tests::kubectl::Kubectl;
use foretell_tests::patience::until;
use foretell_tests::postgres::Database;
use foretell_tests::program::Running;
use foretell_tests::{images, machine};
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::runtime::Runtime;

use crate::pull_request::{files_below, pull_request};
use crate::telling::{golden, redacted, stay, tell};

mod pull_request;
mod telling;

const IMAGES: [&str; 5] =
    ["foretell-capture", "foretell-demo", "foretell-evaluator", "foretell-reporter", "foretell-webhook"];

/// The demo's audit policy.
const AUDITED: &str = "payments-ingress.audit.yaml";

/// The callers that the demo's audit policy forgets.
const FORGOTTEN: [(&str, u16); 2] = [("monitoring/Deployment/prometheus", 9102), ("payments/CronJob/settlement", 8443)];

fn offenders(status: &Value) -> Vec<(String, u16)> {
    let listed = status["evaluation"]["topOffenders"].as_array().into_iter().flatten();
    let mut found: Vec<(String, u16)> = listed
        .map(|it| (it["srcPod"].as_str().unwrap().to_owned(), it["dstPort"].as_u64().unwrap().try_into().unwrap()))
        .collect();
    found.sort();
    found
}

fn audit_status(kubectl: &Kubectl) -> Value {
    let get = ["get", "auditnetworkpolicies.kguardian.dev", "payments-ingress", "--namespace=payments"];
    kubectl.json(&get)["status"].take()
}

#[test]
fn foretell_in_a_cluster() {
    let Some(cluster) = Cluster::start() else { return };
    let Some(mut database) = Database::outside(&cluster) else { return };
    let archives = IMAGES.map(images::archive);
    cluster.load(&archives.each_ref().map(std::path::PathBuf::as_path));
    let kubectl = cluster.kubectl();
    let root = machine::root();

    tell("Foretell is installed: kubectl apply -k manifests", "");
    // Installed before its database is there: it becomes ready by itself once that is.
    kubectl.run(&["apply", "--kustomize", root.join("manifests").to_str().unwrap()]);
    let url = format!("--from-literal=url={}", database.url());
    kubectl.run(&["create", "secret", "generic", "foretell-database", "--namespace=foretell", &url]);
    until("the evaluator says what it waits for", || {
        let logs = kubectl.attempt(&["logs", "--namespace=foretell", "deployment/foretell-evaluator"]);
        if logs.stdout.contains("Waits for Postgres") { Ok(()) } else { Err(format!("{logs:?}")) }
    });
    database.resume();
    // The reporter's App is made later: until then its pod waits for the Secret.
    for workload in ["deployment/foretell-evaluator", "deployment/foretell-webhook", "daemonset/foretell-capture"] {
        kubectl.run(&["rollout", "status", "--namespace=foretell", "--timeout=120s", workload]);
    }

    tell("Its parts are ready", &kubectl.run(&["get", "pods", "--namespace=foretell"]));

    // The shop, of which nothing is judged yet.
    tell("A shop is deployed, and its pods talk", "");
    let shop = root.join("demo/shop/repository/base");
    let files = files_below(&shop).into_iter().map(|(path, _)| path).filter(|path| path.ends_with(".yaml"));
    let (audited, others): (Vec<String>, Vec<String>) = files.partition(|path| path.ends_with(AUDITED));
    let apply = |files: &[String]| {
        let files = files.iter().map(|path| format!("--filename={}", shop.join(path).display()));
        let words: Vec<String> = std::iter::once("apply".to_owned()).chain(files).collect();
        kubectl.run(&words.iter().map(String::as_str).collect::<Vec<_>>())
    };
    apply(&others);
    kubectl.run(&["create", "job", "settle", "--namespace=payments", "--from=cronjob/settlement"]);
    let asked = Asked::of(kubectl);
    // On a node's first day this takes until kubelet has given the agent the evaluator's authorities, a minute or so.
    until("what the agent sees arrives", || {
        let evidence = asked.get::<Value>("/v1/evidence");
        if evidence["nodes"].as_array().is_some_and(|nodes| !nodes.is_empty()) {
            Ok(())
        } else {
            Err(evidence.to_string())
        }
    });

    let since = Instant::now();
    apply(&audited);
    until("the forgotten callers are counted", || {
        let status = audit_status(kubectl);
        let found = offenders(&status);
        let expected: Vec<(String, u16)> = FORGOTTEN.map(|(name, port)| (name.to_owned(), port)).to_vec();
        if found == expected { Ok(()) } else { Err(format!("{found:?} of {status}")) }
    });
    tell(&format!("An audit policy that forgets two callers: {:.1?} later they are counted", since.elapsed()), "");
    let printed = kubectl.run(&["get", "auditnetworkpolicies.kguardian.dev", "--namespace=payments"]);
    tell("kubectl get auditnetworkpolicies", &printed);
    let rows = database.query(
        "SELECT DISTINCT src_namespace, dst_port FROM audit_verdicts WHERE policy_name = 'payments-ingress'
         AND verdict = 'WouldDeny' ORDER BY 1",
    );
    assert_eq!(rows, ["monitoring|9102", "payments|8443"]);

    tell("foretell denials", &asked.denials());
    assert_eq!(asked.verdicts(), FORGOTTEN.map(|(_, port)| port));
    drop(asked);

    // The database goes away for a moment; what comes meanwhile is kept by the agents.
    database.stop();
    database.resume();

    let comments = pull_request(&cluster, &mut database);
    for (name, comment) in ["blocked", "mended"].into_iter().zip(comments) {
        golden(&format!("{name}.md"), &redacted(&comment));
    }

    until("the API server answers again", || {
        let asked = kubectl.attempt(&["get", "--raw=/readyz"]);
        if asked.is_success { Ok(()) } else { Err(asked.stderr) }
    });
    // Promoted as a GitOps tool does it, from a manifest that still carries the audit object's record.
    let audited =
        kubectl.json(&["get", "auditnetworkpolicies.kguardian.dev", "payments-ingress", "--namespace=payments"]);
    let record = json!({"apiVersion": "kguardian.dev/v1alpha1", "kind": "AuditNetworkPolicy",
        "metadata": {"name": "payments-ingress", "namespace": "payments"}, "spec": audited["spec"]});
    let merged = root.join("demo/shop/repository/mended/payments/policies/payments-ingress.yaml");
    let mut promoted = kubectl.json(&["create", "--dry-run=client", "--filename", merged.to_str().unwrap()]);
    promoted["metadata"]["annotations"] =
        json!({"kubectl.kubernetes.io/last-applied-configuration": record.to_string()});
    // Not by kubectl's own create, which puts a record of its own in this one's place.
    let all = "--raw=/apis/networking.k8s.io/v1/namespaces/payments/networkpolicies";
    let created = kubectl.attempt_with(&["create", all, "--filename=-"], &promoted.to_string());
    assert!(created.is_success, "{}", created.stderr);
    let stored = || kubectl.json(&["get", "networkpolicy", "payments-ingress", "--namespace=payments"]);
    let provenance = json!({"foretell.dev/promoted-from": "AuditNetworkPolicy/payments-ingress"});
    assert_eq!(stored()["metadata"]["annotations"], provenance);
    tell(
        "It is merged and applied with the audit object's record still in it: the webhook tidies it",
        &kubectl.run(&["get", "networkpolicy", "payments-ingress", "--namespace=payments", "--output=yaml"]),
    );
    let mut clean = promoted.clone();
    clean["metadata"]["annotations"] = json!({});
    let apply = || {
        let how = ["apply", "--server-side", "--field-manager=gitops", "--force-conflicts", "--filename=-"];
        let applied = kubectl.attempt_with(&how, &clean.to_string());
        assert!(applied.is_success, "{}", applied.stderr);
        stored()["metadata"].take()
    };
    assert_eq!(apply(), apply(), "a second apply changes nothing");

    // Refused, in the words for a NetworkPolicy.
    let with_bad_cidr = |api_version: &str, kind: &str| {
        let policy = json!({
            "apiVersion": api_version,
            "kind": kind,
            "metadata": {"name": "bad", "namespace": "payments"},
            "spec": {"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": "10.0.0.0/33"}}]}]},
        });
        let applied = kubectl.attempt_with(&["create", "--filename", "-"], &policy.to_string());
        assert!(!applied.is_success);
        applied.stderr.split_once("spec.ingress").unwrap().1.to_owned()
    };
    assert_eq!(
        with_bad_cidr("kguardian.dev/v1alpha1", "AuditNetworkPolicy"),
        with_bad_cidr("networking.k8s.io/v1", "NetworkPolicy"),
    );
    tell(
        "A bad CIDR is refused in the API server's words",
        &with_bad_cidr("kguardian.dev/v1alpha1", "AuditNetworkPolicy"),
    );
    let scale = ["scale", "deployment", "foretell-evaluator", "--namespace=foretell", "--replicas=2"];
    let scaled = kubectl.attempt(&scale);
    assert!(!scaled.is_success && scaled.stderr.contains("window"), "{}", scaled.stderr);
    tell("A second evaluator is refused", &scaled.stderr);
    stay(&cluster);
}

/// The evaluator as a person reaches it who was given a role.
struct Asked {
    _forwarded: Running,
    url: String,
    files: TempDir,
}

impl Asked {
    fn of(kubectl: &Kubectl) -> Self {
        kubectl.run(&["create", "serviceaccount", "me", "--namespace=foretell"]);
        let binding = ["create", "clusterrolebinding", "me-reads-foretell", "--clusterrole=foretell-reader"];
        kubectl.run(&[&binding[..], &["--serviceaccount=foretell:me"]].concat());
        let files = TempDir::with_prefix("foretell-").unwrap();
        let token = kubectl.run(&["create", "token", "me", "--namespace=foretell", "--audience=foretell-evaluator"]);
        fs::write(files.path().join("token"), token).unwrap();
        let published = kubectl.json(&["get", "configmap", "foretell-evaluator-ca", "--namespace=foretell"]);
        fs::write(files.path().join("ca.crt"), published["data"]["ca.crt"].as_str().unwrap()).unwrap();
        let port = TcpListener::bind(("127.0.0.1", 0)).unwrap().local_addr().unwrap().port();
        let forward = ["port-forward", "--namespace=foretell", "service/foretell-evaluator", &format!("{port}:443")];
        let forwarded = Running::start("kubectl port-forward", kubectl.command(&forward));
        until("the evaluator is reached", || {
            let connected = TcpStream::connect(("127.0.0.1", port));
            connected.map(drop).map_err(|error| format!("{error}: {}", forwarded.said()))
        });
        Self { _forwarded: forwarded, url: format!("https://localhost:{port}"), files }
    }

    fn file(&self, name: &str) -> PathBuf {
        self.files.path().join(name)
    }

    /// What `foretell denials` prints.
    fn denials(&self) -> String {
        let mut command: Command = machine::built("foretell");
        command
            .env("COLUMNS", "180")
            .arg("denials")
            .arg("--evaluator")
            .arg(&self.url)
            .arg("--token-file")
            .arg(self.file("token"));
        let ended = command.arg("--ca-file").arg(self.file("ca.crt")).output().unwrap();
        let said = String::from_utf8(ended.stdout).unwrap();
        assert!(ended.status.success(), "{}", String::from_utf8_lossy(&ended.stderr));
        for caller in ["Deployment/prometheus", "CronJob/settlement"] {
            assert!(said.contains(caller), "{said}");
        }
        said
    }

    /// The ports of the denied callers, as `GET /audit/verdicts` has them.
    fn verdicts(&self) -> Vec<u16> {
        let rows: Vec<VerdictRow> = self.get("/audit/verdicts?policy=payments-ingress&verdict=WouldDeny");
        let mut found: Vec<u16> = rows.iter().map(|row| row.dst_port).collect();
        found.sort_unstable_by(|a, b| b.cmp(a));
        found.dedup();
        found
    }

    fn get<T: DeserializeOwned>(&self, path: &str) -> T {
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
