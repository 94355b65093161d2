//! The walk through the tiers at one end of a connection: the engine's own trace, in words.

use crate::cluster::party::Party;
use crate::engine::end_decision::{Doubt, EndDecision, Permission, PolicyRuling, Ruling, Undecidable};
use crate::engine::index::packed_verdict::PackedVerdict;
use crate::engine::index::view::View;
use crate::engine::pair::Pair;
use crate::engine::policy_id::PolicyId;
use crate::engine::tier::chain::{Opinion, PolicyVerdict, TIERS, Tier, Trace, TraceStep};
use crate::engine::tier::ruling::{FlowDescription, RuleMatch};
use crate::engine::verdict::{BY_BLOCK_ALONE, Exemption, TO_OWN_NODE, Verdict};
use crate::engine::world::World;
use crate::explain::enforcer_note;
use crate::explain::explanation::{PolicyOutcome, PolicyStep, Reachability, TierOutcome, TierStep, Walk, sentence};
use crate::policy::admin_policy::{AdminPolicy, FirstMatch, Precedence};
use crate::policy::end_kind::EndKind;
use crate::policy::tier::TierName;
use foretell_objects::model::flow::Direction;
use foretell_objects::model::words::rule_name;
use foretell_objects::resource::admin_view::AdminAction;

/// Renders the trace of the tiers at one end.
#[must_use]
pub fn walk(view: &View<'_>, pair: &Pair, direction: Direction) -> Walk {
    if pair.subject(direction).pod().is_none() {
        let why = sentence::not_selected(view, pair, direction);
        return Walk { answer: Reachability::Yes, decided_by: None, why, tiers: Vec::new() };
    }
    let Trace { steps, decision } = view.trace(pair, direction);
    let mut tiers: Vec<TierStep> = steps.iter().map(|step| tier_step(view, step, pair, direction)).collect();
    let not_reached = |tier: &&dyn Tier| TierStep::without_policies(tier.name(), TierOutcome::NotReached);
    tiers.extend(TIERS[tiers.len()..].iter().map(not_reached));
    if let Some(why) = at_other_end(view, pair, direction) {
        return Walk { answer: Reachability::Yes, decided_by: Some(TierName::NETWORK_POLICY), why, tiers };
    }
    let (decided_by, why) = reason(view, &decision, &tiers, pair, direction);
    Walk { answer: decision.permission().into(), decided_by, why, tiers }
}

/// The tier that decides, and the reason.
fn reason(
    view: &View<'_>,
    decision: &EndDecision,
    tiers: &[TierStep],
    pair: &Pair,
    direction: Direction,
) -> (Option<TierName>, String) {
    match decision {
        EndDecision::Open => (None, sentence::by_default(tiers, direction)),
        EndDecision::Unknown(undecidable) => (None, doubt(view, undecidable, pair, direction)),
        EndDecision::Ruled(Ruling { tier, matched, .. }) => {
            let policy = &view.tiers.policy(matched.by.policy).reference;
            let steps = tiers.iter().filter(|step| step.tier == *tier).flat_map(|step| &step.policies);
            let message = steps.filter(|step| step.policy == *policy).map(|step| step.message.as_str()).next();
            (Some(*tier), format!("in the {tier} tier {policy}: {}", message.unwrap_or_default()))
        }
        EndDecision::ByPolicy(ruling) => {
            let PolicyRuling { tier, policy, reason, .. } = &**ruling;
            (Some(*tier), format!("in the {tier} tier {policy}: {reason}"))
        }
        EndDecision::Exempt(_)
        | EndDecision::Allowed { .. }
        | EndDecision::AllowedAtOtherEnd { .. }
        | EndDecision::Denied(_) => {
            let tier = TierName::NETWORK_POLICY;
            let step = tiers.iter().find(|step| step.tier == tier);
            let why = step.and_then(|step| sentence::of_network_policies(step.outcome, &step.policies, direction));
            (Some(tier), why.unwrap_or_default())
        }
    }
}

fn tier_step(view: &View<'_>, step: &TraceStep, pair: &Pair, direction: Direction) -> TierStep {
    let outcome = match step.answer.opinion {
        Opinion::Accept(_) => TierOutcome::Accepts,
        Opinion::Deny(_) => TierOutcome::Denies,
        Opinion::Pass => TierOutcome::Passes,
    };
    let peer = Party::of(pair.peer(direction), view.cluster).to_string();
    let flow = FlowDescription { direction, peer: &peer, protocol: pair.protocol, port: pair.port };
    let policies = step.policies.iter().map(|verdict| match verdict {
        PolicyVerdict::NetworkPolicy(policy, verdict) => network_policy_step(view, *policy, *verdict, pair, direction),
        PolicyVerdict::AdminPolicy(policy, first) => admin_policy_step(view.tiers.policy(*policy), first, &flow),
        PolicyVerdict::Other(ruling) => other_step(ruling),
    });
    let note = step.answer.tie.map(|(decider, tied)| {
        let [decider, other] = [&decider, &tied].map(|rule| view.tiers.policy(rule.by.policy));
        let tie = other.describe_tie(&tied, direction);
        format!("{} decides; {tie}, so the stricter answer counts", decider.reference)
    });
    TierStep { tier: step.tier, outcome, policies: policies.collect(), note }
}

/// The step of a policy of another tier.
fn other_step(ruling: &PolicyRuling) -> PolicyStep {
    PolicyStep {
        policy: ruling.policy.clone(),
        priority: None,
        outcome: match ruling.permission {
            Permission::Allowed => PolicyOutcome::Allows,
            Permission::Denied => PolicyOutcome::Denies,
            Permission::Unknown => PolicyOutcome::Unknown,
        },
        rule: None,
        message: ruling.reason.clone(),
        nearest: None,
    }
}

/// The reason why a connection that is denied here is allowed, if the enforcer requires only one end to allow it.
fn at_other_end(view: &View<'_>, pair: &Pair, direction: Direction) -> Option<String> {
    let EndDecision::AllowedAtOtherEnd { policy, rule } = view.decide(pair, direction) else { return None };
    let (policy, rule) = (&view.index.policy(policy).reference, rule_name(direction.other(), rule));
    let title = view.dialect().cni.title();
    Some(format!(
        "{policy} allows it at the other end by {rule}; between pods of one node {title} requires only one end to allow it"
    ))
}

/// Names the rule on which an undecidable flow depends.
fn doubt(view: &View<'_>, undecidable: &Undecidable, pair: &Pair, direction: Direction) -> String {
    let Some((tier, Doubt { matched, why })) = undecidable.first() else { return String::new() };
    let policy = view.tiers.policy(matched.by.policy);
    let peer = Party::of(pair.peer(direction), view.cluster).to_string();
    let flow = FlowDescription { direction, peer: &peer, protocol: pair.protocol, port: pair.port };
    format!("in the {tier} tier {}: {}", policy.reference, policy.explain_doubt(matched.by.rule, why, &flow))
}

/// The step of a NetworkPolicy that restricts the pod.
pub(super) fn network_policy_step(
    view: &View<'_>,
    policy: PolicyId,
    verdict: PackedVerdict,
    pair: &Pair,
    direction: Direction,
) -> PolicyStep {
    let policy = view.index.policy(policy);
    let step = |outcome, rule: Option<usize>, message| PolicyStep {
        policy: policy.reference.clone(),
        priority: None,
        outcome,
        rule: rule.map(|rule| rule_name(direction, rule)),
        message,
        nearest: None,
    };
    match verdict.verdict() {
        Verdict::Allow { rule, by_block_alone } => {
            let name = rule_name(direction, rule);
            let rule_text = policy.rules(direction).get(rule);
            let rule_text = rule_text.map_or_else(String::new, |rule| format!(": {} on {}", rule.peers, rule.ports));
            let differs = if by_block_alone { format!("; {BY_BLOCK_ALONE}") } else { String::new() };
            step(PolicyOutcome::Allows, Some(rule), format!("{name} allows it{rule_text}{differs}"))
        }
        Verdict::Exempt(Exemption::Itself) => {
            step(PolicyOutcome::Exempt, None, "NetworkPolicies never deny traffic from a pod to itself".to_owned())
        }
        Verdict::Exempt(Exemption::Node) if direction == Direction::Egress => {
            step(PolicyOutcome::Exempt, None, TO_OWN_NODE.to_owned())
        }
        Verdict::Exempt(Exemption::Node) => {
            step(PolicyOutcome::Exempt, None, "NetworkPolicies never deny traffic from a pod's own node".to_owned())
        }
        Verdict::WouldDeny(reason) => {
            let question = view.question(pair, direction);
            let mut message = policy.explain_nearest(&reason, &question);
            message.extend(enforcer_note::on_denial(view, policy, pair, direction));
            let nearest = policy.mismatch(&reason, &question);
            PolicyStep { nearest, ..step(PolicyOutcome::Denies, None, message) }
        }
    }
}

/// The step of an admin policy, in isolation.
fn admin_policy_step(policy: &AdminPolicy, first: &FirstMatch, flow: &FlowDescription<'_>) -> PolicyStep {
    let direction = flow.direction;
    let rules = policy.rules(direction);
    let describe = |rule: usize, verb: &str| {
        let matches = rules.get(rule).map_or_else(String::new, |rule| format!(": it matches {rule}"));
        format!("{} {verb}{matches}", policy.rule_name(direction, rule))
    };
    let (outcome, rule, message) = match first.rule_match() {
        None => (PolicyOutcome::NoMatch, None, no_match(rules.len(), direction)),
        Some(RuleMatch::Surely { rule, action }) => {
            let (outcome, verb) = match action {
                AdminAction::Accept => (PolicyOutcome::Allows, "accepts it"),
                AdminAction::Deny => (PolicyOutcome::Denies, "denies it"),
                AdminAction::Pass => (PolicyOutcome::PassesOn, "passes it to the next tier"),
            };
            // An earlier rule with another action may match. In isolation the result is the same.
            let earlier = first.perhaps.iter().find(|(_, other, _)| *other != action);
            let but = earlier.map_or_else(String::new, |(rule, _, why)| {
                format!("; but {}", policy.explain_doubt(*rule, *why, flow))
            });
            (outcome, Some(rule), format!("{}{but}", describe(rule, verb)))
        }
        Some(RuleMatch::Perhaps { rule, why, .. }) => {
            (PolicyOutcome::Unknown, Some(rule), policy.explain_doubt(rule, why, flow))
        }
    };
    let priority = match policy.precedence {
        Precedence::Priority(priority) => Some(priority),
        Precedence::Alone => None,
    };
    let rule = rule.map(|rule| rule_name(direction, rule));
    PolicyStep { policy: policy.reference.clone(), priority, outcome, rule, message, nearest: None }
}

fn no_match(rules: usize, direction: Direction) -> String {
    let field = direction.field();
    match rules {
        0 => format!("it has no {field} rules"),
        1 => format!("its {field} rule does not match"),
        rules => format!("none of its {rules} {field} rules matches"),
    }
}

/// The walk at one end. If the end is an unknown pod, the policies that restrict it are unknown, and so is the answer.
pub(super) fn walk_end(world: &World<'_>, pair: &Pair, direction: Direction) -> Walk {
    let view = world.view();
    let walk = walk(&view, pair, direction);
    if view.kind(pair.subject(direction)) == EndKind::Unresolved {
        Walk { answer: Reachability::Unknown, ..walk }
    } else {
        walk
    }
}
