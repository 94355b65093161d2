//! What one policy says of one flow, with its reason, and the words for it.

use std::cmp::Reverse;
use std::fmt;

use serde::Serialize;

use crate::admin::view::Action;
use crate::compiled::{Failed, Policy, PolicyRef, Rule};
use crate::flow::Direction;
use crate::miss::{Miss, describe, rule_name};
use crate::peer::{Peer, PeerMatch};
use crate::port::Port;
use crate::tier::TierName;

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

/// A flow as a policy sees it: which of its ends is the subject, and what the other is.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// Namespace of the pod that the policy selects.
    pub subject_namespace: &'a str,
    /// The other end.
    pub peer: Peer<'a>,
    /// Ingress: the subject is the destination.
    pub direction: Direction,
    /// The destination's port.
    pub port: Port<'a>,
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

    /// The rule that came nearest to a flow which the policy denies, and what of it failed. `None` where it has no rules, and where
    /// the rule as it is written takes the flow, and who enforces has it otherwise.
    #[must_use]
    pub fn miss(&self, reason: &Reason, question: &Question<'_>) -> Option<Miss> {
        let nearest = reason.nearest()?;
        Miss::of(self.rules(question.direction).get(nearest)?, nearest, question)
    }

    /// The reason as a sentence for people. `peer` is the name of the other end.
    #[must_use]
    pub fn explain(&self, reason: &Reason, question: &Question<'_>, peer: &str) -> String {
        let field = match question.direction {
            Direction::Ingress => "ingress",
            Direction::Egress => "egress",
        };
        let Port { protocol, number, .. } = question.port;
        match reason {
            Reason::NoRules => format!("policy has no {field} rules: every {field} flow is denied"),
            Reason::UnresolvedPeer { .. } => self.explain_nearest(reason, question),
            Reason::NoRuleMatched { .. } => {
                let nearest = self.explain_nearest(reason, question);
                format!("no {field} rule matches {peer} on {protocol} {number}; {nearest}")
            }
        }
    }

    /// The same for readers who know what is asked: which rule came nearest, and what of it failed.
    #[must_use]
    pub fn explain_nearest(&self, reason: &Reason, question: &Question<'_>) -> String {
        let nearest = reason.nearest().and_then(|index| Some((index, self.rules(question.direction).get(index)?)));
        let Some((index, rule)) = nearest else {
            return match question.direction {
                Direction::Ingress => "it has no ingress rules, so nothing may arrive".to_owned(),
                Direction::Egress => "it has no egress rules, so nothing may leave".to_owned(),
            };
        };
        let missed = match self.miss(reason, question) {
            Some(miss) => describe(&miss, rule, question),
            None => format!("{} came nearest", rule_name(question.direction, index)),
        };
        match (reason, question.peer) {
            (Reason::UnresolvedPeer { .. }, Peer::Unresolved { ip }) => {
                format!("no pod is known to have had {ip} at the time, so no selector can match it; {missed}")
            }
            _ => missed,
        }
    }
}

/// A line of `foretell evaluate --format ndjson`: what one policy says of one flow in one direction.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct VerdictLine<'a> {
    /// The flow's line number in its file, less one.
    pub flow: u64,
    /// The policy.
    pub policy: &'a PolicyRef,
    /// The direction.
    pub direction: Direction,
    /// `Allow` or `WouldDeny`; of an administrators' policy also `Unknown`.
    pub verdict: VerdictName,
    /// Index of the allowing rule; of an administrators' policy that of the rule that takes, or may take, the flow.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub rule: Option<usize>,
    /// Why no policy can deny it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub exempt: Option<Exemption>,
    /// Why it would be denied.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reason: Option<&'static str>,
    /// Of a NetworkPolicy's denial: the rule that came nearest, and what of it failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub nearest: Option<Miss>,
    /// The reason, or what is to be said of an allow, as a sentence.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Of an administrators' policy: the rule's action, and in which tier and by which priority it is asked.
    #[serde(flatten, skip_serializing_if = "Option::is_none")]
    pub administrators: Option<AdministratorsLine>,
}

/// What a line of an administrators' policy says besides.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct AdministratorsLine {
    /// Its tier.
    pub tier: TierName,
    /// Its priority, if its kind has one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub priority: Option<i32>,
    /// What the rule does: `Accept`, whatever its kind calls it, `Deny`, or `Pass`.
    pub action: Action,
}

/// The verdicts on the wire. That a policy does not apply is told by there being no line.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[expect(missing_docs, reason = "the names are the meaning")]
pub enum VerdictName {
    Allow,
    WouldDeny,
    Unknown,
}

/// What is to be said of an allow that not every enforcer gives.
pub const BY_BLOCK_ALONE: &str =
    "allowed only by an ipBlock that takes in a pod or node address: enforcers differ there";

/// What is to be said of traffic from a pod to its own node.
pub const TO_OWN_NODE: &str =
    "from a pod to its own node: most enforcers let it pass whatever the policies say, some do not";
