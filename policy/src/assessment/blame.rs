//! At whom a denial is laid, and what lets a flow pass.

use super::{Case, Cause};
use crate::admin::view::Action;
use crate::compiled::PolicyRef;
use crate::dialect::remark;
use crate::effect::{Outcome, Worlds};
use crate::flow::Direction;
use crate::naming::Party;
use crate::tier::Taken;
use crate::tier::ruling::{DENIED_BY_RULE, Ruling, Said, Toward};
use crate::verdict::Verdict;
use crate::world::{Pair, Standing, World};

/// A policy that denies a flow, and why.
#[derive(Clone, Debug)]
pub(super) struct Denier {
    pub(super) policy: PolicyRef,
    /// The reason's name.
    pub(super) reason: &'static str,
    /// The reason as a sentence.
    pub(super) message: String,
}

/// A policy at which a denial is laid.
pub(super) struct Blamed {
    pub(super) policy: PolicyRef,
    pub(super) cause: Cause,
    pub(super) reason: &'static str,
    pub(super) message: String,
}

/// The policies that deny a flow which stands so.
pub(super) fn deniers(world: &World<'_>, standing: &Standing, pair: &Pair, direction: Direction) -> Vec<Denier> {
    let peer = Party::of(pair.peer(direction), world.cluster()).to_string();
    match standing {
        Standing::Denied(denied) => denied
            .iter()
            .map(|(id, reason)| {
                let policy = world.policy(*id);
                let mut message = policy.explain(reason, direction, &peer, pair.protocol, pair.port);
                message.extend(remark::on_denial(&world.view(), policy, pair, direction));
                Denier { policy: policy.reference.clone(), reason: reason.name(), message }
            })
            .collect(),
        Standing::Ruled(Ruling { tier, taken: Taken { by, action: Action::Deny }, tied }) => {
            let policy = world.tiers().policy(by.policy);
            let toward = Toward { direction, peer: &peer, protocol: pair.protocol, port: pair.port };
            let mut message = format!("in the {tier} tier {}", policy.explain_denial(by.rule, &toward));
            if let Some(tied) = tied {
                message.push_str(&tie(world, tied, direction));
            }
            vec![Denier { policy: policy.reference.clone(), reason: DENIED_BY_RULE, message }]
        }
        _ => Vec::new(),
    }
}

/// What is to be said where another policy might as well have come first.
fn tie(world: &World<'_>, tied: &Taken, direction: Direction) -> String {
    let other = world.tiers().policy(tied.by.policy);
    let verb = match tied.action {
        Action::Accept => "accepts it",
        Action::Pass => "passes it on",
        Action::Deny => "denies it too",
    };
    let name = other.rule_name(direction, tied.by.rule);
    format!("; {} {verb} by {name}, and which of the two goes first is not defined: the denial is taken", other.title())
}

/// The policy that lets a flow pass which stands so, with a note that names its rule.
pub(super) fn let_pass(world: &World<'_>, standing: &Standing, direction: Direction) -> Option<(PolicyRef, String)> {
    match standing {
        Standing::Allowed { policy, rule, .. } => {
            let reference = world.policy(*policy).reference.clone();
            let note = format!("allowed by {reference} {}", rule_name(direction, *rule));
            Some((reference, note))
        }
        Standing::AllowedAtOtherEnd { policy, rule } => {
            let reference = world.policy(*policy).reference.clone();
            let rule = rule_name(direction.other(), *rule);
            let note = format!("allowed at the other end by {reference} {rule}, which is enough on one node");
            Some((reference, note))
        }
        Standing::Ruled(Ruling { tier, taken: Taken { by, action: Action::Accept }, .. }) => {
            let policy = world.tiers().policy(by.policy);
            let name = policy.rule_name(direction, by.rule);
            Some((policy.reference.clone(), format!("accepted in the {tier} tier by {} {name}", policy.title())))
        }
        _ => None,
    }
}

impl Case<'_, '_, '_> {
    /// The policies at which a denial is laid: the changed ones that deny it; else what was taken away; else, where only
    /// identities changed, those that deny it now.
    pub(super) fn blame(&self, outcome: &Outcome, direction: Direction) -> Vec<Blamed> {
        let denied = deniers(self.worlds.after, &outcome.at(direction).after, &outcome.pair, direction);
        let laid_at = |denier: &Denier, cause| {
            let Denier { policy, reason, message } = denier.clone();
            Blamed { policy, cause, reason, message }
        };
        let changed = denied.iter().filter(|denier| self.changed.contains(&denier.policy));
        let by_policy: Vec<_> = changed.map(|denier| laid_at(denier, Cause::Policy)).collect();
        if !by_policy.is_empty() {
            return by_policy;
        }
        let Some(first) = denied.first() else { return Vec::new() };
        let by_removal: Vec<_> = self
            .took_part(&outcome.pair, direction)
            .into_iter()
            .map(|(policy, what)| {
                let message = format!("{policy} {what}; {} restricts this pod: {}", first.policy, first.message);
                Blamed { policy, cause: Cause::Removal, reason: first.reason, message }
            })
            .collect();
        if !by_removal.is_empty() {
            return by_removal;
        }
        denied.iter().map(|denier| laid_at(denier, Cause::Identity)).collect()
    }

    /// The changed policies that had a part in letting a flow pass before, and what they did.
    fn took_part(&self, pair: &Pair, direction: Direction) -> Vec<(PolicyRef, String)> {
        let Worlds { before, .. } = self.worlds;
        let mut found = Vec::new();
        if let Some(asked) = before.tier_question(pair, direction) {
            for (id, first) in asked.each() {
                let policy = before.tiers().policy(id);
                if let Some(Said::Surely { rule, action: action @ (Action::Accept | Action::Pass) }) = first.said() {
                    let did = if action == Action::Accept { "accepted it" } else { "passed it on" };
                    let name = policy.rule_name(direction, rule);
                    found.push((policy.reference.clone(), format!("{did} by {name} before the change")));
                }
            }
        }
        for (id, verdict) in before.verdicts(pair, direction) {
            let what = match verdict {
                Verdict::Allow { rule, .. } => {
                    format!("allowed it by {} and does so no longer", rule_name(direction, rule))
                }
                Verdict::Exempt(_) => "kept the Baseline tier from it".to_owned(),
                Verdict::WouldDeny(_) => continue,
            };
            found.push((before.policy(id).reference.clone(), what));
        }
        found.retain(|(policy, _)| self.changed.contains(policy));
        found
    }
}

fn rule_name(direction: Direction, rule: usize) -> String {
    match direction {
        Direction::Ingress => format!("ingress[{rule}]"),
        Direction::Egress => format!("egress[{rule}]"),
    }
}
