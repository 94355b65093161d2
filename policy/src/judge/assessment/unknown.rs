//! Flows in use that may be newly denied, where traffic does not tell.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::cluster::party::Party;
use crate::engine::effect::DecisionChange;
use crate::engine::end_decision::{Doubt, EndDecision, Permission, Undecidable};
use crate::engine::pair::Pair;
use crate::engine::tier::ruling::FlowDescription;
use crate::engine::world::World;
use crate::judge::assessment::attribution::deniers;
use crate::judge::assessment::{Assessment, AssessmentInputs, Observation};
use crate::model::flow::{Direction, Protocol};
use crate::model::policy_ref::PolicyRef;
use crate::policy::admin_peer::Unknown as Why;
use crate::policy::tier::TierName;
use crate::resource::admin::view::AdminAction;

/// A rule of which it is not known whether it takes a flow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UndecidedRule {
    /// Whose rule.
    pub policy: PolicyRef,
    /// Of which direction.
    pub direction: Direction,
    /// Its index.
    pub rule: usize,
    /// Why it is not known.
    pub why: Why,
}

/// The flows that depend on it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct UnknownConnections {
    /// Each with the question as a sentence.
    pub connections: BTreeSet<UnknownConnection>,
}

/// One of the flows.
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
    /// What is not known of it, and what depends on that.
    pub question: String,
}

impl AssessmentInputs<'_, '_, '_> {
    pub(super) fn note_unknown(&self, seen: &Observation<'_>, at: Timestamp, assessment: &mut Assessment) {
        if !seen.is_in_use() {
            return;
        }
        let pair = &seen.outcome.pair;
        for direction in Direction::BOTH {
            let change = seen.outcome.at(direction);
            if change.before.permission() == Permission::Denied || change.after.permission() == Permission::Allowed {
                continue;
            }
            let (world, undecidable) = match (&change.before, &change.after) {
                (_, EndDecision::Unknown(after)) => (self.worlds.after, after),
                (EndDecision::Unknown(before), _) => (self.worlds.before, before),
                _ => continue,
            };
            let Some((tier, doubt)) = undecidable.first() else { continue };
            if self.is_accepted(change, direction, pair, at) {
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

    /// Whether live exceptions accept the denial, whichever policy it would be laid at.
    fn is_accepted(&self, change: &DecisionChange, direction: Direction, pair: &Pair, at: Timestamp) -> bool {
        let after = self.worlds.after;
        let mut accused: Vec<PolicyRef> = Vec::new();
        let mut deny = |decision: &EndDecision| {
            let denied = deniers(after, decision);
            let is_changed = |policy: &PolicyRef| self.changed.contains(policy);
            let any_changed = denied.iter().any(|denier| is_changed(&denier.policy));
            let policies = denied.into_iter().map(|denier| denier.policy);
            accused.extend(policies.filter(|policy| !any_changed || is_changed(policy)));
        };
        match &change.after {
            EndDecision::Unknown(undecidable) => {
                deny(&undecidable.otherwise);
                for (_, doubt, permission) in &undecidable.doubts {
                    match (permission, doubt.matched.action) {
                        (Permission::Allowed, _) => {}
                        (_, AdminAction::Deny) => {
                            accused.push(after.tiers().policy(doubt.matched.by.policy).reference.clone());
                        }
                        // What comes after it denies: who, is not asked.
                        (_, AdminAction::Pass | AdminAction::Accept) => return false,
                    }
                }
            }
            decision => deny(decision),
        }
        let is_covered = |policy: &PolicyRef| {
            self.covering(policy, direction, pair).iter().any(|(_, exception)| !exception.has_expired(at))
        };
        !accused.is_empty() && accused.iter().all(is_covered)
    }

    #[expect(clippy::too_many_arguments, reason = "all that a sentence is made of")]
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
        let toward = FlowDescription { direction, peer: &peer, protocol: pair.protocol, port: pair.port };
        let question = policy.explain_doubt(doubt.matched.by.rule, doubt.why, &toward);
        let names = |decision: &EndDecision| {
            let denied = deniers(self.worlds.after, decision);
            denied.first().map(|denier| denier.policy.to_string())
        };
        let ends = match (&change.after, doubt.matched.action) {
            (EndDecision::Unknown(_), AdminAction::Deny) => "if it does, the flow is denied".to_owned(),
            (EndDecision::Unknown(_), _) => match names(&undecidable.otherwise) {
                Some(policy) => format!("if it does not, {policy} denies the flow"),
                None => "what denies the flow depends on it".to_owned(),
            },
            (after, _) => match names(after) {
                Some(policy) => format!("{policy} denies the flow now, and whether it passed before is not known"),
                None => "whether it passed before is not known".to_owned(),
            },
        };
        format!("{} ({tier} tier) on {subject}: {question}; {ends}", policy.title())
    }
}
