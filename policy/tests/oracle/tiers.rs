//! What admin policies say of a flow. Where it is not known whether a clause takes it, every combination of takings is
//! played through.

use std::collections::BTreeSet;

use foretell_policy::model::flow::{Direction, Protocol};

use super::address::holds;
use super::judge::Together;
use super::resolve::{Road, Who, named_ports, namespace_tags};
use super::rules::selects;
use super::scene::{Act, Clause, Edict, EdictKind, Pods, Scene, Which, Whom, protocol};

/// What one says, taken alone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Ruled {
    pub(crate) end: End,
    /// Any of these clauses may be named.
    pub(crate) clauses: BTreeSet<usize>,
}

/// In this order: the worst comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum End {
    Denied,
    Unknown,
    PassedOn,
    Accepted,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Takes {
    Surely,
    Perhaps,
    No,
}

impl Ruled {
    pub(crate) fn worse(mut self, mut other: Self) -> Self {
        if self.end == other.end {
            self.clauses.append(&mut other.clauses);
        }
        if other.end < self.end { other } else { self }
    }
}

/// The subject, if admin policies may speak of the flow at all: it is no pod that reaches itself by its own address.
fn subject(road: &Road, direction: Direction) -> Option<usize> {
    let (subject, peer) = match direction {
        Direction::Egress => (road.src, road.dst),
        Direction::Ingress => (road.dst, road.src),
    };
    let Who::Pod { pod, .. } = subject else { return None };
    let itself = matches!(peer, Who::Pod { pod: other, .. } if other == pod);
    (!itself || road.over_service).then_some(pod)
}

fn applies(scene: &Scene, edict: &Edict, road: &Road, direction: Direction) -> bool {
    subject(road, direction).is_some_and(|pod| is_among(scene, &edict.subject, pod))
}

fn is_among(scene: &Scene, pods: &Pods, pod: usize) -> bool {
    let pod = &scene.pods[pod];
    selects(Some(&pods.namespaces), &namespace_tags(scene, pod.namespace)) && selects(pods.pods.as_ref(), &pod.labels)
}

fn clauses(edict: &Edict, direction: Direction) -> &[Clause] {
    match direction {
        Direction::Ingress => &edict.ingress,
        Direction::Egress => &edict.egress,
    }
}

fn takes(scene: &Scene, clause: &Clause, road: &Road, direction: Direction, proto: Protocol) -> Takes {
    let takes_port = clause.ports.is_empty() || clause.ports.iter().any(|which| takes_port(scene, which, road, proto));
    if !takes_port {
        return Takes::No;
    }
    let peer = if direction == Direction::Egress { road.dst } else { road.src };
    let each: Vec<Takes> = clause.peers.iter().map(|whom| takes_peer(scene, whom, &peer)).collect();
    if each.contains(&Takes::Surely) {
        Takes::Surely
    } else if each.contains(&Takes::Perhaps) {
        Takes::Perhaps
    } else {
        Takes::No
    }
}

fn takes_port(scene: &Scene, which: &Which, road: &Road, proto: Protocol) -> bool {
    match which {
        Which::Numbers(of, first, last) => protocol(Some(of)) == proto && *first <= road.port && road.port <= *last,
        Which::Named(name) => {
            let Who::Pod { pod, .. } = road.dst else { return false };
            named_ports(&scene.pods[pod])
                .any(|port| port.name == *name && protocol(port.protocol) == proto && port.number == road.port)
        }
    }
}

fn takes_peer(scene: &Scene, whom: &Whom, peer: &Who) -> Takes {
    let surely = |yes| if yes { Takes::Surely } else { Takes::No };
    match whom {
        Whom::Pods(pods) => match *peer {
            Who::Pod { pod, .. } => surely(is_among(scene, pods, pod)),
            _ if peer.is_unresolved(scene) => Takes::Perhaps,
            _ => Takes::No,
        },
        Whom::Nodes(labels) => {
            if matches!(peer, Who::Pod { .. }) {
                return Takes::No;
            }
            let has_it = scene.nodes.iter().filter(|node| node.addresses.contains(&peer.ip()));
            surely(has_it.into_iter().any(|node| selects(Some(labels), &node.labels)))
        }
        Whom::Networks(networks) => surely(networks.iter().any(|network| holds(network, peer.ip()))),
        Whom::Domain => {
            let inside = peer.is_pod_or_node(scene);
            if inside { Takes::No } else { Takes::Perhaps }
        }
    }
}

/// What one policy says, taken alone; `None`: nothing.
pub(crate) fn say(scene: &Scene, edict: &Edict, road: &Road, direction: Direction, proto: Protocol) -> Option<Ruled> {
    if !applies(scene, edict, road, direction) {
        return None;
    }
    let mut perhaps: Vec<(usize, Act)> = Vec::new();
    let mut surely = None;
    for (index, clause) in clauses(edict, direction).iter().enumerate() {
        match takes(scene, clause, road, direction, proto) {
            Takes::Surely => {
                surely = Some((index, clause.act));
                break;
            }
            Takes::Perhaps => perhaps.push((index, clause.act)),
            Takes::No => {}
        }
    }
    let denies = |act: Act| act == Act::Deny;
    let otherwise = surely.is_some_and(|(_, act)| denies(act));
    let end = |act| match act {
        Act::Deny => End::Denied,
        Act::Pass => End::PassedOn,
        Act::Accept => End::Accepted,
    };
    let one = |clause, end| Some(Ruled { end, clauses: BTreeSet::from([clause]) });
    if let Some((clause, _)) = perhaps.iter().find(|(_, act)| denies(*act) != otherwise) {
        return one(*clause, End::Unknown);
    }
    let (clause, act) = surely.or(perhaps.first().copied())?;
    one(clause, end(act))
}

/// All together, where NetworkPolicies make `network_policies` of it.
pub(crate) fn together(
    scene: &Scene,
    road: &Road,
    direction: Direction,
    proto: Protocol,
    network_policies: Together,
) -> Together {
    let concerned: Vec<&Edict> = scene.edicts.iter().filter(|edict| applies(scene, edict, road, direction)).collect();
    // Each clause of which it is not known whether it takes the flow.
    let mut doubts: Vec<(&str, usize)> = Vec::new();
    for edict in &concerned {
        for (index, clause) in clauses(edict, direction).iter().enumerate() {
            if takes(scene, clause, road, direction, proto) == Takes::Perhaps {
                doubts.push((edict.name, index));
            }
        }
    }
    let mut ends = Vec::new();
    for combination in 0..1_u32 << doubts.len() {
        let is_taken = |edict: &Edict, clause: usize| {
            let doubt = doubts.iter().position(|doubt| *doubt == (edict.name, clause));
            doubt.is_some_and(|doubt| combination & (1 << doubt) != 0)
        };
        let first = |edict: &Edict| {
            clauses(edict, direction)
                .iter()
                .enumerate()
                .find(|(index, clause)| {
                    takes(scene, clause, road, direction, proto) == Takes::Surely || is_taken(edict, *index)
                })
                .map(|(_, clause)| clause.act)
        };
        ends.push(play(&concerned, &first, network_policies));
    }
    let passes = |end: &Together| !matches!(end, Together::Denied | Together::RuledOut);
    // The first combination is that in which no doubtful clause takes it.
    if ends.iter().any(|end| passes(end) != passes(&ends[0])) { Together::Unknown } else { ends[0] }
}

fn play(edicts: &[&Edict], first: &dyn Fn(&Edict) -> Option<Act>, network_policies: Together) -> Together {
    let of = |kinds: &[EdictKind]| -> Vec<&Edict> {
        edicts.iter().copied().filter(|edict| kinds.contains(&edict.kind)).collect()
    };
    match by_priority(&of(&[EdictKind::Admin, EdictKind::ClusterAdmin]), first) {
        Some(Act::Deny) => return Together::RuledOut,
        Some(Act::Accept) => return Together::RuledIn,
        Some(Act::Pass) | None => {}
    }
    if network_policies != Together::Open {
        return network_policies;
    }
    // Whether the one without a priority goes before or behind the others is nowhere said.
    let either =
        [by_priority(&of(&[EdictKind::ClusterBaseline]), first), by_priority(&of(&[EdictKind::Baseline]), first)];
    match either.into_iter().flatten().max() {
        Some(Act::Deny) => Together::RuledOut,
        Some(Act::Accept) => Together::RuledIn,
        Some(Act::Pass) | None => Together::Open,
    }
}

/// The lowest priority at which a policy takes the flow; of several there the worst.
fn by_priority(edicts: &[&Edict], first: &dyn Fn(&Edict) -> Option<Act>) -> Option<Act> {
    let priorities: BTreeSet<i32> = edicts.iter().map(|edict| edict.priority).collect();
    priorities.into_iter().find_map(|priority| {
        edicts.iter().filter(|edict| edict.priority == priority).filter_map(|edict| first(edict)).max()
    })
}
