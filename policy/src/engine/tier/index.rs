//! The admin policies of a world, in the order in which each pod is asked about.

use std::sync::Arc;

use ipnet::IpNet;

use crate::engine::end_decision::Doubt;
use crate::engine::identities::{Identities, IdentityId};
use crate::policy::admin_policy::{AdminPolicy, Precedence};
use crate::policy::question::AdminQuestion;
use crate::policy::tier::{AdminPolicyId, MatchedRule, RuleId, TierName};
use crate::resource::admin::view::AdminAction;

/// The index.
#[derive(Clone, Debug, Default)]
pub struct Tiers {
    /// By tier, precedence and name.
    policies: Vec<Arc<AdminPolicy>>,
    /// By identity: the policies whose subject it is, in that order.
    by_identity: Vec<Vec<AdminPolicyId>>,
}

/// A flow, and the policies whose subject one of its ends is.
#[derive(Clone, Copy, Debug)]
pub struct TierQuery<'a> {
    /// The policies.
    pub subject: SubjectPolicies<'a>,
    /// The flow as they see it.
    pub question: AdminQuestion<'a>,
}

/// The policies whose subject a pod is: at least one.
#[derive(Clone, Copy, Debug)]
pub struct SubjectPolicies<'a> {
    tiers: &'a Tiers,
    ids: &'a [AdminPolicyId],
}

/// What the policies of a tier make of a flow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TierMatch {
    /// The rule that decides where no doubtful one takes the flow.
    pub surely: Option<MatchedRule>,
    /// One that says something else, and that might as well have been asked first.
    pub tied: Option<MatchedRule>,
    /// Doubtful rules that would be asked before it, in their order.
    pub perhaps: Vec<Doubt>,
}

impl Tiers {
    pub(crate) fn new(identities: &Identities, mut policies: Vec<Arc<AdminPolicy>>) -> Self {
        policies.sort_by(|a, b| {
            let key = |policy: &AdminPolicy| (policy.tier, policy.precedence, policy.reference.clone());
            key(a).cmp(&key(b))
        });
        let mut tiers = Self { policies, by_identity: Vec::new() };
        for identity in identities.identity_ids() {
            tiers.set_identity(identity, identities);
        }
        tiers
    }

    /// Finds whose subject an identity is that is new, or whose namespace has other labels.
    pub(crate) fn set_identity(&mut self, id: IdentityId, identities: &Identities) {
        if self.policies.is_empty() {
            return;
        }
        let identity = &identities.all()[id.index()];
        let labels = identities.namespace_labels(&identity.namespace);
        let selects = |policy: &AdminPolicy| policy.selects(labels, &identity.labels);
        let selecting = self.policies.iter().enumerate().filter(|(_, policy)| selects(policy));
        let ids = selecting.map(|(index, _)| AdminPolicyId::new(index)).collect();
        if id.index() >= self.by_identity.len() {
            self.by_identity.resize_with(id.index() + 1, Vec::new);
        }
        self.by_identity[id.index()] = ids;
    }

    /// All of them, in order.
    #[must_use]
    pub fn policies(&self) -> &[Arc<AdminPolicy>] {
        &self.policies
    }

    /// One of them.
    #[must_use]
    pub fn policy(&self, id: AdminPolicyId) -> &AdminPolicy {
        &self.policies[id.index()]
    }

    /// Those whose subject a pod of this identity is, in order.
    #[must_use]
    pub fn selecting(&self, identity: IdentityId) -> &[AdminPolicyId] {
        self.by_identity.get(identity.index()).map_or(&[], Vec::as_slice)
    }

    /// `None`: nobody's.
    pub(crate) fn of(&self, identity: IdentityId) -> Option<SubjectPolicies<'_>> {
        Some(self.selecting(identity)).filter(|ids| !ids.is_empty()).map(|ids| SubjectPolicies { tiers: self, ids })
    }

    /// The networks by which the policies of an identity tell apart to whom it speaks.
    pub(crate) fn networks(&self, identity: IdentityId) -> impl Iterator<Item = IpNet> {
        self.selecting(identity).iter().flat_map(|id| self.policy(*id).networks())
    }
}

impl<'a> TierQuery<'a> {
    /// The policies with what each, taken alone, says.
    pub fn each(&self) -> impl Iterator<Item = (AdminPolicyId, crate::policy::admin_policy::FirstMatch)> + use<'a, '_> {
        let SubjectPolicies { tiers, ids } = self.subject;
        ids.iter().map(move |id| (*id, tiers.policy(*id).first_match(&self.question)))
    }

    /// What the policies of a tier together say: by precedence; of those that may as well come first the worst counts.
    pub(crate) fn matched(&self, tier: TierName) -> TierMatch {
        let SubjectPolicies { tiers, ids } = self.subject;
        let of_tier = || ids.iter().copied().filter(|id| tiers.policy(*id).tier == tier);
        let is_alone = |id: &AdminPolicyId| tiers.policy(*id).precedence == Precedence::Alone;
        let alone = of_tier().filter(is_alone).map(|id| self.of_policy(id)).collect();
        let by_priority: Vec<AdminPolicyId> = of_tier().filter(|id| !is_alone(id)).collect();
        let groups = by_priority.chunk_by(|a, b| tiers.policy(*a).precedence == tiers.policy(*b).precedence);
        let mut ladder = TierMatch::default();
        for group in groups {
            let next = together(group.iter().map(|id| self.of_policy(*id)).collect());
            ladder.perhaps.extend(next.perhaps);
            if next.surely.is_some() {
                (ladder.surely, ladder.tied) = (next.surely, next.tied);
                break;
            }
        }
        let alone = together(alone);
        if alone == TierMatch::default() { ladder } else { together(vec![ladder, alone]) }
    }

    fn of_policy(&self, id: AdminPolicyId) -> TierMatch {
        let first = self.subject.tiers.policy(id).first_match(&self.question);
        let taken = |rule, action| MatchedRule { by: RuleId { policy: id, rule }, action };
        TierMatch {
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
fn together(each: Vec<TierMatch>) -> TierMatch {
    if each.len() <= 1 {
        return each.into_iter().next().unwrap_or_default();
    }
    let action = |taken: &MatchedRule| taken.action;
    let sure: Vec<MatchedRule> = each.iter().filter_map(|one| one.surely).collect();
    // The first of the worst.
    let worst = sure.iter().map(action).max();
    let surely = sure.iter().find(|taken| Some(taken.action) == worst).copied();
    let tied = sure.iter().find(|taken| Some(taken.action) != worst).copied();
    let tied = tied.or(each.iter().filter(|one| one.surely == surely).find_map(|one| one.tied));

    // Whatever the doubtful rules take, each policy does at least this.
    let least = |one: &TierMatch| {
        let otherwise = one.surely.map(|taken| taken.action);
        one.perhaps.iter().map(|doubt| Some(doubt.taken.action)).chain([otherwise]).min().flatten()
    };
    let floor = each.iter().map(least).max().flatten();
    let doubts: Vec<Doubt> = each.iter().flat_map(|one| one.perhaps.iter().copied()).collect();
    let possible = |action: &AdminAction| Some(*action) >= floor;
    let mut perhaps: Vec<Doubt> = doubts.iter().filter(|doubt| possible(&doubt.taken.action)).copied().collect();
    // A doubtful rule may stand in the place of the worst, and then another policy's is the worst.
    for other in sure.iter().map(action).filter(|other| Some(*other) != worst && possible(other)) {
        let known = perhaps.iter().any(|doubt| doubt.taken.action == other);
        if let Some(cause) = doubts.first().filter(|_| !known) {
            perhaps.push(Doubt { taken: MatchedRule { action: other, ..cause.taken }, why: cause.why });
        }
    }
    TierMatch { surely, tied, perhaps }
}
