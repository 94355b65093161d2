//! One tier after another.

use super::index::Asked;
use super::ruling::{Doubt, Ruling, passage};
use super::{Taken, TierName};
use crate::admin::view::Action;
use crate::index::view::View;
use crate::world::{Pair, Standing};

/// A tier: a name, and a pure function from a flow, seen from its subject, to an opinion.
pub trait Tier {
    /// Its name.
    fn name(&self) -> TierName;
    /// What it makes of a flow.
    fn judge(&self, pair: &Pair, asked: &Asked<'_>) -> Answer;
}

/// What a tier makes of a flow.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Answer {
    /// Its opinion where no doubtful rule takes the flow.
    pub opinion: Opinion,
    /// The doubtful rules that would have been asked before, each with what it would do.
    pub doubts: Vec<Doubt>,
}

/// An opinion, with its reason.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Opinion {
    /// It passes for good.
    Accept(Standing),
    /// The next tier is to say.
    Pass,
    /// It is denied for good.
    Deny(Standing),
}

/// Whether a flow passes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Passage {
    /// It does not.
    Denied,
    /// That cannot be told.
    Unknown,
    /// It does.
    Passes,
}

impl Passage {
    /// Whether a flow passes that has to pass both of two ends.
    #[must_use]
    pub fn and(self, other: Self) -> Self {
        self.min(other)
    }
}

/// A flow of which it cannot be told whether it passes.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Undecidable {
    /// Rules that may take it, in the order in which they are asked, each with what becomes of the flow if it is the first
    /// that does. At least one ends otherwise than the rest.
    pub doubts: Vec<(TierName, Doubt, Passage)>,
    /// How the flow stands if none of them takes it.
    pub otherwise: Standing,
}

impl Undecidable {
    /// The first doubt on which it depends.
    #[must_use]
    pub fn first(&self) -> Option<(TierName, Doubt)> {
        let differs = |(_, _, passage): &&(TierName, Doubt, Passage)| *passage != self.otherwise.passage();
        self.doubts.iter().find(differs).or(self.doubts.first()).map(|(tier, doubt, _)| (*tier, *doubt))
    }
}

/// Administrators' policies of one tier.
struct Administrators(TierName);

/// NetworkPolicies, which decide wherever one of them restricts the subject.
struct NetworkPolicies<'a>(&'a View<'a>);

impl Tier for Administrators {
    fn name(&self) -> TierName {
        self.0
    }

    fn judge(&self, _: &Pair, asked: &Asked<'_>) -> Answer {
        let matched = asked.matched(self.0);
        let ruled = |taken: Taken| Standing::Ruled(Ruling { tier: self.0, taken, tied: matched.tied });
        let opinion = match matched.surely {
            Some(taken @ Taken { action: Action::Accept, .. }) => Opinion::Accept(ruled(taken)),
            Some(taken @ Taken { action: Action::Deny, .. }) => Opinion::Deny(ruled(taken)),
            Some(Taken { action: Action::Pass, .. }) | None => Opinion::Pass,
        };
        Answer { opinion, doubts: matched.perhaps }
    }
}

impl Tier for NetworkPolicies<'_> {
    fn name(&self) -> TierName {
        TierName::NetworkPolicy
    }

    fn judge(&self, pair: &Pair, asked: &Asked<'_>) -> Answer {
        let standing = self.0.standing_by_network_policies(pair, asked.question.direction);
        let opinion = match standing.passage() {
            _ if standing == Standing::Open => Opinion::Pass,
            Passage::Passes => Opinion::Accept(standing),
            Passage::Denied | Passage::Unknown => Opinion::Deny(standing),
        };
        Answer { opinion, doubts: Vec::new() }
    }
}

/// What all tiers together make of a flow.
#[must_use]
pub fn standing(view: &View<'_>, pair: &Pair, asked: &Asked<'_>) -> Standing {
    let tiers: [&dyn Tier; 3] =
        [&Administrators(TierName::Admin), &NetworkPolicies(view), &Administrators(TierName::Baseline)];
    ask(&tiers, pair, asked)
}

fn ask(tiers: &[&dyn Tier], pair: &Pair, asked: &Asked<'_>) -> Standing {
    let Some((tier, next)) = tiers.split_first() else { return Standing::Open };
    let answer = tier.judge(pair, asked);
    let passed_on = |doubt: &Doubt| doubt.taken.action == Action::Pass;
    let is_passed_on = answer.opinion == Opinion::Pass || answer.doubts.iter().any(passed_on);
    let below = is_passed_on.then(|| ask(next, pair, asked));
    let passage_below = below.as_ref().map_or(Passage::Passes, Standing::passage);
    let standing = match (answer.opinion, below) {
        (Opinion::Accept(standing) | Opinion::Deny(standing), _) | (Opinion::Pass, Some(standing)) => standing,
        (Opinion::Pass, None) => Standing::Open,
    };
    let mut doubts: Vec<(TierName, Doubt, Passage)> = answer
        .doubts
        .iter()
        .map(|doubt| {
            let becomes = if passed_on(doubt) { passage_below } else { passage(doubt.taken.action) };
            (tier.name(), *doubt, becomes)
        })
        .collect();
    match standing {
        Standing::Unknown(undecidable) => {
            doubts.extend(undecidable.doubts);
            Standing::Unknown(Box::new(Undecidable { doubts, otherwise: undecidable.otherwise }))
        }
        otherwise if doubts.iter().any(|(_, _, becomes)| *becomes != otherwise.passage()) => {
            Standing::Unknown(Box::new(Undecidable { doubts, otherwise }))
        }
        standing => standing,
    }
}
