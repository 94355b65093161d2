//! `foretell generate`, as a user runs it.
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod foretell;

use foretell::{Ended, Place, flow, report};

/// The recording of the demo.
const DEMO: &str = concat!(
    "--snapshot ",
    env!("CARGO_MANIFEST_DIR"),
    "/../demo/recorded/snapshot.yaml --flows ",
    env!("CARGO_MANIFEST_DIR"),
    "/../demo/recorded/flows.ndjson"
);

fn generate(place: &Place, arguments: &str) -> Ended {
    place.run(&format!("generate --snapshot snapshot.yaml --flows flows.ndjson --at 2026-11-21T02:00:00Z {arguments}"))
}

#[test]
fn the_generated_policy_allows_the_recorded_traffic_and_check_agrees() {
    let place = Place::new();
    let generated = place.run(&format!("generate {DEMO} --window 3650d --namespace payments deployment/payments"));
    assert_eq!((generated.status, generated.stderr.as_str()), (Some(0), ""));
    assert!(generated.stdout.starts_with("# Allows 6 connections in use from "), "{}", generated.stdout);
    let enforced = generated.stdout.replace("kguardian.dev/v1alpha1", "networking.k8s.io/v1");
    std::fs::create_dir(place.path().join("base")).unwrap();
    place.write("head/policy.yaml", enforced.replace("AuditNetworkPolicy", "NetworkPolicy"));
    let checked = place.run(&format!("check {DEMO} --window 3650d --base-dir base --head-dir head --format json"));
    assert_eq!(checked.status, Some(0), "{}{}", checked.stdout, checked.stderr);
    let report: serde_json::Value = serde_json::from_str(&checked.stdout).unwrap();
    let verdicts = &report["policies"][0]["verdicts"];
    assert_eq!((verdicts["allow"].as_u64(), verdicts["wouldDeny"].as_u64()), (Some(6), Some(0)), "{report}");
}

#[test]
fn restricts_limits_the_policy_to_one_direction() {
    let place = Place::new();
    let words =
        format!("generate {DEMO} --window 3650d -n payments Deployment/payments --restricts ingress --name inwards");
    let generated = place.run(&words).stdout;
    assert!(generated.contains("name: inwards") && generated.contains("policyTypes:\n  - Ingress\n"), "{generated}");
    assert!(!generated.contains("egress"), "{generated}");
}

#[test]
fn without_traffic_the_policy_allows_nothing_and_a_message_says_so() {
    let place = Place::furnished();
    place.write("flows.ndjson", "");
    let generated = generate(&place, "-n prod Pod/web");
    assert_eq!(generated.status, Some(0), "{}", generated.stderr);
    assert!(generated.stderr.contains("no traffic in use of Pod/web was recorded"), "{}", generated.stderr);
    assert!(!generated.stdout.contains("ingress:"), "{}", generated.stdout);
}

#[test]
fn flows_may_come_from_standard_input() {
    let place = Place::furnished();
    let words =
        "generate --snapshot snapshot.yaml --flows - --at 2026-11-21T02:00:00Z -n prod Pod/web --restricts ingress";
    let generated = place.run_with_input(words, (report("") + &flow("10.1.0.6", "10.1.0.5")).as_bytes());
    let rule = "  ingress:\n  - from:\n    - podSelector:\n        matchLabels:\n          app: client\n";
    assert!(generated.stdout.contains(rule), "{}{}", generated.stdout, generated.stderr);
}

#[test]
fn a_policy_that_cannot_be_generated_is_an_error_with_the_reason() {
    let place = Place::furnished();
    place.write("flows.ndjson", flow("10.1.0.6", "10.1.0.5"));
    for (arguments, message) in [
        ("-n prod Pod/wbe", "Pod/wbe in prod has no pod in the snapshot; the namespace has"),
        ("-n nowhere Pod/web", "Pod/web in nowhere has no pod in the snapshot\n"),
        ("-n prod web", "write a kind, a slash and a name, for example Deployment/checkout"),
        ("-n prod Pod/web --name Bad_Name", "metadata.name: \"Bad_Name\""),
        ("-n prod Pod/web --window 99999999d", "--window"),
    ] {
        let ended = generate(&place, arguments);
        assert_eq!((ended.status, ended.stdout.as_str()), (Some(2), ""), "{arguments}");
        assert!(ended.stderr.contains(message), "{arguments}: {}", ended.stderr);
    }
}

#[test]
fn what_the_enforcer_lets_no_rule_allow_is_left_out_by_name() {
    let place = Place::furnished();
    let node = "---\n{apiVersion: v1, kind: Node, metadata: {name: n8}, status: {addresses: [{type: InternalIP, address: 192.168.0.8}]}}\n";
    let mut snapshot = std::fs::read_to_string(place.path().join("snapshot.yaml")).unwrap();
    snapshot.push_str(node);
    place.write("snapshot.yaml", snapshot);
    place.write("flows.ndjson", report("") + &flow("10.1.0.5", "192.168.0.8"));
    let upstream = generate(&place, "-n prod Pod/web --restricts egress");
    assert!(upstream.stdout.contains("192.168.0.8/32"), "{}{}", upstream.stdout, upstream.stderr);
    assert!(!upstream.stdout.contains("# Left out"), "{}", upstream.stdout);
    let cilium = generate(&place, "-n prod Pod/web --restricts egress --cni cilium").stdout;
    assert!(cilium.contains("# Left out: TCP ") && cilium.contains("no ipBlock matches nodes"), "{cilium}");
    assert!(!cilium.contains("192.168.0.8/32"), "{cilium}");
}

#[test]
fn a_workload_on_the_host_network_has_no_policy() {
    let place = Place::furnished();
    let pod = "---\n{apiVersion: v1, kind: Pod, metadata: {name: agent, namespace: prod, labels: {app: agent}}, spec: {nodeName: n1, hostNetwork: \
               true, containers: [{name: a, image: a}]}, status: {phase: Running, podIP: 192.168.0.1}}\n";
    let mut snapshot = std::fs::read_to_string(place.path().join("snapshot.yaml")).unwrap();
    snapshot.push_str(pod);
    place.write("snapshot.yaml", snapshot);
    place.write("flows.ndjson", "");
    let ended = generate(&place, "-n prod po/agent");
    assert_eq!(ended.status, Some(2));
    assert!(
        ended.stderr.contains("its pods are on the host network (hostNetwork: true), so no policy can select them"),
        "{}",
        ended.stderr
    );
}
