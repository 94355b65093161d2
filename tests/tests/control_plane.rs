//! The control plane for tests: it accepts Foretell's CRDs, and kwok simulates pods.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::collections::BTreeSet;

use foretell_tests::control_plane::ControlPlane;
use foretell_tests::machine;
use foretell_tests::patience::until;
use serde_json::Value;

const POLICY: &str = r"
apiVersion: kguardian.dev/v1alpha1
kind: AuditNetworkPolicy
metadata: {name: web}
spec:
  podSelector: {matchLabels: {app: web}}
  ingress: [{from: [{podSelector: {matchLabels: {app: client}}}], ports: [{port: 8080}]}]
";

#[test]
fn audit_policies_are_stored_as_written_and_invalid_ones_rejected() {
    let Some(control_plane) = ControlPlane::shared() else { return };
    let kubectl = control_plane.kubectl();
    let definitions = machine::root().join("manifests/crds");
    let definitions = definitions.to_str().unwrap();
    kubectl.run(&["apply", "--server-side", "--force-conflicts", "--filename", definitions]);
    kubectl.run(&["wait", "--for=condition=Established", "--timeout=60s", "--filename", definitions]);
    let namespace = control_plane.namespace("definitions");
    let create =
        |manifest: &str| kubectl.attempt_with(&["create", "--namespace", namespace.name(), "--filename=-"], manifest);

    let created = create(POLICY);
    assert!(created.is_success, "{}", created.stderr);
    let kept = kubectl.json(&["get", "auditnetworkpolicies.kguardian.dev", "web", "--namespace", namespace.name()]);
    // With defaults inside lists, GitOps tools would always see a difference, so the CRD has none.
    assert_eq!(kept["spec"]["ingress"][0]["ports"][0], serde_json::json!({"port": 8080}));

    for (what, manifest, message) in [
        (
            "a field that no NetworkPolicy has",
            POLICY.replace("ports:", "port:"),
            "unknown field \"spec.ingress[0].port\"",
        ),
        ("a selector of the wrong type", POLICY.replace("{matchLabels: {app: web}}", "web"), "must be of type object"),
        ("no spec", POLICY.split("spec:").next().unwrap().replace("web", "other"), "spec: Required value"),
    ] {
        let refused = create(&manifest.replace("name: web}", "name: other}"));
        assert!(!refused.is_success && refused.stderr.contains(message), "{what}: {}", refused.stderr);
    }
}

#[test]
fn simulated_pods_run_and_have_addresses_of_their_own() {
    let Some(control_plane) = ControlPlane::with_simulated_nodes(2) else { return };
    let (kubectl, namespace) = (control_plane.kubectl(), control_plane.namespace("simulated"));
    let replicas = 60;
    kubectl.run(&[
        "create",
        "deployment",
        "many",
        "--image=none",
        &format!("--replicas={replicas}"),
        "--namespace",
        namespace.name(),
    ]);
    until("all pods run", || {
        let pods = kubectl.json(&["get", "pods", "--namespace", namespace.name(), "--selector=app=many"]);
        let addresses: BTreeSet<&str> = pods["items"]
            .as_array()
            .unwrap()
            .iter()
            .filter(|pod| pod["status"]["phase"] == "Running")
            .filter_map(|pod| pod["status"]["podIP"].as_str())
            .collect();
        let all = || {
            let pods = pods["items"].as_array().into_iter().flatten();
            pods.map(|pod| format!("{} {}", pod["metadata"]["name"], pod["status"])).collect::<Vec<_>>().join("\n")
        };
        if addresses.len() == replicas { Ok(()) } else { Err(format!("{} of {replicas}:\n{}", addresses.len(), all())) }
    });
    let nodes = kubectl.json(&["get", "nodes"]);
    let names: Vec<&Value> = nodes["items"].as_array().unwrap().iter().map(|node| &node["metadata"]["name"]).collect();
    assert_eq!(names, ["simulated-1", "simulated-2"]);
}
