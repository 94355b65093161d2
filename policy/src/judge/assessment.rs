//! What a change does to the traffic of a window: denials, each attributed to the policy that causes it, with sums of its traffic.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use crate::cluster::ownership::Destination;
use crate::cluster::party::Party;
use crate::cluster::pod::PodId;
use crate::cluster::service::ServiceId;
use crate::cluster::sum::{Sharing, Sums};
use crate::cluster::traffic::{Class, Sighting, Traffic, TrafficKey};
use crate::engine::effect::{Effect, FlowEffect, Worlds};
use crate::engine::end_decision::Permission;
use crate::engine::identities::IdentityId;
use crate::engine::pair::Pair;
use crate::engine::verdict::Verdict;
use crate::engine::world::World;
use crate::judge::assessment::attribution::{allowing_policy, deniers};
use crate::judge::assessment::connections::Connections;
use crate::judge::assessment::outside::OutsideRanges;
use crate::judge::assessment::unknown::{UndecidedRule, UnknownConnections};
use crate::policy::exception::Exception;
use crate::report::connection::DenyingPolicy;
use crate::report::denial::ConnectionKey;
use foretell_objects::model::dialect::NamedPorts;
use foretell_objects::model::flow::Direction;
use foretell_objects::model::policy_ref::PolicyRef;

mod attribution;
pub mod connections;
mod denials;
pub mod dialects;
mod noteworthy;
pub mod outside;
mod summary;
pub mod unknown;

/// A change, as far as an assessment depends on it.
#[derive(Clone, Copy, Debug)]
pub struct AssessmentInputs<'a> {
    /// The worlds before and after the change. Their time is also the clock for exceptions.
    pub worlds: Worlds<'a, 'a>,
    /// The policies that the change adds, changes or removes.
    pub changed: &'a BTreeSet<PolicyRef>,
    /// Exceptions, expired ones included.
    pub exceptions: &'a [Exception],
    /// The ranges by which many outside addresses are named.
    pub ranges: &'a OutsideRanges,
    /// The audit policies that policies declare as their origin, by the policies' namespace and name.
    pub promoted_from: &'a BTreeMap<(String, String), PolicyRef>,
}

/// A denied connection.
#[derive(Clone, Debug, Default)]
pub struct DeniedConnection {
    /// The policies that it is attributed to.
    pub policies: BTreeMap<PolicyRef, PolicyDenial>,
    /// Other policies that restrict the subject and do not allow it.
    pub other_policies: BTreeSet<PolicyRef>,
    /// Sums of its traffic.
    pub sums: Sums,
    /// Whether it has flows in use that no exception in force covers.
    pub uncovered: bool,
    /// Indexes of the exceptions in force that cover some of its flows in use.
    pub accepted_by: BTreeSet<usize>,
    /// Indexes of the expired exceptions that cover some of its flows in use.
    pub expired: BTreeSet<usize>,
}

/// Why one policy is a cause of a denial.
#[derive(Clone, Debug)]
pub struct PolicyDenial {
    /// In words, about the example.
    pub why: DenyingPolicy,
    /// The flow that the reason describes.
    pub example: Pair,
}

/// A connection that is not newly denied and that the report lists for information.
#[derive(Clone, Debug)]
pub struct Noteworthy {
    /// The changed policy.
    pub policy: PolicyRef,
    /// The policy and rule that allow it, or the removed policy that denied it; if it is already denied, the policies that deny it.
    pub note: String,
    /// The flow that the note describes.
    pub example: Pair,
    /// Sums of its traffic.
    pub sums: Sums,
}

/// How one changed policy decides, evaluated in isolation, in numbers of connections in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerdictCounts {
    /// It allows them.
    pub allowed: u64,
    /// It would deny them.
    pub would_deny: u64,
    /// Of these: newly denied by the change.
    pub newly_denied: u64,
    /// Of these: another policy allows them.
    pub still_allowed: u64,
    /// Of these: already denied before the change.
    pub still_denied: u64,
    /// No policy can deny them.
    pub exempt: u64,
    /// Unknown: a rule depends on something that is not in the recorded traffic.
    pub unknown: u64,
}

/// What a change does to the traffic of a window, by connection.
#[derive(Clone, Debug, Default)]
pub struct Assessment {
    /// Newly denied connections.
    pub denied: Connections<DeniedConnection>,
    /// Connections that a changed policy would deny in isolation, and that another policy allows.
    pub still_allowed: BTreeMap<PolicyRef, Connections<Noteworthy>>,
    /// Connections that a changed policy would deny in isolation, and that are already denied.
    pub still_denied: BTreeMap<PolicyRef, Connections<Noteworthy>>,
    /// Newly allowed connections, each attributed to a policy.
    pub newly_allowed: Connections<Noteworthy>,
    /// Connections in use that may be newly denied, by the rule that cannot be evaluated.
    pub unknown: BTreeMap<UndecidedRule, UnknownConnections>,
    /// How each changed policy decides.
    pub counts: BTreeMap<PolicyRef, VerdictCounts>,
}

/// Evaluates the traffic of the affected pods in both worlds.
#[must_use]
pub fn assess(inputs: &AssessmentInputs<'_>, traffic: &Traffic) -> Assessment {
    let affected = inputs.affected();
    let mut assessment = Assessment::default();
    let mut verdicts = BTreeMap::new();
    for (key, sightings) in traffic.touching(&affected.pods, &affected.services) {
        let outcomes = inputs.worlds.outcomes(key);
        for outcome in &outcomes {
            let shared = inputs.sharing(key, &outcomes);
            let observation = Observation { key, sightings, outcome, shared };
            inputs.note_verdicts(&observation, &mut verdicts, &mut assessment);
            match outcome.effect {
                Effect::NewlyDenied => inputs.note_denial(&observation, &mut assessment),
                Effect::NewlyAllowed => inputs.note_newly_allowed(&observation, &mut assessment),
                Effect::Unknown => inputs.note_unknown(&observation, &mut assessment),
                Effect::StillAllowed | Effect::StillDenied | Effect::StillUnknown => {}
            }
        }
    }
    for ((policy, ..), verdict) in verdicts {
        verdict.count(assessment.counts.entry(policy).or_default());
    }
    assessment
}

/// The sightings of a traffic key, with one of the key's outcomes.
struct Observation<'a> {
    key: &'a TrafficKey,
    sightings: &'a [Sighting],
    outcome: &'a FlowEffect,
    shared: Sharing,
}

/// How a changed policy, evaluated in isolation, decides about a connection in use. If the flows of a connection differ, the worst
/// verdict counts: the variants are ordered from the best to the worst.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum ConnectionVerdict {
    Exempt,
    Allowed,
    Unknown,
    WouldDeny(Effect),
}

impl ConnectionVerdict {
    fn count(self, counts: &mut VerdictCounts) {
        let count = match self {
            Self::Exempt => &mut counts.exempt,
            Self::Allowed => &mut counts.allowed,
            Self::Unknown => &mut counts.unknown,
            Self::WouldDeny(effect) => {
                counts.would_deny += 1;
                match effect {
                    Effect::NewlyDenied => &mut counts.newly_denied,
                    Effect::StillDenied => &mut counts.still_denied,
                    Effect::NewlyAllowed | Effect::StillAllowed => &mut counts.still_allowed,
                    Effect::Unknown | Effect::StillUnknown => &mut counts.unknown,
                }
            }
        };
        *count += 1;
    }
}

type VerdictsByConnection = BTreeMap<(PolicyRef, ConnectionKey), ConnectionVerdict>;

/// The pods that the change can affect: those that a changed policy selects, and those that selectors see differently. With the
/// Services that lead to them.
struct AffectedPods {
    pods: HashSet<PodId>,
    services: HashSet<ServiceId>,
}

impl AssessmentInputs<'_> {
    fn affected(&self) -> AffectedPods {
        let Worlds { before, after, .. } = self.worlds;
        let (old, new) = (before.identities(), after.identities());
        let selecting = |world: &World<'_>| {
            let selects = |identity: IdentityId| {
                let mut restricting = Direction::BOTH
                    .iter()
                    .flat_map(|direction| world.index().restricting(identity.number(), *direction));
                let mut ruling = world.tiers().selecting(identity).iter();
                restricting.any(|policy| self.changed.contains(&world.policy(policy).reference))
                    || ruling.any(|policy| self.changed.contains(&world.tiers().policy(*policy).reference))
            };
            world.identities().identity_ids().map(selects).collect::<Vec<bool>>()
        };
        let (selecting_before, selecting_after) = (selecting(before), selecting(after));
        let selected = |pod: PodId| {
            selecting_before[old.identity_id(pod).index()] || selecting_after[new.identity_id(pod).index()]
        };
        let is_same = std::ptr::eq(old, new);
        // If port names are resolved over all pods of a namespace, any changed pod can alter what a policy allows.
        let resolves_in_namespace = after.dialect().named_ports == NamedPorts::OfTheNamespace;
        let differs = |pod: PodId| {
            let (was, is) = (old.identity(pod), new.identity(pod));
            !is_same
                && (resolves_in_namespace
                    || was != is
                    || old.namespace_labels(&was.namespace) != new.namespace_labels(&is.namespace))
        };
        let cluster = after.cluster();
        let pods = cluster.pods().map(|(pod, _)| pod);
        let pods: HashSet<PodId> = pods.filter(|pod| differs(*pod) || selected(*pod)).collect();
        let services = cluster.services().map(|(id, _)| id).filter(|id| {
            let (was, is) = (old.targets(*id), new.targets(*id));
            (!is_same && was != is) || is.pods().any(|pod| pods.contains(&pod))
        });
        let services = services.collect();
        AffectedPods { pods, services }
    }

    fn sharing(&self, key: &TrafficKey, outcomes: &[FlowEffect]) -> Sharing {
        let Destination::Service { .. } = key.dst else { return Sharing::None };
        let cluster = self.worlds.after.cluster();
        let parties: BTreeSet<(Party, u16)> =
            outcomes.iter().map(|outcome| (Party::of(&outcome.pair.dst, cluster), outcome.pair.port)).collect();
        if parties.len() > 1 { Sharing::AmongWorkloads } else { Sharing::None }
    }

    fn connection_key(&self, direction: Direction, pair: &Pair) -> ConnectionKey {
        let cluster = self.worlds.after.cluster();
        ConnectionKey {
            direction,
            subject: Party::of(pair.subject(direction), cluster),
            peer: Party::of(pair.peer(direction), cluster),
            protocol: pair.protocol,
            port: pair.port,
        }
    }

    /// Notes how each changed policy decides in isolation.
    fn note_verdicts(
        &self,
        observation: &Observation<'_>,
        verdicts: &mut VerdictsByConnection,
        assessment: &mut Assessment,
    ) {
        let FlowEffect { pair, effect, .. } = observation.outcome;
        let after = self.worlds.after;
        for direction in Direction::BOTH {
            for (id, verdict) in after.verdicts(pair, direction) {
                let verdict = match verdict {
                    Verdict::Exempt(_) => ConnectionVerdict::Exempt,
                    Verdict::Allow { .. } => ConnectionVerdict::Allowed,
                    Verdict::WouldDeny(_) => ConnectionVerdict::WouldDeny(*effect),
                };
                self.note_verdict(&after.policy(id).reference, verdict, direction, observation, verdicts, assessment);
            }
            let Some(query) = after.admin_query(pair, direction) else { continue };
            for (id, first_match) in query.each() {
                let Some(rule) = first_match.rule_match() else { continue };
                let verdict = match rule.permission() {
                    Permission::Allowed => ConnectionVerdict::Allowed,
                    Permission::Unknown => ConnectionVerdict::Unknown,
                    Permission::Denied => ConnectionVerdict::WouldDeny(*effect),
                };
                let policy = &after.tiers().policy(id).reference;
                self.note_verdict(policy, verdict, direction, observation, verdicts, assessment);
            }
        }
    }

    fn note_verdict(
        &self,
        policy: &PolicyRef,
        verdict: ConnectionVerdict,
        direction: Direction,
        observation: &Observation<'_>,
        verdicts: &mut VerdictsByConnection,
        assessment: &mut Assessment,
    ) {
        if !self.changed.contains(policy) {
            return;
        }
        let outcome = observation.outcome;
        if observation.is_in_use() {
            let key = self.connection_key(direction, &outcome.pair);
            let known = verdicts.entry((policy.clone(), key)).or_insert(verdict);
            *known = verdict.max(*known);
        }
        if verdict == ConnectionVerdict::WouldDeny(Effect::StillAllowed)
            && let Some((_, note)) = allowing_policy(self.worlds.after, &outcome.at(direction).after, direction)
        {
            let noted = assessment.still_allowed.entry(policy.clone()).or_default();
            self.note_connection(noted, direction, policy, observation, || note);
        } else if verdict == ConnectionVerdict::WouldDeny(Effect::StillDenied) {
            let note = || self.already_denied_by(policy, outcome);
            let noted = assessment.still_denied.entry(policy.clone()).or_default();
            self.note_connection(noted, direction, policy, observation, note);
        }
    }

    fn note_newly_allowed(&self, observation: &Observation<'_>, assessment: &mut Assessment) {
        let Worlds { before, after, .. } = self.worlds;
        for direction in Direction::BOTH {
            let change = observation.outcome.at(direction);
            if change.before.permission() != Permission::Denied {
                continue;
            }
            // Either a policy allows it now, or the policy that denied it is gone.
            let allowing = allowing_policy(after, &change.after, direction);
            let former = || {
                let denier = deniers(before, &change.before).into_iter().next()?;
                let note = format!("{} no longer restricts it", denier.policy);
                Some((denier.policy, note))
            };
            let Some((policy, note)) = allowing.or_else(former) else { continue };
            self.note_connection(&mut assessment.newly_allowed, direction, &policy, observation, || note);
        }
    }
}

impl Observation<'_> {
    fn is_in_use(&self) -> bool {
        self.sightings.iter().any(|sighting| sighting.class == Class::InUse)
    }
}
