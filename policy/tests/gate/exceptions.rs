//! Denials that somebody accepted.

use foretell_policy::report::data::{Decision, State};
use serde_json::json;

use crate::manifests::{audit, audit_cluster, policy, promoted};
use crate::stage::{AT, NOBODY, PROM_ONLY, denials, previewed, shop};

/// An exception for `it` that accepts `web` on TCP 8080, with some text replaced.
fn exception(changes: &[(&str, &str)]) -> String {
    let mut text = "apiVersion: foretell.dev/v1alpha1
kind: AuditException
metadata: {name: known, namespace: shop}
spec:
  policyRef: {kind: NetworkPolicy, name: it}
  direction: Ingress
  peers: [{podSelector: {matchLabels: {app: web}}}]
  ports: [{protocol: TCP, port: 8080}]
  reason: moves to the proxy
"
    .to_owned();
    for (from, to) in changes {
        assert!(text.contains(from), "{from}");
        text = text.replace(from, to);
    }
    text
}

fn stage() -> crate::stage::Stage {
    shop().head("it.yaml", &policy("shop", "it", PROM_ONLY)).flow("web -> cart TCP 8080")
}

#[test]
fn an_exception_in_the_change_counts_and_is_said_to_be_of_the_change() {
    let report = stage().head("known.yaml", &exception(&[])).judge();
    assert_eq!((report.decision, report.exit_status), (Decision::MayMerge, 0));
    let [exception] = &report.exceptions[..] else { panic!("{:?}", report.exceptions) };
    assert!(exception.in_change);
    assert_eq!((exception.name.as_str(), exception.reason.as_str()), ("known", "moves to the proxy"));
    assert_eq!(exception.accepts, [report.denials[0].id.clone()]);
    assert_eq!(report.denials[0].state, State::Accepted);
    assert_eq!(report.denials[0].accepted_by, ["shop/known"]);
    assert!(report.headline.contains("exceptions accept it"), "{}", report.headline);
}

#[test]
fn an_exception_on_the_base_or_in_the_snapshot_counts() {
    for stage in [stage().both("known.yaml", &exception(&[])), stage().live(&exception(&[]))] {
        let report = stage.judge();
        assert_eq!(report.exit_status, 0);
        assert!(!report.exceptions[0].in_change);
    }
}

#[test]
fn an_exception_that_the_change_removes_does_not_count() {
    for stage in [stage(), stage().live(&exception(&[]))] {
        assert_eq!(stage.base("known.yaml", &exception(&[])).judge().exit_status, 1);
    }
}

#[test]
fn exceptions_of_the_change_come_first() {
    let older = exception(&[
        ("name: known", "name: aaa"),
        ("app: web", "app: agent"),
        ("podSelector", "namespaceSelector: {}, podSelector"),
    ]);
    let report = stage().live(&older).flow("agent -> cart TCP 8080").head("known.yaml", &exception(&[])).judge();
    let names: Vec<_> = report.exceptions.iter().map(|it| (it.name.as_str(), it.in_change)).collect();
    assert_eq!(names, [("known", true), ("aaa", false)]);
    assert_eq!(report.exit_status, 0);
}

#[test]
fn an_exception_of_the_change_that_accepts_nothing_is_shown_and_one_of_the_base_is_not() {
    let idle = exception(&[("app: web", "app: nobody")]);
    let report = stage().head("idle.yaml", &idle).judge();
    assert!(report.exceptions[0].accepts.is_empty());
    assert!(stage().live(&idle).judge().exceptions.is_empty());
}

#[test]
fn an_expired_exception_does_not_count_and_is_named() {
    for (expires_at, status) in [("2026-11-21T11:59:59Z", 1), (AT, 1), ("2026-11-21T12:00:01Z", 0)] {
        let until = exception(&[("reason:", &format!("expiresAt: '{expires_at}'\n  reason:"))]);
        let report = stage().both("known.yaml", &until).judge();
        assert_eq!(report.exit_status, status, "{expires_at}");
        let expired = &report.denials[0].expired_exceptions;
        assert_eq!(expired.is_empty(), status == 0, "{expired:?}");
    }
    // The clock is what --at says.
    let until = exception(&[("reason:", "expiresAt: '2026-11-21T13:00:00Z'\n  reason:")]);
    assert_eq!(stage().both("known.yaml", &until).judge().exit_status, 0);
    assert_eq!(
        stage()
            .both("known.yaml", &until)
            .at("2026-11-21T14:00:00Z")
            .watched("n2", AT, "2026-11-21T14:00:00Z")
            .judge()
            .exit_status,
        1
    );
}

#[test]
fn an_exception_that_speaks_of_something_else_does_not_cover() {
    for change in [
        ("direction: Ingress", "direction: Egress"),
        ("port: 8080", "port: 8081"),
        ("protocol: TCP", "protocol: UDP"),
        ("app: web", "app: pay"),
        ("podSelector: {matchLabels: {app: web}}", "ipBlock: {cidr: 10.9.0.0/16}"),
        ("name: it", "name: other"),
        ("namespace: shop", "namespace: data"),
        ("kind: NetworkPolicy", "kind: AuditClusterNetworkPolicy"),
    ] {
        let report = stage().head("known.yaml", &exception(&[change])).judge();
        assert_eq!(report.exit_status, 1, "{change:?}");
        assert_eq!(report.denials[0].state, State::Unresolved);
    }
}

#[test]
fn an_exception_without_ports_covers_every_port() {
    let report = stage()
        .flow("web -> cart TCP 9999")
        .head("known.yaml", &exception(&[("  ports: [{protocol: TCP, port: 8080}]\n", "")]))
        .judge();
    assert_eq!(report.exit_status, 0);
    assert_eq!(report.exceptions[0].accepts.len(), 2);
}

#[test]
fn an_exception_may_name_the_port_as_the_pod_does_and_an_outside_address() {
    let outside = exception(&[
        ("podSelector: {matchLabels: {app: web}}", "ipBlock: {cidr: 203.0.113.0/24}"),
        ("port: 8080", "port: http"),
    ]);
    let report = shop()
        .head("it.yaml", &policy("shop", "it", PROM_ONLY))
        .head("known.yaml", &outside)
        .flow("203.0.113.7 -> cart TCP 8080")
        .judge();
    assert_eq!(denials(&report), ["Accepted Ingress 203.0.113.7 -> cart TCP 8080 by shop/it"]);
}

#[test]
fn a_denial_is_resolved_only_when_all_of_its_flows_in_use_are_covered() {
    // Two pods of one workload; the exception takes only one of them by its label.
    let stage = stage()
        .pod("web", ("Deployment", "shop", "web"), "n2", "10.1.2.50", &json!({"app": "web-canary"}))
        .head("known.yaml", &exception(&[]));
    assert_eq!(stage.judge().exit_status, 0);
    let unanswered = stage.clone().flow_with("10.1.2.50 -> cart TCP 8080", &json!({"outcome": "unanswered"})).judge();
    assert_eq!(denials(&unanswered), ["Accepted Ingress web -> cart TCP 8080 by shop/it"], "not in use");
    let report = stage.flow("10.1.2.50 -> cart TCP 8080").judge();
    assert_eq!(denials(&report), ["Unresolved Ingress web -> cart TCP 8080 by shop/it"]);
    assert_eq!(report.denials[0].accepted_by, ["shop/known"], "of some of its flows");
    assert_eq!(report.exit_status, 1);
}

#[test]
fn two_exceptions_together_may_cover_a_denial() {
    let report = stage()
        .pod("web", ("Deployment", "shop", "web"), "n2", "10.1.2.50", &json!({"app": "web-canary"}))
        .flow("10.1.2.50 -> cart TCP 8080")
        .head("known.yaml", &exception(&[]))
        .head("canary.yaml", &exception(&[("name: known", "name: canary"), ("app: web", "app: web-canary")]))
        .judge();
    assert_eq!(report.denials[0].accepted_by, ["shop/canary", "shop/known"]);
    assert_eq!(report.exit_status, 0);
}

#[test]
fn an_exception_survives_the_promotion() {
    let of_audit = exception(&[("kind: NetworkPolicy", "kind: AuditNetworkPolicy")]);
    let report = shop()
        .both("known.yaml", &of_audit)
        .base("it.yaml", &audit("shop", "it", PROM_ONLY))
        .head("it.yaml", &policy("shop", "it", PROM_ONLY))
        .flow("web -> cart TCP 8080")
        .judge();
    assert_eq!(report.exit_status, 0);
    // And one that names the enforced kind covers the preview.
    let report = shop()
        .both("known.yaml", &exception(&[]))
        .head("it.yaml", &audit("shop", "it", PROM_ONLY))
        .flow("web -> cart TCP 8080")
        .judge();
    assert_eq!(previewed(&report), ["Accepted Ingress web -> cart TCP 8080 by shop/it"]);
}

const OF_CLUSTER: &[(&str, &str)] = &[
    ("{kind: NetworkPolicy, name: it}", "{kind: AuditClusterNetworkPolicy, name: deny}"),
    ("podSelector: {matchLabels: {app: web}}", "namespaceSelector: {}"),
    ("  ports: [{protocol: TCP, port: 8080}]\n", ""),
];

#[test]
fn an_exception_of_a_cluster_policy_covers_subjects_of_its_own_namespace_only() {
    let report = shop()
        .both("known.yaml", &exception(OF_CLUSTER))
        .head("deny.yaml", &audit_cluster("deny", "{policyTypes: [Ingress]}"))
        .flow("web -> cart TCP 8080")
        .flow("web -> db TCP 5432")
        .judge();
    assert_eq!(
        previewed(&report),
        ["Accepted Ingress web -> cart TCP 8080 by /deny", "Unresolved Ingress web -> db TCP 5432 by /deny"]
    );
}

#[test]
fn an_exception_of_a_cluster_policy_survives_its_promotion_under_another_name() {
    let spec = "{podSelector: {}, policyTypes: [Ingress]}";
    let stage = shop()
        .both("known.yaml", &exception(OF_CLUSTER))
        .base("deny.yaml", &audit_cluster("deny", spec))
        .flow("web -> cart TCP 8080");
    let annotated = stage.clone().head("it.yaml", &promoted("shop", "deny-here", "deny", spec)).judge();
    assert_eq!(denials(&annotated), ["Accepted Ingress web -> cart TCP 8080 by shop/deny-here"]);
    let unrelated = stage.head("it.yaml", &policy("shop", "deny-here", spec)).judge();
    assert_eq!(unrelated.exit_status, 1);
}

#[test]
fn the_base_may_require_that_exceptions_are_merged_first() {
    let held_back = stage().exceptions_on_base_only().head("known.yaml", &exception(&[])).judge();
    assert_eq!(held_back.exit_status, 1);
    assert!(held_back.exceptions.is_empty());
    assert_eq!(
        held_back.notes,
        ["AuditException shop/known does not count yet: the base requires exceptions to be merged first"]
    );
    let merged = stage().exceptions_on_base_only().both("known.yaml", &exception(&[])).judge();
    assert_eq!(merged.exit_status, 0);
    assert!(merged.notes.is_empty());
}

#[test]
fn an_exception_of_a_preview_alone_is_still_listed() {
    let report = shop()
        .head("it.yaml", &audit("shop", "it", NOBODY))
        .head("known.yaml", &exception(&[]))
        .flow("web -> cart TCP 8080")
        .judge();
    assert_eq!(report.previews[0].denials[0].state, State::Accepted);
    assert_eq!(report.exceptions[0].accepts, [report.previews[0].denials[0].id.clone()]);
}

#[test]
fn an_exception_survives_a_promotion_under_another_name() {
    let of_draft = exception(&[("{kind: NetworkPolicy, name: it}", "{kind: AuditNetworkPolicy, name: draft}")]);
    let stage = shop()
        .both("known.yaml", &of_draft)
        .base("it.yaml", &audit("shop", "draft", PROM_ONLY))
        .flow("web -> cart TCP 8080");
    let annotated =
        stage.clone().head("it.yaml", &promoted("shop", "final", "AuditNetworkPolicy/draft", PROM_ONLY)).judge();
    assert_eq!(denials(&annotated), ["Accepted Ingress web -> cart TCP 8080 by shop/final"]);
    assert_eq!(stage.head("it.yaml", &policy("shop", "final", PROM_ONLY)).judge().exit_status, 1);
}
