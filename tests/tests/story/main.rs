//! Foretell in a cluster, installed from its manifests, with a shop whose pods communicate.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::time::Instant;

use foretell_tests::cluster::Cluster;
use foretell_tests::kubectl::Kubectl;
use foretell_tests::patience::until;
use foretell_tests::postgres::Database;
use foretell_tests::{golden, images, machine, shop};
use serde_json::{Value, json};

use crate::client::Client;
use crate::output::{redacted, show, stay};
use crate::pull_request::pull_request;

mod client;
mod output;
mod pull_request;

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
    let client = deploy_shop(kubectl);
    audit(kubectl, &database, &client);
    drop(client);

    // The database stops for a moment; agents keep their flows meanwhile.
    database.stop();
    database.resume();
    let comments = pull_request(&cluster, &mut database);
    for (name, comment) in ["blocked", "fixed"].into_iter().zip(comments) {
        golden::compare(&format!("story/{name}.md"), &redacted(&comment));
    }
    until("the API server answers again", || {
        let ended = kubectl.attempt(&["get", "--raw=/readyz"]);
        if ended.is_success { Ok(()) } else { Err(ended.stderr) }
    });
    promote(kubectl);
    reject_invalid(kubectl);
    stay(&cluster);
}

/// Installs all of Foretell, and starts its database afterwards.
fn install(cluster: &Cluster, database: &mut Database) {
    let kubectl = cluster.kubectl();
    show("Foretell is installed: kubectl apply -k manifests", "");
    kubectl.run(&["apply", "--kustomize", machine::root().join("manifests").to_str().unwrap()]);
    let url = format!("--from-literal=url={}", database.url());
    kubectl.run(&["create", "secret", "generic", "foretell-database", "--namespace=foretell", &url]);
    until("the evaluator reports what it waits for", || {
        let logs = kubectl.attempt(&["logs", "--namespace=foretell", "deployment/foretell-evaluator"]);
        if logs.stdout.contains("Waiting for Postgres") { Ok(()) } else { Err(format!("{logs:?}")) }
    });
    database.resume();
    // It becomes ready without a restart. The Secret of the reporter's App is created later; until then its pod waits for it.
    for workload in ["deployment/foretell-evaluator", "deployment/foretell-webhook", "daemonset/foretell-capture"] {
        kubectl.run(&["rollout", "status", "--namespace=foretell", "--timeout=120s", workload]);
    }

    show("Its parts are ready", &kubectl.run(&["get", "pods", "--namespace=foretell"]));
}

/// Deploys the shop, without its audit policy.
fn deploy_shop(kubectl: &Kubectl) -> Client {
    show("A shop is deployed, and its pods communicate", "");
    apply(kubectl, |path| !path.ends_with(AUDITED));
    kubectl.run(&["create", "job", "settle", "--namespace=payments", "--from=cronjob/settlement"]);
    let client = Client::of(kubectl);
    // On a new node this takes about a minute: kubelet has to give the agent the certificate authorities of the evaluator first.
    until("flows of the agent arrive", || {
        let evidence = client.get::<Value>("/v1/evidence");
        if evidence["evidence"]["flows"].as_u64() > Some(0) { Ok(()) } else { Err(evidence.to_string()) }
    });
    client
}

/// Applies the wanted files of the shop's repository.
fn apply(kubectl: &Kubectl, is_wanted: impl Fn(&str) -> bool) {
    let folder = shop::repository().join("base");
    let manifests =
        shop::files_below(&folder).into_iter().map(|(path, _)| path).filter(|path| !path.ends_with("README.md"));
    let files =
        manifests.filter(|path| is_wanted(path)).map(|path| format!("--filename={}", folder.join(path).display()));
    let words: Vec<String> = std::iter::once("apply".to_owned()).chain(files).collect();
    kubectl.run(&words.iter().map(String::as_str).collect::<Vec<_>>());
}

/// Applies an audit policy that forgets two callers.
fn audit(kubectl: &Kubectl, database: &Database, client: &Client) {
    let since = Instant::now();
    apply(kubectl, |path| path.ends_with(AUDITED));
    until("the forgotten callers are counted", || {
        let status = audit_status(kubectl);
        let found = offenders(&status);
        let expected: Vec<(String, u16)> = FORGOTTEN.map(|(name, port)| (name.to_owned(), port)).to_vec();
        if found == expected { Ok(()) } else { Err(format!("{found:?} of {status}")) }
    });
    show(&format!("An audit policy forgets two callers: after {:.1?} its status counts them", since.elapsed()), "");
    let printed = kubectl.run(&["get", "auditnetworkpolicies.kguardian.dev", "--namespace=payments"]);
    show("kubectl get auditnetworkpolicies", &printed);
    let rows = database.query(
        "SELECT DISTINCT src_namespace, dst_port FROM audit_verdicts WHERE policy_name = 'payments-ingress'
         AND verdict = 'WouldDeny' ORDER BY 1",
    );
    assert_eq!(rows, ["monitoring|9102", "payments|8443"]);

    show("foretell denials", &client.denials());
    assert_eq!(client.verdicts(), FORGOTTEN.map(|(_, port)| port));
}

/// Promotes the policy as a GitOps tool does, from a manifest that still has the last-applied annotation of the audit policy.
fn promote(kubectl: &Kubectl) {
    let audited =
        kubectl.json(&["get", "auditnetworkpolicies.kguardian.dev", "payments-ingress", "--namespace=payments"]);
    let record = json!({"apiVersion": "kguardian.dev/v1alpha1", "kind": "AuditNetworkPolicy",
        "metadata": {"name": "payments-ingress", "namespace": "payments"}, "spec": audited["spec"]});
    let merged = shop::repository().join("fixed/payments/policies/payments-ingress.yaml");
    let mut promoted = kubectl.json(&["create", "--dry-run=client", "--filename", merged.to_str().unwrap()]);
    promoted["metadata"]["annotations"] =
        json!({"kubectl.kubernetes.io/last-applied-configuration": record.to_string()});
    // Not with `kubectl create`, which writes its own last-applied annotation.
    let all = "--raw=/apis/networking.k8s.io/v1/namespaces/payments/networkpolicies";
    let created = kubectl.attempt_with(&["create", all, "--filename=-"], &promoted.to_string());
    assert!(created.is_success, "{}", created.stderr);
    let stored = || kubectl.json(&["get", "networkpolicy", "payments-ingress", "--namespace=payments"]);
    let provenance = json!({"foretell.dev/promoted-from": "AuditNetworkPolicy/payments-ingress"});
    assert_eq!(stored()["metadata"]["annotations"], provenance);
    show(
        "It is merged and applied with the last-applied annotation of the audit policy: the webhook removes it",
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

/// Invalid objects are rejected, with the messages for a `NetworkPolicy`.
fn reject_invalid(kubectl: &Kubectl) {
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
    show(
        "A bad CIDR is rejected with the API server's message",
        &with_bad_cidr("kguardian.dev/v1alpha1", "AuditNetworkPolicy"),
    );
    let scale = ["scale", "deployment", "foretell-evaluator", "--namespace=foretell", "--replicas=2"];
    let scaled = kubectl.attempt(&scale);
    assert!(!scaled.is_success && scaled.stderr.contains("window"), "{}", scaled.stderr);
    show("A second evaluator is rejected", &scaled.stderr);
}
