//! Where the answer on a change depends on who enforces: relations in use that it denies as upstream has it and not as an
//! enforcer does, or the other way round.

use std::collections::BTreeMap;

use super::{Case, Seen};
use crate::cluster::ownership::End;
use crate::compiled::Restriction;
use crate::dialect::Dialect;
use crate::dialect::deviations::Deviation;
use crate::effect::{Change, Effect, Outcome, Worlds};
use crate::flow::{Direction, Protocol};
use crate::naming::Party;
use crate::sum::Sums;
use crate::traffic::Traffic;
use crate::verdict::Exemption;
use crate::world::{Standing, World};

/// A relation, and what makes the difference.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct DifferenceKey {
    /// What makes it.
    pub deviation: Deviation,
    /// At which end.
    pub direction: Direction,
    /// The workload there.
    pub subject: Party,
    /// The other end.
    pub peer: Party,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Port at the destination.
    pub port: u16,
}

/// What becomes of it.
#[derive(Clone, Debug)]
pub struct Differing {
    /// As upstream has it.
    pub upstream: Effect,
    /// As the enforcer has it.
    pub there: Effect,
    /// What was seen of it.
    pub sums: Sums,
}

/// The relations in use that a case, judged as upstream has it, denies otherwise than the same worlds in a dialect.
#[must_use]
pub fn differing(
    case: &Case<'_, '_, '_>,
    there: Worlds<'_, '_>,
    traffic: &Traffic,
) -> BTreeMap<DifferenceKey, Differing> {
    let mut found: BTreeMap<DifferenceKey, Differing> = BTreeMap::new();
    let concerned = case.concerned();
    for (key, sightings) in traffic.touching(&concerned.pods, &concerned.services) {
        let is_in_use = |outcome| Seen { key, sightings, outcome, shared: crate::sum::Sharing::None }.is_in_use();
        let upstream = case.worlds.outcomes(key);
        if !upstream.first().is_some_and(is_in_use) {
            continue;
        }
        let outcomes = there.outcomes(key);
        for one in &upstream {
            // Who answers does not depend on who enforces.
            let Some(other) = outcomes.iter().find(|other| other.pair == one.pair) else { continue };
            if !differ(one.effect, other.effect) {
                continue;
            }
            let Some((direction, deviation)) = why(case.worlds.after, there.after.dialect(), one, other) else {
                continue;
            };
            let cluster = case.worlds.after.cluster();
            let pair = &one.pair;
            let relation = DifferenceKey {
                deviation,
                direction,
                subject: Party::of(pair.subject(direction), cluster),
                peer: Party::of(pair.peer(direction), cluster),
                protocol: pair.protocol,
                port: pair.port,
            };
            let differing = found.entry(relation).or_insert_with(|| Differing {
                upstream: one.effect,
                there: other.effect,
                sums: Sums::default(),
            });
            let shared = case.sharing(key, &upstream);
            for sighting in sightings {
                differing.sums.add(key.src, sighting, shared);
            }
        }
    }
    found
}

/// One denies what it allowed, or may have allowed, before; the other does not. What is denied there before and after would not be
/// in use there.
fn differ(upstream: Effect, there: Effect) -> bool {
    let passes = |effect| matches!(effect, Effect::StillAllowed | Effect::NewlyAllowed);
    match (upstream, there) {
        (Effect::NewlyDenied, there) => passes(there),
        (_, Effect::NewlyDenied) => true,
        _ => false,
    }
}

/// At which end they part, and by what.
fn why(world: &World<'_>, dialect: Dialect, upstream: &Outcome, there: &Outcome) -> Option<(Direction, Deviation)> {
    let ends = Direction::BOTH.map(|direction| (direction, upstream.at(direction), there.at(direction)));
    let any = |change: &Change, test: &dyn Fn(&Standing) -> bool| test(&change.before) || test(&change.after);
    let at_other_end = |standing: &Standing| matches!(standing, Standing::AllowedAtOtherEnd { .. });
    if let Some((direction, ..)) = ends.iter().find(|(_, _, there)| any(there, &at_other_end)) {
        return Some((*direction, Deviation::EitherEndOnOneNode));
    }
    let parts = |(_, one, other): &&(Direction, &Change, &Change)| {
        one.before.passage() != other.before.passage() || one.after.passage() != other.after.passage()
    };
    let (direction, one, _) = ends.iter().find(parts)?;
    let is_node = |standing: &Standing| *standing == Standing::Exempt(Exemption::Node);
    let by_block = |standing: &Standing| matches!(standing, Standing::Allowed { by_block_alone: true, .. });
    let deviates = |deviation| dialect.deviations().any(|other| other == deviation);
    let found = if any(one, &is_node) && deviates(Deviation::OwnNodeIsJudged) {
        Deviation::OwnNodeIsJudged
    } else if any(one, &by_block) && (deviates(Deviation::BlocksLeavePods) || deviates(Deviation::BlocksLeaveNodes)) {
        match upstream.pair.peer(*direction) {
            End::Pod { .. } => Deviation::BlocksLeavePods,
            _ => Deviation::BlocksLeaveNodes,
        }
    } else if *direction == Direction::Egress && names_ports(world, one) {
        Deviation::NamedPortsOfTheNamespace
    } else if deviates(Deviation::ExceptsOfTheRule) {
        Deviation::ExceptsOfTheRule
    } else {
        dialect.deviations().next()?
    };
    Some((*direction, found))
}

/// Whether a port is opened, or not, by a rule that names ports.
fn names_ports(world: &World<'_>, change: &Change) -> bool {
    match &change.after {
        Standing::Allowed { policy, rule, .. } => world.policy(*policy).names_ports(Direction::Egress, *rule),
        Standing::Denied(denied) => {
            denied.iter().any(|(policy, _)| match world.policy(*policy).restriction(Direction::Egress) {
                Restriction::None => false,
                Restriction::Only(rules) => rules.iter().any(|rule| rule.ports.has_names()),
            })
        }
        _ => false,
    }
}
