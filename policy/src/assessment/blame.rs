//! At whom a denial is laid, and what lets a flow pass.

use super::{Case, Cause};
use crate::admin::view::Action;
use crate::compiled::PolicyRef;
use crate::dialect::remark;
use crate::effect::{Outcome, Worlds};
use crate::flow::Direction;
use crate::miss::{Nearest, rule_name};
use crate::naming::Party;
use crate::tier::Taken;
use crate::tier::ruling::{DENIED_BY_RULE, Ruling, Said, Toward};
use crate::verdict::{Reason, Verdict};
use crate::world::{Pair, PolicyId, Standing, World};

/// A policy that denies a flow, and why.
#[derive(Clone, Debug)]
pub(super) struct Denier {
    pub(super) policy: PolicyRef,
    /// The reason's name.
    pub(super) reason: &'static str,
    why: Why,
}

#[derive(Clone, Copy, Debug)]
enum Why {
    Reason(PolicyId, Reason),
    Ruling(Ruling),
}

/// A policy at which a denial is laid.
pub(super) struct Blamed {
    pub(super) policy: PolicyRef,
    pub(super) cause: Cause,
    pub(super) denier: Denier,
    /// What the policy did before the change and does no longer, where it is not the one that denies.
    did: Option<String>,
}

/// A denial in words, and what of the nearest rule failed.
pub(super) struct Explained {
    pub(super) message: String,
    pub(super) nearest: Option<Nearest>,
}

/// The policies that deny a flow which stands so.
pub(super) fn deniers(world: &World<'_>, standing: &Standing) -> Vec<Denier> {
    match standing {
        Standing::Denied(denied) => denied
            .iter()
            .map(|(id, reason)| {
                let policy = world.policy(*id).reference.clone();
                Denier { policy, reason: reason.name(), why: Why::Reason(*id, *reason) }
            })
            .collect(),
        Standing::Ruled(ruling @ Ruling { taken: Taken { by, action: Action::Deny }, .. }) => {
            let policy = world.tiers().policy(by.policy).reference.clone();
            vec![Denier { policy, reason: DENIED_BY_RULE, why: Why::Ruling(*ruling) }]
        }
        _ => Vec::new(),
    }
}

impl Denier {
    fn explain(&self, world: &World<'_>, pair: &Pair, direction: Direction) -> Explained {
        let peer = Party::of(pair.peer(direction), world.cluster()).to_string();
        match &self.why {
            Why::Reason(id, reason) => {
                let policy = world.policy(*id);
                let question = world.question(pair, direction);
                let miss = policy.miss(reason, &question);
                let nearest = miss.map(|miss| Nearest { policy: policy.reference.clone(), miss });
                let mut message = policy.explain(reason, &question, &peer);
                message.extend(remark::on_denial(&world.view(), policy, pair, direction));
                Explained { message, nearest }
            }
            Why::Ruling(Ruling { tier, taken: Taken { by, .. }, tied }) => {
                let policy = world.tiers().policy(by.policy);
                let toward = Toward { direction, peer: &peer, protocol: pair.protocol, port: pair.port };
                let mut message = format!("in the {tier} tier {}", policy.explain_denial(by.rule, &toward));
                if let Some(tied) = tied {
                    message.push_str(&tie(world, tied, direction));
                }
                Explained { message, nearest: None }
            }
        }
    }
}

impl Blamed {
    /// Told once for many flows, so it is not put into words before somebody asks.
    pub(super) fn explain(&self, world: &World<'_>, pair: &Pair, direction: Direction) -> Explained {
        let explained = self.denier.explain(world, pair, direction);
        let Some(did) = &self.did else { return explained };
        let message =
            format!("{} {did}; {} restricts this pod: {}", self.policy, self.denier.policy, explained.message);
        Explained { message, ..explained }
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
        let deniers = deniers(self.worlds.after, &outcome.at(direction).after);
        let laid_at =
            |denier: &Denier, cause| Blamed { policy: denier.policy.clone(), cause, denier: denier.clone(), did: None };
        let changed = deniers.iter().filter(|denier| self.changed.contains(&denier.policy));
        let by_policy: Vec<_> = changed.map(|denier| laid_at(denier, Cause::Policy)).collect();
        if !by_policy.is_empty() {
            return by_policy;
        }
        let Some(first) = deniers.first() else { return Vec::new() };
        let by_removal: Vec<_> = self
            .took_part(&outcome.pair, direction)
            .into_iter()
            .map(|(policy, did)| Blamed { policy, cause: Cause::Removal, denier: first.clone(), did: Some(did) })
            .collect();
        if !by_removal.is_empty() {
            return by_removal;
        }
        deniers.iter().map(|denier| laid_at(denier, Cause::Identity)).collect()
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
