//! The admin policies of a world, by the identities that they select, in the order in which they are evaluated.

use std::sync::Arc;

use ipnet::IpNet;

use crate::engine::end_decision::Doubt;
use crate::engine::identities::{Identities, IdentityId};
use crate::policy::admin_policy::{AdminPolicy, FirstMatch, Precedence};
use crate::policy::question::AdminQuestion;
use crate::policy::tier::{AdminPolicyId, MatchedRule, RuleId, TierName};
use foretell_objects::resource::admin_view::AdminAction;

/// The admin policies of a world.
#[derive(Clone, Debug, Default)]
pub struct AdminPolicyIndex {
    /// Ordered by tier, precedence and name.
    policies: Vec<Arc<AdminPolicy>>,
    /// By identity: the policies that select it as subject, in the same order.
    by_identity: Vec<Vec<AdminPolicyId>>,
}

/// A flow, and the admin policies that select one of its ends as subject.
#[derive(Clone, Copy, Debug)]
pub struct AdminQuery<'a> {
    /// The policies that select the end.
    pub subject: SubjectPolicies<'a>,
    /// The flow as rules of admin policies match it.
    pub question: AdminQuestion<'a>,
}

/// The admin policies that select a pod as subject: at least one.
#[derive(Clone, Copy, Debug)]
pub struct SubjectPolicies<'a> {
    tiers: &'a AdminPolicyIndex,
    ids: &'a [AdminPolicyId],
}

/// The rules of a tier that match a flow, or may match it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TierMatch {
    /// The rule that decides, assuming that no undecidable rule matches the flow.
    pub surely: Option<MatchedRule>,
    /// A rule of equal precedence with a different action. The order of the two is undefined.
    pub tied: Option<MatchedRule>,
    /// Undecidable rules that come before the deciding one, in their order.
    pub perhaps: Vec<Doubt>,
}

impl AdminPolicyIndex {
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

    /// Finds the policies that select an identity: it is new, or the labels of its namespace changed.
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

    /// All admin policies, in order.
    #[must_use]
    pub fn policies(&self) -> &[Arc<AdminPolicy>] {
        &self.policies
    }

    /// The admin policy of an id that this index returned.
    #[must_use]
    pub fn policy(&self, id: AdminPolicyId) -> &AdminPolicy {
        &self.policies[id.index()]
    }

    /// The policies that select pods of this identity as subject, in order.
    #[must_use]
    pub fn selecting(&self, identity: IdentityId) -> &[AdminPolicyId] {
        self.by_identity.get(identity.index()).map_or(&[], Vec::as_slice)
    }

    /// The same as a value that is never empty; `None` if no policy selects the identity.
    pub(crate) fn of(&self, identity: IdentityId) -> Option<SubjectPolicies<'_>> {
        Some(self.selecting(identity)).filter(|ids| !ids.is_empty()).map(|ids| SubjectPolicies { tiers: self, ids })
    }

    /// The networks by which the policies that select an identity distinguish destinations.
    pub(crate) fn networks(&self, identity: IdentityId) -> impl Iterator<Item = IpNet> {
        self.selecting(identity).iter().flat_map(|id| self.policy(*id).networks())
    }
}

impl<'a> AdminQuery<'a> {
    /// Each policy with its own first match, as if it were the only policy.
    pub fn each(&self) -> impl Iterator<Item = (AdminPolicyId, FirstMatch)> + use<'a, '_> {
        let SubjectPolicies { tiers, ids } = self.subject;
        ids.iter().map(move |id| (*id, tiers.policy(*id).first_match(&self.question)))
    }

    /// The match of all policies of a tier together, by precedence. Of policies with equal precedence the strictest match counts.
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
        let matched = |rule, action| MatchedRule { by: RuleId { policy: id, rule }, action };
        TierMatch {
            surely: first.surely.map(|(rule, action)| matched(rule, action)),
            tied: None,
            perhaps: first
                .perhaps
                .iter()
                .map(|&(rule, action, why)| Doubt { matched: matched(rule, action), why })
                .collect(),
        }
    }
}

/// Combines matches of equal precedence. The strictest action counts: a denial, then pass, then accept.
fn together(each: Vec<TierMatch>) -> TierMatch {
    if each.len() <= 1 {
        return each.into_iter().next().unwrap_or_default();
    }
    let action = |matched: &MatchedRule| matched.action;
    let sure: Vec<MatchedRule> = each.iter().filter_map(|one| one.surely).collect();
    // The first one with the strictest action.
    let worst = sure.iter().map(action).max();
    let surely = sure.iter().find(|matched| Some(matched.action) == worst).copied();
    let tied = sure.iter().find(|matched| Some(matched.action) != worst).copied();
    let tied = tied.or(each.iter().filter(|one| one.surely == surely).find_map(|one| one.tied));

    // Whichever undecidable rules match, each policy is at least this strict.
    let least = |one: &TierMatch| {
        let otherwise = one.surely.map(|matched| matched.action);
        one.perhaps.iter().map(|doubt| Some(doubt.matched.action)).chain([otherwise]).min().flatten()
    };
    let floor = each.iter().map(least).max().flatten();
    let doubts: Vec<Doubt> = each.iter().flat_map(|one| one.perhaps.iter().copied()).collect();
    let possible = |action: &AdminAction| Some(*action) >= floor;
    let mut perhaps: Vec<Doubt> = doubts.iter().filter(|doubt| possible(&doubt.matched.action)).copied().collect();
    // If an undecidable rule matches in place of the strictest one, the match of another policy may be the strictest.
    for other in sure.iter().map(action).filter(|other| Some(*other) != worst && possible(other)) {
        let known = perhaps.iter().any(|doubt| doubt.matched.action == other);
        if let Some(cause) = doubts.first().filter(|_| !known) {
            perhaps.push(Doubt { matched: MatchedRule { action: other, ..cause.matched }, why: cause.why });
        }
    }
    TierMatch { surely, tied, perhaps }
}
