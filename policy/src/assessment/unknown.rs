//! Flows in use that may be newly denied, where traffic does not tell.

use std::collections::BTreeSet;

use jiff::Timestamp;

use super::blame::deniers;
use super::{Assessment, Case, Seen};
use crate::admin::view::Action;
use crate::compiled::PolicyRef;
use crate::effect::Change;
use crate::flow::{Direction, Protocol};
use crate::naming::Party;
use crate::tier::TierName;
use crate::tier::chain::{Passage, Undecidable};
use crate::tier::peer::Unknown as Why;
use crate::tier::ruling::{Doubt, Toward};
use crate::world::{Pair, Standing, World};

/// A rule of which it is not known whether it takes a flow.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnknownKey {
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
pub struct Unknown {
    /// Each with the question as a sentence.
    pub relations: BTreeSet<UnknownRelation>,
}

/// One of the flows.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct UnknownRelation {
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

impl Case<'_, '_, '_> {
    pub(super) fn note_unknown(&self, seen: &Seen<'_>, at: Timestamp, assessment: &mut Assessment) {
        if !seen.is_in_use() {
            return;
        }
        let pair = &seen.outcome.pair;
        for direction in Direction::BOTH {
            let change = seen.outcome.at(direction);
            if change.before.passage() == Passage::Denied || change.after.passage() == Passage::Passes {
                continue;
            }
            let (world, undecidable) = match (&change.before, &change.after) {
                (_, Standing::Unknown(after)) => (self.worlds.after, after),
                (Standing::Unknown(before), _) => (self.worlds.before, before),
                _ => continue,
            };
            let Some((tier, doubt)) = undecidable.first() else { continue };
            if self.is_accepted(change, direction, pair, at) {
                continue;
            }
            let policy = world.tiers().policy(doubt.taken.by.policy).reference.clone();
            let key = UnknownKey { policy, direction, rule: doubt.taken.by.rule, why: doubt.why };
            let cluster = self.worlds.after.cluster();
            let relation = UnknownRelation {
                subject: Party::of(pair.subject(direction), cluster),
                peer: Party::of(pair.peer(direction), cluster),
                protocol: pair.protocol,
                port: pair.port,
                question: self.question(world, tier, &doubt, undecidable, change, direction, pair),
            };
            assessment.unknown.entry(key).or_default().relations.insert(relation);
        }
    }

    /// Whether live exceptions accept the denial, whichever policy it would be laid at.
    fn is_accepted(&self, change: &Change, direction: Direction, pair: &Pair, at: Timestamp) -> bool {
        let after = self.worlds.after;
        let mut accused: Vec<PolicyRef> = Vec::new();
        let mut deny = |standing: &Standing| {
            let denied = deniers(after, standing);
            let is_changed = |policy: &PolicyRef| self.changed.contains(policy);
            let any_changed = denied.iter().any(|denier| is_changed(&denier.policy));
            let policies = denied.into_iter().map(|denier| denier.policy);
            accused.extend(policies.filter(|policy| !any_changed || is_changed(policy)));
        };
        match &change.after {
            Standing::Unknown(undecidable) => {
                deny(&undecidable.otherwise);
                for (_, doubt, passage) in &undecidable.doubts {
                    match (passage, doubt.taken.action) {
                        (Passage::Passes, _) => {}
                        (_, Action::Deny) => {
                            accused.push(after.tiers().policy(doubt.taken.by.policy).reference.clone());
                        }
                        // What comes after it denies: who, is not asked.
                        (_, Action::Pass | Action::Accept) => return false,
                    }
                }
            }
            standing => deny(standing),
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
        change: &Change,
        direction: Direction,
        pair: &Pair,
    ) -> String {
        let policy = world.tiers().policy(doubt.taken.by.policy);
        let peer = Party::of(pair.peer(direction), world.cluster()).to_string();
        let subject = Party::of(pair.subject(direction), world.cluster());
        let toward = Toward { direction, peer: &peer, protocol: pair.protocol, port: pair.port };
        let question = policy.explain_doubt(doubt.taken.by.rule, doubt.why, &toward);
        let names = |standing: &Standing| {
            let denied = deniers(self.worlds.after, standing);
            denied.first().map(|denier| denier.policy.to_string())
        };
        let ends = match (&change.after, doubt.taken.action) {
            (Standing::Unknown(_), Action::Deny) => "if it does, the flow is denied".to_owned(),
            (Standing::Unknown(_), _) => match names(&undecidable.otherwise) {
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
