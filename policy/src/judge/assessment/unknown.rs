//! Flows in use that may be newly denied: a rule depends on something that is not in the recorded traffic.

use std::collections::BTreeSet;

use crate::cluster::party::Party;
use crate::engine::effect::{DecisionChange, Worlds};
use crate::engine::end_decision::{Doubt, EndDecision, Permission, Undecidable};
use crate::engine::pair::Pair;
use crate::engine::tier::ruling::FlowDescription;
use crate::engine::world::World;
use crate::judge::assessment::attribution::deniers;
use crate::judge::assessment::{Assessment, AssessmentInputs, Observation};
use crate::policy::admin_peer::Unknown;
use crate::policy::tier::TierName;
use foretell_objects::model::flow::{Direction, Protocol};
use foretell_objects::model::policy_ref::PolicyRef;
use foretell_objects::resource::admin_view::AdminAction;

/// A rule that cannot be evaluated for some flows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UndecidedRule {
    /// The rule's policy.
    pub policy: PolicyRef,
    /// The rule's direction.
    pub direction: Direction,
    /// The rule's index in that direction.
    pub rule: usize,
    /// Why it is unknown whether the rule matches.
    pub why: Unknown,
}

/// The connections that depend on such a rule.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnknownConnections {
    /// Each with its own open question.
    pub connections: BTreeSet<UnknownConnection>,
}

/// A connection that depends on such a rule.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnknownConnection {
    /// The workload that may be denied.
    pub subject: Party,
    /// The other end.
    pub peer: Party,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Port at the destination.
    pub port: u16,
    /// What is unknown about it and what depends on that, as a sentence.
    pub question: String,
}

impl AssessmentInputs<'_> {
    pub(super) fn note_unknown(&self, observation: &Observation<'_>, assessment: &mut Assessment) {
        if !observation.is_in_use() {
            return;
        }
        let pair = &observation.outcome.pair;
        for direction in Direction::BOTH {
            let change = observation.outcome.at(direction);
            if change.before.permission() == Permission::Denied || change.after.permission() == Permission::Allowed {
                continue;
            }
            let (world, undecidable) = match (&change.before, &change.after) {
                (_, EndDecision::Unknown(after)) => (self.worlds.after, after),
                (EndDecision::Unknown(before), _) => (self.worlds.before, before),
                _ => continue,
            };
            let Some((tier, doubt)) = undecidable.first() else { continue };
            if self.is_accepted(change, direction, pair) {
                continue;
            }
            let policy = world.tiers().policy(doubt.matched.by.policy).reference.clone();
            let key = UndecidedRule { policy, direction, rule: doubt.matched.by.rule, why: doubt.why };
            let cluster = self.worlds.after.cluster();
            let connection = UnknownConnection {
                subject: Party::of(pair.subject(direction), cluster),
                peer: Party::of(pair.peer(direction), cluster),
                protocol: pair.protocol,
                port: pair.port,
                question: self.question(world, tier, &doubt, undecidable, change, direction, pair),
            };
            assessment.unknown.entry(key).or_default().connections.insert(connection);
        }
    }

    /// Whether exceptions in force accept each denial that is possible. One for any of the policies of a denial is enough.
    fn is_accepted(&self, change: &DecisionChange, direction: Direction, pair: &Pair) -> bool {
        let Worlds { after, at, .. } = self.worlds;
        let mut possible: Vec<Vec<PolicyRef>> = Vec::new();
        let mut deny = |decision: &EndDecision| {
            let denying: Vec<_> = deniers(after, decision).into_iter().map(|denier| denier.policy).collect();
            if !denying.is_empty() {
                possible.push(denying);
            }
        };
        match &change.after {
            EndDecision::Unknown(undecidable) => {
                deny(&undecidable.otherwise);
                for (_, doubt, permission) in &undecidable.doubts {
                    match (permission, doubt.matched.action) {
                        (Permission::Allowed, _) => {}
                        (_, AdminAction::Deny) => {
                            possible.push(vec![after.tiers().policy(doubt.matched.by.policy).reference.clone()]);
                        }
                        // A later rule denies; which one is not evaluated.
                        (_, AdminAction::Pass | AdminAction::Accept) => return false,
                    }
                }
            }
            decision => deny(decision),
        }
        let is_covered = |policy: &PolicyRef| {
            self.covering(policy, direction, pair).iter().any(|(_, exception)| !exception.has_expired(at))
        };
        !possible.is_empty() && possible.iter().all(|denying| denying.iter().any(is_covered))
    }

    #[expect(clippy::too_many_arguments, reason = "the parts of one sentence")]
    fn question(
        &self,
        world: &World<'_>,
        tier: TierName,
        doubt: &Doubt,
        undecidable: &Undecidable,
        change: &DecisionChange,
        direction: Direction,
        pair: &Pair,
    ) -> String {
        let policy = world.tiers().policy(doubt.matched.by.policy);
        let peer = Party::of(pair.peer(direction), world.cluster()).to_string();
        let subject = Party::of(pair.subject(direction), world.cluster());
        let flow = FlowDescription { direction, peer: &peer, protocol: pair.protocol, port: pair.port };
        let question = policy.explain_doubt(doubt.matched.by.rule, doubt.why, &flow);
        let denier = |decision: &EndDecision| {
            let denied = deniers(self.worlds.after, decision);
            denied.first().map(|denier| denier.policy.to_string())
        };
        let consequence = match (&change.after, doubt.matched.action) {
            (EndDecision::Unknown(_), AdminAction::Deny) => "if it does, the flow is denied".to_owned(),
            (EndDecision::Unknown(_), _) => match denier(&undecidable.otherwise) {
                Some(policy) => format!("if it does not, {policy} denies the flow"),
                None => "whether the flow is denied depends on it".to_owned(),
            },
            (after, _) => match denier(after) {
                Some(policy) => {
                    format!("{policy} denies the flow after the change, and whether it was allowed before is unknown")
                }
                None => "whether it was allowed before is unknown".to_owned(),
            },
        };
        format!("{} ({tier} tier) on {subject}: {question}; {consequence}", policy.title())
    }
}
