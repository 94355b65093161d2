//! The defaults of the API server, which the engine applies to YAML from Git.

use crate::scenario::{NOTHING, audit, egress, ingress, shop};
use foretell_objects::model::flow::Direction;

#[test]
fn absent_pod_selector_selects_every_pod_of_the_namespace() {
    for spec in ["{ingress: []}", "{podSelector: {}, ingress: []}", "{podSelector: null, ingress: []}", "{}"] {
        assert_eq!(ingress(spec, "db -> web TCP 8080"), "deny NoRules", "{spec}");
        assert_eq!(ingress(spec, "db -> cart TCP 9090"), "deny NoRules", "{spec}");
        assert_eq!(ingress(spec, "web -> db TCP 5432"), NOTHING, "{spec}: another namespace");
    }
}

#[test]
fn absent_or_empty_policy_types_mean_ingress() {
    for spec in ["{podSelector: {}}", "{podSelector: {}, policyTypes: []}", "{podSelector: {}, policyTypes: null}"] {
        assert_eq!(ingress(spec, "db -> web TCP 8080"), "deny NoRules", "{spec}");
        assert_eq!(egress(spec, "web -> db TCP 5432"), NOTHING, "{spec}");
    }
}

#[test]
fn absent_or_empty_policy_types_include_egress_if_there_are_egress_rules() {
    for spec in ["{egress: [{}]}", "{policyTypes: [], egress: [{}]}"] {
        assert_eq!(egress(spec, "web -> db TCP 5432"), "allow 0", "{spec}");
        assert_eq!(ingress(spec, "db -> web TCP 8080"), "deny NoRules", "{spec}");
    }
}

#[test]
fn an_empty_list_of_egress_rules_does_not_restrict_egress() {
    for spec in ["{egress: []}", "{policyTypes: [], egress: []}", "{policyTypes: [Ingress], egress: []}"] {
        assert_eq!(egress(spec, "web -> db TCP 5432"), NOTHING, "{spec}");
    }
}

#[test]
fn rules_of_an_unrestricted_direction_have_no_effect() {
    let spec = "{policyTypes: [Egress], ingress: [{from: [{podSelector: {}}]}], egress: [{}]}";
    assert_eq!(ingress(spec, "db -> web TCP 8080"), NOTHING);
    let spec = "{policyTypes: [Ingress], ingress: [{}], egress: [{to: [{podSelector: {}}]}]}";
    assert_eq!(egress(spec, "web -> db TCP 5432"), NOTHING);
}

#[test]
fn a_restricted_direction_without_rules_denies_everything() {
    for rules in ["", ", ingress: [], egress: []", ", ingress: null, egress: null"] {
        let spec = format!("{{policyTypes: [Ingress, Egress]{rules}}}");
        for src in ["db", "cart", "203.0.113.9", "192.168.0.2", "fd00:1::7"] {
            let flow = format!("{src} -> web TCP 8080");
            assert_eq!(ingress(&spec, &flow), "deny NoRules", "{flow}");
        }
        for dst in ["db", "cart", "203.0.113.9", "192.168.0.2"] {
            let flow = format!("web -> {dst} UDP 53");
            assert_eq!(egress(&spec, &flow), "deny NoRules", "{flow}");
        }
    }
}

#[test]
fn a_rule_without_peers_matches_everyone_including_outside_addresses() {
    for rule in ["{}", "{from: []}", "{from: null}", "{from: [], ports: []}", "{ports: [{port: 8080}]}"] {
        let spec = format!("{{ingress: [{rule}]}}");
        for src in ["db", "203.0.113.9", "agent-2", "10.1.2.99", "2001:db8::9"] {
            let flow = format!("{src} -> web TCP 8080");
            assert_eq!(ingress(&spec, &flow), "allow 0", "{rule}: {flow}");
        }
    }
    for rule in ["{}", "{to: []}", "{to: null}"] {
        let spec = format!("{{egress: [{rule}]}}");
        for dst in ["db", "203.0.113.9", "agent-2", "10.1.2.99"] {
            let flow = format!("web -> {dst} TCP 443");
            assert_eq!(egress(&spec, &flow), "allow 0", "{rule}: {flow}");
        }
    }
}

#[test]
fn a_rule_without_ports_matches_every_port_of_every_protocol() {
    for rule in ["{}", "{ports: []}", "{ports: null}", "{from: [{podSelector: {}}]}"] {
        let spec = format!("{{ingress: [{rule}]}}");
        for port in ["TCP 1", "TCP 65535", "UDP 53", "SCTP 3868"] {
            assert_eq!(ingress(&spec, &format!("cart -> web {port}")), "allow 0", "{rule}: {port}");
        }
    }
}

#[test]
fn a_port_without_a_protocol_is_tcp() {
    let spec = "{ingress: [{ports: [{port: 8080}]}]}";
    assert_eq!(ingress(spec, "cart -> web TCP 8080"), "allow 0");
    assert_eq!(ingress(spec, "cart -> web UDP 8080"), "deny NoRuleMatched");
}

#[test]
fn a_namespace_has_its_name_as_a_label_even_if_its_manifest_lacks_it() {
    let by_name = |name| {
        format!(
            "{{ingress: [{{from: [{{namespaceSelector: {{matchLabels: {{kubernetes.io/metadata.name: {name}}}}}}}]}}]}}"
        )
    };
    assert_eq!(ingress(&by_name("data"), "db -> web TCP 8080"), "allow 0");
    assert_eq!(ingress(&by_name("shop"), "db -> web TCP 8080"), "deny NoRuleMatched");

    let scenario = shop()
        .and(&audit(&by_name("elsewhere")))
        .and("{apiVersion: v1, kind: Pod, metadata: {name: lone, namespace: elsewhere}, status: {podIP: 10.1.2.7}}");
    let verdict = scenario.verdicts("lone -> web TCP 8080", Direction::Ingress);
    assert_eq!(verdict, "allow 0", "a snapshot without the Namespace object");
}
