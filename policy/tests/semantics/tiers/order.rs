//! Admin, then NetworkPolicies, then Baseline, then everything passes.

use super::{admin, baseline, cluster, from_all, network_policy};
use crate::stage::{NOTHING, Stage, shop};
use foretell_policy::model::flow::Direction::{Egress, Ingress};
use serde_json::json;

const FLOW: &str = "db -> web TCP 8080";
const ALLOW: &str = "{ingress: [{}]}";
const DENY: &str = "{}";

fn stands(stage: &Stage) -> String {
    stage.decide(FLOW, Ingress)
}

#[test]
fn without_any_opinion_a_flow_passes() {
    assert_eq!(stands(&shop()), "open");
    let elsewhere = admin("a", 1, "ingress: [{action: Deny, from: [{namespaces: {matchLabels: {team: nobody}}}]}]");
    assert_eq!(stands(&shop().and(&elsewhere)), "open");
}

#[test]
fn an_admin_denial_goes_before_a_network_policy_that_allows() {
    let stage = shop().and(&network_policy(ALLOW));
    assert_eq!(stands(&stage), "allowed by np 0");
    assert_eq!(stands(&stage.and(&admin("a", 1, &from_all("Deny")))), "Admin: a 0 Deny");
}

#[test]
fn an_admin_accept_goes_before_a_network_policy_that_denies() {
    let stage = shop().and(&network_policy(DENY)).and(&baseline(&from_all("Deny")));
    assert_eq!(stands(&stage), "denied by np");
    assert_eq!(stands(&stage.and(&admin("a", 1, &from_all("Allow")))), "Admin: a 0 Accept");
}

#[test]
fn a_pass_leaves_it_to_network_policies_and_the_baseline() {
    let stage = shop().and(&admin("a", 1, &from_all("Pass"))).and(&admin("b", 2, &from_all("Deny")));
    assert_eq!(stands(&stage), "open");
    let stage = stage.and(&baseline(&from_all("Deny")));
    assert_eq!(stands(&stage), "Baseline: default 0 Deny");
    assert_eq!(stands(&stage.and(&network_policy(ALLOW))), "allowed by np 0");
}

#[test]
fn the_baseline_counts_only_where_no_network_policy_restricts_the_pod() {
    let stage = shop().and(&baseline(&from_all("Deny")));
    assert_eq!(stands(&stage), "Baseline: default 0 Deny");
    let other_pod = network_policy("{podSelector: {matchLabels: {app: cart}}}");
    assert_eq!(stands(&shop().and(&baseline(&from_all("Deny"))).and(&other_pod)), "Baseline: default 0 Deny");
    let other_direction = network_policy("{policyTypes: [Egress]}");
    assert_eq!(stands(&shop().and(&baseline(&from_all("Deny"))).and(&other_direction)), "Baseline: default 0 Deny");
    assert_eq!(stands(&stage.and(&network_policy(ALLOW))), "allowed by np 0", "what selects the pod decides");
}

#[test]
fn a_network_policy_takes_over_from_a_baseline_that_accepts() {
    let stage = shop().and(&baseline(&from_all("Allow")));
    assert_eq!(stands(&stage), "Baseline: default 0 Accept");
    assert_eq!(stands(&stage.and(&network_policy(DENY))), "denied by np");
}

#[test]
fn the_lower_priority_number_is_asked_first() {
    for (first, second, stands_so) in [(5, 6, "Admin: a 0 Accept"), (6, 5, "Admin: b 0 Deny")] {
        let stage = shop().and(&admin("a", first, &from_all("Allow"))).and(&admin("b", second, &from_all("Deny")));
        assert_eq!(stands(&stage), stands_so);
    }
    // Kinds of one tier are asked together, by number.
    let stage = shop().and(&admin("a", 6, &from_all("Allow"))).and(&cluster("b", "Admin", 5, &from_all("Deny")));
    assert_eq!(stands(&stage), "Admin: b 0 Deny");
    let stage = shop()
        .and(&cluster("b", "Baseline", 6, &from_all("Accept")))
        .and(&cluster("a", "Baseline", 7, &from_all("Deny")))
        .and(&cluster("c", "Admin", 1000, &from_all("Pass")));
    assert_eq!(stands(&stage), "Baseline: b 0 Accept");
}

#[test]
fn of_equal_priorities_the_one_that_denies_is_taken_and_the_other_named() {
    for (deny, other) in [("a", "b"), ("b", "a")] {
        let stage = shop().and(&admin(deny, 5, &from_all("Deny"))).and(&admin(other, 5, &from_all("Allow")));
        assert_eq!(stands(&stage), format!("Admin: {deny} 0 Deny, tied with {other} 0 Accept"));
    }
    // A pass may lead to a denial: it is worse than an accept.
    let stage = shop()
        .and(&admin("a", 5, &from_all("Allow")))
        .and(&cluster("b", "Admin", 5, &from_all("Pass")))
        .and(&baseline(&from_all("Deny")));
    assert_eq!(stands(&stage), "Baseline: default 0 Deny");
}

#[test]
fn beside_cluster_network_policies_the_baseline_policy_has_no_place_so_the_one_that_denies_is_taken() {
    let stage = shop().and(&baseline(&from_all("Deny"))).and(&cluster("b", "Baseline", 0, &from_all("Accept")));
    assert_eq!(stands(&stage), "Baseline: default 0 Deny, tied with b 0 Accept");
    let stage = shop().and(&baseline(&from_all("Allow"))).and(&cluster("b", "Baseline", 1000, &from_all("Deny")));
    assert_eq!(stands(&stage), "Baseline: b 0 Deny, tied with default 0 Accept");
}

#[test]
fn of_the_rules_of_a_policy_the_first_that_matches_counts() {
    let rules = "ingress: [
        {action: Deny, from: [{namespaces: {matchLabels: {team: data}}}], ports: [{portNumber: {port: 9}}]},
        {action: Allow, from: [{namespaces: {matchLabels: {team: data}}}]},
        {action: Deny, from: [{namespaces: {}}]}]";
    let stage = shop().and(&admin("a", 1, rules));
    assert_eq!(stands(&stage), "Admin: a 1 Accept");
    assert_eq!(stage.decide("db -> web TCP 9", Ingress), "Admin: a 0 Deny");
    assert_eq!(stage.decide("cart -> web TCP 8080", Ingress), "Admin: a 2 Deny");
}

#[test]
fn a_policy_without_rules_of_a_direction_isolates_nobody() {
    for rules in ["", "ingress: []", "egress: [{action: Deny, to: [{namespaces: {}}]}]"] {
        let rules = if rules.is_empty() { "egress: []" } else { rules };
        for policy in [admin("a", 1, rules), baseline(rules), cluster("a", "Admin", 1, rules)] {
            assert_eq!(stands(&shop().and(&policy)), "open", "{policy}");
        }
    }
}

#[test]
fn both_ends_are_asked_for_themselves() {
    let stage = shop().and(&admin("a", 1, "egress: [{action: Deny, to: [{namespaces: {}}]}]"));
    assert_eq!(stage.decide("web -> db TCP 5432", Egress), "Admin: a 0 Deny");
    assert_eq!(stage.decide("web -> db TCP 5432", Ingress), "open", "the db is nobody's subject");
    assert_eq!(stage.decide("db -> web TCP 8080", Egress), "open");
}

#[test]
fn a_pod_that_reaches_itself_by_its_own_address_is_subject_to_nobody() {
    let stage = shop().and(&admin("a", 1, &from_all("Deny"))).and(&baseline(&from_all("Deny")));
    assert_eq!(stage.decide("web -> web TCP 8080", Ingress), "open");
    assert_eq!(stage.says("web -> web TCP 8080", Ingress), NOTHING);
    assert_eq!(stage.and(&network_policy(DENY)).decide("web -> web TCP 8080", Ingress), "exempt self");
}

#[test]
fn a_pod_that_reaches_itself_through_a_service_is_subject_to_administrators_alone() {
    let service = "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop}, spec: {clusterIP: 10.96.0.9, selector: {app: web}, ports: [{port: 80, targetPort: 8080}]}}";
    let stage = shop().and(service).and(&network_policy(DENY));
    assert_eq!(stage.decide("web -> 10.96.0.9 TCP 80", Ingress), "exempt self");
    let stage = stage.and(&admin("a", 1, &from_all("Deny")));
    assert_eq!(stage.decide("web -> 10.96.0.9 TCP 80", Ingress), "Admin: a 0 Deny");
}

#[test]
fn a_pods_own_node_is_denied_by_administrators_that_select_it_and_by_nobody_else() {
    let nodes = "egress: [{action: Deny, to: [{nodes: {}}]}]";
    let to_node = |stage: &Stage| stage.decide("web -> 192.168.0.1 TCP 10250", Egress);
    let egress_policy = network_policy("{policyTypes: [Egress]}");
    assert_eq!(to_node(&shop().and(&egress_policy)), "exempt node");
    assert_eq!(to_node(&shop().and(&egress_policy).and(&admin("a", 1, nodes))), "Admin: a 0 Deny");
    assert_eq!(to_node(&shop().and(&baseline(nodes))), "Baseline: default 0 Deny");
    assert_eq!(to_node(&shop().and(&egress_policy).and(&baseline(nodes))), "exempt node", "a NetworkPolicy decides");
    // What arrives from a node no rule can select: kubelet's probes pass.
    let all = shop().and(&admin("a", 1, &from_all("Deny"))).and(&baseline(&from_all("Deny")));
    assert_eq!(all.decide("192.168.0.1 -> web TCP 8080", Ingress), "open");
    assert_eq!(all.decide("192.168.0.2 -> web TCP 8080", Ingress), "open");
}

#[test]
fn verdict_lines_say_tier_priority_and_action() {
    let rules = "ingress: [{name: keep out, action: Deny, from: [{namespaces: {matchLabels: {team: data}}}], ports: [{portNumber: {port: 8080}}]}]";
    let lines = shop().and(&admin("a", 7, rules)).lines(FLOW);
    assert_eq!(
        lines,
        [json!({
            "flow": 0, "policy": {"kind": "AdminNetworkPolicy", "namespace": "", "name": "a"}, "direction": "Ingress",
            "verdict": "WouldDeny", "rule": 0, "reason": "DeniedByRule", "tier": "Admin", "priority": 7, "action": "Deny",
            "message": "ingress[0] \"keep out\" denies Pod/db in data on TCP 8080: it takes every pod of namespaces with team=data on TCP 8080"
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
    assert_eq!(lines[0]["message"], "it leaves the flow to NetworkPolicies and the Baseline tier");
}

#[test]
fn a_tie_among_policies_of_one_priority_is_told_beside_a_third_that_agrees() {
    let stage = shop()
        .and(&baseline(&from_all("Deny")))
        .and(&cluster("b", "Baseline", 5, &from_all("Deny")))
        .and(&cluster("c", "Baseline", 5, &from_all("Accept")));
    assert_eq!(stands(&stage), "Baseline: b 0 Deny, tied with c 0 Accept");
}

#[test]
fn of_a_services_backends_the_worst_is_told() {
    let canary = "{apiVersion: v1, kind: Pod, metadata: {name: canary, namespace: data, uid: uid-canary, labels: {app: db, canary: 'yes'}},
 spec: {containers: [{name: c, image: c}]}, status: {phase: Running, podIP: ADDRESS}}";
    let service = "{apiVersion: v1, kind: Service, metadata: {name: db, namespace: data},
 spec: {clusterIP: 10.96.0.7, selector: {app: db}, ports: [{port: 5432}]}}";
    let rule = |action: &str, label: &str| {
        format!(
            "{{action: {action}, to: [{{pods: {{namespaceSelector: {{}}, podSelector: {{matchLabels: {{{label}}}}}}}}}]}}"
        )
    };
    for (of_canary, of_all, said) in [
        ("Deny", "Accept", "WouldDeny Deny 0"),
        ("Accept", "Deny", "WouldDeny Deny 1"),
        ("Pass", "Accept", "Allow Pass 0"),
        ("Accept", "Pass", "Allow Pass 1"),
    ] {
        for ip in ["10.1.1.0", "10.1.1.40"] {
            let rules = format!("egress: [{}, {}]", rule(of_canary, "canary: 'yes'"), rule(of_all, "app: db"));
            let stage = shop().and(&canary.replace("ADDRESS", ip)).and(service).and(&cluster("a", "Admin", 1, &rules));
            let lines = stage.lines("web -> 10.96.0.7 TCP 5432");
            let [line] = &lines[..] else { panic!("{lines:?}") };
            let told =
                format!("{} {} {}", line["verdict"].as_str().unwrap(), line["action"].as_str().unwrap(), line["rule"]);
            assert_eq!(told, said, "{of_canary} {of_all} {ip}");
            // Of several backends that fare alike the first by name is told.
            if said.starts_with("WouldDeny Deny 0") {
                let another = canary.replace("ADDRESS", "10.1.1.41").replace("canary,", "canary-2,");
                let lines = stage.and(&another).lines("web -> 10.96.0.7 TCP 5432");
                let message = lines[0]["message"].as_str().unwrap();
                assert!(message.contains("(backend Pod/canary in data of"), "{message}");
            }
        }
    }
}
