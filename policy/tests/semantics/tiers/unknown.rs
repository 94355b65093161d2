//! What traffic does not tell.

use super::{admin, baseline, cluster, from_all, network_policy};
use crate::stage::shop;
use foretell_policy::model::flow::Direction::{Egress, Ingress};
use serde_json::json;

const FLOW: &str = "web -> 203.0.113.9 TCP 443";
const DOMAIN: &str = "{action: Allow, to: [{domainNames: [api.example.com]}]}";
const DENY_ALL: &str = "{action: Deny, to: [{networks: [0.0.0.0/0]}]}";

fn allow_list() -> String {
    admin("a", 1, &format!("egress: [{DOMAIN}, {DENY_ALL}]"))
}

#[test]
fn whether_an_address_has_a_name_cannot_be_told_and_matters_where_the_rest_ends_otherwise() {
    let stage = shop().and(&allow_list());
    assert_eq!(stage.decide(FLOW, Egress), "unknown: Admin: a 0 Accept, else Admin: a 1 Deny");
    assert_eq!(shop().and(&admin("a", 1, &format!("egress: [{DOMAIN}]"))).decide(FLOW, Egress), "open");
    let denied_anyway = shop().and(&admin("a", 1, &format!("egress: [{DENY_ALL}, {DOMAIN}]")));
    assert_eq!(denied_anyway.decide(FLOW, Egress), "Admin: a 0 Deny");
}

#[test]
fn what_comes_later_may_make_it_matter_or_not() {
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
fn of_equal_priorities_a_doubt_may_make_another_policy_the_worst() {
    // If the name is the address', one accepts and the other passes on, which is worse; if not, one denies.
    let passes = admin("b", 1, "egress: [{action: Pass, to: [{networks: [0.0.0.0/0]}]}]");
    let stage = shop().and(&allow_list()).and(&passes);
    assert_eq!(stage.decide(FLOW, Egress), "unknown: Admin: a 0 Pass, else Admin: a 1 Deny, tied with b 0 Pass");
    // Whatever the name, the other denies.
    let denies = admin("b", 1, &format!("egress: [{DENY_ALL}]"));
    assert_eq!(shop().and(&allow_list()).and(&denies).decide(FLOW, Egress), "Admin: a 1 Deny");
}

#[test]
fn of_equal_priorities_what_is_possible_counts_and_nothing_else() {
    let doubtful = |action: &str, name: &str| format!("{{action: {action}, to: [{{domainNames: [{name}]}}]}}");
    let to_all = |action: &str| format!("egress: [{{action: {action}, to: [{{networks: [0.0.0.0/0]}}]}}]");
    // An accept, a denial or neither; of the three the first alone leaves it to who passes on.
    let rules =
        format!("egress: [{}, {}, {DENY_ALL}]", doubtful("Accept", "a.example.com"), doubtful("Deny", "b.example.com"));
    let stage = shop().and(&cluster("a", "Admin", 1, &rules)).and(&cluster("b", "Admin", 1, &to_all("Pass")));
    assert_eq!(stage.decide(FLOW, Egress), "unknown: Admin: a 0 Pass, else Admin: a 2 Deny, tied with b 0 Pass");
    // One passes on or denies, so that nobody accepts whatever the other does; what it passes on is denied below.
    let rules = format!("egress: [{}, {DENY_ALL}]", doubtful("Pass", "a.example.com"));
    let stage = shop()
        .and(&cluster("a", "Admin", 1, &rules))
        .and(&cluster("b", "Admin", 1, &to_all("Accept")))
        .and(&network_policy("{policyTypes: [Egress]}"));
    assert_eq!(stage.decide(FLOW, Egress), "Admin: a 1 Deny, tied with b 0 Accept");
}

#[test]
fn of_several_doubts_the_first_that_matters_is_named() {
    let rules = "egress: [{action: Deny, to: [{domainNames: [bad.example.com]}]}, {action: Accept, to: [{domainNames: [api.example.com]}]},
  {action: Deny, to: [{networks: [0.0.0.0/0]}]}]";
    let stage = shop().and(&cluster("a", "Admin", 1, rules));
    assert_eq!(stage.decide(FLOW, Egress), "unknown: Admin: a 1 Accept, else Admin: a 2 Deny");
}

#[test]
fn a_port_that_does_not_match_leaves_no_doubt() {
    let on_80 = "{action: Allow, to: [{domainNames: [api.example.com]}], ports: [{portNumber: {port: 80}}]}";
    let stage = shop().and(&admin("a", 1, &format!("egress: [{on_80}, {DENY_ALL}]")));
    assert_eq!(stage.decide(FLOW, Egress), "Admin: a 1 Deny");
}

#[test]
fn names_are_of_what_is_outside() {
    let stage = shop().and(&allow_list());
    assert_eq!(stage.decide("web -> db TCP 443", Egress), "Admin: a 1 Deny");
    assert_eq!(stage.decide("web -> 192.168.0.2 TCP 443", Egress), "Admin: a 1 Deny");
}

#[test]
fn a_network_beside_the_name_decides() {
    let both = "{action: Allow, to: [{domainNames: [api.example.com]}, {networks: [203.0.113.0/24]}]}";
    let stage = shop().and(&admin("a", 1, &format!("egress: [{both}, {DENY_ALL}]")));
    assert_eq!(stage.decide(FLOW, Egress), "Admin: a 0 Accept");
}

#[test]
fn of_an_address_out_of_the_pods_range_that_no_pod_had_no_selector_can_be_told_to_match() {
    let stage = shop().and(&cluster("a", "Admin", 1, &from_all("Deny")));
    assert_eq!(stage.decide("10.1.2.99 -> web TCP 8080", Ingress), "unknown: Admin: a 0 Deny, else open");
    assert_eq!(stage.decide("203.0.113.9 -> web TCP 8080", Ingress), "open");
    let stage = shop().and(&cluster("a", "Admin", 1, "egress: [{action: Deny, to: [{networks: [10.1.2.0/24]}]}]"));
    assert_eq!(stage.decide("web -> 10.1.2.99 TCP 8080", Egress), "Admin: a 0 Deny");
}

#[test]
fn the_verdict_says_so_and_why() {
    let lines = shop().and(&allow_list()).lines(FLOW);
    assert_eq!(
        lines,
        [json!({
            "flow": 0, "policy": {"kind": "AdminNetworkPolicy", "namespace": "", "name": "a"}, "direction": "Egress",
            "verdict": "Unknown", "rule": 0, "reason": "CannotBeJudged", "tier": "Admin", "priority": 1, "action": "Accept",
            "message": "whether egress[0] takes 203.0.113.9 on TCP 443 cannot be judged: it names api.example.com, and traffic does not tell the name of an address"
        })]
    );
    assert_eq!(shop().and(&allow_list()).says("web -> db TCP 443", Egress), "deny DeniedByRule");
}
