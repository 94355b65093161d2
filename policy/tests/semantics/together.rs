//! Verdicts judge a policy alone; all policies together add up.

use std::sync::Arc;

use crate::stage::{Stage, audit, shop};
use foretell_policy::cluster::ownership::Destination;
use foretell_policy::engine::end_decision::EndDecision;
use foretell_policy::engine::identities::Identities;
use foretell_policy::engine::pair::{Dialled, Pair};
use foretell_policy::engine::world::World;
use foretell_policy::model::flow::Direction;

fn policy(name: &str, spec: &str) -> String {
    audit(spec).replace("name: it", &format!("name: {name}"))
}

/// How a flow to a pod stands on its arrival.
fn decision(stage: &Stage, flow: &str) -> EndDecision {
    let cluster = stage.cluster();
    let world = World::new(&cluster, Arc::new(Identities::as_recorded(&cluster)), stage.policies());
    let flow = stage.flow(flow);
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
    let stage = shop().and(&policy("a-deny", "{}")).and(&policy("b-allow", "{ingress: [{ports: [{port: 8080}]}]}"));
    assert_eq!(stage.says("db -> web TCP 8080", Direction::Ingress), "deny NoRules\nallow 0", "each taken alone");
    assert!(decision(&stage, "db -> web TCP 8080").passes());
    assert!(matches!(
        decision(&stage, "db -> web TCP 8080"),
        EndDecision::Allowed { rule: 0, by_block_alone: false, .. }
    ));
    let denied = decision(&stage, "db -> web TCP 8081");
    assert!(matches!(&denied, EndDecision::Denied(by) if by.len() == 2), "{denied:?}");
}

#[test]
fn an_allow_by_labels_of_one_policy_goes_before_one_by_block_of_another() {
    let by_block = policy("a", "{ingress: [{from: [{ipBlock: {cidr: 0.0.0.0/0}}]}]}");
    let by_labels = policy("b", "{ingress: [{from: [{namespaceSelector: {}}]}]}");
    let stage = shop().and(&by_block);
    assert!(matches!(decision(&stage, "db -> web TCP 8080"), EndDecision::Allowed { by_block_alone: true, .. }));
    let stage = stage.and(&by_labels);
    assert!(matches!(decision(&stage, "db -> web TCP 8080"), EndDecision::Allowed { by_block_alone: false, .. }));
}

#[test]
fn an_exempt_flow_passes_whatever_the_policies_say() {
    let stage = shop().and(&policy("a", "{}")).and(&policy("b", "{}"));
    assert!(matches!(decision(&stage, "192.168.0.1 -> web TCP 8080"), EndDecision::Exempt(_)));
    assert!(decision(&stage, "web -> web TCP 8080").passes());
}
