//! The chain of tiers: which tiers exist, the order in which they are evaluated, and how their answers combine.

use crate::engine::end_decision::{Doubt, EndDecision, Permission, PolicyRuling, Ruling, Undecidable, permission};
use crate::engine::index::packed_verdict::PackedVerdict;
use crate::engine::index::view::View;
use crate::engine::pair::Pair;
use crate::engine::policy_id::PolicyId;
use crate::engine::tier::admin_index::AdminQuery;
use crate::policy::admin_policy::FirstMatch;
use crate::policy::tier::{AdminPolicyId, MatchedRule, TierName};
use foretell_objects::model::flow::Direction;
use foretell_objects::resource::admin_view::AdminAction;

/// All tiers, in the order in which they are evaluated. A new tier is one entry here; `docs/add-a-tier.md` shows the steps.
pub const TIERS: [&dyn Tier; 3] =
    [&AdminPolicies(TierName::ADMIN), &NetworkPolicies, &AdminPolicies(TierName::BASELINE)];

/// A tier: a name, and pure functions of a flow at one of its ends.
pub trait Tier: Sync {
    /// Its name.
    fn name(&self) -> TierName;

    /// Judges a flow. A tier without an opinion passes.
    fn judge(&self, question: &TierQuestion<'_>) -> TierAnswer;

    /// The policies of the tier that select this end, each with its own verdict, for explanations.
    fn policies(&self, question: &TierQuestion<'_>) -> Vec<PolicyVerdict>;
}

/// A flow, from the point of view of the end that policies of a direction select.
#[derive(Clone, Copy, Debug)]
pub struct TierQuestion<'a> {
    /// The world in which the flow is judged.
    pub view: View<'a>,
    /// The flow to one backend.
    pub pair: Pair,
    /// For ingress the end is the destination, for egress the source.
    pub direction: Direction,
    /// The query for the admin policies that select this end; `None` if no admin policy selects it.
    pub admin: Option<AdminQuery<'a>>,
}

/// The answer of a tier.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TierAnswer {
    /// Its opinion, assuming that no undecidable rule matches the flow.
    pub opinion: Opinion,
    /// The rules that come before the deciding one and may match the flow, each with its action.
    pub doubts: Vec<Doubt>,
    /// Two rules of equal precedence and different action. The first of them counts.
    pub tie: Option<(MatchedRule, MatchedRule)>,
}

/// The opinion of a tier, with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opinion {
    /// The flow is allowed, and no further tier is evaluated.
    Accept(EndDecision),
    /// The next tier decides.
    Pass,
    /// The flow is denied, and no further tier is evaluated.
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

/// The tiers that were evaluated, in order, and the decision. Tiers after the last step were not reached.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trace {
    /// One step for each tier that was evaluated.
    pub steps: Vec<TraceStep>,
    /// The decision of all tiers together, the same as [`decide`] returns.
    pub decision: EndDecision,
}

/// A tier that was evaluated.
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
    /// The answer of a tier without undecidable rules.
    #[must_use]
    pub fn sure(opinion: Opinion) -> Self {
        Self { opinion, doubts: Vec::new(), tie: None }
    }
}

impl Opinion {
    /// The opinion that follows from the decision of one policy.
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

/// NetworkPolicies. They decide about every flow at an end that one of them restricts.
struct NetworkPolicies;

impl Tier for AdminPolicies {
    fn name(&self) -> TierName {
        self.0
    }

    fn judge(&self, question: &TierQuestion<'_>) -> TierAnswer {
        let Some(query) = &question.admin else { return TierAnswer::sure(Opinion::Pass) };
        let found = query.matched(self.0);
        let ruled = |matched: MatchedRule| EndDecision::Ruled(Ruling { tier: self.0, matched, tied: found.tied });
        let opinion = match found.surely {
            Some(matched @ MatchedRule { action: AdminAction::Accept, .. }) => Opinion::Accept(ruled(matched)),
            Some(matched @ MatchedRule { action: AdminAction::Deny, .. }) => Opinion::Deny(ruled(matched)),
            Some(MatchedRule { action: AdminAction::Pass, .. }) | None => Opinion::Pass,
        };
        TierAnswer { opinion, doubts: found.perhaps, tie: found.surely.zip(found.tied) }
    }

    fn policies(&self, question: &TierQuestion<'_>) -> Vec<PolicyVerdict> {
        let tiers = question.view.tiers;
        let each = question.admin.iter().flat_map(AdminQuery::each);
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

/// Evaluates the tiers one after another and returns their joint decision.
#[must_use]
pub fn decide(tiers: &[&dyn Tier], question: &TierQuestion<'_>) -> EndDecision {
    walk(tiers, question, &mut |_, _| {})
}

/// The same as [`decide`], with the answer of each tier that was evaluated.
#[must_use]
pub fn trace(tiers: &[&dyn Tier], question: &TierQuestion<'_>) -> Trace {
    let mut steps = Vec::new();
    let decision = walk(tiers, question, &mut |tier, answer| {
        steps.push(TraceStep { tier: tier.name(), answer: answer.clone(), policies: tier.policies(question) });
    });
    Trace { steps, decision }
}

/// Where a rule may match, both branches are followed. The flow is undecidable only if they end differently. `observe` is called
/// for each tier that is evaluated.
fn walk(
    tiers: &[&dyn Tier],
    question: &TierQuestion<'_>,
    observe: &mut impl FnMut(&dyn Tier, &TierAnswer),
) -> EndDecision {
    let Some((tier, next)) = tiers.split_first() else { return EndDecision::Open };
    let answer = tier.judge(question);
    observe(*tier, &answer);
    let passes = |doubt: &Doubt| doubt.matched.action == AdminAction::Pass;
    let next_decides = answer.opinion == Opinion::Pass || answer.doubts.iter().any(passes);
    let next = next_decides.then(|| walk(next, question, observe));
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
            let becomes = if passes(doubt) { next_permission } else { permission(doubt.matched.action) };
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
