//! Rules of which recorded traffic does not show whether they match.

use super::{admin, baseline, cluster, from_all, network_policy};
use crate::scenario::shop;
use foretell_objects::model::flow::Direction::{Egress, Ingress};
use serde_json::json;

const FLOW: &str = "web -> 203.0.113.9 TCP 443";
const DOMAIN: &str = "{action: Allow, to: [{domainNames: [api.example.com]}]}";
const DENY_ALL: &str = "{action: Deny, to: [{networks: [0.0.0.0/0]}]}";

fn allow_list() -> String {
    admin("a", 1, &format!("egress: [{DOMAIN}, {DENY_ALL}]"))
}

#[test]
fn a_domain_name_rule_is_undecidable_and_matters_if_the_other_rules_end_differently() {
    let scenario = shop().and(&allow_list());
    assert_eq!(scenario.decide(FLOW, Egress), "unknown: Admin: a 0 Accept, else Admin: a 1 Deny");
    assert_eq!(shop().and(&admin("a", 1, &format!("egress: [{DOMAIN}]"))).decide(FLOW, Egress), "open");
    let denied_anyway = shop().and(&admin("a", 1, &format!("egress: [{DENY_ALL}, {DOMAIN}]")));
    assert_eq!(denied_anyway.decide(FLOW, Egress), "Admin: a 0 Deny");
}

#[test]
fn later_tiers_determine_whether_a_doubt_matters() {
    let names = admin("a", 1, &format!("egress: [{DOMAIN}]"));
    let restricts = network_policy("{policyTypes: [Egress]}");
    assert_eq!(
        shop().and(&names).and(&restricts).decide(FLOW, Egress),
        "unknown: Admin: a 0 Accept, else denied by np"
    );
    let allows = network_policy("{policyTypes: [Egress], egress: [{}]}");
    assert_eq!(shop().and(&names).and(&allows).decide(FLOW, Egress), "allowed by np 0");
    let passes = admin("a", 1, "egress: [{action: Pass, to: [{domainNames: ['*.example.com']}]}]");
    let below = baseline("egress: [{action: Deny, to: [{networks: [0.0.0.0/0]}]}]");
    assert_eq!(shop().and(&passes).and(&below).decide(FLOW, Egress), "Baseline: default 0 Deny");
}

#[test]
fn of_equal_priorities_a_doubt_may_make_another_policy_the_strictest() {
    // If the name has the address, one policy accepts and the other passes, which is stricter; if not, one denies.
    let passes = admin("b", 1, "egress: [{action: Pass, to: [{networks: [0.0.0.0/0]}]}]");
    let scenario = shop().and(&allow_list()).and(&passes);
    assert_eq!(scenario.decide(FLOW, Egress), "unknown: Admin: a 0 Pass, else Admin: a 1 Deny, tied with b 0 Pass");
    // The other policy denies in any case.
    let denies = admin("b", 1, &format!("egress: [{DENY_ALL}]"));
    assert_eq!(shop().and(&allow_list()).and(&denies).decide(FLOW, Egress), "Admin: a 1 Deny");
}

#[test]
fn of_equal_priorities_only_possible_outcomes_count() {
    let doubtful = |action: &str, name: &str| format!("{{action: {action}, to: [{{domainNames: [{name}]}}]}}");
    let to_all = |action: &str| format!("egress: [{{action: {action}, to: [{{networks: [0.0.0.0/0]}}]}}]");
    // An accept, a denial or neither; only with the accept does the pass of the other policy count.
    let rules =
        format!("egress: [{}, {}, {DENY_ALL}]", doubtful("Accept", "a.example.com"), doubtful("Deny", "b.example.com"));
    let scenario = shop().and(&cluster("a", "Admin", 1, &rules)).and(&cluster("b", "Admin", 1, &to_all("Pass")));
    assert_eq!(scenario.decide(FLOW, Egress), "unknown: Admin: a 0 Pass, else Admin: a 2 Deny, tied with b 0 Pass");
    // One passes or denies, so no accept is possible whatever the other does; a pass is denied by the next tier.
    let rules = format!("egress: [{}, {DENY_ALL}]", doubtful("Pass", "a.example.com"));
    let scenario = shop()
        .and(&cluster("a", "Admin", 1, &rules))
        .and(&cluster("b", "Admin", 1, &to_all("Accept")))
        .and(&network_policy("{policyTypes: [Egress]}"));
    assert_eq!(scenario.decide(FLOW, Egress), "Admin: a 1 Deny, tied with b 0 Accept");
}

#[test]
fn the_first_doubt_that_matters_is_named() {
    let rules = "egress: [{action: Deny, to: [{domainNames: [bad.example.com]}]}, {action: Accept, to: [{domainNames: [api.example.com]}]},
  {action: Deny, to: [{networks: [0.0.0.0/0]}]}]";
    let scenario = shop().and(&cluster("a", "Admin", 1, rules));
    assert_eq!(scenario.decide(FLOW, Egress), "unknown: Admin: a 1 Accept, else Admin: a 2 Deny");
}

#[test]
fn a_port_that_does_not_match_leaves_no_doubt() {
    let on_80 = "{action: Allow, to: [{domainNames: [api.example.com]}], ports: [{portNumber: {port: 80}}]}";
    let scenario = shop().and(&admin("a", 1, &format!("egress: [{on_80}, {DENY_ALL}]")));
    assert_eq!(scenario.decide(FLOW, Egress), "Admin: a 1 Deny");
}

#[test]
fn domain_names_match_only_outside_addresses() {
    let scenario = shop().and(&allow_list());
    assert_eq!(scenario.decide("web -> db TCP 443", Egress), "Admin: a 1 Deny");
    assert_eq!(scenario.decide("web -> 192.168.0.2 TCP 443", Egress), "Admin: a 1 Deny");
}

#[test]
fn a_network_in_the_same_rule_decides() {
    let both = "{action: Allow, to: [{domainNames: [api.example.com]}, {networks: [203.0.113.0/24]}]}";
    let scenario = shop().and(&admin("a", 1, &format!("egress: [{both}, {DENY_ALL}]")));
    assert_eq!(scenario.decide(FLOW, Egress), "Admin: a 0 Accept");
}

#[test]
fn it_is_unknown_whether_a_selector_matches_an_unknown_pod() {
    let scenario = shop().and(&cluster("a", "Admin", 1, &from_all("Deny")));
    assert_eq!(scenario.decide("10.1.2.99 -> web TCP 8080", Ingress), "unknown: Admin: a 0 Deny, else open");
    assert_eq!(scenario.decide("203.0.113.9 -> web TCP 8080", Ingress), "open");
    let scenario = shop().and(&cluster("a", "Admin", 1, "egress: [{action: Deny, to: [{networks: [10.1.2.0/24]}]}]"));
    assert_eq!(scenario.decide("web -> 10.1.2.99 TCP 8080", Egress), "Admin: a 0 Deny");
}

#[test]
fn the_verdict_is_unknown_with_a_reason() {
    let lines = shop().and(&allow_list()).lines(FLOW);
    assert_eq!(
        lines,
        [json!({
            "flow": 0, "policy": {"kind": "AdminNetworkPolicy", "namespace": "", "name": "a"}, "direction": "Egress",
            "verdict": "Unknown", "rule": 0, "reason": "CannotBeJudged", "tier": "Admin", "priority": 1, "action": "Accept",
            "message": "it is unknown whether egress[0] matches 203.0.113.9 on TCP 443: it names api.example.com, and recorded traffic contains addresses, not domain names"
        })]
    );
    assert_eq!(shop().and(&allow_list()).verdicts("web -> db TCP 443", Egress), "deny DeniedByRule");
}
