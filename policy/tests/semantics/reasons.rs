//! The reasons of denials, and their messages.

use crate::scenario::{NOTHING, audit, audit_cluster, egress, empty, ingress, shop};
use foretell_objects::model::flow::Direction;
use serde_json::json;

const SELECTS_CART: &str = "{ingress: [{from: [{podSelector: {matchLabels: {app: cart}}}]}]}";

#[test]
fn reasons_have_a_fixed_precedence() {
    assert_eq!(ingress("{}", "10.1.1.99 -> web TCP 8080"), "deny NoRules", "before UnresolvedPeer");
    assert_eq!(ingress(SELECTS_CART, "10.1.1.99 -> web TCP 8080"), "deny UnresolvedPeer", "before NoRuleMatched");
    assert_eq!(ingress(SELECTS_CART, "db -> web TCP 8080"), "deny NoRuleMatched");
}

#[test]
fn an_unowned_address_is_outside_and_only_blocks_match_it() {
    assert_eq!(ingress(SELECTS_CART, "203.0.113.9 -> web TCP 8080"), "deny NoRuleMatched");
    let everyone = "{ingress: [{from: [{namespaceSelector: {}, podSelector: {}}]}, {from: [{podSelector: {}}]}]}";
    assert_eq!(ingress(everyone, "203.0.113.9 -> web TCP 8080"), "deny NoRuleMatched");
    assert_eq!(
        ingress("{ingress: [{from: [{ipBlock: {cidr: 203.0.113.0/24}}]}]}", "203.0.113.9 -> web TCP 8080"),
        "allow 0"
    );
}

#[test]
fn an_unknown_address_of_a_nodes_pod_cidrs_is_an_unresolved_peer() {
    for peer in ["10.1.1.99", "10.1.2.99", "fd00:1::99"] {
        assert_eq!(ingress(SELECTS_CART, &format!("{peer} -> web TCP 8080")), "deny UnresolvedPeer", "{peer}");
        let spec = "{egress: [{to: [{podSelector: {}}]}]}";
        assert_eq!(egress(spec, &format!("web -> {peer} TCP 8080")), "deny UnresolvedPeer", "{peer}");
    }
    assert_eq!(ingress(SELECTS_CART, "10.1.3.99 -> web TCP 8080"), "deny NoRuleMatched", "no node's");
}

#[test]
fn an_unknown_address_in_a_range_that_the_user_names_is_an_unresolved_peer() {
    let scenario = shop().and(&audit(SELECTS_CART)).pod_range("10.1.0.0/16");
    assert_eq!(scenario.verdicts("10.1.3.99 -> web TCP 8080", Direction::Ingress), "deny UnresolvedPeer");
    assert_eq!(scenario.verdicts("10.2.3.99 -> web TCP 8080", Direction::Ingress), "deny NoRuleMatched");
}

#[test]
fn addresses_near_pods_are_unresolved_if_no_declared_range_contains_the_pods() {
    let pod = |name: &str, ip: &str| {
        format!("{{apiVersion: v1, kind: Pod, metadata: {{name: {name}, namespace: shop}}, status: {{podIP: '{ip}'}}}}")
    };
    let undeclared = empty().and(&pod("a", "172.20.5.1")).and(&pod("b", "fd00:5::1")).and(&audit(SELECTS_CART));
    for (src, verdict) in [
        ("172.20.5.200", "deny UnresolvedPeer"),
        ("172.20.6.200", "deny NoRuleMatched"),
        ("fd00:5::200", "deny UnresolvedPeer"),
        ("fd00:6::200", "deny NoRuleMatched"),
    ] {
        assert_eq!(undeclared.verdicts(&format!("{src} -> a TCP 80"), Direction::Ingress), verdict, "{src}");
    }

    // Calico and others give pods addresses outside the nodes' podCIDRs.
    let elsewhere = shop().and(&pod("a", "172.20.5.1")).and(&audit(SELECTS_CART));
    assert_eq!(elsewhere.verdicts("172.20.5.200 -> web TCP 80", Direction::Ingress), "deny UnresolvedPeer");
    assert_eq!(elsewhere.unresolved("172.20.5.200 -> 203.0.113.9 TCP 80"), [Direction::Egress]);

    // A range that covers half of a neighbourhood has precedence.
    let declared = elsewhere.pod_range("172.20.5.0/25");
    assert_eq!(declared.verdicts("172.20.5.100 -> web TCP 80", Direction::Ingress), "deny UnresolvedPeer");
    assert_eq!(declared.verdicts("172.20.5.200 -> web TCP 80", Direction::Ingress), "deny NoRuleMatched");
}

#[test]
fn an_unresolved_subject_is_counted_and_not_dropped() {
    let scenario = shop().and(&audit_cluster("{policyTypes: [Ingress, Egress]}"));
    assert_eq!(scenario.unresolved("10.1.1.99 -> 203.0.113.9 TCP 443"), [Direction::Egress]);
    assert_eq!(scenario.unresolved("203.0.113.9 -> 10.1.1.99 TCP 443"), [Direction::Ingress]);
    assert_eq!(scenario.unresolved("10.1.1.99 -> 10.1.2.99 TCP 443"), [Direction::Egress, Direction::Ingress]);
    assert_eq!(scenario.unresolved("web -> 203.0.113.9 TCP 443"), []);
    assert_eq!(scenario.unresolved("192.168.0.1 -> web TCP 8080"), [], "a node is not a pod");
    assert_eq!(scenario.verdicts("10.1.1.99 -> 203.0.113.9 TCP 443", Direction::Egress), NOTHING);
}

#[test]
fn a_policy_without_rules_has_its_own_message() {
    let message = |spec, flow, direction| shop().and(&audit(spec)).message(flow, direction);
    assert_eq!(
        message("{}", "db -> web TCP 8080", Direction::Ingress),
        "policy has no ingress rules: every ingress flow is denied"
    );
    assert_eq!(
        message("{policyTypes: [Egress]}", "web -> db TCP 5432", Direction::Egress),
        "policy has no egress rules: every egress flow is denied"
    );
}

#[test]
fn the_message_names_the_nearest_rule_and_why_it_does_not_match() {
    let spec = "{ingress: [\
        {from: [{podSelector: {matchLabels: {app: none}}}], ports: [{port: 1}]}, \
        {from: [{podSelector: {matchLabels: {app: cart}}}], ports: [{port: 8080}, {port: 90, endPort: 99}]}, \
        {from: [{namespaceSelector: {matchLabels: {team: data}}}], ports: [{port: 1}]}]}";
    let message = |flow| shop().and(&audit(spec)).message(flow, Direction::Ingress);
    assert_eq!(
        message("cart -> web TCP 443"),
        "no ingress rule matches Pod/cart in shop on TCP 443; ingress[1] matches this peer, but only on TCP 8080, TCP 90-99",
        "the peer matches, the port does not"
    );
    assert_eq!(
        message("203.0.113.9 -> web TCP 8080"),
        "no ingress rule matches 203.0.113.9 on TCP 8080; ingress[1] allows TCP 8080, but only for pods with app=cart of its own namespace: 203.0.113.9 is outside the cluster, and only an ipBlock can match it",
        "the port matches, the peer does not"
    );
    assert_eq!(
        message("192.168.0.2 -> web UDP 53"),
        "no ingress rule matches node n2 (192.168.0.2) on UDP 53; ingress[0], the first, allows only pods with app=none of its own namespace on TCP 1: policies see nodes and hostNetwork pods as addresses, and only an ipBlock can match one; the port differs as well",
        "neither matches"
    );
    assert_eq!(
        message("10.1.1.99 -> web TCP 8080"),
        "it is unknown which pod had 10.1.1.99 at that time, so no selector can match it; ingress[1] allows TCP 8080, but only for pods with app=cart of its own namespace"
    );
    // A rule whose peer matches is nearer than one whose port matches.
    assert_eq!(
        message("db -> web TCP 8080"),
        "no ingress rule matches Pod/db in data on TCP 8080; ingress[2] matches this peer, but only on TCP 1"
    );
}

#[test]
fn a_line_is_written_as_documented() {
    let scenario = shop().and(&audit("{policyTypes: [Ingress, Egress], egress: [{}]}"));
    assert_eq!(
        scenario.lines("cart -> web TCP 8080"),
        [
            json!({"flow": 0, "policy": {"kind": "AuditNetworkPolicy", "namespace": "shop", "name": "it"},
                "direction": "Egress", "verdict": "Allow", "rule": 0}),
            json!({"flow": 0, "policy": {"kind": "AuditNetworkPolicy", "namespace": "shop", "name": "it"},
                "direction": "Ingress", "verdict": "WouldDeny", "reason": "NoRules",
                "message": "policy has no ingress rules: every ingress flow is denied"}),
        ]
    );
    let scenario = shop().and(&audit_cluster("{policyTypes: [Ingress]}"));
    assert_eq!(
        scenario.lines("192.168.0.1 -> web TCP 8080"),
        [json!({"flow": 0, "policy": {"kind": "AuditClusterNetworkPolicy", "namespace": "", "name": "it"},
            "direction": "Ingress", "verdict": "Allow", "exempt": "node"})]
    );
}
