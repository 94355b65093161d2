//! Why the nearest rule does not match a flow: a test for each cause, as data and as a sentence.

use foretell_objects::model::flow::Direction;
use serde_json::{Value, json};

use crate::scenario::{Scenario, audit, audit_cluster, shop};

/// The mismatch of the nearest rule in the only denial of a flow to `web`.
fn nearest(rules: &str, flow: &str) -> Value {
    nearest_of(&shop().and(&audit(rules)), flow)
}

fn nearest_of(scenario: &Scenario, flow: &str) -> Value {
    let mut denials = scenario.lines(flow).into_iter().filter(|line| line["verdict"] == "WouldDeny");
    let denial = denials.next().unwrap();
    assert_eq!(denials.next(), None);
    denial["nearest"].clone()
}

/// The causes of the nearest entry of `from` or `to`.
fn peer_causes(rules: &str, flow: &str) -> Value {
    nearest(rules, flow)["peers"][0]["causes"].clone()
}

fn port_cause(rules: &str, flow: &str) -> Value {
    nearest(rules, flow)["ports"][0]["cause"].clone()
}

/// The end of the message, with the causes.
fn message(rules: &str, flow: &str, direction: Direction) -> String {
    let message = shop().and(&audit(rules)).message(flow, direction);
    message.split_once(": ").unwrap_or_else(|| panic!("{message}")).1.to_owned()
}

const IN: Direction = Direction::Ingress;
const OUT: Direction = Direction::Egress;

fn from(peers: &str) -> String {
    format!("{{ingress: [{{from: [{peers}]}}]}}")
}

fn on(ports: &str) -> String {
    format!("{{ingress: [{{ports: [{ports}]}}]}}")
}

#[test]
fn a_pod_has_a_different_label_value() {
    let rules = from("{podSelector: {matchLabels: {app: cart, tier: front}}}");
    assert_eq!(
        nearest(&rules, "cart -> web TCP 8080"),
        json!({"rule": "ingress[0]", "failed": "peer", "peers": [{
            "entry": "from[0]", "matches": "pods with app=cart,tier=front of its own namespace",
            "causes": [{"type": "podLabel", "key": "tier", "wanted": "tier=front", "found": "back"}],
        }]})
    );
    assert_eq!(message(&rules, "cart -> web TCP 8080", IN), "the pod has tier=back");
}

#[test]
fn a_pod_lacks_a_label() {
    let rules = from("{podSelector: {matchLabels: {release: a}}}");
    let cause = json!([{"type": "podLabel", "key": "release", "wanted": "release=a"}]);
    assert_eq!(peer_causes(&rules, "cart -> web TCP 8080"), cause);
    assert_eq!(message(&rules, "cart -> web TCP 8080", IN), "the pod lacks the label release");
}

#[test]
fn a_match_expression_is_not_met() {
    for (expression, wanted, said_of_it) in [
        ("{key: app, operator: NotIn, values: [cart, pay]}", "app notin (cart,pay)", "the pod has app=cart"),
        ("{key: app, operator: In, values: [web, pay]}", "app in (web,pay)", "the pod has app=cart"),
        ("{key: app, operator: DoesNotExist}", "!app", "the pod has app=cart"),
        ("{key: canary, operator: Exists}", "canary", "the pod lacks the label canary"),
    ] {
        let rules = from(&format!("{{podSelector: {{matchExpressions: [{expression}]}}}}"));
        assert_eq!(peer_causes(&rules, "cart -> web TCP 8080")[0]["wanted"], wanted);
        assert_eq!(message(&rules, "cart -> web TCP 8080", IN), said_of_it, "{expression}");
    }
}

#[test]
fn an_empty_label_value_is_shown() {
    let bare = "{apiVersion: v1, kind: Pod, metadata: {name: bare, namespace: shop, labels: {app: ''}},
        status: {podIP: 10.1.1.50}}";
    let scenario = shop().and(&audit(&from("{podSelector: {matchLabels: {app: cart}}}"))).and(bare);
    let message = scenario.message("bare -> web TCP 8080", IN);
    assert!(message.ends_with(": the pod has app=\"\""), "{message}");
}

#[test]
fn a_namespace_has_a_different_label_or_lacks_it() {
    let rules = from("{namespaceSelector: {matchLabels: {team: ops}}}");
    let cause = |found: Value| {
        let mut cause = json!({"type": "namespaceLabel", "namespace": "data", "key": "team", "wanted": "team=ops"});
        cause["found"] = found;
        json!([cause])
    };
    assert_eq!(peer_causes(&rules, "db -> web TCP 8080"), cause(json!("data")));
    assert_eq!(message(&rules, "db -> web TCP 8080", IN), "its namespace data has team=data");
    let by_name = from(
        "{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: ops}}, podSelector: {matchLabels: {app: x}}}",
    );
    assert_eq!(
        message(&by_name, "db -> web TCP 8080", IN),
        "the pod is in namespace data and has app=db",
        "as people say it"
    );
    let rules = from("{namespaceSelector: {matchLabels: {tier: a}}}");
    assert_eq!(message(&rules, "db -> web TCP 8080", IN), "its namespace data lacks the label tier");
}

#[test]
fn a_pod_selector_without_namespace_selector_matches_no_pod_of_another_namespace() {
    let rules = from("{podSelector: {matchLabels: {app: web}}}");
    let cause = json!([{"type": "otherNamespace", "namespace": "data", "wanted": "shop"}]);
    assert_eq!(peer_causes(&rules, "other-web -> web TCP 8080"), cause);
    assert_eq!(message(&rules, "other-web -> web TCP 8080", IN), "the pod is in namespace data");

    let of_cluster = shop().and(&audit_cluster(&from("{podSelector: {}}")));
    let cause = json!([{"type": "otherNamespace", "namespace": "data", "wanted": "shop"}]);
    assert_eq!(
        nearest_of(&of_cluster, "db -> web TCP 8080")["peers"][0]["causes"],
        cause,
        "of the subject's namespace"
    );
}

#[test]
fn an_address_is_not_in_the_block_or_in_an_exception_of_it() {
    let rules = from("{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.0/28]}}");
    let flow = "203.0.113.9 -> web TCP 8080";
    let cause = json!([{"type": "inException", "ip": "203.0.113.9", "except": "203.0.113.0/28"}]);
    assert_eq!(peer_causes(&rules, flow), cause);
    assert_eq!(message(&rules, flow, IN), "203.0.113.9 is in the exception 203.0.113.0/28");

    let flow = "198.51.100.1 -> web TCP 8080";
    let cause = json!([{"type": "notInBlock", "ip": "198.51.100.1", "cidr": "203.0.113.0/24"}]);
    assert_eq!(peer_causes(&rules, flow), cause);
    assert_eq!(message(&rules, flow, IN), "198.51.100.1 is not in 203.0.113.0/24");
}

#[test]
fn only_a_block_can_match_nodes_and_outside_addresses() {
    let rules = from("{podSelector: {}}, {namespaceSelector: {}}");
    for (src, kind, said_of_it) in [
        ("203.0.113.9", "outside", "203.0.113.9 is outside the cluster, and only an ipBlock can match it"),
        ("agent-2", "node", "policies see nodes and hostNetwork pods as addresses, and only an ipBlock can match one"),
    ] {
        let flow = format!("{src} -> web TCP 8080");
        assert_eq!(peer_causes(&rules, &flow)[0]["type"], kind);
        assert_eq!(message(&rules, &flow, IN), said_of_it);
    }
}

#[test]
fn an_unknown_pod_is_mentioned_once() {
    let rules = from("{podSelector: {}}");
    let flow = "10.1.1.99 -> web TCP 8080";
    assert_eq!(peer_causes(&rules, flow), json!([{"type": "unresolved", "ip": "10.1.1.99"}]));
    assert_eq!(
        shop().and(&audit(&rules)).message(flow, IN),
        "it is unknown which pod had 10.1.1.99 at that time, so no selector can match it; \
         ingress[0] allows TCP 8080, but only for every pod of its own namespace"
    );
}

#[test]
fn the_nearest_entry_comes_first_and_the_others_are_counted() {
    let rules = from(
        "{ipBlock: {cidr: 10.9.0.0/16}}, {namespaceSelector: {matchLabels: {team: ops}}, podSelector: {matchLabels: {app: x}}}, \
         {podSelector: {matchLabels: {app: cart, tier: front}}}",
    );
    let entries: Vec<String> = nearest(&rules, "cart -> web TCP 8080")["peers"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["entry"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(entries, ["from[2]", "from[1]", "from[0]"], "by what fails; a block sees no labels");
    assert_eq!(
        shop().and(&audit(&rules)).message("cart -> web TCP 8080", IN),
        "no ingress rule matches Pod/cart in shop on TCP 8080; ingress[0] allows TCP 8080, but only for pods with \
         app=cart,tier=front of its own namespace (or 2 other entries): the pod has tier=back"
    );
    let from_outside = nearest(&rules, "203.0.113.9 -> web TCP 8080");
    assert_eq!(from_outside["peers"][0]["entry"], "from[0]", "an address is seen by blocks alone");
}

#[test]
fn of_entries_with_as_many_unmet_requirements_the_one_with_more_met_ones_is_nearest() {
    for entries in [
        "{podSelector: {matchLabels: {app: nobody}}}, {podSelector: {matchLabels: {app: cart, tier: front}}}",
        "{namespaceSelector: {matchLabels: {team: ops}}}, \
         {namespaceSelector: {matchLabels: {team: shop}}, podSelector: {matchLabels: {app: nobody}}}",
        "{namespaceSelector: {matchLabels: {team: shop}}, podSelector: {matchLabels: {app: nobody}}}, \
         {namespaceSelector: {matchLabels: {team: shop}}, podSelector: {matchLabels: {app: cart, tier: front}}}",
    ] {
        assert_eq!(nearest(&from(entries), "cart -> web TCP 8080")["peers"][0]["entry"], "from[1]", "{entries}");
    }
}

#[test]
fn at_most_ten_entries_are_listed() {
    let blocks: Vec<String> = (0..40).map(|n| format!("{{ipBlock: {{cidr: 10.{n}.0.0/24}}}}")).collect();
    let mismatch = nearest(&from(&blocks.join(", ")), "203.0.113.9 -> web TCP 8080");
    assert_eq!((mismatch["peers"].as_array().unwrap().len(), &mismatch["morePeers"]), (10, &json!(30)));

    let ports: Vec<String> = (1..=40).map(|n| format!("{{port: {n}}}")).collect();
    let mismatch = nearest(&on(&ports.join(", ")), "cart -> web TCP 8080");
    assert_eq!((mismatch["ports"].as_array().unwrap().len(), &mismatch["morePorts"]), (10, &json!(30)));
    let message = shop().and(&audit(&on(&ports.join(", ")))).message("cart -> web TCP 8080", IN);
    assert!(message.ends_with("but only on TCP 40, TCP 39, TCP 38 and 37 more"), "{message}");
}

#[test]
fn many_labels_that_differ_are_counted() {
    let rules = from("{podSelector: {matchLabels: {a: a, b: b, c: c, d: d, e: e}}}");
    assert_eq!(
        message(&rules, "db -> web TCP 8080", IN),
        "the pod is in namespace data, lacks the label a, lacks the label b and 3 more labels differ"
    );
}

#[test]
fn the_port_number_differs() {
    let rules = on("{port: 9000}, {port: 90, endPort: 99}");
    let mismatch = nearest(&rules, "cart -> web TCP 8080");
    assert_eq!(mismatch["failed"], "port");
    assert_eq!(
        mismatch["ports"],
        json!([
            {"entry": "ports[0]", "matches": "TCP 9000", "cause": {"type": "otherNumber"}},
            {"entry": "ports[1]", "matches": "TCP 90-99", "cause": {"type": "otherNumber"}},
        ])
    );
}

#[test]
fn the_protocol_differs() {
    let rules = on("{port: 8080}");
    assert_eq!(port_cause(&rules, "cart -> web UDP 8080"), json!({"type": "otherProtocol", "wanted": "TCP"}));
    assert_eq!(message(&rules, "cart -> web UDP 8080", IN), "the protocol is not TCP");
    let all = on("{protocol: SCTP}");
    assert_eq!(message(&all, "cart -> web UDP 8080", IN), "the protocol is not SCTP");
    let cause = json!({"type": "otherProtocolAndNumber", "wanted": "TCP"});
    assert_eq!(port_cause(&rules, "cart -> web UDP 53"), cause);
}

#[test]
fn a_named_port_is_not_declared_or_is_declared_differently() {
    let rules = on("{port: metrics}");
    assert_eq!(port_cause(&rules, "cart -> web TCP 8080"), json!({"type": "notDeclared", "name": "metrics"}));
    assert_eq!(message(&rules, "cart -> web TCP 8080", IN), "the destination pod declares no port metrics");

    let rules = on("{port: http}");
    let cause = json!({"type": "declaredWithOtherNumber", "name": "http", "number": 8080});
    assert_eq!(port_cause(&rules, "cart -> web TCP 9000"), cause);
    assert_eq!(message(&rules, "cart -> web TCP 9000", IN), "the destination pod declares port http as 8080");
    assert_eq!(message(&rules, "cart -> web UDP 8080", IN), "the protocol is not TCP");

    let rules = on("{port: http, protocol: UDP}");
    let cause = json!({"type": "declaredWithOtherProtocol", "name": "http", "protocol": "TCP"});
    assert_eq!(port_cause(&rules, "cart -> web UDP 8080"), cause);
    assert_eq!(message(&rules, "cart -> web UDP 8080", IN), "the destination pod declares port http for TCP");
}

#[test]
fn outside_addresses_have_no_named_ports() {
    let rules = "{egress: [{ports: [{port: https}]}]}";
    let both = "{policyTypes: [Egress], egress: [{ports: [{port: https}]}]}";
    assert_eq!(port_cause(both, "web -> 203.0.113.9 TCP 443"), json!({"type": "noNamedPorts", "name": "https"}));
    assert_eq!(
        message(rules, "web -> 203.0.113.9 TCP 443", OUT),
        "the destination is not a pod, so the number of port https is unknown"
    );
    assert_eq!(port_cause(both, "web -> db TCP 5432"), json!({"type": "notDeclared", "name": "https"}));
}

#[test]
fn if_peer_and_port_both_fail_both_are_explained() {
    let rules = "{ingress: [{from: [{podSelector: {matchLabels: {app: pay}}}], ports: [{port: 1}]}]}";
    assert_eq!(message(rules, "cart -> web TCP 8080", IN), "the pod has app=cart; the port differs as well");
    assert_eq!(nearest(rules, "cart -> web TCP 8080")["failed"], "peerAndPort");
}

#[test]
fn without_rules_there_is_no_nearest_rule() {
    let denials = shop().and(&audit("{}")).lines("cart -> web TCP 8080");
    assert_eq!(denials[0].get("nearest"), None);
}
