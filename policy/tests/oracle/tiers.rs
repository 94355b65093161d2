//! The decision of admin policies. If it is unknown whether rules match, every combination is evaluated.

use std::collections::BTreeSet;

use foretell_objects::model::flow::{Direction, Protocol};

use super::address::holds;
use super::judge::Together;
use super::resolve::{Road, Who, named_ports, namespace_tags};
use super::rules::selects;
use super::scene::{
    Action, AdminPeer, AdminPolicyKind, AdminPort, AdminRule, OracleAdminPolicy, Pods, Scene, protocol,
};

/// The result of one admin policy in isolation.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ruled {
    pub(crate) end: End,
    /// The rules that may be named.
    pub(crate) rules: BTreeSet<usize>,
}

/// The strictest comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    Denied,
    Unknown,
    PassedOn,
    Accepted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Matches {
    Surely,
    Perhaps,
    No,
}

impl Ruled {
    pub(crate) fn worse(mut self, mut other: Self) -> Self {
        if self.end == other.end {
            self.rules.append(&mut other.rules);
        }
        if other.end < self.end { other } else { self }
    }
}

/// The subject of admin policies; `None` if it is not a pod, or reaches itself by its own address.
fn subject(road: &Road, direction: Direction) -> Option<usize> {
    let (subject, peer) = match direction {
        Direction::Egress => (road.src, road.dst),
        Direction::Ingress => (road.dst, road.src),
    };
    let Who::Pod { pod, .. } = subject else { return None };
    let itself = matches!(peer, Who::Pod { pod: other, .. } if other == pod);
    (!itself || road.over_service).then_some(pod)
}

fn applies(scene: &Scene, admin_policy: &OracleAdminPolicy, road: &Road, direction: Direction) -> bool {
    subject(road, direction).is_some_and(|pod| is_among(scene, &admin_policy.subject, pod))
}

fn is_among(scene: &Scene, pods: &Pods, pod: usize) -> bool {
    let pod = &scene.pods[pod];
    selects(Some(&pods.namespaces), &namespace_tags(scene, pod.namespace)) && selects(pods.pods.as_ref(), &pod.labels)
}

fn rules(admin_policy: &OracleAdminPolicy, direction: Direction) -> &[AdminRule] {
    match direction {
        Direction::Ingress => &admin_policy.ingress,
        Direction::Egress => &admin_policy.egress,
    }
}

fn rule_matches(scene: &Scene, rule: &AdminRule, road: &Road, direction: Direction, proto: Protocol) -> Matches {
    let matches_port = rule.ports.is_empty() || rule.ports.iter().any(|which| matches_port(scene, which, road, proto));
    if !matches_port {
        return Matches::No;
    }
    let peer = if direction == Direction::Egress { road.dst } else { road.src };
    let each: Vec<Matches> = rule.peers.iter().map(|admin_peer| matches_peer(scene, admin_peer, &peer)).collect();
    if each.contains(&Matches::Surely) {
        Matches::Surely
    } else if each.contains(&Matches::Perhaps) {
        Matches::Perhaps
    } else {
        Matches::No
    }
}

fn matches_port(scene: &Scene, which: &AdminPort, road: &Road, proto: Protocol) -> bool {
    match which {
        AdminPort::Numbers(of, first, last) => protocol(Some(of)) == proto && *first <= road.port && road.port <= *last,
        AdminPort::Named(name) => {
            let Who::Pod { pod, .. } = road.dst else { return false };
            named_ports(&scene.pods[pod])
                .any(|port| port.name == *name && protocol(port.protocol) == proto && port.number == road.port)
        }
    }
}

fn matches_peer(scene: &Scene, admin_peer: &AdminPeer, peer: &Who) -> Matches {
    let surely = |yes| if yes { Matches::Surely } else { Matches::No };
    match admin_peer {
        AdminPeer::Pods(pods) => match *peer {
            Who::Pod { pod, .. } => surely(is_among(scene, pods, pod)),
            _ if peer.is_unresolved(scene) => Matches::Perhaps,
            _ => Matches::No,
        },
        AdminPeer::Nodes(labels) => {
            if matches!(peer, Who::Pod { .. }) {
                return Matches::No;
            }
            let has_it = scene.nodes.iter().filter(|node| node.addresses.contains(&peer.ip()));
            surely(has_it.into_iter().any(|node| selects(Some(labels), &node.labels)))
        }
        AdminPeer::Networks(networks) => surely(networks.iter().any(|network| holds(network, peer.ip()))),
        AdminPeer::Domain => {
            let inside = peer.is_pod_or_node(scene);
            if inside { Matches::No } else { Matches::Perhaps }
        }
    }
}

/// The result of one policy in isolation; `None` if no rule matches.
pub(crate) fn say(
    scene: &Scene,
    admin_policy: &OracleAdminPolicy,
    road: &Road,
    direction: Direction,
    proto: Protocol,
) -> Option<Ruled> {
    if !applies(scene, admin_policy, road, direction) {
        return None;
    }
    let mut perhaps: Vec<(usize, Action)> = Vec::new();
    let mut surely = None;
    for (index, rule) in rules(admin_policy, direction).iter().enumerate() {
        match rule_matches(scene, rule, road, direction, proto) {
            Matches::Surely => {
                surely = Some((index, rule.act));
                break;
            }
            Matches::Perhaps => perhaps.push((index, rule.act)),
            Matches::No => {}
        }
    }
    let denies = |act: Action| act == Action::Deny;
    let otherwise = surely.is_some_and(|(_, act)| denies(act));
    let end = |act| match act {
        Action::Deny => End::Denied,
        Action::Pass => End::PassedOn,
        Action::Accept => End::Accepted,
    };
    let one = |rule, end| Some(Ruled { end, rules: BTreeSet::from([rule]) });
    if let Some((rule, _)) = perhaps.iter().find(|(_, act)| denies(*act) != otherwise) {
        return one(*rule, End::Unknown);
    }
    let (rule, act) = surely.or(perhaps.first().copied())?;
    one(rule, end(act))
}

/// The joint decision, if that of NetworkPolicies is `network_policies`.
pub(crate) fn together(
    scene: &Scene,
    road: &Road,
    direction: Direction,
    proto: Protocol,
    network_policies: Together,
) -> Together {
    let concerned: Vec<&OracleAdminPolicy> =
        scene.admin_policies.iter().filter(|admin_policy| applies(scene, admin_policy, road, direction)).collect();
    // The rules that may match the flow.
    let mut doubts: Vec<(&str, usize)> = Vec::new();
    for admin_policy in &concerned {
        for (index, rule) in rules(admin_policy, direction).iter().enumerate() {
            if rule_matches(scene, rule, road, direction, proto) == Matches::Perhaps {
                doubts.push((admin_policy.name, index));
            }
        }
    }
    let mut ends = Vec::new();
    for combination in 0..1_u32 << doubts.len() {
        let is_matched = |admin_policy: &OracleAdminPolicy, rule: usize| {
            let doubt = doubts.iter().position(|doubt| *doubt == (admin_policy.name, rule));
            doubt.is_some_and(|doubt| combination & (1 << doubt) != 0)
        };
        let first = |admin_policy: &OracleAdminPolicy| {
            rules(admin_policy, direction)
                .iter()
                .enumerate()
                .find(|(index, rule)| {
                    rule_matches(scene, rule, road, direction, proto) == Matches::Surely
                        || is_matched(admin_policy, *index)
                })
                .map(|(_, rule)| rule.act)
        };
        ends.push(play(&concerned, &first, network_policies));
    }
    let passes = |end: &Together| !matches!(end, Together::Denied | Together::RuledOut);
    // In the first combination no undecidable rule matches.
    if ends.iter().any(|end| passes(end) != passes(&ends[0])) { Together::Unknown } else { ends[0] }
}

fn play(
    admin_policies: &[&OracleAdminPolicy],
    first: &dyn Fn(&OracleAdminPolicy) -> Option<Action>,
    network_policies: Together,
) -> Together {
    let of = |kinds: &[AdminPolicyKind]| -> Vec<&OracleAdminPolicy> {
        admin_policies.iter().copied().filter(|admin_policy| kinds.contains(&admin_policy.kind)).collect()
    };
    match by_priority(&of(&[AdminPolicyKind::Admin, AdminPolicyKind::ClusterAdmin]), first) {
        Some(Action::Deny) => return Together::RuledOut,
        Some(Action::Accept) => return Together::RuledIn,
        Some(Action::Pass) | None => {}
    }
    if network_policies != Together::Open {
        return network_policies;
    }
    // The order of a policy without a priority among the others is undefined.
    let either = [
        by_priority(&of(&[AdminPolicyKind::ClusterBaseline]), first),
        by_priority(&of(&[AdminPolicyKind::Baseline]), first),
    ];
    match either.into_iter().flatten().max() {
        Some(Action::Deny) => Together::RuledOut,
        Some(Action::Accept) => Together::RuledIn,
        Some(Action::Pass) | None => Together::Open,
    }
}

/// The result at the lowest priority at which a policy matches; of several the strictest.
fn by_priority(
    admin_policies: &[&OracleAdminPolicy],
    first: &dyn Fn(&OracleAdminPolicy) -> Option<Action>,
) -> Option<Action> {
    let priorities: BTreeSet<i32> = admin_policies.iter().map(|admin_policy| admin_policy.priority).collect();
    priorities.into_iter().find_map(|priority| {
        admin_policies
            .iter()
            .filter(|admin_policy| admin_policy.priority == priority)
            .filter_map(|admin_policy| first(admin_policy))
            .max()
    })
}
