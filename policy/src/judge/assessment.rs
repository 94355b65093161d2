//! What a change does to the traffic of a window: denials laid at the objects that cause them, each with its sums.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use jiff::Timestamp;

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
use crate::explain::nearest::NearestRule;
use crate::judge::assessment::attribution::{deniers, let_pass};
use crate::judge::assessment::unknown::{UndecidedRule, UnknownConnections};
use crate::model::dialect::NamedPorts;
use crate::model::flow::Direction;
use crate::model::policy_ref::PolicyRef;
use crate::policy::exception::Exception;
use crate::report::denial::DenialKey;

mod attribution;
mod denials;
pub mod dialects;
mod notes;
pub mod unknown;

/// What is asked of the traffic.
#[derive(Clone, Copy, Debug)]
pub struct AssessmentInputs<'a, 'w, 'c> {
    /// The worlds.
    pub worlds: Worlds<'w, 'c>,
    /// The policies that the change adds, changes or removes.
    pub changed: &'a BTreeSet<PolicyRef>,
    /// Exceptions in force.
    pub exceptions: &'a [Exception],
    /// Audit policies from which policies say that they were promoted, by namespace and name.
    pub promoted_from: &'a BTreeMap<(String, String), PolicyRef>,
}

/// Why a flow is denied after the change.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum DenialCause {
    /// The change adds or changes this policy, which restricts the subject and does not allow the flow.
    Policy,
    /// The change takes away what allowed it; this policy was removed, or no longer allows it.
    Removal,
    /// The change alters what selectors see of an end; the policy itself is as it was.
    Identity,
}

/// A denied connection.
#[derive(Clone, Debug)]
pub struct DeniedConnection {
    /// The policy at which it is laid.
    pub policy: PolicyRef,
    /// Why it is denied.
    pub cause: DenialCause,
    /// The reason's name, `NoRuleMatched`.
    pub reason: &'static str,
    /// The rule that came nearest, and what of it failed.
    pub nearest: Option<NearestRule>,
    /// The reason as a sentence.
    pub message: String,
    /// The flow by which it is told.
    pub example: Pair,
    /// What was seen of it.
    pub sums: Sums,
    /// Flows in use that no live exception covers.
    pub uncovered: bool,
    /// Exceptions that cover some of its flows in use, by index.
    pub accepted_by: BTreeSet<usize>,
    /// Exceptions that would cover some of them and have ended, by index.
    pub expired: BTreeSet<usize>,
}

/// A connection whose verdict by one of the changed policies, alone, is worth telling although it is not newly denied.
#[derive(Clone, Debug)]
pub struct Noteworthy {
    /// The changed policy.
    pub policy: PolicyRef,
    /// What lets it pass: another policy and rule, or what removed policy kept it out; of what is denied already, by whom.
    pub note: String,
    /// The flow by which it is told.
    pub example: Pair,
    /// What was seen of it.
    pub sums: Sums,
}

/// How often one changed policy says what, in connections in use.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct VerdictCounts {
    /// It allows them itself.
    pub allowed: u64,
    /// It would deny them, were it alone.
    pub would_deny: u64,
    /// Of these: denied from now on.
    pub newly_denied: u64,
    /// Of these: another policy lets them pass.
    pub still_allowed: u64,
    /// Of these: denied already.
    pub still_denied: u64,
    /// No policy can deny them.
    pub exempt: u64,
    /// What becomes of them cannot be told.
    pub unknown: u64,
}

/// The answer.
#[derive(Clone, Debug, Default)]
pub struct Assessment {
    /// Newly denied connections.
    pub denied: BTreeMap<DenialKey, DeniedConnection>,
    /// Connections that the changed policies would deny alone and that pass all the same.
    pub still_allowed: BTreeMap<DenialKey, Noteworthy>,
    /// Connections that the changed policies would deny alone and that are denied already.
    pub still_denied: BTreeMap<DenialKey, Noteworthy>,
    /// Newly allowed connections, laid at the changed policies.
    pub newly_allowed: BTreeMap<DenialKey, Noteworthy>,
    /// Connections in use that may be newly denied, by what traffic does not tell.
    pub unknown: BTreeMap<UndecidedRule, UnknownConnections>,
    /// What each changed policy says, by policy.
    pub counts: BTreeMap<PolicyRef, VerdictCounts>,
}

/// Asks the traffic.
#[must_use]
pub fn assess(case: &AssessmentInputs<'_, '_, '_>, traffic: &Traffic, at: Timestamp) -> Assessment {
    let concerned = case.concerned();
    let mut assessment = Assessment::default();
    let mut counted = BTreeMap::new();
    for (key, sightings) in traffic.touching(&concerned.pods, &concerned.services) {
        let outcomes = case.worlds.outcomes(key);
        for outcome in &outcomes {
            let shared = case.sharing(key, &outcomes);
            let seen = Observation { key, sightings, outcome, shared };
            case.note_verdicts(&seen, &mut counted, &mut assessment);
            match outcome.effect {
                Effect::NewlyDenied => case.note_denial(&seen, at, &mut assessment),
                Effect::NewlyAllowed => case.note_newly_allowed(&seen, &mut assessment),
                Effect::Unknown => case.note_unknown(&seen, at, &mut assessment),
                Effect::StillAllowed | Effect::StillDenied | Effect::StillUnknown => {}
            }
        }
    }
    for ((policy, ..), said) in counted {
        said.count(assessment.counts.entry(policy).or_default());
    }
    assessment
}

/// A key with one of its outcomes.
struct Observation<'a> {
    key: &'a TrafficKey,
    sightings: &'a [Sighting],
    outcome: &'a FlowEffect,
    shared: Sharing,
}

/// What a changed policy, alone, says of a connection in use. Of several flows of a connection the worst stands.
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

type VerdictsByConnection = BTreeMap<(PolicyRef, DenialKey), ConnectionVerdict>;

/// The pods for which the change can make a difference: what selectors see of them is different, or a changed policy
/// selects them.
struct AffectedPods {
    pods: HashSet<PodId>,
    services: HashSet<ServiceId>,
}

impl AssessmentInputs<'_, '_, '_> {
    fn concerned(&self) -> AffectedPods {
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
        let are_one = std::ptr::eq(old, new);
        // Where names of ports mean what a namespace's pods call so, any of them may change what a policy lets pass.
        let asks_around = after.dialect().named_ports == NamedPorts::OfTheNamespace;
        let differs = |pod: PodId| {
            let (was, is) = (old.identity(pod), new.identity(pod));
            !are_one
                && (asks_around
                    || was != is
                    || old.namespace_labels(&was.namespace) != new.namespace_labels(&is.namespace))
        };
        let cluster = after.cluster();
        let pods = cluster.pods().map(|(pod, _)| pod);
        let pods: HashSet<PodId> = pods.filter(|pod| differs(*pod) || selected(*pod)).collect();
        let services = cluster.services().map(|(id, _)| id).filter(|id| {
            let (was, is) = (old.targets(*id), new.targets(*id));
            (!are_one && was != is) || is.pods().any(|pod| pods.contains(&pod))
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

    fn denial_key(&self, policy: &PolicyRef, direction: Direction, pair: &Pair) -> DenialKey {
        let cluster = self.worlds.after.cluster();
        DenialKey {
            policy_namespace: policy.namespace.clone(),
            policy_name: policy.name.clone(),
            direction,
            subject: Party::of(pair.subject(direction), cluster),
            peer: Party::of(pair.peer(direction), cluster),
            protocol: pair.protocol,
            port: pair.port,
        }
    }

    /// Notes what each changed policy says by itself.
    fn note_verdicts(&self, seen: &Observation<'_>, counted: &mut VerdictsByConnection, assessment: &mut Assessment) {
        let (after, pair) = (self.worlds.after, &seen.outcome.pair);
        for direction in Direction::BOTH {
            for (id, verdict) in after.verdicts(pair, direction) {
                let said = match verdict {
                    Verdict::Exempt(_) => ConnectionVerdict::Exempt,
                    Verdict::Allow { .. } => ConnectionVerdict::Allowed,
                    Verdict::WouldDeny(_) => ConnectionVerdict::WouldDeny(seen.outcome.effect),
                };
                self.note_verdict(&after.policy(id).reference, said, direction, seen, counted, assessment);
            }
            let Some(asked) = after.admin_query(pair, direction) else { continue };
            for (id, first) in asked.each() {
                let Some(ruling) = first.rule_match() else { continue };
                let said = match ruling.permission() {
                    Permission::Allowed => ConnectionVerdict::Allowed,
                    Permission::Unknown => ConnectionVerdict::Unknown,
                    Permission::Denied => ConnectionVerdict::WouldDeny(seen.outcome.effect),
                };
                self.note_verdict(&after.tiers().policy(id).reference, said, direction, seen, counted, assessment);
            }
        }
    }

    fn note_verdict(
        &self,
        policy: &PolicyRef,
        said: ConnectionVerdict,
        direction: Direction,
        seen: &Observation<'_>,
        counted: &mut VerdictsByConnection,
        assessment: &mut Assessment,
    ) {
        if !self.changed.contains(policy) {
            return;
        }
        let outcome = seen.outcome;
        let key = self.denial_key(policy, direction, &outcome.pair);
        if seen.is_in_use() {
            let known = counted.entry((policy.clone(), key.clone())).or_insert(said);
            *known = said.max(*known);
        }
        if said == ConnectionVerdict::WouldDeny(Effect::StillAllowed)
            && let Some((_, note)) = let_pass(self.worlds.after, &outcome.at(direction).after, direction)
        {
            self.note_told(&mut assessment.still_allowed, key, policy, seen, || note);
        } else if said == ConnectionVerdict::WouldDeny(Effect::StillDenied) {
            let note = || self.denied_already(policy, outcome);
            self.note_told(&mut assessment.still_denied, key, policy, seen, note);
        }
    }

    fn note_newly_allowed(&self, seen: &Observation<'_>, assessment: &mut Assessment) {
        let Worlds { before, after, .. } = self.worlds;
        for direction in Direction::BOTH {
            let change = seen.outcome.at(direction);
            if change.before.permission() != Permission::Denied {
                continue;
            }
            // What lets it in is what allows it now, or that what kept it out is gone.
            let now = let_pass(after, &change.after, direction);
            let gone = || {
                let denier = deniers(before, &change.before).into_iter().next()?;
                let note = format!("{} restricts it no longer", denier.policy);
                Some((denier.policy, note))
            };
            let Some((policy, note)) = now.or_else(gone) else { continue };
            let key = self.denial_key(&policy, direction, &seen.outcome.pair);
            self.note_told(&mut assessment.newly_allowed, key, &policy, seen, || note);
        }
    }
}

impl Observation<'_> {
    fn is_in_use(&self) -> bool {
        self.sightings.iter().any(|sighting| sighting.class == Class::InUse)
    }
}
