//! Which pods the selectors of a rule match.

use crate::scenario::{NOTHING, egress, ingress};

#[test]
fn a_pod_selector_without_namespace_selector_matches_only_the_policys_namespace() {
    let spec =
        "{podSelector: {matchLabels: {app: cart}}, ingress: [{from: [{podSelector: {matchLabels: {app: web}}}]}]}";
    assert_eq!(ingress(spec, "web -> cart TCP 9090"), "allow 0");
    assert_eq!(ingress(spec, "other-web -> cart TCP 9090"), "deny NoRuleMatched");

    let spec = "{egress: [{to: [{podSelector: {}}]}]}";
    assert_eq!(egress(spec, "cart -> web TCP 8080"), "allow 0");
    assert_eq!(egress(spec, "cart -> other-web TCP 8080"), "deny NoRuleMatched");
}

#[test]
fn a_namespace_selector_without_pod_selector_matches_every_pod_of_the_namespaces() {
    let spec = "{ingress: [{from: [{namespaceSelector: {matchLabels: {team: data}}}]}]}";
    assert_eq!(ingress(spec, "db -> web TCP 8080"), "allow 0");
    assert_eq!(ingress(spec, "other-web -> web TCP 8080"), "allow 0");
    assert_eq!(ingress(spec, "cart -> web TCP 8080"), "deny NoRuleMatched");
}

#[test]
fn both_selectors_of_one_peer_must_match() {
    let spec = "{ingress: [{from: [{namespaceSelector: {matchLabels: {team: data}}, \
                podSelector: {matchLabels: {app: web}}}]}]}";
    assert_eq!(ingress(spec, "other-web -> cart TCP 9090"), "allow 0");
    assert_eq!(ingress(spec, "db -> cart TCP 9090"), "deny NoRuleMatched");
    assert_eq!(ingress(spec, "web -> cart TCP 9090"), "deny NoRuleMatched");
}

#[test]
fn two_peers_of_one_rule_are_alternatives() {
    let spec = "{ingress: [{from: [{namespaceSelector: {matchLabels: {team: data}}}, \
                {podSelector: {matchLabels: {app: web}}}]}]}";
    for src in ["other-web", "db", "web"] {
        assert_eq!(ingress(spec, &format!("{src} -> cart TCP 9090")), "allow 0", "{src}");
    }
}

#[test]
fn an_empty_namespace_selector_matches_all_namespaces() {
    let spec = "{ingress: [{from: [{namespaceSelector: {}}]}]}";
    assert_eq!(ingress(spec, "db -> web TCP 8080"), "allow 0");
    assert_eq!(ingress(spec, "cart -> web TCP 8080"), "allow 0");
    assert_eq!(ingress(spec, "203.0.113.9 -> web TCP 8080"), "deny NoRuleMatched", "but no address outside");

    let spec = "{ingress: [{from: [{namespaceSelector: {}, podSelector: {matchLabels: {app: db}}}]}]}";
    assert_eq!(ingress(spec, "db -> web TCP 8080"), "allow 0");
    assert_eq!(ingress(spec, "cart -> web TCP 8080"), "deny NoRuleMatched");
}

#[test]
fn selector_operators_mean_what_they_mean_in_kubernetes() {
    for (expression, taken) in [
        ("{key: tier, operator: In, values: [front, middle]}", [true, false, false]),
        ("{key: tier, operator: NotIn, values: [front]}", [false, true, true]),
        ("{key: tier, operator: Exists}", [true, true, false]),
        ("{key: tier, operator: DoesNotExist}", [false, false, true]),
    ] {
        let spec = format!(
            "{{ingress: [{{from: [{{namespaceSelector: {{}}, podSelector: {{matchExpressions: [{expression}]}}}}]}}]}}"
        );
        // Tier front, tier back, and no tier label.
        let verdict = ["web -> cart", "cart -> web", "db -> web"]
            .map(|ends| ingress(&spec, &format!("{ends} TCP 8080")) == "allow 0");
        assert_eq!(verdict, taken, "{expression}");
    }
}

#[test]
fn every_requirement_of_a_selector_must_be_met() {
    let spec = "{podSelector: {matchLabels: {app: web}, matchExpressions: [{key: tier, operator: Exists}]}}";
    assert_eq!(ingress(spec, "db -> web TCP 8080"), "deny NoRules");
    assert_eq!(ingress(spec, "db -> cart TCP 9090"), NOTHING);
}

#[test]
fn any_rule_allows_not_only_the_first() {
    let spec = "{ingress: [{from: [{podSelector: {matchLabels: {app: none}}}]}, {from: [{podSelector: {}}]}]}";
    assert_eq!(ingress(spec, "cart -> web TCP 8080"), "allow 1");
}

#[test]
fn peer_and_port_must_match_in_one_rule() {
    let spec = "{ingress: [{from: [{podSelector: {}}], ports: [{port: 1}]}, \
                {from: [{namespaceSelector: {matchLabels: {team: data}}}], ports: [{port: 8080}]}]}";
    assert_eq!(ingress(spec, "cart -> web TCP 8080"), "deny NoRuleMatched");
    assert_eq!(ingress(spec, "db -> web TCP 8080"), "allow 1");
}
