//! The chain of tiers: which tiers there are, in which order they are asked, and what follows from their answers.

use crate::engine::end_decision::{Doubt, EndDecision, Permission, PolicyRuling, Ruling, Undecidable, permission};
use crate::engine::index::PackedVerdict;
use crate::engine::index::view::View;
use crate::engine::pair::Pair;
use crate::engine::tier::index::TierQuery;
use crate::model::flow::Direction;
use crate::model::policy_id::PolicyId;
use crate::policy::admin_policy::FirstMatch;
use crate::policy::tier::{AdminPolicyId, MatchedRule, TierName};
use crate::resource::admin::view::AdminAction;

/// All tiers, in the order in which they are asked. A new tier is one entry here; `docs/add-a-tier.md` shows the steps.
pub const TIERS: [&dyn Tier; 3] =
    [&AdminPolicies(TierName::ADMIN), &NetworkPolicies, &AdminPolicies(TierName::BASELINE)];

/// A tier: a name, and pure functions of a flow that is seen from one of its ends.
pub trait Tier: Sync {
    /// Its name.
    fn name(&self) -> TierName;

    /// Judges a flow. A tier without an opinion passes.
    fn judge(&self, question: &TierQuestion<'_>) -> TierAnswer;

    /// The policies of the tier that select this end, each with its own verdict, for explanations.
    fn policies(&self, question: &TierQuestion<'_>) -> Vec<PolicyVerdict>;
}

/// A flow, seen from the end that policies of a direction select.
#[derive(Clone, Copy, Debug)]
pub struct TierQuestion<'a> {
    /// The world.
    pub view: View<'a>,
    /// The flow.
    pub pair: Pair,
    /// Ingress: the end is the destination.
    pub direction: Direction,
    /// The admin policies that select this end, with the flow as they see it; `None`: no admin policy selects it.
    pub admin: Option<TierQuery<'a>>,
}

/// The answer of a tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TierAnswer {
    /// Its opinion if no doubtful rule matches the flow.
    pub opinion: Opinion,
    /// The rules that come before the deciding one and may match the flow, each with its action.
    pub doubts: Vec<Doubt>,
    /// Two rules of equal precedence and different action. The first of them counts.
    pub tie: Option<(MatchedRule, MatchedRule)>,
}

/// The opinion of a tier, with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opinion {
    /// The flow is allowed, and no further tier is asked.
    Accept(EndDecision),
    /// The next tier decides.
    Pass,
    /// The flow is denied, and no further tier is asked.
    Deny(EndDecision),
}

/// The verdict of one policy of a tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum PolicyVerdict {
    /// A NetworkPolicy that restricts this end.
    NetworkPolicy(PolicyId, PackedVerdict),
    /// An admin policy that selects this end.
    AdminPolicy(AdminPolicyId, FirstMatch),
    /// A policy of another tier that decides about the flow.
    Other(PolicyRuling),
}

/// The tiers that were asked, in order, and the decision. Tiers behind the last step were not asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// One step for each tier that was asked.
    pub steps: Vec<TraceStep>,
    /// The decision of all tiers together, the same as [`decide`] returns.
    pub decision: EndDecision,
}

/// A tier that was asked.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TraceStep {
    /// The name of the tier.
    pub tier: TierName,
    /// Its answer.
    pub answer: TierAnswer,
    /// Its policies that select this end.
    pub policies: Vec<PolicyVerdict>,
}

impl TierAnswer {
    /// The answer of a tier without doubtful rules.
    #[must_use]
    pub fn sure(opinion: Opinion) -> Self {
        Self { opinion, doubts: Vec::new(), tie: None }
    }
}

impl Opinion {
    /// The opinion of a policy that decides by itself.
    #[must_use]
    pub fn of(ruling: PolicyRuling) -> Self {
        let permission = ruling.permission;
        let decision = EndDecision::ByPolicy(Box::new(ruling));
        match permission {
            Permission::Allowed => Self::Accept(decision),
            Permission::Denied | Permission::Unknown => Self::Deny(decision),
        }
    }
}

/// The admin policies of one tier.
struct AdminPolicies(TierName);

/// NetworkPolicies. They decide wherever one of them restricts the end.
struct NetworkPolicies;

impl Tier for AdminPolicies {
    fn name(&self) -> TierName {
        self.0
    }

    fn judge(&self, question: &TierQuestion<'_>) -> TierAnswer {
        let Some(query) = &question.admin else { return TierAnswer::sure(Opinion::Pass) };
        let matched = query.matched(self.0);
        let ruled = |taken: MatchedRule| EndDecision::Ruled(Ruling { tier: self.0, taken, tied: matched.tied });
        let opinion = match matched.surely {
            Some(taken @ MatchedRule { action: AdminAction::Accept, .. }) => Opinion::Accept(ruled(taken)),
            Some(taken @ MatchedRule { action: AdminAction::Deny, .. }) => Opinion::Deny(ruled(taken)),
            Some(MatchedRule { action: AdminAction::Pass, .. }) | None => Opinion::Pass,
        };
        TierAnswer { opinion, doubts: matched.perhaps, tie: matched.surely.zip(matched.tied) }
    }

    fn policies(&self, question: &TierQuestion<'_>) -> Vec<PolicyVerdict> {
        let tiers = question.view.tiers;
        let each = question.admin.iter().flat_map(TierQuery::each);
        let of_tier = each.filter(|(id, _)| tiers.policy(*id).tier == self.0);
        of_tier.map(|(id, first)| PolicyVerdict::AdminPolicy(id, first)).collect()
    }
}

impl Tier for NetworkPolicies {
    fn name(&self) -> TierName {
        TierName::NETWORK_POLICY
    }

    fn judge(&self, question: &TierQuestion<'_>) -> TierAnswer {
        let decision = question.view.decide_by_network_policies(&question.pair, question.direction);
        TierAnswer::sure(match decision.permission() {
            _ if decision == EndDecision::Open => Opinion::Pass,
            Permission::Allowed => Opinion::Accept(decision),
            Permission::Denied | Permission::Unknown => Opinion::Deny(decision),
        })
    }

    fn policies(&self, question: &TierQuestion<'_>) -> Vec<PolicyVerdict> {
        let answers = question.view.answers(&question.pair, question.direction);
        answers.map(|(policy, verdict)| PolicyVerdict::NetworkPolicy(policy, verdict)).collect()
    }
}

/// Asks the tiers one after another and returns what they decide together.
#[must_use]
pub fn decide(tiers: &[&dyn Tier], question: &TierQuestion<'_>) -> EndDecision {
    ask(tiers, question, &mut |_, _| {})
}

/// The same as [`decide`], with the answer of each tier that was asked.
#[must_use]
pub fn trace(tiers: &[&dyn Tier], question: &TierQuestion<'_>) -> Trace {
    let mut steps = Vec::new();
    let decision = ask(tiers, question, &mut |tier, answer| {
        steps.push(TraceStep { tier: tier.name(), answer: answer.clone(), policies: tier.policies(question) });
    });
    Trace { steps, decision }
}

/// Where a rule may match, both branches are followed. The flow is undecidable only if they end differently.
fn ask(
    tiers: &[&dyn Tier],
    question: &TierQuestion<'_>,
    asked: &mut impl FnMut(&dyn Tier, &TierAnswer),
) -> EndDecision {
    let Some((tier, next)) = tiers.split_first() else { return EndDecision::Open };
    let answer = tier.judge(question);
    asked(*tier, &answer);
    let passes = |doubt: &Doubt| doubt.taken.action == AdminAction::Pass;
    let asks_next = answer.opinion == Opinion::Pass || answer.doubts.iter().any(passes);
    let next = asks_next.then(|| ask(next, question, asked));
    let next_permission = next.as_ref().map_or(Permission::Allowed, EndDecision::permission);
    let decision = match (answer.opinion, next) {
        (Opinion::Accept(decision) | Opinion::Deny(decision), _) | (Opinion::Pass, Some(decision)) => decision,
        (Opinion::Pass, None) => EndDecision::Open,
    };
    if answer.doubts.is_empty() {
        return decision;
    }
    let mut doubts: Vec<(TierName, Doubt, Permission)> = answer
        .doubts
        .iter()
        .map(|doubt| {
            let becomes = if passes(doubt) { next_permission } else { permission(doubt.taken.action) };
            (tier.name(), *doubt, becomes)
        })
        .collect();
    match decision {
        EndDecision::Unknown(undecidable) => {
            doubts.extend(undecidable.doubts);
            EndDecision::Unknown(Box::new(Undecidable { doubts, otherwise: undecidable.otherwise }))
        }
        otherwise if doubts.iter().any(|(_, _, becomes)| *becomes != otherwise.permission()) => {
            EndDecision::Unknown(Box::new(Undecidable { doubts, otherwise }))
        }
        decision => decision,
    }
}
