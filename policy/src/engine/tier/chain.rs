//! One tier after another.

use crate::engine::end_decision::{Doubt, EndDecision, Permission, Ruling, Undecidable, permission};
use crate::engine::index::view::View;
use crate::engine::pair::Pair;
use crate::engine::tier::index::TierQuery;
use crate::policy::tier::{MatchedRule, TierName};
use crate::resource::admin::view::AdminAction;

/// A tier: a name, and a pure function from a flow, seen from its subject, to an opinion.
pub trait Tier {
    /// Its name.
    fn name(&self) -> TierName;
    /// What it makes of a flow.
    fn judge(&self, pair: &Pair, asked: &TierQuery<'_>) -> TierAnswer;
}

/// What a tier makes of a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TierAnswer {
    /// Its opinion where no doubtful rule takes the flow.
    pub opinion: Opinion,
    /// The doubtful rules that would have been asked before, each with what it would do.
    pub doubts: Vec<Doubt>,
}

/// An opinion, with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opinion {
    /// It passes for good.
    Accept(EndDecision),
    /// The next tier is to say.
    Pass,
    /// It is denied for good.
    Deny(EndDecision),
}

/// AdminPolicies' policies of one tier.
struct AdminPolicies(TierName);

/// NetworkPolicies, which decide wherever one of them restricts the subject.
struct NetworkPolicies<'a>(&'a View<'a>);

impl Tier for AdminPolicies {
    fn name(&self) -> TierName {
        self.0
    }

    fn judge(&self, _: &Pair, asked: &TierQuery<'_>) -> TierAnswer {
        let matched = asked.matched(self.0);
        let ruled = |taken: MatchedRule| EndDecision::Ruled(Ruling { tier: self.0, taken, tied: matched.tied });
        let opinion = match matched.surely {
            Some(taken @ MatchedRule { action: AdminAction::Accept, .. }) => Opinion::Accept(ruled(taken)),
            Some(taken @ MatchedRule { action: AdminAction::Deny, .. }) => Opinion::Deny(ruled(taken)),
            Some(MatchedRule { action: AdminAction::Pass, .. }) | None => Opinion::Pass,
        };
        TierAnswer { opinion, doubts: matched.perhaps }
    }
}

impl Tier for NetworkPolicies<'_> {
    fn name(&self) -> TierName {
        TierName::NetworkPolicy
    }

    fn judge(&self, pair: &Pair, asked: &TierQuery<'_>) -> TierAnswer {
        let decision = self.0.decide_by_network_policies(pair, asked.question.direction);
        let opinion = match decision.permission() {
            _ if decision == EndDecision::Open => Opinion::Pass,
            Permission::Allowed => Opinion::Accept(decision),
            Permission::Denied | Permission::Unknown => Opinion::Deny(decision),
        };
        TierAnswer { opinion, doubts: Vec::new() }
    }
}

/// What all tiers together make of a flow.
#[must_use]
pub fn decide(view: &View<'_>, pair: &Pair, asked: &TierQuery<'_>) -> EndDecision {
    let tiers: [&dyn Tier; 3] =
        [&AdminPolicies(TierName::Admin), &NetworkPolicies(view), &AdminPolicies(TierName::Baseline)];
    ask(&tiers, pair, asked)
}

fn ask(tiers: &[&dyn Tier], pair: &Pair, asked: &TierQuery<'_>) -> EndDecision {
    let Some((tier, next)) = tiers.split_first() else { return EndDecision::Open };
    let answer = tier.judge(pair, asked);
    let passed_on = |doubt: &Doubt| doubt.taken.action == AdminAction::Pass;
    let is_passed_on = answer.opinion == Opinion::Pass || answer.doubts.iter().any(passed_on);
    let below = is_passed_on.then(|| ask(next, pair, asked));
    let passage_below = below.as_ref().map_or(Permission::Allowed, EndDecision::permission);
    let decision = match (answer.opinion, below) {
        (Opinion::Accept(decision) | Opinion::Deny(decision), _) | (Opinion::Pass, Some(decision)) => decision,
        (Opinion::Pass, None) => EndDecision::Open,
    };
    let mut doubts: Vec<(TierName, Doubt, Permission)> = answer
        .doubts
        .iter()
        .map(|doubt| {
            let becomes = if passed_on(doubt) { passage_below } else { permission(doubt.taken.action) };
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
