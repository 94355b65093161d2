//! Cluster policies: the namespaces to which they apply, and their meaning there.

use crate::scenario::{NOTHING, audit, audit_cluster, shop};
use foretell_objects::model::flow::Direction;

fn ingress(spec: &str, flow: &str) -> String {
    shop().and(&audit_cluster(spec)).verdicts(flow, Direction::Ingress)
}

#[test]
fn absent_or_empty_namespace_selector_means_all_namespaces() {
    for spec in ["{}", "{namespaceSelector: {}}", "{namespaceSelector: null, podSelector: {}}"] {
        assert_eq!(ingress(spec, "cart -> web TCP 8080"), "deny NoRules", "{spec}");
        assert_eq!(ingress(spec, "cart -> db TCP 5432"), "deny NoRules", "{spec}");
    }
}

#[test]
fn the_namespace_selector_limits_the_namespaces_of_a_cluster_policy() {
    for selector in [
        "{matchLabels: {team: data}}",
        "{matchLabels: {kubernetes.io/metadata.name: data}}",
        "{matchExpressions: [{key: team, operator: NotIn, values: [shop]}]}",
    ] {
        let spec = format!("{{namespaceSelector: {selector}}}");
        assert_eq!(ingress(&spec, "cart -> db TCP 5432"), "deny NoRules", "{selector}");
        assert_eq!(ingress(&spec, "db -> cart TCP 9090"), NOTHING, "{selector}");
    }
}

#[test]
fn the_pod_selector_selects_pods_within_the_selected_namespaces() {
    let spec = "{podSelector: {matchLabels: {app: web}}}";
    assert_eq!(ingress(spec, "cart -> web TCP 8080"), "deny NoRules");
    assert_eq!(ingress(spec, "cart -> other-web TCP 8080"), "deny NoRules");
    assert_eq!(ingress(spec, "cart -> db TCP 5432"), NOTHING);
}

#[test]
fn a_peer_with_only_a_pod_selector_matches_pods_of_the_subjects_namespace() {
    let spec = "{ingress: [{from: [{podSelector: {}}]}]}";
    assert_eq!(ingress(spec, "cart -> web TCP 8080"), "allow 0");
    assert_eq!(ingress(spec, "other-web -> db TCP 5432"), "allow 0");
    assert_eq!(ingress(spec, "cart -> db TCP 5432"), "deny NoRuleMatched");
    assert_eq!(ingress(spec, "db -> cart TCP 9090"), "deny NoRuleMatched");
}

#[test]
fn cluster_policies_are_listed_before_namespaced_policies_and_by_name() {
    let scenario =
        shop().and(&audit("{policyTypes: [Ingress]}")).and(&audit_cluster("{policyTypes: [Ingress, Egress]}"));
    let order: Vec<String> = scenario
        .lines("cart -> web TCP 8080")
        .iter()
        .map(|line| format!("{} {}", line["policy"]["kind"].as_str().unwrap(), line["direction"].as_str().unwrap()))
        .collect();
    assert_eq!(
        order,
        ["AuditClusterNetworkPolicy Egress", "AuditClusterNetworkPolicy Ingress", "AuditNetworkPolicy Ingress"]
    );
}

#[test]
fn lines_are_ordered_by_namespace_name_and_direction_even_if_two_kinds_share_a_name() {
    let spec = "{policyTypes: [Ingress, Egress]}";
    let enforced = audit(spec).replace("kguardian.dev/v1alpha1", "networking.k8s.io/v1").replace("AuditN", "N");
    let order: Vec<String> = shop()
        .and(&enforced)
        .and(&audit(spec))
        .lines("cart -> web TCP 8080")
        .iter()
        .map(|line| format!("{} {}", line["direction"].as_str().unwrap(), line["policy"]["kind"].as_str().unwrap()))
        .collect();
    assert_eq!(
        order,
        ["Egress AuditNetworkPolicy", "Egress NetworkPolicy", "Ingress AuditNetworkPolicy", "Ingress NetworkPolicy"]
    );
}
