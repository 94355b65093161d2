//! The rules of admin policies that match a flow, and their explanations as text.

use crate::engine::end_decision::{Permission, permission};
use crate::policy::admin_peer::{AdminPeerMatcher, Unknown};
use crate::policy::admin_policy::{AdminPolicy, FirstMatch};
use foretell_objects::model::flow::{Direction, Protocol};
use foretell_objects::resource::admin_view::AdminAction;

/// The rule by which one admin policy, in isolation, decides about a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleMatch {
    /// This rule matches the flow.
    Surely {
        /// Index of the rule.
        rule: usize,
        /// The action of the rule.
        action: AdminAction,
    },
    /// This rule may match the flow.
    Perhaps {
        /// Index of the rule.
        rule: usize,
        /// The action of the rule.
        action: AdminAction,
        /// Why it is unknown whether the rule matches.
        why: Unknown,
        /// Whether the flow is allowed if this is the only policy.
        permission: Permission,
    },
}

impl FirstMatch {
    /// The rule by which the policy decides, in isolation; `None` if none of its rules matches the flow.
    #[must_use]
    pub fn rule_match(&self) -> Option<RuleMatch> {
        let surely = self.surely.map(|(rule, action)| RuleMatch::Surely { rule, action });
        let otherwise = self.surely.map_or(Permission::Allowed, |(_, action)| permission(action));
        let differing = self.perhaps.iter().find(|(_, action, _)| permission(*action) != otherwise);
        let perhaps = |&(rule, action, why): &(usize, AdminAction, Unknown), permission| RuleMatch::Perhaps {
            rule,
            action,
            why,
            permission,
        };
        match (differing, surely) {
            (Some(differing), _) => Some(perhaps(differing, Permission::Unknown)),
            (None, Some(surely)) => Some(surely),
            (None, None) => self.perhaps.first().map(|first| perhaps(first, otherwise)),
        }
    }
}

impl RuleMatch {
    /// Whether the flow is allowed if this is the only policy.
    #[must_use]
    pub fn permission(&self) -> Permission {
        match self {
            Self::Surely { action, .. } => permission(*action),
            Self::Perhaps { permission, .. } => *permission,
        }
    }
}

/// The reason in JSON output if a rule denies a flow.
pub const DENIED_BY_RULE: &str = "DeniedByRule";
/// The reason in JSON output if it is unknown whether a rule matches a flow.
pub const CANNOT_BE_JUDGED: &str = "CannotBeJudged";

/// A flow as sentences describe it: the end that is not the subject, and the port.
#[derive(Clone, Copy, Debug)]
pub struct FlowDescription<'a> {
    /// Direction, from the point of view of the subject.
    pub direction: Direction,
    /// The name of the end that is not the subject.
    pub peer: &'a str,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Port at the destination.
    pub port: u16,
}

impl AdminPolicy {
    /// Explains in a sentence why a rule denies a flow.
    #[must_use]
    pub fn explain_denial(&self, rule: usize, flow: &FlowDescription<'_>) -> String {
        let FlowDescription { direction, peer, protocol, port } = flow;
        let name = self.rule_name(*direction, rule);
        let matches = self.rules(*direction).get(rule).map(|rule| format!("it matches {rule}")).unwrap_or_default();
        format!("{name} denies {peer} on {protocol} {port}: {matches}")
    }

    /// Explains in a sentence why it is unknown whether a rule matches a flow.
    #[must_use]
    pub fn explain_doubt(&self, rule: usize, why: Unknown, flow: &FlowDescription<'_>) -> String {
        let FlowDescription { direction, peer, protocol, port } = flow;
        let name = self.rule_name(*direction, rule);
        let because = match why {
            Unknown::Domain => {
                let peers = self.rules(*direction).get(rule).map_or(&[][..], |rule| rule.peers.as_slice());
                let names = peers.iter().filter(|peer| matches!(peer, AdminPeerMatcher::Domains(_)));
                let names: Vec<String> = names.map(ToString::to_string).collect();
                format!("it names {}, and recorded traffic contains addresses, not domain names", names.join(", "))
            }
            Unknown::Pod => format!("it selects pods, and it is unknown which pod had {peer} at that time"),
        };
        format!("it is unknown whether {name} matches {peer} on {protocol} {port}: {because}")
    }
}
