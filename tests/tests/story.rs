//! Foretell in a cluster, as it is installed, with a shop whose pods talk.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use foretell_tests::cluster::Cluster;
use foretell_tests::kubectl::Kubectl;
use foretell_tests::patience::until;
use foretell_tests::postgres::Database;
use foretell_tests::{images, machine};
use serde_json::{Value, json};

const IMAGES: [&str; 4] = ["foretell-capture", "foretell-demo", "foretell-evaluator", "foretell-webhook"];

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

    // Installed before its database is there: it becomes ready by itself once that is.
    kubectl.run(&["apply", "--kustomize", root.join("manifests").to_str().unwrap()]);
    let url = format!("--from-literal=url={}", database.url());
    kubectl.run(&["create", "secret", "generic", "foretell-database", "--namespace=foretell", &url]);
    until("the evaluator says what it waits for", || {
        let logs = kubectl.attempt(&["logs", "--namespace=foretell", "deployment/foretell-evaluator"]);
        if logs.stdout.contains("Waits for Postgres") { Ok(()) } else { Err(format!("{logs:?}")) }
    });
    database.resume();
    for workload in ["deployment/foretell-evaluator", "deployment/foretell-webhook", "daemonset/foretell-capture"] {
        kubectl.run(&["rollout", "status", "--namespace=foretell", "--timeout=120s", workload]);
    }

    // The shop, with a policy that forgets two callers.
    kubectl.run(&["apply", "--recursive", "--filename", root.join("demo/shop/repository/base").to_str().unwrap()]);
    kubectl.run(&["create", "job", "settle", "--namespace=payments", "--from=cronjob/settlement"]);
    until("the forgotten callers are counted", || {
        let status = audit_status(kubectl);
        let found = offenders(&status);
        let expected: Vec<(String, u16)> = FORGOTTEN.map(|(name, port)| (name.to_owned(), port)).to_vec();
        if found == expected { Ok(()) } else { Err(format!("{found:?} of {status}")) }
    });
    let printed = kubectl.run(&["get", "auditnetworkpolicies.kguardian.dev", "--namespace=payments"]);
    println!("{printed}");
    let rows = database.query(
        "SELECT DISTINCT src_namespace, dst_port FROM audit_verdicts WHERE policy_name = 'payments-ingress'
         AND verdict = 'WouldDeny' ORDER BY 1",
    );
    assert_eq!(rows, ["monitoring|9102", "payments|8443"]);

    // Promoted as a GitOps tool does it, from a manifest that still carries the audit object's record.
    let audited =
        kubectl.json(&["get", "auditnetworkpolicies.kguardian.dev", "payments-ingress", "--namespace=payments"]);
    let record = json!({"apiVersion": "kguardian.dev/v1alpha1", "kind": "AuditNetworkPolicy",
        "metadata": {"name": "payments-ingress", "namespace": "payments"}, "spec": audited["spec"]});
    let promoted = json!({
        "apiVersion": "networking.k8s.io/v1",
        "kind": "NetworkPolicy",
        "metadata": {"name": "payments-ingress", "namespace": "payments",
            "annotations": {"kubectl.kubernetes.io/last-applied-configuration": record.to_string()}},
        "spec": audited["spec"],
    });
    // Not by kubectl's own create, which puts a record of its own in this one's place.
    let all = "--raw=/apis/networking.k8s.io/v1/namespaces/payments/networkpolicies";
    let created = kubectl.attempt_with(&["create", all, "--filename=-"], &promoted.to_string());
    assert!(created.is_success, "{}", created.stderr);
    let stored = || kubectl.json(&["get", "networkpolicy", "payments-ingress", "--namespace=payments"]);
    let provenance = json!({"foretell.dev/promoted-from": "AuditNetworkPolicy/payments-ingress"});
    assert_eq!(stored()["metadata"]["annotations"], provenance);
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
    let scale = ["scale", "deployment", "foretell-evaluator", "--namespace=foretell", "--replicas=2"];
    let scaled = kubectl.attempt(&scale);
    assert!(!scaled.is_success && scaled.stderr.contains("window"), "{}", scaled.stderr);
}
