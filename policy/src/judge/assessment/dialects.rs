//! Connections in use that a change denies by the upstream specification and not under an enforcer, or the other way round.

use std::collections::BTreeMap;

use crate::cluster::ownership::{Destination, End};
use crate::cluster::party::Party;
use crate::cluster::sum::Sums;
use crate::cluster::traffic::{Class, Sighting, Traffic, TrafficKey};
use crate::engine::effect::{DecisionChange, Effect, FlowEffect, Worlds};
use crate::engine::end_decision::EndDecision;
use crate::engine::verdict::Exemption;
use crate::engine::world::World;
use crate::judge::assessment::AssessmentInputs;
use crate::policy::end_kind::EndKind;
use crate::policy::network_policy::Restriction;
use foretell_objects::model::dialect::Dialect;
use foretell_objects::model::dialect::deviations::Deviation;
use foretell_objects::model::flow::{Direction, Protocol};

/// A connection, and the deviation that makes the difference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DifferenceKey {
    /// The deviation.
    pub deviation: Deviation,
    /// Direction, seen from the end at which the readings differ.
    pub direction: Direction,
    /// The party at that end.
    pub subject: Party,
    /// The other end.
    pub peer: Party,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Port at the destination.
    pub port: u16,
}

/// The effect of a change on a connection under two readings of policies.
#[derive(Clone, Debug)]
pub struct DialectEffects {
    /// By the upstream specification.
    pub upstream: Effect,
    /// Under the enforcer.
    pub enforcer: Effect,
    /// Sums of its traffic.
    pub sums: Sums,
}

/// A key of the traffic with its sightings.
pub type TouchedTraffic<'t> = (&'t TrafficKey, &'t [Sighting]);

impl AssessmentInputs<'_> {
    /// The traffic in use that the change can affect.
    #[must_use]
    pub fn in_use<'t>(&self, traffic: &'t Traffic) -> Vec<TouchedTraffic<'t>> {
        let affected = self.affected();
        let is_in_use =
            |(_, sightings): &TouchedTraffic<'_>| sightings.iter().any(|sighting| sighting.class == Class::InUse);
        traffic.touching(&affected.pods, &affected.services).into_iter().filter(is_in_use).collect()
    }

    /// Whether a deviation can make a difference to traffic, by its addresses and nodes only. This is cheap: no rule is evaluated.
    #[must_use]
    pub fn may_differ(&self, deviation: Deviation, key: &TrafficKey) -> bool {
        let Worlds { before, after, .. } = self.worlds;
        [before, after].into_iter().any(|world| {
            let view = world.view();
            let in_a_block = |end: &End| {
                let kind = view.kind(end);
                kind != EndKind::Outside && view.index.peer_view(kind, end.ip()).is_in_a_block()
            };
            let any = |test: &dyn Fn(&End) -> bool| destinations(world, &key.dst).iter().any(test);
            match deviation {
                Deviation::BlocksLeavePods | Deviation::BlocksLeaveNodes => in_a_block(&key.src) || any(&in_a_block),
                Deviation::OwnNodeIsJudged | Deviation::OwnNodePortsAsBackends => {
                    key.src.pod().is_some_and(|subject| any(&|end| view.is_own_node(subject, end)))
                }
                Deviation::EitherEndOnOneNode => {
                    let node = |end: &End| world.cluster().pod(end.pod()?).node;
                    node(&key.src).is_some_and(|own| any(&|end| node(end) == Some(own)))
                }
                Deviation::ServicesByAddress => matches!(key.dst, Destination::Service { .. }),
                Deviation::HostNetworkNamespace => {
                    let is_node = |end: &End| view.kind(end) == EndKind::Node;
                    is_node(&key.src) || any(&is_node)
                }
                Deviation::ExceptsOfTheRule | Deviation::NamedPortsOfTheNamespace => true,
            }
        })
    }

    /// The connections of this traffic that the change denies in the worlds of `self` and not in those of `enforcer`, or the other
    /// way round. `enforcer` has the same policies in another dialect.
    #[must_use]
    pub fn differing(
        &self,
        enforcer: Worlds<'_, '_>,
        traffic: &[TouchedTraffic<'_>],
    ) -> BTreeMap<DifferenceKey, DialectEffects> {
        let mut found: BTreeMap<DifferenceKey, DialectEffects> = BTreeMap::new();
        for (key, sightings) in traffic {
            let upstream = self.worlds.outcomes(key);
            let outcomes = enforcer.outcomes(key);
            for one in &upstream {
                // The backends depend on the enforcer only for node ports, where the worst of them counts.
                let same = outcomes.iter().find(|other| other.pair == one.pair);
                let worst = || outcomes.iter().find(|other| other.effect == Effect::NewlyDenied);
                let Some(other) = same.or_else(worst).or(outcomes.first()) else { continue };
                if !differ(one.effect, other.effect) {
                    continue;
                }
                let cause = cause(self.worlds.after, enforcer.after.dialect(), one, other);
                let Some((direction, deviation)) = cause else { continue };
                let cluster = self.worlds.after.cluster();
                let pair = &one.pair;
                let connection = DifferenceKey {
                    deviation,
                    direction,
                    subject: Party::of(pair.subject(direction), cluster),
                    peer: Party::of(pair.peer(direction), cluster),
                    protocol: pair.protocol,
                    port: pair.port,
                };
                let differing = found.entry(connection).or_insert_with(|| DialectEffects {
                    upstream: one.effect,
                    enforcer: other.effect,
                    sums: Sums::default(),
                });
                let shared = self.sharing(key, &upstream);
                for sighting in *sightings {
                    differing.sums.add(key.src, sighting, shared);
                }
            }
        }
        found
    }
}

/// The ends that a destination may lead to: of a Service every backend, ready or not.
fn destinations(world: &World<'_>, destination: &Destination) -> Vec<End> {
    let service = match destination {
        Destination::Direct(end) => return vec![*end],
        Destination::Service { service, .. } => *service,
    };
    let behind = world.identities().targets(service);
    let pods = behind.pods().flat_map(|id| {
        let pod = world.cluster().pod(id);
        let end = move |ip| {
            if pod.host_network { End::Host { node: pod.node, ip } } else { End::Pod { pod: id, ip } }
        };
        pod.addresses.iter().copied().map(end)
    });
    let listed = behind.listed.iter().map(|listed| {
        let pod = world.cluster().pods_by_address(listed.ip).first();
        pod.map_or(End::Address { ip: listed.ip }, |pod| End::Pod { pod: *pod, ip: listed.ip })
    });
    pods.chain(listed).collect()
}

/// Whether one of the two newly denies the flow and the other does not. If upstream newly denies it, the enforcer must allow it to
/// differ: traffic that the enforcer denies before and after the change could not be in use.
fn differ(upstream: Effect, enforcer: Effect) -> bool {
    let passes = |effect| matches!(effect, Effect::StillAllowed | Effect::NewlyAllowed);
    match (upstream, enforcer) {
        (Effect::NewlyDenied, enforcer) => passes(enforcer),
        (_, Effect::NewlyDenied) => true,
        _ => false,
    }
}

/// The end at which two readings differ, and the deviation that explains it.
fn cause(
    world: &World<'_>,
    dialect: Dialect,
    upstream: &FlowEffect,
    enforcer: &FlowEffect,
) -> Option<(Direction, Deviation)> {
    let ends = Direction::BOTH.map(|direction| (direction, upstream.at(direction), enforcer.at(direction)));
    let any =
        |change: &DecisionChange, test: &dyn Fn(&EndDecision) -> bool| test(&change.before) || test(&change.after);
    if upstream.pair != enforcer.pair {
        return Some((Direction::Egress, Deviation::OwnNodePortsAsBackends));
    }
    let at_other_end = |decision: &EndDecision| matches!(decision, EndDecision::AllowedAtOtherEnd { .. });
    if let Some((direction, ..)) = ends.iter().find(|(_, _, enforcer)| any(enforcer, &at_other_end)) {
        return Some((*direction, Deviation::EitherEndOnOneNode));
    }
    let differs = |(_, one, other): &&(Direction, &DecisionChange, &DecisionChange)| {
        one.before.permission() != other.before.permission() || one.after.permission() != other.after.permission()
    };
    let (direction, one, _) = ends.iter().find(differs)?;
    let is_node = |decision: &EndDecision| *decision == EndDecision::Exempt(Exemption::Node);
    let by_block_alone = |decision: &EndDecision| matches!(decision, EndDecision::Allowed { by_block_alone: true, .. });
    let by_block = |change: &DecisionChange, peer: EndKind| match peer {
        EndKind::Unresolved => Some(Deviation::BlocksLeavePods),
        EndKind::Pod(_) if any(change, &by_block_alone) => Some(Deviation::BlocksLeavePods),
        EndKind::Node if any(change, &by_block_alone) => Some(Deviation::BlocksLeaveNodes),
        EndKind::Pod(_) | EndKind::Node | EndKind::Outside => None,
    };
    let deviates = |deviation| dialect.deviations().any(|other| other == deviation);
    let found = if any(one, &is_node) && deviates(Deviation::OwnNodeIsJudged) {
        Deviation::OwnNodeIsJudged
    } else if let Some(deviation) =
        by_block(one, world.view().kind(upstream.pair.peer(*direction))).filter(|it| deviates(*it))
    {
        deviation
    } else if *direction == Direction::Egress
        && deviates(Deviation::NamedPortsOfTheNamespace)
        && names_ports(world, one)
    {
        Deviation::NamedPortsOfTheNamespace
    } else if deviates(Deviation::ExceptsOfTheRule) {
        Deviation::ExceptsOfTheRule
    } else {
        dialect.deviations().next()?
    };
    Some((*direction, found))
}

/// Whether the decision about a flow rests on a rule that names ports.
fn names_ports(world: &World<'_>, change: &DecisionChange) -> bool {
    match &change.after {
        EndDecision::Allowed { policy, rule, .. } => world.policy(*policy).names_ports(Direction::Egress, *rule),
        EndDecision::Denied(denied) => {
            denied.iter().any(|(policy, _)| match world.policy(*policy).restriction(Direction::Egress) {
                Restriction::None => false,
                Restriction::Only(rules) => rules.iter().any(|rule| rule.ports.has_names()),
            })
        }
        _ => false,
    }
}
