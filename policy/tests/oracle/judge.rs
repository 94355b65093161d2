//! What each policy, and all policies together, say of a flow.

use std::collections::{BTreeMap, BTreeSet};

use foretell_policy::model::flow::{Direction, Flow, Protocol};

use super::resolve::{Road, Who, is_own_node, namespace_tags, roads};
use super::rules::{Takes, rules, selects};
use super::scene::{Policy, Scene, Scope};
use super::tiers::{self, Ruled};
use super::ways::{ENDS, Ways, either};

/// What a policy says. In this order: the worst comes first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Said {
    Deny {
        reason: Reason,
        /// Any of these rules may be named as the nearest.
        nearest: BTreeSet<usize>,
    },
    /// Only by an `ipBlock` that takes in a pod or a node.
    AllowByBlock {
        rules: BTreeSet<usize>,
    },
    Allow {
        rules: BTreeSet<usize>,
    },
    Exempt(&'static str),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Reason {
    NoRules,
    UnresolvedPeer,
    NoRuleMatched,
}

/// What all policies together make of a flow at one end, the worst first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Together {
    Denied,
    /// By administrators.
    RuledOut,
    /// It depends on what nobody can tell.
    Unknown,
    AllowedByBlock,
    Allowed,
    /// Not here, but at the other end, and that is enough.
    AllowedThere,
    Exempt,
    /// By administrators.
    RuledIn,
    Open,
}

#[derive(Debug)]
pub(crate) struct Judgement {
    /// By policy, as it stands in the scene.
    pub(crate) said: BTreeMap<(usize, Direction), Said>,
    pub(crate) unresolved_subjects: BTreeSet<Direction>,
    pub(crate) together: BTreeMap<Direction, Together>,
    /// By admin policy, as it stands in the scene.
    pub(crate) ruled: BTreeMap<(usize, Direction), Ruled>,
}

pub(crate) fn judge(scene: &Scene, flow: &Flow, ways: Ways) -> Judgement {
    let mut judgement = Judgement {
        said: BTreeMap::new(),
        unresolved_subjects: BTreeSet::new(),
        together: BTreeMap::new(),
        ruled: BTreeMap::new(),
    };
    for road in roads(scene, flow) {
        let ends = ENDS.map(|direction| {
            let subject = if direction == Direction::Egress { road.src } else { road.dst };
            if subject.is_unresolved(scene) {
                judgement.unresolved_subjects.insert(direction);
            }
            for (index, edict) in scene.edicts.iter().enumerate() {
                let Some(ruled) = tiers::say(scene, edict, &road, direction, flow.protocol) else { continue };
                let known = judgement.ruled.remove(&(index, direction));
                let worse = known.map_or(ruled.clone(), |known| known.worse(ruled));
                judgement.ruled.insert((index, direction), worse);
            }
            let mut together = Together::Open;
            for (index, policy) in scene.policies.iter().enumerate() {
                let Some(said) = say(scene, policy, &road, direction, flow.protocol, ways) else { continue };
                together = add_up(together, &said);
                let known = judgement.said.remove(&(index, direction));
                judgement.said.insert((index, direction), known.map_or(said.clone(), |known| worse(known, said)));
            }
            tiers::together(scene, &road, direction, flow.protocol, together)
        });
        let ends = if ways.either_end { either(scene, &road, ends) } else { ends };
        for (direction, together) in ENDS.into_iter().zip(ends) {
            let worst = judgement.together.entry(direction).or_insert(Together::Open);
            *worst = (*worst).min(together);
        }
    }
    judgement
}

/// Policies are additive: any allow allows.
fn add_up(so_far: Together, said: &Said) -> Together {
    let one = match said {
        Said::Deny { .. } => Together::Denied,
        Said::AllowByBlock { .. } => Together::AllowedByBlock,
        Said::Allow { .. } => Together::Allowed,
        Said::Exempt(_) => Together::Exempt,
    };
    if so_far == Together::Open { one } else { so_far.max(one) }
}

/// Of two backends of a Service the worse counts; where they fare alike, either may be named.
fn worse(one: Said, other: Said) -> Said {
    match (one, other) {
        (Said::Deny { reason, nearest: mut one }, Said::Deny { reason: again, nearest: other }) if reason == again => {
            one.extend(other);
            Said::Deny { reason, nearest: one }
        }
        (Said::AllowByBlock { rules: mut one }, Said::AllowByBlock { rules: other }) => {
            one.extend(other);
            Said::AllowByBlock { rules: one }
        }
        (Said::Allow { rules: mut one }, Said::Allow { rules: other }) => {
            one.extend(other);
            Said::Allow { rules: one }
        }
        (one, other) => one.min(other),
    }
}

/// What one policy says of one road; `None`: it does not apply.
fn say(scene: &Scene, policy: &Policy, road: &Road, direction: Direction, proto: Protocol, ways: Ways) -> Option<Said> {
    let (subject, peer) = match direction {
        Direction::Egress => (road.src, road.dst),
        Direction::Ingress => (road.dst, road.src),
    };
    let Who::Pod { pod: subject_index, .. } = subject else { return None };
    let subject = &scene.pods[subject_index];
    let in_scope = match &policy.scope {
        Scope::Audit(namespace) | Scope::Enforced(namespace) => *namespace == subject.namespace,
        Scope::Cluster(selector) => selects(selector.as_ref(), &namespace_tags(scene, subject.namespace)),
    };
    if !in_scope || !selects(policy.spec.pod_selector.as_ref(), &subject.labels) {
        return None;
    }
    let rules = rules(&policy.spec, direction)?;

    if matches!(peer, Who::Pod { pod, .. } if pod == subject_index) {
        return Some(Said::Exempt("self"));
    }
    if is_own_node(scene, subject, &peer) && !(ways.own_node_is_judged && direction == Direction::Egress) {
        return Some(Said::Exempt("node"));
    }

    let (mut allowing, mut by_block) = (BTreeSet::new(), BTreeSet::new());
    // By how much of it matched: the port's mismatch is nearer than the peer's, and that nearer than both.
    let mut missed: [Vec<usize>; 3] = Default::default();
    for (index, rule) in rules.iter().enumerate() {
        // Of a cluster policy names of ports mean what they mean upstream.
        let by_namespace =
            ways.names_of_namespace && direction == Direction::Egress && !matches!(policy.scope, Scope::Cluster(_));
        let namespace = by_namespace.then_some(subject.namespace);
        let takes_port = rule.takes_port(scene, &road.dst, proto, road.port, namespace);
        match (rule.takes_peer(scene, subject.namespace, &peer, ways, namespace), takes_port) {
            (Takes::Peer, true) => drop(allowing.insert(index)),
            (Takes::Address, true) => drop(by_block.insert(index)),
            (Takes::Peer | Takes::Address, false) => missed[0].push(index),
            (Takes::Nothing, true) => missed[1].push(index),
            (Takes::Nothing, false) => missed[2].push(index),
        }
    }
    if !allowing.is_empty() {
        return Some(Said::Allow { rules: allowing });
    }
    if !by_block.is_empty() {
        return Some(Said::AllowByBlock { rules: by_block });
    }
    let nearest = missed.iter().find_map(|group| group.first().copied()).into_iter().collect();
    let reason = if rules.is_empty() {
        Reason::NoRules
    } else if peer.is_unresolved(scene) {
        Reason::UnresolvedPeer
    } else {
        Reason::NoRuleMatched
    };
    Some(Said::Deny { reason, nearest })
}
