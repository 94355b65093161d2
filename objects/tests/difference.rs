//! Differences between two specs as text, and defaults that make specs equal.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test panics on what it does not expect")]

use foretell_objects::resource::defaults::defaulted;
use foretell_objects::resource::difference::spec_differences;
use k8s_openapi::api::networking::v1::NetworkPolicySpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

fn spec(text: &str) -> NetworkPolicySpec {
    serde_saphyr::from_str(text).unwrap()
}

#[test]
fn specs_with_the_same_meaning_have_no_differences() {
    for (audited, here) in [
        ("{}", "{podSelector: {}, policyTypes: [Ingress]}"),
        ("{}", "{ingress: [], egress: [], policyTypes: [], podSelector: {matchLabels: {}, matchExpressions: []}}"),
        ("{egress: [{}]}", "{egress: [{to: [], ports: []}], policyTypes: [Egress, Ingress]}"),
        ("{policyTypes: [Ingress, Egress]}", "{policyTypes: [Egress, Ingress]}"),
        ("{policyTypes: [Ingress, Ingress]}", "{}"),
        ("{ingress: [{ports: [{port: 80}]}]}", "{ingress: [{ports: [{port: 80, protocol: TCP}]}]}"),
        (
            "{ingress: [{from: [{ipBlock: {cidr: 10.1.2.3/8, except: []}}]}]}",
            "{ingress: [{from: [{ipBlock: {cidr: 10.0.0.0/8}}]}]}",
        ),
    ] {
        assert_eq!(spec_differences(&spec(audited), &spec(here)), Vec::<String>::new(), "{audited} {here}");
        assert_eq!(spec_differences(&spec(here), &spec(audited)), Vec::<String>::new(), "{here} {audited}");
    }
}

#[test]
fn each_difference_is_reported_with_both_values() {
    let audited = spec(
        "{podSelector: {matchLabels: {app: web, app.kubernetes.io/name: web}}, ingress: [{}, {ports: [{port: 8080}], from: [{podSelector: {}}]}]}",
    );
    let here = spec(
        "{podSelector: {matchLabels: {app: ''}}, ingress: [{}, {ports: [{port: 9090, protocol: UDP}, {port: http}], from: [{namespaceSelector: {}}]}], policyTypes: [Ingress, Egress]}",
    );
    assert_eq!(
        spec_differences(&audited, &here),
        [
            "spec.ingress[1].from[0].namespaceSelector: absent in the audited policy, {} here",
            "spec.ingress[1].from[0].podSelector: {} in the audited policy, absent here",
            "spec.ingress[1].ports[0].port: 8080 in the audited policy, 9090 here",
            "spec.ingress[1].ports[0].protocol: TCP in the audited policy, UDP here",
            "spec.ingress[1].ports[1]: absent in the audited policy, {\"port\":\"http\",\"protocol\":\"TCP\"} here",
            "spec.podSelector.matchLabels.app: web in the audited policy, \"\" here",
            "spec.podSelector.matchLabels[app.kubernetes.io/name]: web in the audited policy, absent here",
            "spec.policyTypes[1]: absent in the audited policy, Egress here",
        ]
    );
}

#[test]
fn rules_of_a_direction_without_effect_are_compared_too() {
    let audited = spec("{policyTypes: [Ingress], egress: [{}]}");
    assert_eq!(
        spec_differences(&audited, &spec("{policyTypes: [Ingress]}")),
        ["spec.egress: [{}] in the audited policy, absent here"]
    );
}

#[test]
fn policy_types_default_to_ingress_and_also_egress_if_there_are_egress_rules() {
    for (given, types) in [
        ("{}", vec!["Ingress"]),
        ("{policyTypes: []}", vec!["Ingress"]),
        ("{egress: []}", vec!["Ingress"]),
        ("{egress: [{}]}", vec!["Ingress", "Egress"]),
        ("{policyTypes: [], egress: [{}]}", vec!["Ingress", "Egress"]),
        ("{policyTypes: [Egress]}", vec!["Egress"]),
        ("{policyTypes: [Egress], ingress: [{}]}", vec!["Egress"]),
    ] {
        assert_eq!(defaulted(&spec(given)).policy_types.unwrap(), types, "{given}");
    }
}

#[test]
fn defaults_add_an_empty_pod_selector_and_keep_rules_without_effect() {
    let policy =
        defaulted(&spec("{policyTypes: [Ingress], egress: [{ports: [{port: 53}, {port: 53, protocol: UDP}]}]}"));
    assert_eq!(policy.pod_selector, Some(LabelSelector::default()));
    let ports = policy.egress.unwrap()[0].ports.clone().unwrap();
    let protocols: Vec<_> = ports.iter().map(|port| port.protocol.as_deref().unwrap()).collect();
    assert_eq!(protocols, ["TCP", "UDP"]);
}
