//! The end-to-end tests of NetworkPolicy: three namespaces `x`, `y`, `z` with pods `a`, `b`, `c` each. Every pod connects
//! to every pod.
//!
//! An expectation is `FROM -> TO allow` or `… deny`, where `*` matches any name. The last one that matches decides. Flows that
//! none matches are allowed, as are flows of a pod to itself.

mod rows;

use serde_json::json;

use crate::cluster::{Pod, Scenery};
use rows::{RELABELLED, ROWS};

const NAMES: [&str; 3] = ["a", "b", "c"];
const NAMESPACES: [&str; 3] = ["x", "y", "z"];

fn address(namespace: &str, pod: &str) -> String {
    let index = |names: &[&str], name: &str| names.iter().position(|known| *known == name).unwrap();
    format!("10.2.0.{}", 10 * index(&NAMESPACES, namespace) + index(&NAMES, pod) + 1)
}

fn scenery() -> Scenery {
    let mut scenery = Scenery::default();
    for namespace in NAMESPACES {
        scenery = scenery.with(
            &json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": {"ns": namespace}}})
                .to_string(),
        );
        for name in NAMES {
            scenery = scenery.pod(&Pod {
                namespace,
                name: format!("{namespace}-{name}"),
                ip: address(namespace, name),
                labels: json!({"pod": name}),
                ports: vec![("serve-80-tcp", "TCP", 80), ("serve-81-tcp", "TCP", 81), ("serve-80-udp", "UDP", 80)],
            });
        }
    }
    scenery
}

fn policy(index: usize, namespace: &str, spec: &str) -> String {
    format!(
        "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {{name: p{index}, namespace: '{namespace}'}}\nspec: {spec}\n"
    )
}

fn fits(pattern: &str, namespace: &str, pod: &str) -> bool {
    pattern == "*" || pattern == format!("{namespace}/*") || pattern == format!("{namespace}/{pod}")
}

/// Checks the flows from every pod to every pod.
fn check(source: &str, scenery: &Scenery, protocol: &'static str, port: u16, expectations: &str) {
    let pods: Vec<(&str, &str)> = NAMESPACES.iter().flat_map(|ns| NAMES.iter().map(move |pod| (*ns, *pod))).collect();
    let pairs: Vec<_> = pods.iter().flat_map(|from| pods.iter().map(move |to| (*from, *to))).collect();
    let flows: Vec<_> =
        pairs.iter().map(|(from, to)| (address(from.0, from.1), address(to.0, to.1), protocol, port)).collect();
    for ((from, to), passes) in pairs.iter().zip(scenery.passes(&flows)) {
        let mut expected = true;
        for expectation in expectations.split("; ").filter(|text| !text.is_empty()) {
            let [src, "->", dst, word] = expectation.split(' ').collect::<Vec<_>>()[..] else {
                panic!("{expectation}")
            };
            if fits(src, from.0, from.1) && fits(dst, to.0, to.1) {
                expected = word == "allow";
            }
        }
        assert_eq!(passes, expected || from == to, "{source}: {from:?} -> {to:?} {protocol} {port}");
    }
}

#[test]
fn every_policy_means_what_the_end_to_end_tests_of_kubernetes_expect() {
    for (source, policies, expected) in ROWS {
        let mut scenery = scenery();
        for (index, (namespace, spec)) in policies.iter().enumerate() {
            scenery = scenery.with(&policy(index, namespace, spec));
        }
        for (protocol, port, expectations) in *expected {
            check(source, &scenery, protocol, *port, expectations);
        }
    }
}

#[test]
fn changed_labels_change_the_pods_that_policies_select() {
    for (source, spec, before, change, after) in RELABELLED {
        let scenery = scenery().with(&policy(0, "x", spec));
        check(source, &scenery, "TCP", 80, before);
        check(source, &scenery.with(change), "TCP", 80, after);
    }
}
