//! Foretell in a cluster, as it is installed, with a shop whose pods talk.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::time::Instant;

use foretell_tests::cluster::Cluster;
use foretell_tests::kubectl::Kubectl;
use foretell_tests::patience::until;
use foretell_tests::postgres::Database;
use foretell_tests::{images, machine};
use serde_json::{Value, json};

use crate::asked::Asked;
use crate::pull_request::{files_below, pull_request};
use crate::telling::{golden, redacted, stay, tell};

mod asked;
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
    install(&cluster, &mut database);
    let asked = shop(kubectl);
    audit(kubectl, &database, &asked);
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
    promote(kubectl);
    refuse(kubectl);
    stay(&cluster);
}

/// Everything, before its database is there.
fn install(cluster: &Cluster, database: &mut Database) {
    let kubectl = cluster.kubectl();
    tell("Foretell is installed: kubectl apply -k manifests", "");
    kubectl.run(&["apply", "--kustomize", machine::root().join("manifests").to_str().unwrap()]);
    let url = format!("--from-literal=url={}", database.url());
    kubectl.run(&["create", "secret", "generic", "foretell-database", "--namespace=foretell", &url]);
    until("the evaluator says what it waits for", || {
        let logs = kubectl.attempt(&["logs", "--namespace=foretell", "deployment/foretell-evaluator"]);
        if logs.stdout.contains("Waiting for Postgres") { Ok(()) } else { Err(format!("{logs:?}")) }
    });
    database.resume();
    // It becomes ready by itself. The reporter's App is made later: until then its pod waits for the Secret.
    for workload in ["deployment/foretell-evaluator", "deployment/foretell-webhook", "daemonset/foretell-capture"] {
        kubectl.run(&["rollout", "status", "--namespace=foretell", "--timeout=120s", workload]);
    }

    tell("Its parts are ready", &kubectl.run(&["get", "pods", "--namespace=foretell"]));
}

/// The shop, of which nothing is judged yet.
fn shop(kubectl: &Kubectl) -> Asked {
    tell("A shop is deployed, and its pods talk", "");
    apply(kubectl, |path| !path.ends_with(AUDITED));
    kubectl.run(&["create", "job", "settle", "--namespace=payments", "--from=cronjob/settlement"]);
    let asked = Asked::of(kubectl);
    // On a node's first day this takes until kubelet has given the agent the evaluator's authorities, a minute or so.
    until("what the agent sees arrives", || {
        let evidence = asked.get::<Value>("/v1/evidence");
        if evidence["evidence"]["flows"].as_u64() > Some(0) { Ok(()) } else { Err(evidence.to_string()) }
    });
    asked
}

/// Applies these of the files of the shop's repository.
fn apply(kubectl: &Kubectl, is_wanted: impl Fn(&str) -> bool) {
    let folder = machine::root().join("demo/shop/repository/base");
    let manifests = files_below(&folder).into_iter().map(|(path, _)| path).filter(|path| !path.ends_with("README.md"));
    let files =
        manifests.filter(|path| is_wanted(path)).map(|path| format!("--filename={}", folder.join(path).display()));
    let words: Vec<String> = std::iter::once("apply".to_owned()).chain(files).collect();
    kubectl.run(&words.iter().map(String::as_str).collect::<Vec<_>>());
}

/// An audit policy, which forgets two callers.
fn audit(kubectl: &Kubectl, database: &Database, asked: &Asked) {
    let since = Instant::now();
    apply(kubectl, |path| path.ends_with(AUDITED));
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
}

/// As a GitOps tool does it, from a manifest that still carries the audit object's record.
fn promote(kubectl: &Kubectl) {
    let audited =
        kubectl.json(&["get", "auditnetworkpolicies.kguardian.dev", "payments-ingress", "--namespace=payments"]);
    let record = json!({"apiVersion": "kguardian.dev/v1alpha1", "kind": "AuditNetworkPolicy",
        "metadata": {"name": "payments-ingress", "namespace": "payments"}, "spec": audited["spec"]});
    let merged = machine::root().join("demo/shop/repository/mended/payments/policies/payments-ingress.yaml");
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
}

/// In the words for a `NetworkPolicy`.
fn refuse(kubectl: &Kubectl) {
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
}
