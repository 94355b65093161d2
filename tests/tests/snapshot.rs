//! `foretell snapshot` of a real API server, with the rights of `manifests/snapshot` only.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Output;

use foretell_objects::manifest::documents::documents;
use foretell_policy::snapshot::text::Snapshot;
use foretell_tests::control_plane::ControlPlane;
use foretell_tests::kubectl::Kubectl;
use foretell_tests::machine::{self, root};
use foretell_tests::patience::until;
use serde_json::{Value, json};

const ACCOUNT: &str = "system:serviceaccount:foretell:foretell-snapshot";

/// Every value that a snapshot must not contain has this word.
const SECRET: &str = "hunter2";

const SHOP: &str = r"
{apiVersion: v1, kind: Namespace, metadata: {name: shop, labels: {team: shop}}}
---
apiVersion: apps/v1
kind: Deployment
metadata: {name: web, namespace: shop, annotations: {note: hunter2}}
spec:
  replicas: 3
  selector: {matchLabels: {app: web}}
  template:
    metadata: {labels: {app: web}, annotations: {note: hunter2}}
    spec:
      containers:
      - {name: c, image: hunter2, command: [hunter2], env: [{name: PASSWORD, value: hunter2}], ports: [{name: http, containerPort: 8080}]}
---
{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {selector: {app: web}, ports: [{port: 80, targetPort: http}]}}
---
{apiVersion: v1, kind: Secret, metadata: {name: password, namespace: shop}, stringData: {password: hunter2}}
---
{apiVersion: networking.k8s.io/v1, kind: NetworkPolicy, metadata: {name: web, namespace: shop}, spec: {podSelector: {matchLabels: {app: web}}, ingress: [{}]}}
---
{apiVersion: kguardian.dev/v1alpha1, kind: AuditNetworkPolicy, metadata: {name: web, namespace: shop}, spec: {podSelector: {matchLabels: {app: web}}, policyTypes: [Ingress]}}
";

fn foretell(kubeconfig: &Path, arguments: &[&str]) -> Output {
    machine::built("foretell").arg("snapshot").arg("--kubeconfig").arg(kubeconfig).args(arguments).output().unwrap()
}

fn taken(path: &Path) -> Snapshot {
    Snapshot::from_documents(documents(&fs::read_to_string(path).unwrap())).unwrap()
}

fn of_kind<'s>(snapshot: &'s Snapshot, kind: &str) -> Vec<&'s Value> {
    snapshot.objects.iter().filter(|object| object["kind"] == kind).collect()
}

/// A kubeconfig of the account in `manifests/snapshot`.
fn as_account(kubectl: &Kubectl, folder: &Path) -> PathBuf {
    kubectl.run(&["apply", "--kustomize", root().join("manifests/snapshot").to_str().unwrap()]);
    kubectl.as_account("foretell", "foretell-snapshot", folder)
}

/// Waits until the three pods of the Deployment `web` run, each with an address, and returns them.
fn wait_for_web(kubectl: &Kubectl) -> Vec<Value> {
    until("three pods of web run", || {
        let pods = kubectl.json(&["get", "pods", "--namespace=shop", "--selector=app=web"]);
        let pods: Vec<Value> = pods["items"].as_array().unwrap().clone();
        let is_running = |pod: &Value| pod["status"]["phase"] == "Running" && pod["status"]["podIP"].is_string();
        if pods.len() == 3 && pods.iter().all(is_running) { Ok(pods) } else { Err(format!("{} pods", pods.len())) }
    })
}

#[test]
fn a_snapshot_has_the_objects_of_a_cluster_and_keeps_pods_that_are_gone() {
    let Some(cluster) = ControlPlane::with_simulated_nodes(2) else { return };
    let (kubectl, folder) = (cluster.kubectl(), tempfile::tempdir().unwrap());
    let account = as_account(kubectl, folder.path());
    let file = folder.path().join("snapshot.yaml");
    let append = ["--append", file.to_str().unwrap()];

    // Before the CRDs are installed: there are no audit policies, which is reported and not an error.
    let output = foretell(&account, &append);
    let message = String::from_utf8(output.stderr).unwrap();
    assert!(
        output.status.success() && message.contains("Kinds that this cluster does not define: AuditNetworkPolicy, "),
        "{message}"
    );

    kubectl.run(&["apply", "--filename", root().join("manifests/crds").to_str().unwrap()]);
    kubectl.run(&["wait", "--for=condition=Established", "crd", "--all"]);
    kubectl.apply(SHOP);
    let first = wait_for_web(kubectl);
    let output = foretell(&account, &append);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let text = fs::read_to_string(&file).unwrap();
    assert!(!text.contains(SECRET), "{text}");
    let before = taken(&file);
    assert_eq!(of_kind(&before, "Node").len(), 2);
    assert_eq!((of_kind(&before, "NetworkPolicy").len(), of_kind(&before, "AuditNetworkPolicy").len()), (1, 1));
    let [set] = of_kind(&before, "ReplicaSet")[..] else { panic!("{text}") };
    assert_eq!(set["metadata"]["ownerReferences"][0]["name"], "web");
    assert_eq!(set["spec"], Value::Null, "only metadata is requested");

    kubectl.run(&["rollout", "restart", "--namespace=shop", "deployment/web"]);
    kubectl.run(&["delete", "pods", "--namespace=shop", "--selector=app=web", "--force", "--grace-period=0"]);
    until("the first pods are gone", || {
        let names = kubectl.run(&["get", "pods", "--namespace=shop", "--output=name"]);
        let left = first.iter().filter(|pod| names.contains(pod["metadata"]["name"].as_str().unwrap())).count();
        if left == 0 { Ok(()) } else { Err(format!("{left} are there")) }
    });
    wait_for_web(kubectl);
    assert!(foretell(&account, &append).status.success());
    let after = taken(&file);
    for pod in &first {
        let kept = after.objects.iter().find(|object| object["metadata"]["uid"] == pod["metadata"]["uid"]).unwrap();
        let gone_at = &kept["metadata"]["annotations"]["foretell.dev/gone-at"];
        assert_eq!(gone_at, &before.taken.to_string(), "the time of the last snapshot that had it");
        assert_eq!(kept["status"]["podIP"], pod["status"]["podIP"]);
    }
    assert!(after.taken >= before.taken);
    assert_eq!(after.gone_pods(), 3);
}

#[test]
fn the_rights_are_sufficient_and_minimal() {
    let Some(cluster) = ControlPlane::start() else { return };
    let (kubectl, folder) = (cluster.kubectl(), tempfile::tempdir().unwrap());
    let account = as_account(kubectl, folder.path());
    for (verb, resource, allowed) in [
        ("list", "pods", "yes"),
        ("list", "replicasets.apps", "yes"),
        ("get", "pods", "no"),
        ("watch", "pods", "no"),
        ("delete", "pods", "no"),
        ("list", "secrets", "no"),
        ("list", "configmaps", "no"),
        ("list", "deployments.apps", "no"),
    ] {
        let ended = kubectl.attempt(&["auth", "can-i", verb, resource, "--all-namespaces", "--as", ACCOUNT]);
        assert_eq!(ended.stdout.trim(), allowed, "{verb} {resource}");
    }

    let patch = r#"[{"op": "remove", "path": "/rules/2/resources/2"}]"#;
    kubectl.run(&["patch", "clusterrole", "foretell-snapshot", "--type=json", "--patch", patch]);
    let refused = until("the right is gone", || {
        let output = foretell(&account, &[]);
        if output.status.success() { Err("it is still there".to_owned()) } else { Ok(output) }
    });
    assert_eq!(refused.status.code(), Some(2));
    assert_eq!(refused.stdout, b"");
    let message = String::from_utf8(refused.stderr).unwrap();
    assert!(
        message.contains("may not list replicasets.apps in all namespaces") && message.contains(ACCOUNT),
        "{message}"
    );
}

#[test]
fn lists_of_several_pages_are_complete() {
    let Some(cluster) = ControlPlane::start() else { return };
    let (kubectl, folder) = (cluster.kubectl(), tempfile::tempdir().unwrap());
    let policy = |number: usize| {
        let policy = json!({
            "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
            "metadata": {"name": format!("policy-{number:04}"), "namespace": "default"},
            "spec": {"podSelector": {}},
        });
        format!("---\n{policy}\n")
    };
    kubectl.apply(&(0..1100).map(policy).collect::<String>());
    let file = folder.path().join("snapshot.yaml");
    let output = foretell(cluster.kubeconfig(), &["--output", file.to_str().unwrap()]);
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    assert_eq!(of_kind(&taken(&file), "NetworkPolicy").len(), 1100);
}
