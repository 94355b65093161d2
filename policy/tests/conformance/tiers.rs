//! The conformance tests of admin policies: four houses with two pods each, and a node.
//!
//! Their common shape: the first house is the subject, of the others one is accepted, denied and passed on by rules that all take
//! it, one is denied and passed on at one port, one accepted at one port and denied elsewhere. Which rule goes first is what is
//! tried.

mod shape;

use serde_json::{Value, json};

use crate::cluster::{Pod, Scenery};
use shape::Shape::{Admin, Baseline, ClusterAdmin, ClusterBaseline};
use shape::{ALL, PROTOCOLS, Port, Rule, rule};

fn house(name: &str) -> Value {
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

fn houses() -> Scenery {
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

/// Holds a table of flows, `red-0 -> blue-1 TCP 80 pass`, against the engine.
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

/// The seven rules of the common shape, for one protocol; the Baseline's have no pass.
fn common(protocol: &'static str, first: u16) -> Vec<Rule> {
    let at = [Port::Number(protocol, first)];
    vec![
        rule("Accept", &house("blue"), &[]),
        rule("Deny", &house("blue"), &[]),
        rule("Pass", &house("blue"), &[]),
        rule("Deny", &house("green"), &at),
        rule("Pass", &house("green"), &at),
        rule("Accept", &house("gold"), &at),
        rule("Deny", &house("gold"), &[]),
    ]
}

/// `…EgressTCP`, `…EgressUDP`, `…EgressSCTP`, `…IngressTCP`, `…IngressUDP`, `…IngressSCTP`, and all at once: `…Gress`.
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
                    houses().with(&shape.policy("it", 10, &house("red"), ingress, egress))
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
                    // The pass comes before accept and deny, and nothing comes after the tier.
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
fn rules_of_several_protocols_and_both_directions_stand_side_by_side() {
    for shape in ALL {
        let some = [Port::Number("TCP", 80), Port::Number("UDP", 53), Port::Number("SCTP", 9003)];
        let mut rules = common("TCP", 80);
        rules.retain(|rule| shape.is_admin() || rule.action != "Pass");
        for rule in rules.iter_mut().filter(|rule| !rule.ports.is_empty()) {
            rule.ports = some.to_vec();
        }
        let scenery = houses().with(&shape.policy("it", 15, &house("red"), &rules, &rules));
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
fn a_lower_number_of_priority_comes_first() {
    for shape in [Admin, ClusterAdmin] {
        let green = json!({"pods": {"namespaceSelector": {"matchLabels": {"house": "green"}}, "podSelector": {"matchLabels": {"house": "green"}}}});
        let subject = json!({"pods": {"namespaceSelector": {"matchLabels": {"house": "red"}}, "podSelector": {"matchLabels": {"house": "red"}}}});
        let with = |priority: u16| {
            let rules = |action| [rule(action, &green, &[])];
            let below = if shape == Admin { Baseline } else { ClusterBaseline };
            houses()
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
fn admin_then_network_policy_then_baseline() {
    let np = "apiVersion: networking.k8s.io/v1\nkind: NetworkPolicy\nmetadata: {name: np, namespace: red}\nspec: {podSelector: {}, policyTypes: [Ingress, Egress], ingress: [{from: [{namespaceSelector: {matchLabels: {house: green}}}]}], egress: [{to: [{namespaceSelector: {matchLabels: {house: green}}}]}]}\n";
    for (above, below) in [(Admin, Baseline), (ClusterAdmin, ClusterBaseline)] {
        let source = format!("{}Integration", above.prefix());
        let rules = |action| [rule(action, &house("green"), &[])];
        let with = |action| {
            houses()
                .with(&above.policy("above", 10, &house("red"), &rules(action), &rules(action)))
                .with(&below.policy("below", 10, &house("red"), &rules("Deny"), &rules("Deny")))
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
        let rules = |port| [rule("Accept", &house("gold"), &[Port::Named(port)]), rule("Deny", &house("gold"), &[])];
        let egress = houses().with(&shape.policy("it", 1, &house("red"), &[], &rules("web")));
        let table = rows(["red-0 -> gold-1 TCP 80 pass", "red-1 -> gold-1 TCP 8080 deny"]);
        holds(&format!("{}EgressNamedPort", shape.prefix()), &egress, &table);
        let ingress = houses().with(&shape.policy("it", 1, &house("red"), &rules("dns"), &[]));
        let table = rows(["gold-0 -> red-0 UDP 53 pass", "gold-1 -> red-0 UDP 5353 deny"]);
        holds(&format!("{}IngressNamedPort", shape.prefix()), &ingress, &table);
    }
}

#[test]
fn networks_take_pods_too() {
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
        holds(&source, &houses().with(&shape.policy("it", 85, &house("red"), &[], &rules)), &table);
        let two = json!({"networks": [format!("{}/32", address("blue-0")), format!("{}/32", address("gold-0"))]});
        rules.insert(0, rule("Accept", &two, &[]));
        let table = rows([
            "red-1 -> blue-0 TCP 80 pass",
            "red-1 -> gold-0 SCTP 9003 pass",
            "red-1 -> blue-1 TCP 80 deny",
            "red-1 -> gold-1 UDP 53 deny",
        ]);
        holds(&source, &houses().with(&shape.policy("it", 85, &house("red"), &[], &rules)), &table);
    }
}

#[test]
fn nodes_are_peers_by_their_labels() {
    let nodes = json!({"nodes": {"matchLabels": {"kubernetes.io/os": "linux"}}});
    for shape in ALL {
        let mut rules = vec![
            rule("Accept", &nodes, &[Port::Number("TCP", 34345)]),
            rule("Pass", &nodes, &[Port::Number("UDP", 34346)]),
            Rule { action: "Deny", peers: json!([nodes, {"networks": ["0.0.0.0/0", "::/0"]}]), ports: Vec::new() },
        ];
        rules.retain(|rule| shape.is_admin() || rule.action != "Pass");
        let scenery = houses().with(&shape.policy("it", 75, &house("red"), &[], &rules));
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
fn a_policy_without_rules_of_a_direction_leaves_it_alone() {
    for shape in [ClusterAdmin, ClusterBaseline] {
        let deny = [rule("Deny", &house("green"), &[])];
        let ingress = houses().with(&shape.policy("it", 20, &house("red"), &deny, &[]));
        let table =
            rows(["green-0 -> red-0 TCP 80 deny", "red-0 -> blue-0 TCP 80 pass", "red-0 -> gold-0 TCP 80 pass"]);
        holds(&format!("{}IngressRulesEgressUnaffected", shape.prefix()), &ingress, &table);
        let egress = houses().with(&shape.policy("it", 20, &house("red"), &[], &deny));
        let table =
            rows(["red-0 -> green-0 TCP 80 deny", "blue-0 -> red-0 TCP 80 pass", "gold-0 -> red-0 TCP 80 pass"]);
        holds(&format!("{}EgressRulesIngressUnaffected", shape.prefix()), &egress, &table);
    }
}

#[test]
fn pod_selectors_stand_alone_or_beside_a_namespace_selector() {
    let pods = |house: &str| json!({"pods": {"podSelector": {"matchLabels": {"house": house}}}});
    let one = |house: &str, name: &str| json!({"pods": {"namespaceSelector": {"matchLabels": {"house": house}}, "podSelector": {"matchLabels": {"pod-name": name}}}});
    for shape in [ClusterAdmin, ClusterBaseline] {
        let to = [rule("Deny", &pods("blue"), &[]), rule("Deny", &one("gold", "gold-0"), &[])];
        let from = [rule("Deny", &pods("green"), &[]), rule("Deny", &one("gold", "gold-0"), &[])];
        let scenery = houses().with(&shape.policy("by-label", 20, &pods("red"), &from, &to)).with(&shape.policy(
            "by-name",
            21,
            &one("blue", "blue-0"),
            &[],
            &[rule("Deny", &house("green"), &[])],
        ));
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
fn ranges_of_ports_take_both_of_their_ends() {
    for shape in ALL {
        let all = json!({"namespaces": {"matchExpressions": [{"key": "house", "operator": "Exists"}]}});
        let rules = [
            rule("Accept", &house("blue"), &[Port::Range("TCP", 80, 8080)]),
            rule("Accept", &house("gold"), &[Port::Range("UDP", 53, 5353)]),
            rule("Accept", &house("green"), &[Port::Range("SCTP", 9003, 9005)]),
            rule("Deny", &all, &[]),
        ];
        let scenery = houses().with(&shape.policy("it", 9, &house("red"), &rules, &rules));
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
fn policies_of_one_priority_all_count() {
    for shape in [ClusterAdmin, ClusterBaseline] {
        let deny = |of: &str, port| [rule("Deny", &house(of), &[Port::Number("TCP", port)])];
        let both = |name: &str, subject: &str, of: &str, port| {
            shape.policy(name, 15, &house(subject), &deny(of, port), &deny(of, port))
        };
        let scenery = houses()
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

/// `CNPAdminTierHairpin`: a pod that comes back to itself through a Service is subject to administrators.
#[test]
fn a_pod_that_comes_back_to_itself_through_a_service_is_no_exception() {
    let service = "{apiVersion: v1, kind: Service, metadata: {name: back, namespace: red}, spec: {clusterIP: 10.96.3.1, selector: {pod-name: red-0}, ports: [{name: web, port: 80, targetPort: 80}]}}";
    let scenery = houses().with(service).with(&ClusterAdmin.policy(
        "it",
        15,
        &house("red"),
        &[rule("Deny", &house("red"), &[])],
        &[],
    ));
    holds("CNPAdminTierHairpin", &scenery, &rows(["red-0 -> 10.96.3.1 TCP 80 deny", "red-0 -> red-0 TCP 80 pass"]));
}
