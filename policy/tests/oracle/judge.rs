//! The verdict of each policy on a flow, and the joint decision of all policies.

use std::collections::{BTreeMap, BTreeSet};

use foretell_objects::model::flow::{Direction, Flow};

use super::deviations::{Called, Deviations, ENDS, either, lets_call};
use super::resolve::{Road, Who, is_own_node, namespace_tags, roads};
use super::rules::{Matches, rules, selects};
use super::scene::{Policy, Scene, Scope};
use super::tiers::{self, Ruled};

/// The verdict of a policy, the strictest first.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum PolicyVerdict {
    Deny {
        reason: Reason,
        /// The rules that may be named as the nearest.
        nearest: BTreeSet<usize>,
    },
    /// Only by an `ipBlock` that contains the address of a pod or node.
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

/// The joint decision about a flow at one end, the strictest first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum Together {
    Denied,
    /// By admin policies.
    RuledOut,
    /// It depends on facts that traffic does not show.
    Unknown,
    AllowedByBlock,
    Allowed,
    /// Denied here and allowed at the other end, which the enforcer accepts.
    AllowedThere,
    Exempt,
    /// By admin policies.
    RuledIn,
    Open,
}

#[derive(Debug)]
pub(crate) struct Judgement {
    /// By the index of the policy in the scene.
    pub(crate) verdicts: BTreeMap<(usize, Direction), PolicyVerdict>,
    pub(crate) unresolved_subjects: BTreeSet<Direction>,
    pub(crate) together: BTreeMap<Direction, Together>,
    /// By the index of the admin policy in the scene.
    pub(crate) ruled: BTreeMap<(usize, Direction), Ruled>,
}

pub(crate) fn judge(scene: &Scene, flow: &Flow, deviations: Deviations) -> Judgement {
    let mut judgement = Judgement {
        verdicts: BTreeMap::new(),
        unresolved_subjects: BTreeSet::new(),
        together: BTreeMap::new(),
        ruled: BTreeMap::new(),
    };
    for road in roads(scene, flow, deviations) {
        let ends = ENDS.map(|direction| {
            let subject = if direction == Direction::Egress { road.src } else { road.dst };
            if subject.is_unresolved(scene) {
                judgement.unresolved_subjects.insert(direction);
            }
            if road.over_own_node_port && direction == Direction::Ingress {
                return Together::Open;
            }
            for (index, admin_policy) in scene.admin_policies.iter().enumerate() {
                let Some(ruled) = tiers::say(scene, admin_policy, &road, direction, flow.protocol) else { continue };
                let known = judgement.ruled.remove(&(index, direction));
                let worse = known.map_or(ruled.clone(), |known| known.worse(ruled));
                judgement.ruled.insert((index, direction), worse);
            }
            let mut together = Together::Open;
            for (index, policy) in scene.policies.iter().enumerate() {
                let Some(verdicts) = say(scene, policy, &road, direction, flow, deviations) else { continue };
                together = add_up(together, &verdicts);
                let known = judgement.verdicts.remove(&(index, direction));
                judgement
                    .verdicts
                    .insert((index, direction), known.map_or(verdicts.clone(), |known| worse(known, verdicts)));
            }
            tiers::together(scene, &road, direction, flow.protocol, together)
        });
        let ends = if deviations.either_end { either(scene, &road, ends) } else { ends };
        for (direction, together) in ENDS.into_iter().zip(ends) {
            let worst = judgement.together.entry(direction).or_insert(Together::Open);
            *worst = (*worst).min(together);
        }
    }
    judgement
}

/// Policies are additive: any allow allows.
fn add_up(so_far: Together, verdicts: &PolicyVerdict) -> Together {
    let one = match verdicts {
        PolicyVerdict::Deny { .. } => Together::Denied,
        PolicyVerdict::AllowByBlock { .. } => Together::AllowedByBlock,
        PolicyVerdict::Allow { .. } => Together::Allowed,
        PolicyVerdict::Exempt(_) => Together::Exempt,
    };
    if so_far == Together::Open { one } else { so_far.max(one) }
}

/// Combines the verdicts on two backends of a Service: the stricter counts; if they are equal, either may be named.
fn worse(one: PolicyVerdict, other: PolicyVerdict) -> PolicyVerdict {
    match (one, other) {
        (PolicyVerdict::Deny { reason, nearest: mut one }, PolicyVerdict::Deny { reason: again, nearest: other })
            if reason == again =>
        {
            one.extend(other);
            PolicyVerdict::Deny { reason, nearest: one }
        }
        (PolicyVerdict::AllowByBlock { rules: mut one }, PolicyVerdict::AllowByBlock { rules: other }) => {
            one.extend(other);
            PolicyVerdict::AllowByBlock { rules: one }
        }
        (PolicyVerdict::Allow { rules: mut one }, PolicyVerdict::Allow { rules: other }) => {
            one.extend(other);
            PolicyVerdict::Allow { rules: one }
        }
        (one, other) => one.min(other),
    }
}

/// The verdict of a policy on a road; `None` if it does not apply.
fn say(
    scene: &Scene,
    policy: &Policy,
    road: &Road,
    direction: Direction,
    flow: &Flow,
    deviations: Deviations,
) -> Option<PolicyVerdict> {
    let proto = flow.protocol;
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
    if let Some(service) = road.called.filter(|_| deviations.services_by_address && direction == Direction::Egress) {
        let service = &scene.services[service];
        let called = Called { service, ip: flow.dst.ip, port: flow.port, protocol: proto };
        let lets = |index: &usize| lets_call(scene, subject.namespace, &rules[*index].opening(), &called);
        let all: BTreeSet<usize> = (0..rules.len()).collect();
        let allowing: BTreeSet<usize> = all.iter().copied().filter(lets).collect();
        let reason = if rules.is_empty() { Reason::NoRules } else { Reason::NoRuleMatched };
        return Some(if allowing.is_empty() {
            PolicyVerdict::Deny { reason, nearest: all }
        } else {
            PolicyVerdict::Allow { rules: allowing }
        });
    }

    if matches!(peer, Who::Pod { pod, .. } if pod == subject_index) {
        return Some(PolicyVerdict::Exempt("self"));
    }
    if is_own_node(scene, subject, &peer) && !(deviations.own_node_is_judged && direction == Direction::Egress) {
        return Some(PolicyVerdict::Exempt("node"));
    }

    let (mut allowing, mut by_block) = (BTreeSet::new(), BTreeSet::new());
    // A rule of which only the port differs is nearer than one of which only the peer differs, and that is nearer than both.
    let mut missed: [Vec<usize>; 3] = Default::default();
    for (index, rule) in rules.iter().enumerate() {
        // In a cluster policy named ports have their upstream meaning.
        let by_namespace = deviations.names_of_namespace
            && direction == Direction::Egress
            && !matches!(policy.scope, Scope::Cluster(_));
        let namespace = by_namespace.then_some(subject.namespace);
        let matches_port = rule.matches_port(scene, &road.dst, proto, road.port, namespace);
        match (rule.matches_peer(scene, subject.namespace, &peer, deviations, namespace), matches_port) {
            (Matches::Peer, true) => drop(allowing.insert(index)),
            (Matches::Address, true) => drop(by_block.insert(index)),
            (Matches::Peer | Matches::Address, false) => missed[0].push(index),
            (Matches::Nothing, true) => missed[1].push(index),
            (Matches::Nothing, false) => missed[2].push(index),
        }
    }
    if !allowing.is_empty() {
        return Some(PolicyVerdict::Allow { rules: allowing });
    }
    if !by_block.is_empty() {
        return Some(PolicyVerdict::AllowByBlock { rules: by_block });
    }
    let is_host = peer.is_pod_or_node(scene) && !matches!(peer, Who::Pod { .. });
    let any: BTreeSet<usize> = (0..rules.len()).filter(|_| deviations.host_namespace && is_host).collect();
    let nearest: BTreeSet<usize> =
        missed.iter().find_map(|group| group.first().copied()).into_iter().chain(any).collect();
    let reason = if rules.is_empty() {
        Reason::NoRules
    } else if peer.is_unresolved(scene) {
        Reason::UnresolvedPeer
    } else {
        Reason::NoRuleMatched
    };
    Some(PolicyVerdict::Deny { reason, nearest })
}
