//! The effect of all policies together on a flow, at both of its ends.

use foretell_objects::model::flow::Direction;
use foretell_policy::report::data::Decision;
use serde_json::json;

use crate::manifests::policy;
use crate::stage::{EVERYBODY, NOBODY, PROM_AND_WEB, PROM_ONLY, denials, listed, shop};

/// Selects `web` and allows it no egress.
const MUTE: &str = "{podSelector: {matchLabels: {app: web}}, policyTypes: [Egress]}";

#[test]
fn what_another_policy_still_allows_is_listed_and_does_not_block() {
    let report = shop()
        .live(&policy("shop", "open", EVERYBODY))
        .head("it.yaml", &policy("shop", "it", PROM_ONLY))
        .flow("web -> cart TCP 8080")
        .judge();
    assert_eq!(report.exit_status, 0);
    assert!(report.denials.is_empty());
    let it = &report.policies[0];
    assert_eq!((it.verdicts.would_deny, it.verdicts.newly_denied, it.verdicts.still_allowed), (1, 0, 1));
    assert_eq!(
        listed(&it.still_allowed),
        ["Ingress web -> cart TCP 8080 by shop/it: allowed by NetworkPolicy shop/open ingress[0]"]
    );
}

#[test]
fn what_is_denied_already_stays_so_and_does_not_block() {
    let report = shop()
        .live(&policy("shop", "deny", NOBODY))
        .head("it.yaml", &policy("shop", "it", PROM_ONLY))
        .flow("web -> cart TCP 8080")
        .judge();
    assert_eq!((report.decision, report.exit_status), (Decision::MayMerge, 0));
    assert!(report.denials.is_empty());
    let it = &report.policies[0];
    assert_eq!((it.verdicts.would_deny, it.verdicts.newly_denied, it.verdicts.still_denied), (1, 0, 1));
    assert_eq!(
        listed(&it.still_denied),
        ["Ingress web -> cart TCP 8080 by shop/it: already denied by NetworkPolicy shop/deny (Ingress)"]
    );
}

#[test]
fn the_policy_that_already_denies_may_be_at_the_other_end_or_the_same_policy_before_the_change() {
    let report = shop()
        .live(&policy("shop", "mute", MUTE))
        .base("it.yaml", &policy("shop", "it", NOBODY))
        .head("it.yaml", &policy("shop", "it", PROM_ONLY))
        .flow("web -> cart TCP 8080")
        .judge();
    assert_eq!(
        listed(&report.policies[0].still_denied),
        ["Ingress web -> cart TCP 8080 by shop/it: already denied by NetworkPolicy shop/mute (Egress), \
          NetworkPolicy shop/it before this change (Ingress)"]
    );
}

#[test]
fn a_default_deny_with_the_policies_that_allow_is_judged_together() {
    let deny = "{podSelector: {}, policyTypes: [Ingress]}";
    let stage = shop().head("deny.yaml", &policy("shop", "deny", deny)).flow("web -> cart TCP 8080");
    assert_eq!(stage.judge().exit_status, 1);
    let report = stage.head("it.yaml", &policy("shop", "it", PROM_AND_WEB)).judge();
    assert_eq!(report.exit_status, 0, "{:?}", denials(&report));
    let deny = report.policies.iter().find(|it| it.policy.name == "deny").unwrap();
    assert_eq!(deny.verdicts.still_allowed, 1);
}

#[test]
fn a_denial_is_attributed_to_the_end_that_is_isolated() {
    let report = shop()
        .head("mute.yaml", &policy("shop", "mute", MUTE))
        .head("open.yaml", &policy("shop", "open", EVERYBODY))
        .flow("web -> cart TCP 8080")
        .judge();
    assert_eq!(denials(&report), ["Unresolved Egress web -> cart TCP 8080 by shop/mute"]);
}

#[test]
fn a_flow_denied_at_both_ends_is_two_denials() {
    let report = shop()
        .head("mute.yaml", &policy("shop", "mute", MUTE))
        .head("deny.yaml", &policy("shop", "deny", NOBODY))
        .flow("web -> cart TCP 8080")
        .judge();
    assert_eq!(
        denials(&report),
        ["Unresolved Egress web -> cart TCP 8080 by shop/mute", "Unresolved Ingress web -> cart TCP 8080 by shop/deny"]
    );
    assert_ne!(report.denials[0].id, report.denials[1].id);
}

#[test]
fn a_flow_that_two_changed_policies_deny_at_one_end_is_attributed_to_both() {
    let report = shop()
        .head("a.yaml", &policy("shop", "a", NOBODY))
        .head("b.yaml", &policy("shop", "b", PROM_ONLY))
        .flow("web -> cart TCP 8080")
        .judge();
    assert_eq!(
        denials(&report),
        ["Unresolved Ingress web -> cart TCP 8080 by shop/a, shop/b"],
        "one connection, one row"
    );
}

#[test]
fn what_the_other_end_denied_already_is_not_new() {
    let report = shop()
        .live(&policy("shop", "mute", MUTE))
        .head("deny.yaml", &policy("shop", "deny", NOBODY))
        .flow("web -> cart TCP 8080")
        .judge();
    assert!(report.denials.is_empty(), "{:?}", denials(&report));
    assert_eq!(report.policies[0].verdicts.still_denied, 1);
    assert_eq!(report.exit_status, 0);
}

#[test]
fn what_the_other_end_denies_still_is_not_newly_allowed() {
    let report = shop()
        .live(&policy("shop", "mute", MUTE))
        .base("deny.yaml", &policy("shop", "deny", NOBODY))
        .flow("web -> cart TCP 8080")
        .judge();
    assert!(report.newly_allowed.is_empty());
}

#[test]
fn opening_one_end_while_closing_the_other_denies_nothing_anew() {
    let report = shop()
        .base("deny.yaml", &policy("shop", "deny", NOBODY))
        .head("mute.yaml", &policy("shop", "mute", MUTE))
        .flow("web -> cart TCP 8080")
        .judge();
    assert!(report.denials.is_empty() && report.newly_allowed.is_empty());
    assert_eq!(report.exit_status, 0);
}

#[test]
fn a_newly_allowed_flow_needs_both_ends() {
    let report = shop()
        .base("deny.yaml", &policy("shop", "deny", NOBODY))
        .base("mute.yaml", &policy("shop", "mute", MUTE))
        .flow("web -> cart TCP 8080")
        .judge();
    let directions: Vec<Direction> = report.newly_allowed.iter().map(|it| it.direction).collect();
    assert_eq!(directions, [Direction::Egress, Direction::Ingress]);
}

#[test]
fn traffic_from_outside_is_judged_by_its_address() {
    let block = "{podSelector: {matchLabels: {app: cart}}, ingress: [{from: [{ipBlock: {cidr: 203.0.113.0/24}}]}]}";
    let report = shop()
        .head("it.yaml", &policy("shop", "it", block))
        .flow("203.0.113.7 -> cart TCP 8080")
        .flow("198.51.100.7 -> cart TCP 8080")
        .judge();
    assert_eq!(denials(&report), ["Unresolved Ingress 198.51.100.7 -> cart TCP 8080 by shop/it"]);
}

#[test]
fn a_pods_own_node_is_never_denied() {
    let report = shop().head("it.yaml", &policy("shop", "it", NOBODY)).flow("192.168.0.2 -> cart TCP 8080").judge();
    assert_eq!(report.exit_status, 0);
    assert_eq!(report.policies[0].verdicts.exempt, 1);
    let report = shop().head("it.yaml", &policy("shop", "it", NOBODY)).flow("192.168.0.1 -> cart TCP 8080").judge();
    assert_eq!(report.exit_status, 1);
}

#[test]
fn a_block_of_the_policy_before_or_after_distinguishes_the_backends_of_a_service() {
    let twins = || shop().pod("cart", ("Deployment", "shop", "cart"), "n2", "10.1.2.77", &json!({"app": "cart"}));
    let only = |ip: &str| {
        format!("{{podSelector: {{matchLabels: {{app: web}}}}, egress: [{{to: [{{ipBlock: {{cidr: {ip}/32}}}}]}}]}}")
    };
    for (ip, other) in [("10.1.2.2", "10.1.2.77"), ("10.1.2.77", "10.1.2.2")] {
        let after = twins().head("it.yaml", &policy("shop", "it", &only(ip))).flow("web -> cart-svc TCP 80").judge();
        assert_eq!(denials(&after), ["Unresolved Egress web -> cart TCP 8080 by shop/it"], "{ip}");
        // What is denied already at one of them the change denies at the other.
        let turned = twins()
            .base("it.yaml", &policy("shop", "it", &only(ip)))
            .head("it.yaml", &policy("shop", "it", &only(other)))
            .flow("web -> cart-svc TCP 80")
            .judge();
        assert_eq!(denials(&turned), ["Unresolved Egress web -> cart TCP 8080 by shop/it"], "{ip}");
    }
}
