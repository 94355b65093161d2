//! The short form of a denial's reason, and what the headline and the next step say.

use foretell_policy::report::data::Report;
use serde_json::json;

use crate::manifests::{audit, policy};
use crate::stage::{EVERYBODY, NOBODY, PROM_ONLY, shop};

fn closed(spec: &str, flow: &str) -> Report {
    shop().head("it.yaml", &policy("shop", "it", spec)).flow(flow).judge()
}

fn ingress(rule: &str) -> String {
    format!("{{podSelector: {{matchLabels: {{app: cart}}}}, ingress: [{rule}]}}")
}

#[test]
fn a_summary_names_the_nearest_rule_and_the_first_thing_that_failed() {
    let from = |peer: &str| ingress(&format!("{{from: [{peer}]}}"));
    for (spec, flow, summary) in [
        (NOBODY.to_owned(), "web -> cart TCP 8080", "no ingress rules"),
        (
            from("{podSelector: {matchLabels: {app: pay}}}"),
            "web -> cart TCP 8080",
            "ingress[0]: pod label app=web, not pay",
        ),
        (
            from("{podSelector: {matchLabels: {zone: a}}}"),
            "web -> cart TCP 8080",
            "ingress[0]: pod label zone=a missing",
        ),
        (
            from("{podSelector: {matchExpressions: [{key: app, operator: NotIn, values: [web]}]}}"),
            "web -> cart TCP 8080",
            "ingress[0]: pod label app=web, but app!=web required",
        ),
        (
            from("{podSelector: {matchLabels: {app: batch}}}"),
            "batch -> cart TCP 8080",
            "ingress[0]: namespace is ops, not shop",
        ),
        (
            from("{namespaceSelector: {matchLabels: {team: data}}, podSelector: {matchLabels: {app: db}}}"),
            "web -> cart TCP 8080",
            "ingress[0]: namespace label team=shop, not data; 1 more label differs",
        ),
        (
            from("{namespaceSelector: {matchLabels: {kubernetes.io/metadata.name: data}}}"),
            "web -> cart TCP 8080",
            "ingress[0]: namespace is shop, not data",
        ),
        (
            from("{podSelector: {}}"),
            "203.0.113.7 -> cart TCP 8080",
            "ingress[0]: no ipBlock for 203.0.113.7, outside the cluster",
        ),
        (
            from("{ipBlock: {cidr: 203.0.113.0/30}}"),
            "203.0.113.7 -> cart TCP 8080",
            "ingress[0]: 203.0.113.7 is not in 203.0.113.0/30",
        ),
        (
            from("{ipBlock: {cidr: 203.0.113.0/24, except: [203.0.113.0/28]}}"),
            "203.0.113.7 -> cart TCP 8080",
            "ingress[0]: 203.0.113.7 is in except 203.0.113.0/28",
        ),
        (
            from("{podSelector: {}}"),
            "192.168.0.1 -> cart TCP 8080",
            "ingress[0]: no ipBlock for 192.168.0.1, a node's address",
        ),
        (
            from("{podSelector: {}}"),
            "10.1.2.77 -> cart TCP 8080",
            "ingress[0]: the pod with address 10.1.2.77 is unknown",
        ),
        (ingress("{ports: [{port: 9090}]}"), "web -> cart TCP 8080", "ingress[0]: port 8080 not allowed"),
        (
            ingress("{ports: [{port: 8080, protocol: UDP}]}"),
            "web -> cart TCP 8080",
            "ingress[0]: port 8080 allowed for UDP, not TCP",
        ),
        (ingress("{ports: [{port: http}]}"), "web -> cart TCP 9090", "ingress[0]: port http is 8080, not 9090"),
        (ingress("{ports: [{port: grpc}]}"), "web -> cart TCP 8080", "ingress[0]: the pod declares no port grpc"),
        (
            ingress("{from: [{podSelector: {matchLabels: {app: pay}}}], ports: [{port: 9090}]}"),
            "web -> cart TCP 8080",
            "ingress[0]: pod label app=web, not pay; port 8080 not allowed",
        ),
    ] {
        let report = closed(&spec, flow);
        assert_eq!(report.denials[0].policies[0].summary, summary, "{spec}");
    }
}

#[test]
fn a_connection_that_is_denied_at_both_ends_counts_once_in_the_headline() {
    let mute = "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress]}";
    let report = shop()
        .head("mute.yaml", &policy("shop", "mute", mute))
        .head("deny.yaml", &policy("shop", "deny", NOBODY))
        .flow("web -> cart TCP 8080")
        .judge();
    assert_eq!(report.denials.len(), 2);
    assert_eq!(report.headline, "Blocked: 1 connection in use would be denied");
    assert_eq!(report.next_step, "Apply the fixes below, or accept the denials with an AuditException.");
}

#[test]
fn a_blocked_change_says_how_far_the_fix_goes() {
    let step = |flows: &[&str]| {
        let stage = shop().head("it.yaml", &policy("shop", "it", NOBODY));
        flows.iter().fold(stage, |stage, flow| stage.flow(flow)).judge().next_step
    };
    assert_eq!(step(&["web -> cart TCP 8080"]), "Apply the fix below, or accept the denial with an AuditException.");
    assert_eq!(
        step(&["web -> cart TCP 8080", "10.1.2.77 -> cart TCP 8080"]),
        "The fix below would resolve 1 of 2 denials. Resolve the rest with another change, or accept it with an AuditException."
    );
    assert_eq!(
        step(&["10.1.2.77 -> cart TCP 8080"]),
        "Change the pull request so that the connection stays allowed, or accept the denial with an AuditException."
    );
}

#[test]
fn the_headline_is_not_repeated_as_a_reason() {
    let report = closed(NOBODY, "web -> cart TCP 8080");
    assert_eq!(report.reasons, [""; 0]);
    let undecided = shop()
        .head("it.yaml", &policy("shop", "it", NOBODY))
        .head("bad.yaml", &policy("shop", "bad", "{podSelector: {}, ingres: []}"))
        .flow("web -> cart TCP 8080")
        .judge();
    let denied = "1 connection in use is newly denied, and no exception accepts it.";
    assert!(undecided.reasons.iter().any(|reason| reason == denied), "{:?}", undecided.reasons);
    assert_eq!(undecided.next_step, "Fix each of the following, then run the check again.");
}

#[test]
fn every_other_decision_says_what_comes_next() {
    let flow = "web -> cart TCP 8080";
    assert_eq!(closed(EVERYBODY, flow).next_step, "No action is needed.");
    let pending = shop().head("it.yaml", &policy("shop", "it", EVERYBODY)).min_window_hours(24 * 30).judge();
    assert_eq!(pending.next_step, "Run the check again when the nodes have been watched for 30d.");
    let audited = shop().head("it.yaml", &audit("shop", "it", PROM_ONLY)).flow(flow).judge();
    assert_eq!(
        audited.next_step,
        "No action is needed now. Enforcing the audit policies would deny 1 connection in use: see the previews."
    );
    let exception = json!({
        "apiVersion": "foretell.dev/v1alpha1", "kind": "AuditException", "metadata": {"name": "known", "namespace": "shop"},
        "spec": {"policyRef": {"kind": "NetworkPolicy", "name": "it"}, "direction": "Ingress",
            "peers": [{"podSelector": {}}], "reason": "known"},
    });
    let accepted = shop()
        .head("it.yaml", &policy("shop", "it", NOBODY))
        .head("known.yaml", &exception.to_string())
        .flow(flow)
        .judge();
    assert_eq!(accepted.headline, "May merge: 1 connection in use would be denied, and exceptions accept it");
    assert_eq!(accepted.next_step, "Review the exceptions that this pull request adds.");
}
