//! At whom a denial is laid, and what lets a flow pass.

use crate::cluster::party::Party;
use crate::engine::effect::{FlowEffect, Worlds};
use crate::engine::end_decision::{EndDecision, Permission, PolicyRuling, Ruling};
use crate::engine::pair::Pair;
use crate::engine::tier::ruling::{DENIED_BY_RULE, FlowDescription, RuleMatch};
use crate::engine::verdict::{Reason, Verdict};
use crate::engine::world::World;
use crate::explain::enforcer_note as remark;
use crate::explain::nearest::NearestRule;
use crate::judge::assessment::{AssessmentInputs, DenialCause};
use crate::model::flow::Direction;
use crate::model::policy_id::PolicyId;
use crate::model::policy_ref::PolicyRef;
use crate::model::words::rule_name;
use crate::policy::tier::MatchedRule;
use crate::resource::admin::view::AdminAction;

/// A policy that denies a flow, and why.
#[derive(Clone, Debug)]
pub(super) struct Denier {
    pub(super) policy: PolicyRef,
    /// The reason's name.
    pub(super) reason: &'static str,
    why: DenialReason,
}

#[derive(Clone, Debug)]
enum DenialReason {
    Reason(PolicyId, Reason),
    Ruling(Ruling),
    Other(PolicyRuling),
}

/// A policy at which a denial is laid.
pub(super) struct Attribution {
    pub(super) policy: PolicyRef,
    pub(super) cause: DenialCause,
    pub(super) denier: Denier,
    /// What the policy did before the change and does no longer, where it is not the one that denies.
    did: Option<String>,
}

/// A denial in words, and what of the nearest rule failed.
pub(super) struct DenialText {
    pub(super) message: String,
    pub(super) nearest: Option<NearestRule>,
}

/// The policies that deny a flow which stands so.
pub(super) fn deniers(world: &World<'_>, decision: &EndDecision) -> Vec<Denier> {
    match decision {
        EndDecision::Denied(denied) => denied
            .iter()
            .map(|(id, reason)| {
                let policy = world.policy(*id).reference.clone();
                Denier { policy, reason: reason.name(), why: DenialReason::Reason(*id, *reason) }
            })
            .collect(),
        EndDecision::Ruled(ruling @ Ruling { matched: MatchedRule { by, action: AdminAction::Deny }, .. }) => {
            let policy = world.tiers().policy(by.policy).reference.clone();
            vec![Denier { policy, reason: DENIED_BY_RULE, why: DenialReason::Ruling(*ruling) }]
        }
        EndDecision::ByPolicy(ruling) if ruling.permission == Permission::Denied => {
            let (policy, why) = (ruling.policy.clone(), DenialReason::Other((**ruling).clone()));
            vec![Denier { policy, reason: DENIED_BY_RULE, why }]
        }
        _ => Vec::new(),
    }
}

impl Denier {
    fn explain(&self, world: &World<'_>, pair: &Pair, direction: Direction) -> DenialText {
        let peer = Party::of(pair.peer(direction), world.cluster()).to_string();
        match &self.why {
            DenialReason::Reason(id, reason) => {
                let policy = world.policy(*id);
                let question = world.question(pair, direction);
                let mismatch = policy.mismatch(reason, &question);
                let nearest = mismatch.map(|mismatch| NearestRule { policy: policy.reference.clone(), mismatch });
                let mut message = policy.explain(reason, &question, &peer);
                message.extend(remark::on_denial(&world.view(), policy, pair, direction));
                DenialText { message, nearest }
            }
            DenialReason::Ruling(Ruling { tier, matched: MatchedRule { by, .. }, tied }) => {
                let policy = world.tiers().policy(by.policy);
                let toward = FlowDescription { direction, peer: &peer, protocol: pair.protocol, port: pair.port };
                let mut message = format!("in the {tier} tier {}", policy.explain_denial(by.rule, &toward));
                if let Some(tied) = tied {
                    let other = world.tiers().policy(tied.by.policy);
                    let tie = other.describe_tie(tied, direction);
                    message = format!("{message}; {tie}, so the denial counts");
                }
                DenialText { message, nearest: None }
            }
            DenialReason::Other(PolicyRuling { tier, reason, .. }) => {
                DenialText { message: format!("in the {tier} tier: {reason}"), nearest: None }
            }
        }
    }
}

impl Attribution {
    /// Told once for many flows, so it is not put into words before somebody asks.
    pub(super) fn explain(&self, world: &World<'_>, pair: &Pair, direction: Direction) -> DenialText {
        let explained = self.denier.explain(world, pair, direction);
        let Some(did) = &self.did else { return explained };
        let message =
            format!("{} {did}; {} restricts this pod: {}", self.policy, self.denier.policy, explained.message);
        DenialText { message, ..explained }
    }
}

/// The policy that lets a flow pass which stands so, with a note that names its rule.
pub(super) fn let_pass(world: &World<'_>, decision: &EndDecision, direction: Direction) -> Option<(PolicyRef, String)> {
    match decision {
        EndDecision::Allowed { policy, rule, .. } => {
            let reference = world.policy(*policy).reference.clone();
            let note = format!("allowed by {reference} {}", rule_name(direction, *rule));
            Some((reference, note))
        }
        EndDecision::AllowedAtOtherEnd { policy, rule } => {
            let reference = world.policy(*policy).reference.clone();
            let rule = rule_name(direction.other(), *rule);
            let note = format!("allowed at the other end by {reference} {rule}, which is enough on one node");
            Some((reference, note))
        }
        EndDecision::Ruled(Ruling { tier, matched: MatchedRule { by, action: AdminAction::Accept }, .. }) => {
            let policy = world.tiers().policy(by.policy);
            let name = policy.rule_name(direction, by.rule);
            Some((policy.reference.clone(), format!("accepted in the {tier} tier by {} {name}", policy.title())))
        }
        EndDecision::ByPolicy(ruling) if ruling.permission == Permission::Allowed => {
            let PolicyRuling { tier, policy, reason, .. } = &**ruling;
            Some((policy.clone(), format!("accepted in the {tier} tier by {policy}: {reason}")))
        }
        _ => None,
    }
}

impl AssessmentInputs<'_, '_, '_> {
    /// The policies at which a denial is laid: the changed ones that deny it; else what was taken away; else, where only
    /// identities changed, those that deny it now.
    pub(super) fn blame(&self, outcome: &FlowEffect, direction: Direction) -> Vec<Attribution> {
        let deniers = deniers(self.worlds.after, &outcome.at(direction).after);
        let laid_at = |denier: &Denier, cause| Attribution {
            policy: denier.policy.clone(),
            cause,
            denier: denier.clone(),
            did: None,
        };
        let changed = deniers.iter().filter(|denier| self.changed.contains(&denier.policy));
        let by_policy: Vec<_> = changed.map(|denier| laid_at(denier, DenialCause::Policy)).collect();
        if !by_policy.is_empty() {
            return by_policy;
        }
        let Some(first) = deniers.first() else { return Vec::new() };
        let by_removal: Vec<_> = self
            .took_part(&outcome.pair, direction)
            .into_iter()
            .map(|(policy, did)| Attribution {
                policy,
                cause: DenialCause::Removal,
                denier: first.clone(),
                did: Some(did),
            })
            .collect();
        if !by_removal.is_empty() {
            return by_removal;
        }
        deniers.iter().map(|denier| laid_at(denier, DenialCause::Identity)).collect()
    }

    /// The changed policies that had a part in letting a flow pass before, and what they did.
    fn took_part(&self, pair: &Pair, direction: Direction) -> Vec<(PolicyRef, String)> {
        let Worlds { before, .. } = self.worlds;
        let mut found = Vec::new();
        if let Some(asked) = before.admin_query(pair, direction) {
            for (id, first) in asked.each() {
                let policy = before.tiers().policy(id);
                if let Some(RuleMatch::Surely { rule, action: action @ (AdminAction::Accept | AdminAction::Pass) }) =
                    first.rule_match()
                {
                    let did = if action == AdminAction::Accept { "accepted it" } else { "passed it on" };
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
