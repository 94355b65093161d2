//! What administrators' policies say, each taken alone: which rule takes a flow, if any.

use std::collections::BTreeMap;

use crate::admin::view::Action;
use crate::flow::Direction;
use crate::index::view::View;
use crate::naming::Party;
use crate::tier::TierPolicyId;
use crate::tier::chain::Passage;
use crate::tier::policy::Precedence;
use crate::tier::ruling::{CANNOT_BE_JUDGED, DENIED_BY_RULE, Said, Toward};
use crate::verdict::{AdministratorsLine, VerdictLine, VerdictName};
use crate::world::Pair;

/// What was said so far of one flow: of a Service's backends the worst stands.
#[derive(Debug, Default)]
pub(super) struct Rulings(BTreeMap<(TierPolicyId, Direction), (Said, Pair)>);

impl Rulings {
    pub(super) fn add(&mut self, view: &View<'_>, pair: &Pair, direction: Direction) {
        let Some(asked) = view.tier_question(pair, direction) else { return };
        for (policy, first) in asked.each() {
            let Some(said) = first.said() else { continue };
            self.0
                .entry((policy, direction))
                .and_modify(|known| {
                    if rank(&said) < rank(&known.0) {
                        *known = (said, *pair);
                    }
                })
                .or_insert((said, *pair));
        }
    }

    pub(super) fn lines<'a>(
        self,
        view: &View<'a>,
        flow: u64,
        backend_of: Option<&str>,
    ) -> impl Iterator<Item = VerdictLine<'a>> {
        let line =
            move |((policy, direction), (said, pair))| line(view, flow, policy, direction, &said, &pair, backend_of);
        self.0.into_iter().map(line)
    }
}

/// A denial is worse than what cannot be told, and an accept is better than what leaves it to others.
fn rank(said: &Said) -> impl Ord + use<> {
    let action = match said {
        Said::Surely { action, .. } | Said::Perhaps { action, .. } => *action,
    };
    (said.passage(), action != Action::Pass)
}

fn line<'a>(
    view: &View<'a>,
    flow: u64,
    policy: TierPolicyId,
    direction: Direction,
    said: &Said,
    pair: &Pair,
    backend_of: Option<&str>,
) -> VerdictLine<'a> {
    let policy = view.tiers.policy(policy);
    let peer = Party::of(pair.peer(direction), view.cluster).to_string();
    let toward = Toward { direction, peer: &peer, protocol: pair.protocol, port: pair.port };
    let (rule, action) = match *said {
        Said::Surely { rule, action } | Said::Perhaps { rule, action, .. } => (rule, action),
    };
    let message = match *said {
        Said::Surely { action: Action::Accept, .. } => None,
        Said::Surely { action: Action::Pass, .. } => {
            Some("it leaves the flow to NetworkPolicies and the Baseline tier".to_owned())
        }
        Said::Surely { action: Action::Deny, .. } => Some(policy.explain_denial(rule, &toward)),
        Said::Perhaps { why, .. } => Some(policy.explain_doubt(rule, why, &toward)),
    };
    let message = match (message, backend_of) {
        (Some(message), Some(service)) => {
            let backend = Party::of(&pair.dst, view.cluster);
            Some(format!("{message} (backend {backend} of {service})"))
        }
        (message, _) => message,
    };
    let (verdict, reason) = match said.passage() {
        Passage::Passes => (VerdictName::Allow, None),
        Passage::Denied => (VerdictName::WouldDeny, Some(DENIED_BY_RULE)),
        Passage::Unknown => (VerdictName::Unknown, Some(CANNOT_BE_JUDGED)),
    };
    let priority = match policy.precedence {
        Precedence::Priority(priority) => Some(priority),
        Precedence::Alone => None,
    };
    VerdictLine {
        flow,
        policy: &policy.reference,
        direction,
        verdict,
        rule: Some(rule),
        exempt: None,
        reason,
        nearest: None,
        message,
        administrators: Some(AdministratorsLine { tier: policy.tier, priority, action }),
    }
}
