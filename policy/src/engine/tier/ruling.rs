//! What rules of administrators say of a flow, and the words for it.

use crate::engine::end_decision::{Permission, permission};
use crate::model::flow::{Direction, Protocol};
use crate::policy::admin_peer::{PeerMatcher, Unknown};
use crate::policy::admin_policy::{AdminPolicy, FirstMatch};
use crate::resource::admin::view::AdminAction;

/// What one policy, taken alone, says of a flow that one of its rules takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum RuleMatch {
    /// This rule takes it.
    Surely {
        /// Index of the rule.
        rule: usize,
        /// What it does.
        action: AdminAction,
    },
    /// This rule may take it.
    Perhaps {
        /// Index of the rule.
        rule: usize,
        /// What it would do.
        action: AdminAction,
        /// Why that is not known.
        why: Unknown,
        /// Whether the flow would pass were there this policy alone.
        permission: Permission,
    },
}

impl FirstMatch {
    /// What the policy says, taken alone; `None`: no rule of it takes the flow.
    #[must_use]
    pub fn said(&self) -> Option<RuleMatch> {
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
    /// Whether the flow would pass were there this policy alone.
    #[must_use]
    pub fn permission(&self) -> Permission {
        match self {
            Self::Surely { action, .. } => permission(*action),
            Self::Perhaps { permission, .. } => *permission,
        }
    }
}

/// The name of the reason on the wire where a rule denies.
pub const DENIED_BY_RULE: &str = "DeniedByRule";
/// The name of the reason on the wire where that cannot be told.
pub const CANNOT_BE_JUDGED: &str = "CannotBeJudged";

/// The end of a flow that is no subject, and where it goes, for sentences.
#[derive(Clone, Copy, Debug)]
pub struct FlowDescription<'a> {
    /// Seen from the subject.
    pub direction: Direction,
    /// The name of the other end.
    pub peer: &'a str,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Port at the destination.
    pub port: u16,
}

impl AdminPolicy {
    /// A rule's denial as a sentence.
    #[must_use]
    pub fn explain_denial(&self, rule: usize, toward: &FlowDescription<'_>) -> String {
        let FlowDescription { direction, peer, protocol, port } = toward;
        let name = self.rule_name(*direction, rule);
        let takes = self.rules(*direction).get(rule).map(|rule| format!("it takes {rule}")).unwrap_or_default();
        format!("{name} denies {peer} on {protocol} {port}: {takes}")
    }

    /// Why it cannot be told whether a rule takes a flow, as a sentence.
    #[must_use]
    pub fn explain_doubt(&self, rule: usize, why: Unknown, toward: &FlowDescription<'_>) -> String {
        let FlowDescription { direction, peer, protocol, port } = toward;
        let name = self.rule_name(*direction, rule);
        let because = match why {
            Unknown::Domain => {
                let peers = self.rules(*direction).get(rule).map_or(&[][..], |rule| rule.peers.as_slice());
                let names = peers.iter().filter(|peer| matches!(peer, PeerMatcher::Domains(_)));
                let names: Vec<String> = names.map(ToString::to_string).collect();
                format!("it names {}, and traffic does not tell the name of an address", names.join(", "))
            }
            Unknown::Pod => format!("it selects pods, and no pod is known to have had {peer} at the time"),
        };
        format!("whether {name} takes {peer} on {protocol} {port} cannot be judged: {because}")
    }
}
