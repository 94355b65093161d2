//! The verdicts of admin policies, each in isolation: the rule that matches a flow, if any.

use std::collections::BTreeMap;

use crate::cluster::party::Party;
use crate::engine::end_decision::Permission;
use crate::engine::index::view::View;
use crate::engine::pair::Pair;
use crate::engine::tier::ruling::{CANNOT_BE_JUDGED, DENIED_BY_RULE, FlowDescription, RuleMatch};
use crate::explain::evaluation::{AdminLine, VerdictLine, VerdictName};
use crate::policy::admin_policy::Precedence;
use crate::policy::tier::AdminPolicyId;
use foretell_objects::model::flow::Direction;
use foretell_objects::resource::admin_view::AdminAction;

/// The verdicts on one flow so far. If those on several backends of a Service differ, the strictest counts.
#[derive(Debug, Default)]
pub(super) struct AdminVerdicts(BTreeMap<(AdminPolicyId, Direction), (RuleMatch, Pair)>);

impl AdminVerdicts {
    pub(super) fn add(&mut self, view: &View<'_>, pair: &Pair, direction: Direction) {
        let Some(query) = view.admin_query(pair, direction) else { return };
        for (policy, first) in query.each() {
            let Some(rule) = first.rule_match() else { continue };
            self.0
                .entry((policy, direction))
                .and_modify(|known| {
                    if rank(&rule) < rank(&known.0) {
                        *known = (rule, *pair);
                    }
                })
                .or_insert((rule, *pair));
        }
    }

    pub(super) fn lines<'a>(
        self,
        view: &View<'a>,
        flow: u64,
        backend_of: Option<&str>,
    ) -> impl Iterator<Item = VerdictLine<'a>> {
        let line =
            move |((policy, direction), (rule, pair))| line(view, flow, policy, direction, &rule, &pair, backend_of);
        self.0.into_iter().map(line)
    }
}

/// The order of strictness: a denial, then unknown, then an accept. An accept comes after a pass.
fn rank(rule: &RuleMatch) -> impl Ord + use<> {
    let action = match rule {
        RuleMatch::Surely { action, .. } | RuleMatch::Perhaps { action, .. } => *action,
    };
    (rule.permission(), action != AdminAction::Pass)
}

fn line<'a>(
    view: &View<'a>,
    flow: u64,
    policy: AdminPolicyId,
    direction: Direction,
    rule_match: &RuleMatch,
    pair: &Pair,
    backend_of: Option<&str>,
) -> VerdictLine<'a> {
    let policy = view.tiers.policy(policy);
    let peer = Party::of(pair.peer(direction), view.cluster).to_string();
    let description = FlowDescription { direction, peer: &peer, protocol: pair.protocol, port: pair.port };
    let (rule, action) = match *rule_match {
        RuleMatch::Surely { rule, action } | RuleMatch::Perhaps { rule, action, .. } => (rule, action),
    };
    let message = match *rule_match {
        RuleMatch::Surely { action: AdminAction::Accept, .. } => None,
        RuleMatch::Surely { action: AdminAction::Pass, .. } => {
            Some("it passes the flow on to NetworkPolicies and the Baseline tier".to_owned())
        }
        RuleMatch::Surely { action: AdminAction::Deny, .. } => Some(policy.explain_denial(rule, &description)),
        RuleMatch::Perhaps { why, .. } => Some(policy.explain_doubt(rule, why, &description)),
    };
    let message = match (message, backend_of) {
        (Some(message), Some(service)) => {
            let backend = Party::of(&pair.dst, view.cluster);
            Some(format!("{message} (backend {backend} of {service})"))
        }
        (message, _) => message,
    };
    let (verdict, reason) = match rule_match.permission() {
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
