//! The administrators' policies of a world, in the order in which each pod is asked about.

use std::sync::Arc;

use ipnet::IpNet;

use super::policy::{Precedence, TierPolicy};
use super::ruling::{Doubt, Question};
use super::{RuleId, Taken, TierName, TierPolicyId};
use crate::admin::view::Action;
use crate::inhabitants::{IdentityId, Inhabitants};

/// The index.
#[derive(Clone, Debug, Default)]
pub struct Tiers {
    /// By tier, precedence and name.
    policies: Vec<Arc<TierPolicy>>,
    /// By identity: the policies whose subject it is, in that order.
    by_identity: Vec<Vec<TierPolicyId>>,
}

/// A flow, and the policies whose subject one of its ends is.
#[derive(Clone, Copy, Debug)]
pub struct Asked<'a> {
    /// The policies.
    pub subject: Subject<'a>,
    /// The flow as they see it.
    pub question: Question<'a>,
}

/// The policies whose subject a pod is: at least one.
#[derive(Clone, Copy, Debug)]
pub struct Subject<'a> {
    tiers: &'a Tiers,
    ids: &'a [TierPolicyId],
}

/// What the policies of a tier make of a flow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Matched {
    /// The rule that decides where no doubtful one takes the flow.
    pub surely: Option<Taken>,
    /// One that says something else, and that might as well have been asked first.
    pub tied: Option<Taken>,
    /// Doubtful rules that would be asked before it, in their order.
    pub perhaps: Vec<Doubt>,
}

impl Tiers {
    pub(crate) fn new(inhabitants: &Inhabitants, mut policies: Vec<Arc<TierPolicy>>) -> Self {
        policies.sort_by(|a, b| {
            let key = |policy: &TierPolicy| (policy.tier, policy.precedence, policy.reference.clone());
            key(a).cmp(&key(b))
        });
        let mut tiers = Self { policies, by_identity: Vec::new() };
        for identity in inhabitants.identity_ids() {
            tiers.set_identity(identity, inhabitants);
        }
        tiers
    }

    /// Finds whose subject an identity is that is new, or whose namespace has other labels.
    pub(crate) fn set_identity(&mut self, id: IdentityId, inhabitants: &Inhabitants) {
        if self.policies.is_empty() {
            return;
        }
        let identity = &inhabitants.identities()[id.index()];
        let labels = inhabitants.namespace_labels(&identity.namespace);
        let selects = |policy: &TierPolicy| policy.selects(labels, &identity.labels);
        let selecting = self.policies.iter().enumerate().filter(|(_, policy)| selects(policy));
        let ids = selecting.map(|(index, _)| TierPolicyId::new(index)).collect();
        if id.index() >= self.by_identity.len() {
            self.by_identity.resize_with(id.index() + 1, Vec::new);
        }
        self.by_identity[id.index()] = ids;
    }

    /// All of them, in order.
    #[must_use]
    pub fn policies(&self) -> &[Arc<TierPolicy>] {
        &self.policies
    }

    /// One of them.
    #[must_use]
    pub fn policy(&self, id: TierPolicyId) -> &TierPolicy {
        &self.policies[id.index()]
    }

    /// Those whose subject a pod of this identity is, in order.
    #[must_use]
    pub fn selecting(&self, identity: IdentityId) -> &[TierPolicyId] {
        self.by_identity.get(identity.index()).map_or(&[], Vec::as_slice)
    }

    /// `None`: nobody's.
    pub(crate) fn of(&self, identity: IdentityId) -> Option<Subject<'_>> {
        Some(self.selecting(identity)).filter(|ids| !ids.is_empty()).map(|ids| Subject { tiers: self, ids })
    }

    /// The networks by which the policies of an identity tell apart to whom it speaks.
    pub(crate) fn networks(&self, identity: IdentityId) -> impl Iterator<Item = IpNet> {
        self.selecting(identity).iter().flat_map(|id| self.policy(*id).networks())
    }
}

impl<'a> Asked<'a> {
    /// The policies with what each, taken alone, says.
    pub fn each(&self) -> impl Iterator<Item = (TierPolicyId, super::policy::FirstMatch)> + use<'a, '_> {
        let Subject { tiers, ids } = self.subject;
        ids.iter().map(move |id| (*id, tiers.policy(*id).first_match(&self.question)))
    }

    /// What the policies of a tier together say: by precedence; of those that may as well come first the worst counts.
    pub(crate) fn matched(&self, tier: TierName) -> Matched {
        let Subject { tiers, ids } = self.subject;
        let of_tier = || ids.iter().copied().filter(|id| tiers.policy(*id).tier == tier);
        let is_alone = |id: &TierPolicyId| tiers.policy(*id).precedence == Precedence::Alone;
        let alone = of_tier().filter(is_alone).map(|id| self.of_policy(id)).collect();
        let by_priority: Vec<TierPolicyId> = of_tier().filter(|id| !is_alone(id)).collect();
        let groups = by_priority.chunk_by(|a, b| tiers.policy(*a).precedence == tiers.policy(*b).precedence);
        let mut ladder = Matched::default();
        for group in groups {
            let next = together(group.iter().map(|id| self.of_policy(*id)).collect());
            ladder.perhaps.extend(next.perhaps);
            if next.surely.is_some() {
                (ladder.surely, ladder.tied) = (next.surely, next.tied);
                break;
            }
        }
        let alone = together(alone);
        if alone == Matched::default() { ladder } else { together(vec![ladder, alone]) }
    }

    fn of_policy(&self, id: TierPolicyId) -> Matched {
        let first = self.subject.tiers.policy(id).first_match(&self.question);
        let taken = |rule, action| Taken { by: RuleId { policy: id, rule }, action };
        Matched {
            surely: first.surely.map(|(rule, action)| taken(rule, action)),
            tied: None,
            perhaps: first
                .perhaps
                .iter()
                .map(|&(rule, action, why)| Doubt { taken: taken(rule, action), why })
                .collect(),
        }
    }
}

/// Of several that may each come first. What would be worst for the flow counts: a denial, then what passes on, then an accept.
fn together(each: Vec<Matched>) -> Matched {
    if each.len() <= 1 {
        return each.into_iter().next().unwrap_or_default();
    }
    let action = |taken: &Taken| taken.action;
    let sure: Vec<Taken> = each.iter().filter_map(|one| one.surely).collect();
    // The first of the worst.
    let worst = sure.iter().map(action).max();
    let surely = sure.iter().find(|taken| Some(taken.action) == worst).copied();
    let tied = sure.iter().find(|taken| Some(taken.action) != worst).copied();
    let tied = tied.or(each.iter().filter(|one| one.surely == surely).find_map(|one| one.tied));

    // Whatever the doubtful rules take, each policy does at least this.
    let least = |one: &Matched| {
        let otherwise = one.surely.map(|taken| taken.action);
        one.perhaps.iter().map(|doubt| Some(doubt.taken.action)).chain([otherwise]).min().flatten()
    };
    let floor = each.iter().map(least).max().flatten();
    let doubts: Vec<Doubt> = each.iter().flat_map(|one| one.perhaps.iter().copied()).collect();
    let possible = |action: &Action| Some(*action) >= floor;
    let mut perhaps: Vec<Doubt> = doubts.iter().filter(|doubt| possible(&doubt.taken.action)).copied().collect();
    // A doubtful rule may stand in the place of the worst, and then another policy's is the worst.
    for other in sure.iter().map(action).filter(|other| Some(*other) != worst && possible(other)) {
        let known = perhaps.iter().any(|doubt| doubt.taken.action == other);
        if let Some(cause) = doubts.first().filter(|_| !known) {
            perhaps.push(Doubt { taken: Taken { action: other, ..cause.taken }, why: cause.why });
        }
    }
    Matched { surely, tied, perhaps }
}
