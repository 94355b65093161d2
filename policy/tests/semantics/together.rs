//! Joint decisions of all policies. A verdict is about one policy; NetworkPolicies are additive.

use std::sync::Arc;

use crate::scenario::{Scenario, audit, shop};
use foretell_objects::model::flow::Direction;
use foretell_policy::cluster::ownership::Destination;
use foretell_policy::engine::end_decision::EndDecision;
use foretell_policy::engine::identities::Identities;
use foretell_policy::engine::pair::{Dialled, Pair};
use foretell_policy::engine::world::World;

fn policy(name: &str, spec: &str) -> String {
    audit(spec).replace("name: it", &format!("name: {name}"))
}

/// The ingress decision about a flow to a pod.
fn decision(scenario: &Scenario, flow: &str) -> EndDecision {
    let cluster = scenario.cluster();
    let world = World::new(&cluster, Arc::new(Identities::as_recorded(&cluster)), scenario.policies());
    let flow = scenario.flow(flow);
    let ends = cluster.resolve(&flow);
    let Destination::Direct(dst) = ends.dst else { panic!("{:?}", ends.dst) };
    world.decide(
        &Pair { src: ends.src, dst, protocol: flow.protocol, port: flow.port, dialled: Dialled::Backend },
        Direction::Ingress,
    )
}

#[test]
fn a_pod_that_no_policy_restricts_is_open() {
    assert_eq!(decision(&shop(), "db -> web TCP 8080"), EndDecision::Open);
    let egress_only = shop().and(&policy("a", "{policyTypes: [Egress]}"));
    assert_eq!(decision(&egress_only, "db -> web TCP 8080"), EndDecision::Open);
    let another_pod = shop().and(&policy("a", "{podSelector: {matchLabels: {app: cart}}}"));
    assert_eq!(decision(&another_pod, "db -> web TCP 8080"), EndDecision::Open);
}

#[test]
fn what_one_policy_denies_another_may_allow() {
    let scenario = shop().and(&policy("a-deny", "{}")).and(&policy("b-allow", "{ingress: [{ports: [{port: 8080}]}]}"));
    assert_eq!(
        scenario.verdicts("db -> web TCP 8080", Direction::Ingress),
        "deny NoRules\nallow 0",
        "each taken alone"
    );
    assert!(decision(&scenario, "db -> web TCP 8080").passes());
    assert!(matches!(
        decision(&scenario, "db -> web TCP 8080"),
        EndDecision::Allowed { rule: 0, by_block_alone: false, .. }
    ));
    let denied = decision(&scenario, "db -> web TCP 8081");
    assert!(matches!(&denied, EndDecision::Denied(by) if by.len() == 2), "{denied:?}");
}

#[test]
fn an_allow_by_labels_of_one_policy_has_precedence_over_one_by_block_of_another() {
    let by_block = policy("a", "{ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}");
    let by_labels = policy("b", "{ingress: [{from: [{namespaceSelector: {}}]}]}");
    let scenario = shop().and(&by_block);
    assert!(matches!(decision(&scenario, "db -> web TCP 8080"), EndDecision::Allowed { by_block_alone: true, .. }));
    let scenario = scenario.and(&by_labels);
    assert!(matches!(decision(&scenario, "db -> web TCP 8080"), EndDecision::Allowed { by_block_alone: false, .. }));
}

#[test]
fn an_exempt_flow_is_allowed_whatever_the_policies() {
    let scenario = shop().and(&policy("a", "{}")).and(&policy("b", "{}"));
    assert!(matches!(decision(&scenario, "192.168.0.1 -> web TCP 8080"), EndDecision::Exempt(_)));
    assert!(decision(&scenario, "web -> web TCP 8080").passes());
}
