//! The order of tiers: Admin, NetworkPolicies, Baseline; then everything is allowed.

use super::{admin, baseline, cluster, from_all, network_policy};
use crate::scenario::{NOTHING, Scenario, shop};
use foretell_objects::model::flow::Direction::{Egress, Ingress};
use serde_json::json;

const FLOW: &str = "db -> web TCP 8080";
const ALLOW: &str = "{ingress: [{}]}";
const DENY: &str = "{}";

fn stands(scenario: &Scenario) -> String {
    scenario.decide(FLOW, Ingress)
}

#[test]
fn a_flow_without_any_opinion_is_allowed() {
    assert_eq!(stands(&shop()), "open");
    let elsewhere = admin("a", 1, "ingress: [{action: Deny, from: [{namespaces: {matchLabels: {team: nobody}}}]}]");
    assert_eq!(stands(&shop().and(&elsewhere)), "open");
}

#[test]
fn an_admin_denial_has_precedence_over_a_network_policy_that_allows() {
    let scenario = shop().and(&network_policy(ALLOW));
    assert_eq!(stands(&scenario), "allowed by np 0");
    assert_eq!(stands(&scenario.and(&admin("a", 1, &from_all("Deny")))), "Admin: a 0 Deny");
}

#[test]
fn an_admin_accept_has_precedence_over_a_network_policy_that_denies() {
    let scenario = shop().and(&network_policy(DENY)).and(&baseline(&from_all("Deny")));
    assert_eq!(stands(&scenario), "denied by np");
    assert_eq!(stands(&scenario.and(&admin("a", 1, &from_all("Allow")))), "Admin: a 0 Accept");
}

#[test]
fn after_a_pass_network_policies_and_the_baseline_decide() {
    let scenario = shop().and(&admin("a", 1, &from_all("Pass"))).and(&admin("b", 2, &from_all("Deny")));
    assert_eq!(stands(&scenario), "open");
    let scenario = scenario.and(&baseline(&from_all("Deny")));
    assert_eq!(stands(&scenario), "Baseline: default 0 Deny");
    assert_eq!(stands(&scenario.and(&network_policy(ALLOW))), "allowed by np 0");
}

#[test]
fn the_baseline_counts_only_if_no_network_policy_restricts_the_pod() {
    let scenario = shop().and(&baseline(&from_all("Deny")));
    assert_eq!(stands(&scenario), "Baseline: default 0 Deny");
    let other_pod = network_policy("{podSelector: {matchLabels: {app: cart}}}");
    assert_eq!(stands(&shop().and(&baseline(&from_all("Deny"))).and(&other_pod)), "Baseline: default 0 Deny");
    let other_direction = network_policy("{policyTypes: [Egress]}");
    assert_eq!(stands(&shop().and(&baseline(&from_all("Deny"))).and(&other_direction)), "Baseline: default 0 Deny");
    assert_eq!(stands(&scenario.and(&network_policy(ALLOW))), "allowed by np 0", "what selects the pod decides");
}

#[test]
fn a_network_policy_has_precedence_over_a_baseline_that_accepts() {
    let scenario = shop().and(&baseline(&from_all("Allow")));
    assert_eq!(stands(&scenario), "Baseline: default 0 Accept");
    assert_eq!(stands(&scenario.and(&network_policy(DENY))), "denied by np");
}

#[test]
fn the_lower_priority_number_is_evaluated_first() {
    for (first, second, stands_so) in [(5, 6, "Admin: a 0 Accept"), (6, 5, "Admin: b 0 Deny")] {
        let scenario = shop().and(&admin("a", first, &from_all("Allow"))).and(&admin("b", second, &from_all("Deny")));
        assert_eq!(stands(&scenario), stands_so);
    }
    // Policies of all kinds in one tier are evaluated together, by priority.
    let scenario = shop().and(&admin("a", 6, &from_all("Allow"))).and(&cluster("b", "Admin", 5, &from_all("Deny")));
    assert_eq!(stands(&scenario), "Admin: b 0 Deny");
    let scenario = shop()
        .and(&cluster("b", "Baseline", 6, &from_all("Accept")))
        .and(&cluster("a", "Baseline", 7, &from_all("Deny")))
        .and(&cluster("c", "Admin", 1000, &from_all("Pass")));
    assert_eq!(stands(&scenario), "Baseline: b 0 Accept");
}

#[test]
fn of_equal_priorities_the_denial_counts_and_the_other_policy_is_named() {
    for (deny, other) in [("a", "b"), ("b", "a")] {
        let scenario = shop().and(&admin(deny, 5, &from_all("Deny"))).and(&admin(other, 5, &from_all("Allow")));
        assert_eq!(stands(&scenario), format!("Admin: {deny} 0 Deny, tied with {other} 0 Accept"));
    }
    // A pass may lead to a denial, so it is stricter than an accept.
    let scenario = shop()
        .and(&admin("a", 5, &from_all("Allow")))
        .and(&cluster("b", "Admin", 5, &from_all("Pass")))
        .and(&baseline(&from_all("Deny")));
    assert_eq!(stands(&scenario), "Baseline: default 0 Deny");
}

#[test]
fn a_baseline_admin_network_policy_has_no_order_among_cluster_network_policies_so_the_denial_counts() {
    let scenario = shop().and(&baseline(&from_all("Deny"))).and(&cluster("b", "Baseline", 0, &from_all("Accept")));
    assert_eq!(stands(&scenario), "Baseline: default 0 Deny, tied with b 0 Accept");
    let scenario = shop().and(&baseline(&from_all("Allow"))).and(&cluster("b", "Baseline", 1000, &from_all("Deny")));
    assert_eq!(stands(&scenario), "Baseline: b 0 Deny, tied with default 0 Accept");
}

#[test]
fn of_the_rules_of_a_policy_the_first_that_matches_counts() {
    let rules = "ingress: [
        {action: Deny, from: [{namespaces: {matchLabels: {team: data}}}], ports: [{portNumber: {port: 9}}]},
        {action: Allow, from: [{namespaces: {matchLabels: {team: data}}}]},
        {action: Deny, from: [{namespaces: {}}]}]";
    let scenario = shop().and(&admin("a", 1, rules));
    assert_eq!(stands(&scenario), "Admin: a 1 Accept");
    assert_eq!(scenario.decide("db -> web TCP 9", Ingress), "Admin: a 0 Deny");
    assert_eq!(scenario.decide("cart -> web TCP 8080", Ingress), "Admin: a 2 Deny");
}

#[test]
fn an_admin_policy_without_rules_isolates_no_pod() {
    for rules in ["", "ingress: []", "egress: [{action: Deny, to: [{namespaces: {}}]}]"] {
        let rules = if rules.is_empty() { "egress: []" } else { rules };
        for policy in [admin("a", 1, rules), baseline(rules), cluster("a", "Admin", 1, rules)] {
            assert_eq!(stands(&shop().and(&policy)), "open", "{policy}");
        }
    }
}

#[test]
fn each_end_is_judged_separately() {
    let scenario = shop().and(&admin("a", 1, "egress: [{action: Deny, to: [{namespaces: {}}]}]"));
    assert_eq!(scenario.decide("web -> db TCP 5432", Egress), "Admin: a 0 Deny");
    assert_eq!(scenario.decide("web -> db TCP 5432", Ingress), "open", "the db is nobody's subject");
    assert_eq!(scenario.decide("db -> web TCP 8080", Egress), "open");
}

#[test]
fn a_pod_that_reaches_itself_by_its_own_address_is_subject_to_no_policy() {
    let scenario = shop().and(&admin("a", 1, &from_all("Deny"))).and(&baseline(&from_all("Deny")));
    assert_eq!(scenario.decide("web -> web TCP 8080", Ingress), "open");
    assert_eq!(scenario.verdicts("web -> web TCP 8080", Ingress), NOTHING);
    assert_eq!(scenario.and(&network_policy(DENY)).decide("web -> web TCP 8080", Ingress), "exempt self");
}

#[test]
fn a_pod_that_reaches_itself_through_a_service_is_subject_to_admin_policies_alone() {
    let service = "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {clusterIP: 10.96.0.9, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}}";
    let scenario = shop().and(service).and(&network_policy(DENY));
    assert_eq!(scenario.decide("web -> 10.96.0.9 TCP 80", Ingress), "exempt self");
    let scenario = scenario.and(&admin("a", 1, &from_all("Deny")));
    assert_eq!(scenario.decide("web -> 10.96.0.9 TCP 80", Ingress), "Admin: a 0 Deny");
}

#[test]
fn only_admin_policies_can_deny_traffic_from_a_pods_own_node() {
    let nodes = "egress: [{action: Deny, to: [{nodes: {}}]}]";
    let to_node = |scenario: &Scenario| scenario.decide("web -> 192.168.0.1 TCP 10250", Egress);
    let egress_policy = network_policy("{policyTypes: [Egress]}");
    assert_eq!(to_node(&shop().and(&egress_policy)), "exempt node");
    assert_eq!(to_node(&shop().and(&egress_policy).and(&admin("a", 1, nodes))), "Admin: a 0 Deny");
    assert_eq!(to_node(&shop().and(&baseline(nodes))), "Baseline: default 0 Deny");
    assert_eq!(to_node(&shop().and(&egress_policy).and(&baseline(nodes))), "exempt node", "a NetworkPolicy decides");
    // No ingress rule can select a node, so kubelet's probes are allowed.
    let all = shop().and(&admin("a", 1, &from_all("Deny"))).and(&baseline(&from_all("Deny")));
    assert_eq!(all.decide("192.168.0.1 -> web TCP 8080", Ingress), "open");
    assert_eq!(all.decide("192.168.0.2 -> web TCP 8080", Ingress), "open");
}

#[test]
fn verdict_lines_contain_tier_priority_and_action() {
    let rules = "ingress: [{name: keep out, action: Deny, from: [{namespaces: {matchLabels: {team: data}}}], ports: [{portNumber: {port: 8080}}]}]";
    let lines = shop().and(&admin("a", 7, rules)).lines(FLOW);
    assert_eq!(
        lines,
        [json!({
            "flow": 0, "policy": {"kind": "AdminNetworkPolicy", "namespace": "", "name": "a"}, "direction": "Ingress",
            "verdict": "WouldDeny", "rule": 0, "reason": "DeniedByRule", "tier": "Admin", "priority": 7, "action": "Deny",
            "message": "ingress[0] \"keep out\" denies Pod/db in data on TCP 8080: it matches every pod of namespaces with team=data on TCP 8080"
        })]
    );

    let lines = shop().and(&baseline(&from_all("Allow"))).and(&cluster("c", "Admin", 3, &from_all("Pass"))).lines(FLOW);
    let brief: Vec<_> =
        lines.iter().map(|line| (&line["verdict"], &line["tier"], &line["priority"], &line["action"])).collect();
    assert_eq!(
        brief,
        [
            (&json!("Allow"), &json!("Admin"), &json!(3), &json!("Pass")),
            (&json!("Allow"), &json!("Baseline"), &json!(null), &json!("Accept")),
        ]
    );
    assert_eq!(lines[0]["message"], "it passes the flow on to NetworkPolicies and the Baseline tier");
}

#[test]
fn a_tie_of_two_policies_of_one_priority_is_reported_even_if_a_third_agrees() {
    let scenario = shop()
        .and(&baseline(&from_all("Deny")))
        .and(&cluster("b", "Baseline", 5, &from_all("Deny")))
        .and(&cluster("c", "Baseline", 5, &from_all("Accept")));
    assert_eq!(stands(&scenario), "Baseline: b 0 Deny, tied with c 0 Accept");
}

#[test]
fn the_strictest_admin_verdict_on_several_backends_counts() {
    let canary = "{apiVersion: v1, kind: Pod, metadata: {name: canary, namespace: data, uid: uid-canary, labels: {app: db, canary: 'yes'}},
 spec: {containers: [{name: c, image: c}]}, status: {phase: Running, podIP: ADDRESS}}";
    let service = "{apiVersion: v1, kind: Service, metadata: {name: db, namespace: data},
 spec: {clusterIP: 10.96.0.7, selector: {app: db}, ports: [{port: 5432}]}}";
    let rule = |action: &str, label: &str| {
        format!(
            "{{action: {action}, to: [{{pods: {{namespaceSelector: {{}}, podSelector: {{matchLabels: {{{label}}}}}}}}}]}}"
        )
    };
    for (of_canary, of_all, verdict) in [
        ("Deny", "Accept", "WouldDeny Deny 0"),
        ("Accept", "Deny", "WouldDeny Deny 1"),
        ("Pass", "Accept", "Allow Pass 0"),
        ("Accept", "Pass", "Allow Pass 1"),
    ] {
        for ip in ["10.1.1.0", "10.1.1.40"] {
            let rules = format!("egress: [{}, {}]", rule(of_canary, "canary: 'yes'"), rule(of_all, "app: db"));
            let scenario =
                shop().and(&canary.replace("ADDRESS", ip)).and(service).and(&cluster("a", "Admin", 1, &rules));
            let lines = scenario.lines("web -> 10.96.0.7 TCP 5432");
            let [line] = &lines[..] else { panic!("{lines:?}") };
            let verdicts =
                format!("{} {} {}", line["verdict"].as_str().unwrap(), line["action"].as_str().unwrap(), line["rule"]);
            assert_eq!(verdicts, verdict, "{of_canary} {of_all} {ip}");
            // Of several backends with the same verdict the first by name is reported.
            if verdict.starts_with("WouldDeny Deny 0") {
                let another = canary.replace("ADDRESS", "10.1.1.41").replace("canary,", "canary-2,");
                let lines = scenario.and(&another).lines("web -> 10.96.0.7 TCP 5432");
                let message = lines[0]["message"].as_str().unwrap();
                assert!(message.contains("(backend Pod/canary in data of"), "{message}");
            }
        }
    }
}
