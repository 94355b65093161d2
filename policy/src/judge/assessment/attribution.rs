//! The policies that a denial is attributed to, and the policy that allows a flow.

use crate::cluster::party::Party;
use crate::engine::effect::{FlowEffect, Worlds};
use crate::engine::end_decision::{EndDecision, Permission, PolicyRuling, Ruling};
use crate::engine::pair::Pair;
use crate::engine::policy_id::PolicyId;
use crate::engine::tier::ruling::{DENIED_BY_RULE, FlowDescription, RuleMatch};
use crate::engine::verdict::{Reason, Verdict};
use crate::engine::world::World;
use crate::explain::enforcer_note;
use crate::explain::nearest::NearestRule;
use crate::judge::assessment::{AssessmentInputs, summary};
use crate::policy::tier::MatchedRule;
use crate::report::connection::DenialCause;
use foretell_objects::model::flow::Direction;
use foretell_objects::model::policy_ref::PolicyRef;
use foretell_objects::model::words::rule_name;
use foretell_objects::resource::admin_view::AdminAction;

/// A policy that denies a flow.
#[derive(Clone, Debug)]
pub(super) struct Denier {
    pub(super) policy: PolicyRef,
    /// The name of the reason: `NoRuleMatched`.
    pub(super) reason: &'static str,
    why: DenialReason,
}

#[derive(Clone, Debug)]
enum DenialReason {
    Reason(PolicyId, Reason),
    Ruling(Ruling),
    Other(PolicyRuling),
}

/// A policy that a denial is attributed to.
pub(super) struct Attribution {
    pub(super) policy: PolicyRef,
    pub(super) cause: DenialCause,
    pub(super) denier: Denier,
    /// How the policy allowed the flow before the change, if it is not the policy that denies it.
    former_role: Option<FormerRole>,
}

/// How a policy had a part in allowing a flow that the change denies.
#[derive(Clone, Debug)]
enum FormerRole {
    /// A rule of the policy allowed it. Names the rule.
    Allowed(String),
    /// A rule of an admin policy accepted it. Names the rule.
    Accepted(String),
    /// A rule of an admin policy passed it on to the next tier. Names the rule.
    PassedOn(String),
    /// The policy selected the pod, so that the Baseline tier did not apply to it.
    PrecededBaseline,
}

impl FormerRole {
    /// Continues a sentence that begins with the policy.
    fn sentence(&self) -> String {
        match self {
            Self::Allowed(rule) => format!("allowed it by {rule} and no longer does"),
            Self::Accepted(rule) => format!("accepted it by {rule} before the change"),
            Self::PassedOn(rule) => format!("passed it on by {rule} before the change"),
            Self::PrecededBaseline => "kept the Baseline tier from deciding about it".to_owned(),
        }
    }

    fn summary(&self) -> &'static str {
        match self {
            Self::Allowed(_) => "no longer allows it",
            Self::Accepted(_) => "no longer accepts it",
            Self::PassedOn(_) => "no longer passes it on",
            Self::PrecededBaseline => "no longer has precedence over the Baseline tier",
        }
    }
}

/// A denial in words, and which part of the nearest rule did not match.
pub(super) struct DenialText {
    /// In a few words.
    pub(super) summary: String,
    /// As a sentence.
    pub(super) message: String,
    pub(super) nearest: Option<NearestRule>,
}

/// The policies that deny a flow, by its decision at one end; none if it is not denied there.
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
                let summary = match (&mismatch, reason.nearest()) {
                    (Some(mismatch), _) => summary::of_mismatch(mismatch, pair.protocol, pair.port),
                    // The rule matches as it is written.
                    (None, Some(rule)) => {
                        let enforcer = world.dialect().cni.title();
                        format!("{}: does not match under {enforcer}", rule_name(direction, rule))
                    }
                    (None, None) => summary::no_rules(direction),
                };
                let nearest = mismatch.map(|mismatch| NearestRule { policy: policy.reference.clone(), mismatch });
                let mut message = policy.explain(reason, &question, &peer);
                message.extend(enforcer_note::on_denial(&world.view(), policy, pair, direction));
                DenialText { summary, message, nearest }
            }
            DenialReason::Ruling(Ruling { tier, matched: MatchedRule { by, .. }, tied }) => {
                let policy = world.tiers().policy(by.policy);
                let flow = FlowDescription { direction, peer: &peer, protocol: pair.protocol, port: pair.port };
                let mut message = format!("in the {tier} tier {}", policy.explain_denial(by.rule, &flow));
                if let Some(tied) = tied {
                    let other = world.tiers().policy(tied.by.policy);
                    let tie = other.describe_tie(tied, direction);
                    message = format!("{message}; {tie}, so the denial counts");
                }
                let summary = format!("{} denies it ({tier} tier)", policy.rule_name(direction, by.rule));
                DenialText { summary, message, nearest: None }
            }
            DenialReason::Other(PolicyRuling { tier, reason, .. }) => DenialText {
                summary: format!("denied in the {tier} tier"),
                message: format!("in the {tier} tier: {reason}"),
                nearest: None,
            },
        }
    }
}

impl Attribution {
    /// Costs more than finding the attribution, and is needed for one flow of a connection only.
    pub(super) fn explain(&self, world: &World<'_>, pair: &Pair, direction: Direction) -> DenialText {
        let explained = self.denier.explain(world, pair, direction);
        let Some(role) = &self.former_role else { return explained };
        let (policy, denier) = (&self.policy, &self.denier.policy);
        let message = format!("{policy} {}; {denier} restricts this pod: {}", role.sentence(), explained.message);
        DenialText { summary: role.summary().to_owned(), message, ..explained }
    }
}

/// The policy that allows a flow, by its decision at one end, with a note that names the rule.
pub(super) fn allowing_policy(
    world: &World<'_>,
    decision: &EndDecision,
    direction: Direction,
) -> Option<(PolicyRef, String)> {
    match decision {
        EndDecision::Allowed { policy, rule, .. } => {
            let reference = world.policy(*policy).reference.clone();
            let note = format!("allowed by {reference} {}", rule_name(direction, *rule));
            Some((reference, note))
        }
        EndDecision::AllowedAtOtherEnd { policy, rule } => {
            let reference = world.policy(*policy).reference.clone();
            let rule = rule_name(direction.other(), *rule);
            let note = format!("allowed at the other end by {reference} {rule}, which is enough within one node");
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

impl AssessmentInputs<'_> {
    /// The policies that a denial is attributed to: the changed policies that deny it; if there are none, the changed policies that
    /// allowed it; if there are none either, the policies that deny it, because then only identities changed. With the other
    /// policies that deny it.
    pub(super) fn attribute(&self, outcome: &FlowEffect, direction: Direction) -> (Vec<Attribution>, Vec<PolicyRef>) {
        let deniers = deniers(self.worlds.after, &outcome.at(direction).after);
        let attributions = self.attributions(&deniers, &outcome.pair, direction);
        let is_other = |denier: &PolicyRef| attributions.iter().all(|attribution| attribution.policy != *denier);
        let others = deniers.into_iter().map(|denier| denier.policy).filter(is_other).collect();
        (attributions, others)
    }

    fn attributions(&self, deniers: &[Denier], pair: &Pair, direction: Direction) -> Vec<Attribution> {
        let to_denier = |denier: &Denier, cause| Attribution {
            policy: denier.policy.clone(),
            cause,
            denier: denier.clone(),
            former_role: None,
        };
        let changed = deniers.iter().filter(|denier| self.changed.contains(&denier.policy));
        let by_policy: Vec<_> = changed.map(|denier| to_denier(denier, DenialCause::Policy)).collect();
        if !by_policy.is_empty() {
            return by_policy;
        }
        let Some(first) = deniers.first() else { return Vec::new() };
        let by_removal: Vec<_> = self
            .former_roles(pair, direction)
            .into_iter()
            .map(|(policy, role)| Attribution {
                policy,
                cause: DenialCause::Removal,
                denier: first.clone(),
                former_role: Some(role),
            })
            .collect();
        if !by_removal.is_empty() {
            return by_removal;
        }
        deniers.iter().map(|denier| to_denier(denier, DenialCause::Identity)).collect()
    }

    /// The changed policies that had a part in allowing a flow before the change.
    fn former_roles(&self, pair: &Pair, direction: Direction) -> Vec<(PolicyRef, FormerRole)> {
        let Worlds { before, .. } = self.worlds;
        let mut found = Vec::new();
        if let Some(query) = before.admin_query(pair, direction) {
            for (id, first_match) in query.each() {
                let policy = before.tiers().policy(id);
                if let Some(RuleMatch::Surely { rule, action }) = first_match.rule_match() {
                    let name = policy.rule_name(direction, rule);
                    let role = match action {
                        AdminAction::Accept => FormerRole::Accepted(name),
                        AdminAction::Pass => FormerRole::PassedOn(name),
                        AdminAction::Deny => continue,
                    };
                    found.push((policy.reference.clone(), role));
                }
            }
        }
        for (id, verdict) in before.verdicts(pair, direction) {
            let role = match verdict {
                Verdict::Allow { rule, .. } => FormerRole::Allowed(rule_name(direction, rule)),
                Verdict::Exempt(_) => FormerRole::PrecededBaseline,
                Verdict::WouldDeny(_) => continue,
            };
            found.push((before.policy(id).reference.clone(), role));
        }
        found.retain(|(policy, _)| self.changed.contains(policy));
        found
    }
}
