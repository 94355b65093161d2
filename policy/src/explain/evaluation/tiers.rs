//! What admin policies say, each taken alone: which rule takes a flow, if any.

use std::collections::BTreeMap;

use crate::cluster::party::Party;
use crate::engine::end_decision::Permission;
use crate::engine::index::view::View;
use crate::engine::pair::Pair;
use crate::engine::tier::ruling::{CANNOT_BE_JUDGED, DENIED_BY_RULE, FlowDescription, RuleMatch};
use crate::explain::evaluation::{AdminLine, VerdictLine, VerdictName};
use crate::model::flow::Direction;
use crate::policy::admin_policy::Precedence;
use crate::policy::tier::AdminPolicyId;
use crate::resource::admin::view::AdminAction;

/// What was said so far of one flow: of a Service's backends the worst stands.
#[derive(Debug, Default)]
pub(super) struct AdminVerdicts(BTreeMap<(AdminPolicyId, Direction), (RuleMatch, Pair)>);

impl AdminVerdicts {
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
fn rank(said: &RuleMatch) -> impl Ord + use<> {
    let action = match said {
        RuleMatch::Surely { action, .. } | RuleMatch::Perhaps { action, .. } => *action,
    };
    (said.permission(), action != AdminAction::Pass)
}

fn line<'a>(
    view: &View<'a>,
    flow: u64,
    policy: AdminPolicyId,
    direction: Direction,
    said: &RuleMatch,
    pair: &Pair,
    backend_of: Option<&str>,
) -> VerdictLine<'a> {
    let policy = view.tiers.policy(policy);
    let peer = Party::of(pair.peer(direction), view.cluster).to_string();
    let toward = FlowDescription { direction, peer: &peer, protocol: pair.protocol, port: pair.port };
    let (rule, action) = match *said {
        RuleMatch::Surely { rule, action } | RuleMatch::Perhaps { rule, action, .. } => (rule, action),
    };
    let message = match *said {
        RuleMatch::Surely { action: AdminAction::Accept, .. } => None,
        RuleMatch::Surely { action: AdminAction::Pass, .. } => {
            Some("it leaves the flow to NetworkPolicies and the Baseline tier".to_owned())
        }
        RuleMatch::Surely { action: AdminAction::Deny, .. } => Some(policy.explain_denial(rule, &toward)),
        RuleMatch::Perhaps { why, .. } => Some(policy.explain_doubt(rule, why, &toward)),
    };
    let message = match (message, backend_of) {
        (Some(message), Some(service)) => {
            let backend = Party::of(&pair.dst, view.cluster);
            Some(format!("{message} (backend {backend} of {service})"))
        }
        (message, _) => message,
    };
    let (verdict, reason) = match said.permission() {
        Permission::Allowed => (VerdictName::Allow, None),
        Permission::Denied => (VerdictName::WouldDeny, Some(DENIED_BY_RULE)),
        Permission::Unknown => (VerdictName::Unknown, Some(CANNOT_BE_JUDGED)),
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
        admin_policies: Some(AdminLine { tier: policy.tier, priority, action }),
    }
}
