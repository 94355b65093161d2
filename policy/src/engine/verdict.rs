//! What one policy says of one flow, with its reason, and the words for it.

use std::cmp::Reverse;
use std::fmt;

use serde::Serialize;

use crate::policy::flow_question::Question;
use crate::policy::network_policy::{Failed, Policy, Rule};
use crate::policy::peer::PeerMatch;

/// What one policy says of one flow in one direction, where it applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// A rule allows it.
    Allow {
        /// Index of the rule.
        rule: usize,
        /// It rests on an `ipBlock` that takes in a pod or a node: enforcers differ.
        by_block_alone: bool,
    },
    /// No policy can deny it.
    Exempt(Exemption),
    /// Enforcing the policy would deny it, were it alone.
    WouldDeny(Reason),
}

/// Why no policy can deny a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum Exemption {
    /// Between a pod and its own node.
    Node,
    /// Between a pod and itself.
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

/// Why a flow would be denied. In this order of precedence.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Reason {
    /// The direction is in force and has no rules.
    NoRules,
    /// The peer has an address of the pods' ranges, but which pod it was is not known: no selector can match.
    UnresolvedPeer {
        /// The rule that came nearest.
        nearest: usize,
        /// What of it did not match.
        failed: Failed,
    },
    /// There are rules, and none matches.
    NoRuleMatched {
        /// The rule that came nearest.
        nearest: usize,
        /// What of it did not match.
        failed: Failed,
    },
}

impl Reason {
    /// The reason's name on the wire.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::NoRules => "NoRules",
            Self::UnresolvedPeer { .. } => "UnresolvedPeer",
            Self::NoRuleMatched { .. } => "NoRuleMatched",
        }
    }

    /// The rule that came nearest, where there are rules.
    #[must_use]
    pub fn nearest(&self) -> Option<usize> {
        match *self {
            Self::NoRules => None,
            Self::UnresolvedPeer { nearest, .. } | Self::NoRuleMatched { nearest, .. } => Some(nearest),
        }
    }
}

impl Policy {
    /// The rule that takes a flow as the policy is written, whoever enforces it: the first of those by which every enforcer allows
    /// it, else the first by which some do. That the policy selects the subject is the caller's to know.
    #[must_use]
    pub fn rule_that_takes(&self, question: &Question<'_>) -> Option<usize> {
        let takes = |(index, rule): (usize, &Rule)| {
            let by = rule.peers.matches(&question.peer, question.subject_namespace);
            (by != PeerMatch::No && rule.ports.contains(&question.port)).then_some((by, Reverse(index)))
        };
        let Reverse(rule) = self.rules(question.direction).iter().enumerate().filter_map(takes).max()?.1;
        Some(rule)
    }
}

/// What is to be said of an allow that not every enforcer gives.
pub const BY_BLOCK_ALONE: &str =
    "allowed only by an ipBlock that takes in a pod or node address: enforcers differ there";

/// What is to be said of traffic from a pod to its own node.
pub const TO_OWN_NODE: &str =
    "from a pod to its own node: most enforcers let it pass whatever the policies say, some do not";
