//! The conformance tests of admin policies: four namespaces with two pods each, and a node.
//!
//! Most tests have the same structure. The first namespace is the subject. Of the others, one is matched by an accept, a deny
//! and a pass rule for all ports, one is denied and passed on at one port, and one is accepted at one port and denied
//! elsewhere. The tests vary the order of the rules.

mod shape;

use serde_json::{Value, json};

use crate::cluster::{Pod, Scenery};
use shape::Shape::{Admin, Baseline, ClusterAdmin, ClusterBaseline};
use shape::{ALL, PROTOCOLS, Port, Rule, rule};

fn in_namespace(name: &str) -> Value {
    json!({"namespaces": {"matchLabels": {"house": name}}})
}

const HOUSES: [&str; 4] = ["red", "blue", "green", "gold"];

/// `red-0` is 10.3.0.10, `blue-1` 10.3.0.21. `inn` runs on the network of node `n1`.
fn address(name: &str) -> String {
    if name == "inn" {
        return "192.168.7.1".to_owned();
    }
    let Some((of, index)) = name.split_once('-') else { return name.to_owned() };
    let of = HOUSES.iter().position(|known| *known == of).unwrap();
    format!("10.3.0.{}", 10 * (of + 1) + index.parse::<usize>().unwrap())
}

fn four_namespaces() -> Scenery {
    let node = |name: &str, ip: &str| json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": name, "labels": {"kubernetes.io/os": "linux"}}, "status": {"addresses": [{"type": "InternalIP", "address": ip}]}});
    let inn = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "inn", "namespace": "forest", "uid": "inn", "labels": {"house": "inn"}},
        "spec": {"nodeName": "n1", "hostNetwork": true, "containers": []},
        "status": {"phase": "Running", "podIP": "192.168.7.1", "hostIP": "192.168.7.1"},
    });
    let mut scenery = Scenery::default().with(&node("n1", "192.168.7.1").to_string()).with(&inn.to_string());
    scenery = scenery.with(&node("n2", "192.168.7.2").to_string());
    for namespace in HOUSES {
        let labels = json!({"house": namespace});
        let object =
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": namespace, "labels": labels}});
        scenery = scenery.with(&object.to_string());
        for index in 0..2 {
            let name = format!("{namespace}-{index}");
            let labels = json!({"house": namespace, "pod-name": name});
            let ports = vec![("web", "TCP", 80), ("dns", "UDP", 53)];
            scenery = scenery.pod(&Pod { namespace, ip: address(&name), name, labels, ports });
        }
    }
    scenery
}

/// Compares the engine with a table of flows, `red-0 -> blue-1 TCP 80 pass`.
fn holds(source: &str, scenery: &Scenery, table: &[String]) {
    let mut flows = Vec::new();
    let mut expected = Vec::new();
    for row in table {
        let [src, "->", dst, protocol, port, word] = row.split(' ').collect::<Vec<_>>()[..] else { panic!("{row}") };
        let protocol = PROTOCOLS.iter().find(|known| known.0 == protocol).unwrap().0;
        flows.push((address(src), address(dst), protocol, port.parse().unwrap()));
        expected.push(word == "pass");
    }
    for ((row, passes), expected) in table.iter().zip(scenery.passes(&flows)).zip(expected) {
        assert_eq!(passes, expected, "{source}: {row}");
    }
}

fn rows<const N: usize>(rows: [&str; N]) -> Vec<String> {
    rows.iter().map(|row| (*row).to_owned()).collect()
}

/// The seven rules of the common structure for one protocol. In the Baseline tier there is no pass.
fn common(protocol: &'static str, first: u16) -> Vec<Rule> {
    let at = [Port::Number(protocol, first)];
    vec![
        rule("Accept", &in_namespace("blue"), &[]),
        rule("Deny", &in_namespace("blue"), &[]),
        rule("Pass", &in_namespace("blue"), &[]),
        rule("Deny", &in_namespace("green"), &at),
        rule("Pass", &in_namespace("green"), &at),
        rule("Accept", &in_namespace("gold"), &at),
        rule("Deny", &in_namespace("gold"), &[]),
    ]
}

/// `…EgressTCP`, `…EgressUDP`, `…EgressSCTP`, `…IngressTCP`, `…IngressUDP`, `…IngressSCTP`, and all of them in one policy:
/// `…Gress`.
#[test]
fn the_order_of_rules_decides() {
    for shape in ALL {
        for (protocol, first, second) in PROTOCOLS {
            for direction in ["Egress", "Ingress"] {
                let source = format!("{}{direction}{protocol}", shape.prefix());
                let of = |swap: Option<(usize, usize)>| {
                    let mut rules = common(protocol, first);
                    if let Some((one, other)) = swap {
                        rules.swap(one, other);
                    }
                    rules.retain(|rule| shape.is_admin() || rule.action != "Pass");
                    let (ingress, egress) =
                        if direction == "Ingress" { (&rules[..], &[][..]) } else { (&[][..], &rules[..]) };
                    four_namespaces().with(&shape.policy("it", 10, &in_namespace("red"), ingress, egress))
                };
                let flow = |peer: &str, port: u16, word: &str| match direction {
                    "Ingress" => format!("{peer} -> red-0 {protocol} {port} {word}"),
                    _ => format!("red-0 -> {peer} {protocol} {port} {word}"),
                };
                holds(
                    &source,
                    &of(None),
                    &[
                        flow("blue-0", first, "pass"),
                        flow("blue-1", second, "pass"),
                        flow("gold-0", first, "pass"),
                        flow("gold-1", second, "deny"),
                        flow("green-0", first, "deny"),
                        flow("green-1", second, "pass"),
                    ],
                );
                holds(&source, &of(Some((0, 1))), &[flow("blue-0", first, "deny"), flow("blue-1", second, "deny")]);
                if shape.is_admin() {
                    // The pass rule comes before accept and deny, and no later tier has policies.
                    holds(&source, &of(Some((0, 2))), &[flow("blue-0", first, "pass"), flow("blue-1", second, "pass")]);
                    holds(
                        &source,
                        &of(Some((3, 4))),
                        &[flow("green-0", first, "pass"), flow("green-1", second, "pass")],
                    );
                }
            }
        }
    }
}

/// `…Gress`: all protocols and both directions in one policy.
#[test]
fn a_policy_may_have_rules_for_several_protocols_and_both_directions() {
    for shape in ALL {
        let some = [Port::Number("TCP", 80), Port::Number("UDP", 53), Port::Number("SCTP", 9003)];
        let mut rules = common("TCP", 80);
        rules.retain(|rule| shape.is_admin() || rule.action != "Pass");
        for rule in rules.iter_mut().filter(|rule| !rule.ports.is_empty()) {
            rule.ports = some.to_vec();
        }
        let scenery = four_namespaces().with(&shape.policy("it", 15, &in_namespace("red"), &rules, &rules));
        let mut table = Vec::new();
        for (protocol, first, second) in PROTOCOLS {
            for (peer, port, word) in [
                ("blue-0", first, "pass"),
                ("blue-1", second, "pass"),
                ("green-0", first, "deny"),
                ("green-1", second, "pass"),
                ("gold-0", first, "pass"),
                ("gold-1", second, "deny"),
            ] {
                table.push(format!("red-0 -> {peer} {protocol} {port} {word}"));
                table.push(format!("{peer} -> red-1 {protocol} {port} {word}"));
            }
        }
        holds(&format!("{}Gress", shape.prefix()), &scenery, &table);
    }
}

#[test]
fn the_policy_with_the_lower_priority_number_comes_first() {
    for shape in [Admin, ClusterAdmin] {
        let green = json!({"pods": {"namespaceSelector": {"matchLabels": {"house": "green"}}, "podSelector": {"matchLabels": {"house": "green"}}}});
        let subject = json!({"pods": {"namespaceSelector": {"matchLabels": {"house": "red"}}, "podSelector": {"matchLabels": {"house": "red"}}}});
        let with = |priority: u16| {
            let rules = |action| [rule(action, &green, &[])];
            let below = if shape == Admin { Baseline } else { ClusterBaseline };
            four_namespaces()
                .with(&shape.policy("deny", 50, &subject, &rules("Deny"), &rules("Deny")))
                .with(&shape.policy("pass", priority, &subject, &rules("Pass"), &rules("Pass")))
                .with(&below.policy("below", 10, &subject, &rules("Accept"), &rules("Accept")))
        };
        let table = |word: &str| {
            [
                "green-0 -> red-0 TCP 80",
                "green-1 -> red-0 TCP 8080",
                "red-0 -> green-0 TCP 80",
                "red-1 -> green-0 TCP 8080",
            ]
            .map(|flow| format!("{flow} {word}"))
        };
        let source = format!("{}PriorityField", shape.prefix());
        holds(&source, &with(60), &table("deny"));
        holds(&source, &with(40), &table("pass"));
    }
}

#[test]
fn tiers_are_evaluated_admin_then_network_policy_then_baseline() {
    let np = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: np, namespace: red}\nspec: {podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{from: [{namespaceSelector: {matchLabels: {house: green}}}]}], egress: [{to: [{namespaceSelector: {matchLabels: {house: green}}}]}]}\n";
    for (above, below) in [(Admin, Baseline), (ClusterAdmin, ClusterBaseline)] {
        let source = format!("{}Integration", above.prefix());
        let rules = |action| [rule(action, &in_namespace("green"), &[])];
        let with = |action| {
            four_namespaces()
                .with(&above.policy("above", 10, &in_namespace("red"), &rules(action), &rules(action)))
                .with(&below.policy("below", 10, &in_namespace("red"), &rules("Deny"), &rules("Deny")))
        };
        let table = |word: &str| {
            [
                "green-0 -> red-0 TCP 80",
                "green-1 -> red-0 TCP 8080",
                "red-0 -> green-0 TCP 80",
                "red-1 -> green-0 TCP 8080",
            ]
            .map(|flow| format!("{flow} {word}"))
        };
        holds(&source, &with("Deny").with(np), &table("deny"));
        holds(&source, &with("Pass").with(np), &table("pass"));
        holds(&source, &with("Pass"), &table("deny"));
    }
}

#[test]
fn named_ports_are_those_of_the_destination() {
    for shape in ALL {
        let rules = |port| {
            [rule("Accept", &in_namespace("gold"), &[Port::Named(port)]), rule("Deny", &in_namespace("gold"), &[])]
        };
        let egress = four_namespaces().with(&shape.policy("it", 1, &in_namespace("red"), &[], &rules("web")));
        let table = rows(["red-0 -> gold-1 TCP 80 pass", "red-1 -> gold-1 TCP 8080 deny"]);
        holds(&format!("{}EgressNamedPort", shape.prefix()), &egress, &table);
        let ingress = four_namespaces().with(&shape.policy("it", 1, &in_namespace("red"), &rules("dns"), &[]));
        let table = rows(["gold-0 -> red-0 UDP 53 pass", "gold-1 -> red-0 UDP 5353 deny"]);
        holds(&format!("{}IngressNamedPort", shape.prefix()), &ingress, &table);
    }
}

#[test]
fn networks_match_pods_too() {
    let green = json!({"pods": {"namespaceSelector": {"matchLabels": {"house": "green"}}, "podSelector": {"matchLabels": {"house": "green"}}}});
    let everywhere = json!({"networks": ["0.0.0.0/0", "::/0"]});
    for shape in ALL {
        let source = format!("{}EgressInlineCIDRPeers", shape.prefix());
        let mut rules = vec![rule("Accept", &green, &[]), rule("Deny", &everywhere, &[])];
        let table = rows([
            "red-1 -> blue-1 TCP 80 deny",
            "red-1 -> blue-1 UDP 53 deny",
            "red-1 -> gold-1 SCTP 9003 deny",
            "red-1 -> green-0 TCP 80 pass",
            "red-1 -> green-1 UDP 53 pass",
            "red-1 -> 203.0.113.5 TCP 80 deny",
        ]);
        holds(&source, &four_namespaces().with(&shape.policy("it", 85, &in_namespace("red"), &[], &rules)), &table);
        let two = json!({"networks": [format!("{}/32", address("blue-0")), format!("{}/32", address("gold-0"))]});
        rules.insert(0, rule("Accept", &two, &[]));
        let table = rows([
            "red-1 -> blue-0 TCP 80 pass",
            "red-1 -> gold-0 SCTP 9003 pass",
            "red-1 -> blue-1 TCP 80 deny",
            "red-1 -> gold-1 UDP 53 deny",
        ]);
        holds(&source, &four_namespaces().with(&shape.policy("it", 85, &in_namespace("red"), &[], &rules)), &table);
    }
}

#[test]
fn nodes_are_selected_by_their_labels() {
    let nodes = json!({"nodes": {"matchLabels": {"kubernetes.io/os": "linux"}}});
    for shape in ALL {
        let mut rules = vec![
            rule("Accept", &nodes, &[Port::Number("TCP", 34345)]),
            rule("Pass", &nodes, &[Port::Number("UDP", 34346)]),
            Rule { action: "Deny", peers: json!([nodes, {"networks": ["0.0.0.0/0", "::/0"]}]), ports: Vec::new() },
        ];
        rules.retain(|rule| shape.is_admin() || rule.action != "Pass");
        let scenery = four_namespaces().with(&shape.policy("it", 75, &in_namespace("red"), &[], &rules));
        let passes = if shape.is_admin() { "pass" } else { "deny" };
        let table = [
            "red-1 -> inn TCP 34345 pass".to_owned(),
            format!("red-1 -> inn UDP 34346 {passes}"),
            "red-1 -> inn TCP 34347 deny".to_owned(),
            "red-1 -> inn UDP 34348 deny".to_owned(),
            "red-1 -> inn SCTP 9003 deny".to_owned(),
        ];
        holds(&format!("{}EgressNodePeers", shape.prefix()), &scenery, &table);
    }
}

#[test]
fn a_policy_without_rules_for_a_direction_has_no_effect_on_it() {
    for shape in [ClusterAdmin, ClusterBaseline] {
        let deny = [rule("Deny", &in_namespace("green"), &[])];
        let ingress = four_namespaces().with(&shape.policy("it", 20, &in_namespace("red"), &deny, &[]));
        let table =
            rows(["green-0 -> red-0 TCP 80 deny", "red-0 -> blue-0 TCP 80 pass", "red-0 -> gold-0 TCP 80 pass"]);
        holds(&format!("{}IngressRulesEgressUnaffected", shape.prefix()), &ingress, &table);
        let egress = four_namespaces().with(&shape.policy("it", 20, &in_namespace("red"), &[], &deny));
        let table =
            rows(["red-0 -> green-0 TCP 80 deny", "blue-0 -> red-0 TCP 80 pass", "gold-0 -> red-0 TCP 80 pass"]);
        holds(&format!("{}EgressRulesIngressUnaffected", shape.prefix()), &egress, &table);
    }
}

#[test]
fn pod_selectors_work_with_and_without_a_namespace_selector() {
    let pods = |house: &str| json!({"pods": {"podSelector": {"matchLabels": {"house": house}}}});
    let one = |house: &str, name: &str| json!({"pods": {"namespaceSelector": {"matchLabels": {"house": house}}, "podSelector": {"matchLabels": {"pod-name": name}}}});
    for shape in [ClusterAdmin, ClusterBaseline] {
        let to = [rule("Deny", &pods("blue"), &[]), rule("Deny", &one("gold", "gold-0"), &[])];
        let from = [rule("Deny", &pods("green"), &[]), rule("Deny", &one("gold", "gold-0"), &[])];
        let scenery = four_namespaces().with(&shape.policy("by-label", 20, &pods("red"), &from, &to)).with(
            &shape.policy("by-name", 21, &one("blue", "blue-0"), &[], &[rule("Deny", &in_namespace("green"), &[])]),
        );
        let table = rows([
            "red-0 -> blue-0 TCP 80 deny",
            "red-0 -> gold-0 TCP 80 deny",
            "red-0 -> gold-1 TCP 80 pass",
            "green-0 -> red-0 TCP 80 deny",
            "gold-0 -> red-0 TCP 80 deny",
            "gold-1 -> red-0 TCP 80 pass",
            "green-0 -> gold-0 TCP 80 pass",
            "blue-0 -> green-0 TCP 80 deny",
            "blue-1 -> green-0 TCP 80 pass",
        ]);
        holds(&format!("{}PodSelector", shape.prefix()), &scenery, &table);
    }
}

#[test]
fn port_ranges_include_both_ends() {
    for shape in ALL {
        let all = json!({"namespaces": {"matchExpressions": [{"key": "house", "operator": "Exists"}]}});
        let rules = [
            rule("Accept", &in_namespace("blue"), &[Port::Range("TCP", 80, 8080)]),
            rule("Accept", &in_namespace("gold"), &[Port::Range("UDP", 53, 5353)]),
            rule("Accept", &in_namespace("green"), &[Port::Range("SCTP", 9003, 9005)]),
            rule("Deny", &all, &[]),
        ];
        let scenery = four_namespaces().with(&shape.policy("it", 9, &in_namespace("red"), &rules, &rules));
        let mut table = Vec::new();
        for (peer, flow, word) in [
            ("blue-0", "TCP 80", "pass"),
            ("blue-0", "TCP 8080", "pass"),
            ("blue-0", "UDP 53", "deny"),
            ("gold-0", "UDP 53", "pass"),
            ("gold-0", "UDP 5353", "pass"),
            ("gold-0", "TCP 80", "deny"),
            ("green-0", "SCTP 9003", "pass"),
            ("green-0", "SCTP 9005", "pass"),
            ("green-0", "TCP 80", "deny"),
        ] {
            table.push(format!("red-0 -> {peer} {flow} {word}"));
            table.push(format!("{peer} -> red-0 {flow} {word}"));
        }
        holds(&format!("{}PortRange", shape.prefix()), &scenery, &table);
    }
}

#[test]
fn all_policies_of_equal_priority_are_evaluated() {
    for shape in [ClusterAdmin, ClusterBaseline] {
        let deny = |of: &str, port| [rule("Deny", &in_namespace(of), &[Port::Number("TCP", port)])];
        let both = |name: &str, subject: &str, of: &str, port| {
            shape.policy(name, 15, &in_namespace(subject), &deny(of, port), &deny(of, port))
        };
        let scenery = four_namespaces()
            .with(&both("one", "red", "green", 80))
            .with(&both("two", "red", "gold", 80))
            .with(&both("three", "gold", "green", 8080));
        let table = rows([
            "green-0 -> red-0 TCP 80 deny",
            "red-0 -> green-0 TCP 80 deny",
            "gold-0 -> red-0 TCP 80 deny",
            "red-1 -> gold-0 TCP 80 deny",
            "green-1 -> gold-0 TCP 8080 deny",
            "gold-1 -> green-0 TCP 8080 deny",
            "green-0 -> red-0 TCP 8080 pass",
            "red-0 -> green-0 TCP 8080 pass",
            "green-1 -> gold-0 TCP 80 pass",
            "gold-0 -> green-0 TCP 80 pass",
            "blue-0 -> red-0 TCP 80 pass",
            "red-1 -> blue-0 TCP 80 pass",
        ]);
        holds(&format!("{}SamePriority", shape.prefix()), &scenery, &table);
    }
}

/// `CNPAdminTierHairpin`: admin policies apply to a pod that connects to itself through a Service.
#[test]
fn admin_policies_apply_to_a_pod_that_connects_to_itself_through_a_service() {
    let service = "{apiVersion: v1, kind: Service, metadata: {name: back, namespace: red}, spec: {clusterIP: 10.96.3.1, selector: {pod-name: red-0}, ports: [{name: web, port: 80, targetPort: 80}]}}";
    let scenery = four_namespaces().with(service).with(&ClusterAdmin.policy(
        "it",
        15,
        &in_namespace("red"),
        &[rule("Deny", &in_namespace("red"), &[])],
        &[],
    ));
    holds("CNPAdminTierHairpin", &scenery, &rows(["red-0 -> 10.96.3.1 TCP 80 deny", "red-0 -> red-0 TCP 80 pass"]));
}
