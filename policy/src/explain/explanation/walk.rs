//! The walk through the tiers at one end of a connection. It asks each tier as the engine does, and comes to the engine's
//! conclusion by itself: a property holds it to that.

use std::collections::BTreeSet;

use crate::cluster::party::Party;
use crate::engine::end_decision::{Doubt, EndDecision, Permission, permission};
use crate::engine::index::PackedVerdict as Verdicts;
use crate::engine::index::view::View;
use crate::engine::pair::Pair;
use crate::engine::tier::index::TierQuery;
use crate::engine::tier::ruling::{FlowDescription, RuleMatch};
use crate::engine::verdict::{BY_BLOCK_ALONE, Exemption, TO_OWN_NODE, Verdict};
use crate::explain::enforcer_note as remark;
use crate::explain::explanation::{PolicyOutcome, PolicyStep, Reachability, TierOutcome, TierStep, Walk, sentence};
use crate::model::flow::Direction;
use crate::model::policy_id::PolicyId;
use crate::model::words::rule_name;
use crate::policy::admin_policy::{AdminPolicy, FirstMatch, Precedence};
use crate::policy::tier::{MatchedRule, TierName};
use crate::resource::admin::view::AdminAction;

/// What a tier does with a connection.
struct Asking {
    step: TierStep,
    /// Why it decides so, if it does.
    why: Option<String>,
    /// How it may end here.
    ends: BTreeSet<Permission>,
    /// Whether the next tier may be asked.
    goes_on: bool,
}

/// Walks through the tiers.
#[must_use]
pub fn walk(view: &View<'_>, pair: &Pair, direction: Direction) -> Walk {
    if pair.subject(direction).pod().is_none() {
        let why = sentence::selected_by_nobody(view, pair, direction);
        return Walk { answer: Reachability::Yes, decided_by: None, why, tiers: Vec::new() };
    }
    let asked = view.tier_question(pair, direction);
    let (mut tiers, mut ends, mut goes_on) = (Vec::new(), BTreeSet::new(), true);
    let mut decided: Option<(TierName, String)> = None;
    for tier in [TierName::Admin, TierName::NetworkPolicy, TierName::Baseline] {
        if !goes_on {
            tiers.push(TierStep { tier, says: TierOutcome::NotAsked, policies: Vec::new(), note: None });
            continue;
        }
        let asking = match (tier, &asked) {
            (TierName::NetworkPolicy, _) => network_policies(view, pair, direction),
            (_, Some(asked)) => administrators(view, tier, pair, asked),
            (_, None) => Asking { step: silent(tier), why: None, ends: BTreeSet::new(), goes_on: true },
        };
        decided = decided.or(asking.why.map(|why| (tier, why)));
        ends.extend(asking.ends);
        goes_on = asking.goes_on;
        tiers.push(asking.step);
    }
    if goes_on {
        ends.insert(Permission::Allowed);
    }
    let permission = match (ends.first(), ends.len()) {
        (Some(only), 1) => *only,
        _ => Permission::Unknown,
    };
    let (decided_by, why) = match (permission, decided) {
        (Permission::Unknown, _) => (None, doubt(view, pair, direction)),
        (_, Some((tier, why))) => (Some(tier), why),
        (_, None) => (None, sentence::by_default(&tiers, direction)),
    };
    if let Some(why) = at_other_end(view, pair, direction) {
        return Walk { answer: Reachability::Yes, decided_by: Some(TierName::NetworkPolicy), why, tiers };
    }
    Walk { answer: permission.into(), decided_by, why, tiers }
}

/// Why it passes although it is denied here, where the enforcer is content with one end.
fn at_other_end(view: &View<'_>, pair: &Pair, direction: Direction) -> Option<String> {
    let EndDecision::AllowedAtOtherEnd { policy, rule } = view.decide(pair, direction) else { return None };
    let (policy, rule) = (&view.index.policy(policy).reference, rule_name(direction.other(), rule));
    let title = view.dialect().cni.title();
    Some(format!("{policy} allows it at the other end by {rule}, which is enough for {title} between pods of one node"))
}

/// On what it depends where it cannot be told.
fn doubt(view: &View<'_>, pair: &Pair, direction: Direction) -> String {
    let EndDecision::Unknown(undecidable) = view.decide(pair, direction) else { return String::new() };
    let Some((tier, Doubt { taken, why })) = undecidable.first() else { return String::new() };
    let policy = view.tiers.policy(taken.by.policy);
    let peer = Party::of(pair.peer(direction), view.cluster).to_string();
    let toward = FlowDescription { direction, peer: &peer, protocol: pair.protocol, port: pair.port };
    format!("in the {tier} tier {}: {}", policy.reference, policy.explain_doubt(taken.by.rule, why, &toward))
}

fn silent(tier: TierName) -> TierStep {
    TierStep { tier, says: TierOutcome::Passes, policies: Vec::new(), note: None }
}

/// What NetworkPolicies say: they add up, any allow allows.
fn network_policies(view: &View<'_>, pair: &Pair, direction: Direction) -> Asking {
    let policies: Vec<PolicyStep> = view
        .answers(pair, direction)
        .map(|(policy, answer)| restricting(view, policy, answer, pair, direction))
        .collect();
    let lets_pass = |step: &PolicyStep| matches!(step.says, PolicyOutcome::Allows | PolicyOutcome::Exempt);
    let says = if policies.is_empty() {
        TierOutcome::Passes
    } else if policies.iter().any(lets_pass) {
        TierOutcome::Accepts
    } else {
        TierOutcome::Denies
    };
    let ends = match says {
        TierOutcome::Accepts => BTreeSet::from([Permission::Allowed]),
        TierOutcome::Denies => BTreeSet::from([Permission::Denied]),
        TierOutcome::Passes | TierOutcome::NotAsked => BTreeSet::new(),
    };
    let why = sentence::of_network_policies(says, &policies, direction);
    let step = TierStep { tier: TierName::NetworkPolicy, says, policies, note: None };
    Asking { step, why, goes_on: ends.is_empty(), ends }
}

/// What a policy says that restricts the pod.
pub(super) fn restricting(
    view: &View<'_>,
    policy: PolicyId,
    answer: Verdicts,
    pair: &Pair,
    direction: Direction,
) -> PolicyStep {
    let policy = view.index.policy(policy);
    let said = |says, rule: Option<usize>, message| PolicyStep {
        policy: policy.reference.clone(),
        priority: None,
        says,
        rule: rule.map(|rule| rule_name(direction, rule)),
        message,
        nearest: None,
    };
    match answer.verdict() {
        Verdict::Allow { rule, by_block_alone } => {
            let name = rule_name(direction, rule);
            let takes = policy.rules(direction).get(rule);
            let takes = takes.map_or_else(String::new, |rule| format!(": {} on {}", rule.peers, rule.ports));
            let differs = if by_block_alone { format!("; {BY_BLOCK_ALONE}") } else { String::new() };
            said(PolicyOutcome::Allows, Some(rule), format!("{name} allows it{takes}{differs}"))
        }
        Verdict::Exempt(Exemption::Itself) => {
            said(PolicyOutcome::Exempt, None, "what a pod sends to itself no NetworkPolicy denies".to_owned())
        }
        Verdict::Exempt(Exemption::Node) if direction == Direction::Egress => {
            said(PolicyOutcome::Exempt, None, TO_OWN_NODE.to_owned())
        }
        Verdict::Exempt(Exemption::Node) => {
            said(PolicyOutcome::Exempt, None, "what comes from a pod's own node no NetworkPolicy denies".to_owned())
        }
        Verdict::WouldDeny(reason) => {
            let question = view.question(pair, direction);
            let mut message = policy.explain_nearest(&reason, &question);
            message.extend(remark::on_denial(view, policy, pair, direction));
            let nearest = policy.mismatch(&reason, &question);
            PolicyStep { nearest, ..said(PolicyOutcome::Denies, None, message) }
        }
    }
}

/// What administrators' policies of a tier say.
fn administrators(view: &View<'_>, tier: TierName, pair: &Pair, asked: &TierQuery<'_>) -> Asking {
    let direction = asked.question.direction;
    let peer = Party::of(pair.peer(direction), view.cluster).to_string();
    let toward = FlowDescription { direction, peer: &peer, protocol: pair.protocol, port: pair.port };
    let of_tier = asked.each().map(|(id, first)| (view.tiers.policy(id), first)).filter(|(it, _)| it.tier == tier);
    let policies: Vec<PolicyStep> = of_tier.map(|(policy, first)| ruling(policy, &first, &toward)).collect();
    let matched = asked.matched(tier);
    let action = matched.surely.map(|taken| taken.action);
    let says = match action {
        Some(AdminAction::Accept) => TierOutcome::Accepts,
        Some(AdminAction::Deny) => TierOutcome::Denies,
        Some(AdminAction::Pass) | None => TierOutcome::Passes,
    };
    let actions = || matched.perhaps.iter().map(|doubt| doubt.taken.action).chain(action);
    let ends = actions().filter(|action| *action != AdminAction::Pass).map(permission).collect();
    let goes_on = says == TierOutcome::Passes || actions().any(|action| action == AdminAction::Pass);
    let why = matched.surely.filter(|taken| taken.action != AdminAction::Pass).and_then(|taken| {
        let decider = &view.tiers.policy(taken.by.policy).reference;
        let step = policies.iter().find(|step| step.policy == *decider)?;
        Some(format!("in the {tier} tier {decider}: {}", step.message))
    });
    let note = matched.surely.zip(matched.tied).map(|(taken, tied)| tie(view, &taken, &tied));
    Asking { step: TierStep { tier, says, policies, note }, why, ends, goes_on }
}

/// What an administrators' policy says, taken alone.
fn ruling(policy: &AdminPolicy, first: &FirstMatch, toward: &FlowDescription<'_>) -> PolicyStep {
    let direction = toward.direction;
    let rules = policy.rules(direction);
    let takes = |rule: usize, verb: &str| {
        let takes = rules.get(rule).map_or_else(String::new, |rule| format!(": it takes {rule}"));
        format!("{} {verb}{takes}", policy.rule_name(direction, rule))
    };
    let (says, rule, message) = match first.said() {
        None => (PolicyOutcome::Nothing, None, nothing(rules.len(), direction)),
        Some(RuleMatch::Surely { rule, action }) => {
            let (says, verb) = match action {
                AdminAction::Accept => (PolicyOutcome::Allows, "accepts it"),
                AdminAction::Deny => (PolicyOutcome::Denies, "denies it"),
                AdminAction::Pass => (PolicyOutcome::PassesOn, "passes it on"),
            };
            // A rule before it may do something else that ends the same, were there this policy alone.
            let earlier = first.perhaps.iter().find(|(_, other, _)| *other != action);
            let but = earlier.map_or_else(String::new, |(rule, _, why)| {
                format!("; but {}", policy.explain_doubt(*rule, *why, toward))
            });
            (says, Some(rule), format!("{}{but}", takes(rule, verb)))
        }
        Some(RuleMatch::Perhaps { rule, why, .. }) => {
            (PolicyOutcome::Unknown, Some(rule), policy.explain_doubt(rule, why, toward))
        }
    };
    let priority = match policy.precedence {
        Precedence::Priority(priority) => Some(priority),
        Precedence::Alone => None,
    };
    let rule = rule.map(|rule| rule_name(direction, rule));
    PolicyStep { policy: policy.reference.clone(), priority, says, rule, message, nearest: None }
}

fn nothing(rules: usize, direction: Direction) -> String {
    let field = match direction {
        Direction::Ingress => "ingress",
        Direction::Egress => "egress",
    };
    match rules {
        0 => format!("it has no {field} rules"),
        1 => format!("its {field} rule does not take it"),
        rules => format!("none of its {rules} {field} rules takes it"),
    }
}

fn tie(view: &View<'_>, taken: &MatchedRule, tied: &MatchedRule) -> String {
    let verb = |action| match action {
        AdminAction::Accept => "accepts it",
        AdminAction::Deny => "denies it",
        AdminAction::Pass => "passes it on",
    };
    let [first, second] = [taken, tied].map(|taken| {
        let policy = &view.tiers.policy(taken.by.policy).reference;
        format!("{policy} {}", verb(taken.action))
    });
    format!("{first} and {second}, and which of the two goes first is not defined: the worse is taken")
}
