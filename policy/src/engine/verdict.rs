//! The verdict of one policy on one flow, with its reason.

use std::cmp::Reverse;
use std::fmt;

use serde::Serialize;

use crate::policy::flow_question::Question;
use crate::policy::network_policy::{Failed, Policy, Rule};
use crate::policy::peer::PeerMatch;

/// The verdict of one policy that applies to a flow, in one direction.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A rule allows the flow.
    Allow {
        /// Index of the rule.
        rule: usize,
        /// The rule matches only by an `ipBlock` that contains the address of a pod or node. Enforcers differ on this.
        by_block_alone: bool,
    },
    /// No NetworkPolicy can deny the flow.
    Exempt(Exemption),
    /// The policy would deny the flow if it were enforced, whatever other policies allow.
    WouldDeny(Reason),
}

/// Why no NetworkPolicy can deny a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Exemption {
    /// The flow is between a pod and its own node.
    Node,
    /// The flow is between a pod and itself.
    #[serde(rename = "self")]
    Itself,
}

impl fmt::Display for Exemption {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Node => "node",
            Self::Itself => "self",
        })
    }
}

/// Why a policy denies a flow. If several reasons apply, the first of this list is given.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The policy restricts the direction and has no rules for it.
    NoRules,
    /// The peer has an address in a pod range, but it is unknown which pod had it, so no selector can match.
    UnresolvedPeer {
        /// Index of the rule that is nearest to a match.
        nearest: usize,
        /// The part of the rule that does not match.
        failed: Failed,
    },
    /// The policy has rules, and none matches.
    NoRuleMatched {
        /// Index of the rule that is nearest to a match.
        nearest: usize,
        /// The part of the rule that does not match.
        failed: Failed,
    },
}

impl Reason {
    /// The name of the reason in JSON output.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::NoRules => "NoRules",
            Self::UnresolvedPeer { .. } => "UnresolvedPeer",
            Self::NoRuleMatched { .. } => "NoRuleMatched",
        }
    }

    /// Index of the rule that is nearest to a match; `None` if there are no rules.
    #[must_use]
    pub fn nearest(&self) -> Option<usize> {
        match *self {
            Self::NoRules => None,
            Self::UnresolvedPeer { nearest, .. } | Self::NoRuleMatched { nearest, .. } => Some(nearest),
        }
    }
}

impl Policy {
    /// Index of the rule that matches a flow by the Kubernetes specification, whatever the enforcer: the first by which every
    /// enforcer allows the flow, or else the first by which some do. The caller has checked that the policy selects the subject.
    #[must_use]
    pub fn matching_rule(&self, question: &Question<'_>) -> Option<usize> {
        let matching = |(index, rule): (usize, &Rule)| {
            let by = rule.peers.matches(&question.peer, question.subject_namespace);
            (by != PeerMatch::No && rule.ports.contains(&question.port)).then_some((by, Reverse(index)))
        };
        let Reverse(rule) = self.rules(question.direction).iter().enumerate().filter_map(matching).max()?.1;
        Some(rule)
    }
}

/// The note on an allow that depends on the enforcer ([`Verdict::Allow`] with `by_block_alone`).
pub const BY_BLOCK_ALONE: &str =
    "allowed only by an ipBlock that contains the address of a pod or node; enforcers differ on this";

/// The note on traffic from a pod to its own node, which depends on the enforcer.
pub const TO_OWN_NODE: &str =
    "from a pod to its own node: most enforcers always allow this traffic, some apply policies to it";
