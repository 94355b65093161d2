//! What rules of administrators say of a flow, and the words for it.

use super::chain::Passage;
use super::peer::{PeerMatcher, Unknown};
use super::policy::{FirstMatch, TierPolicy};
use super::{Taken, TierName};
use crate::admin::view::Action;
use crate::cluster::node::Nodes;
use crate::flow::{Direction, Protocol};
use crate::peer::Peer;
use crate::port::Port;

/// A flow as an administrators' policy of its subject sees it.
#[derive(Clone, Copy, Debug)]
pub struct Question<'a> {
    /// The other end.
    pub peer: Peer<'a>,
    /// The nodes, for rules that select them.
    pub nodes: &'a Nodes,
    /// Ingress: the subject is the destination.
    pub direction: Direction,
    /// The destination's port.
    pub port: Port<'a>,
}

/// A rule that decides about a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ruling {
    /// In which tier.
    pub tier: TierName,
    /// The rule, and whether it accepts or denies.
    pub taken: Taken,
    /// A rule that says something else and might as well have been asked first.
    pub tied: Option<Taken>,
}

/// A rule that may take a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Doubt {
    /// The rule, and what would be done with the flow.
    pub taken: Taken,
    /// Why it is not known whether it does.
    pub why: Unknown,
}

/// What one policy, taken alone, says of a flow that one of its rules takes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Said {
    /// This rule takes it.
    Surely {
        /// Index of the rule.
        rule: usize,
        /// What it does.
        action: Action,
    },
    /// This rule may take it.
    Perhaps {
        /// Index of the rule.
        rule: usize,
        /// What it would do.
        action: Action,
        /// Why that is not known.
        why: Unknown,
        /// Whether the flow would pass were there this policy alone.
        passage: Passage,
    },
}

impl Ruling {
    /// Whether the flow passes.
    #[must_use]
    pub fn passage(&self) -> Passage {
        passage(self.taken.action)
    }
}

/// What becomes of a flow where nothing comes after an action.
#[must_use]
pub fn passage(action: Action) -> Passage {
    match action {
        Action::Accept | Action::Pass => Passage::Passes,
        Action::Deny => Passage::Denied,
    }
}

impl FirstMatch {
    /// What the policy says, taken alone; `None`: no rule of it takes the flow.
    #[must_use]
    pub fn said(&self) -> Option<Said> {
        let surely = self.surely.map(|(rule, action)| Said::Surely { rule, action });
        let otherwise = self.surely.map_or(Passage::Passes, |(_, action)| passage(action));
        let differing = self.perhaps.iter().find(|(_, action, _)| passage(*action) != otherwise);
        let perhaps =
            |&(rule, action, why): &(usize, Action, Unknown), passage| Said::Perhaps { rule, action, why, passage };
        match (differing, surely) {
            (Some(differing), _) => Some(perhaps(differing, Passage::Unknown)),
            (None, Some(surely)) => Some(surely),
            (None, None) => self.perhaps.first().map(|first| perhaps(first, otherwise)),
        }
    }
}

impl Said {
    /// Whether the flow would pass were there this policy alone.
    #[must_use]
    pub fn passage(&self) -> Passage {
        match self {
            Self::Surely { action, .. } => passage(*action),
            Self::Perhaps { passage, .. } => *passage,
        }
    }
}

/// The name of the reason on the wire where a rule denies.
pub const DENIED_BY_RULE: &str = "DeniedByRule";
/// The name of the reason on the wire where that cannot be told.
pub const CANNOT_BE_JUDGED: &str = "CannotBeJudged";

/// The end of a flow that is no subject, and where it goes, for sentences.
#[derive(Clone, Copy, Debug)]
pub struct Toward<'a> {
    /// Seen from the subject.
    pub direction: Direction,
    /// The name of the other end.
    pub peer: &'a str,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Port at the destination.
    pub port: u16,
}

impl TierPolicy {
    /// A rule's denial as a sentence.
    #[must_use]
    pub fn explain_denial(&self, rule: usize, toward: &Toward<'_>) -> String {
        let Toward { direction, peer, protocol, port } = toward;
        let name = self.rule_name(*direction, rule);
        let takes = self.rules(*direction).get(rule).map(|rule| format!("it takes {rule}")).unwrap_or_default();
        format!("{name} denies {peer} on {protocol} {port}: {takes}")
    }

    /// Why it cannot be told whether a rule takes a flow, as a sentence.
    #[must_use]
    pub fn explain_doubt(&self, rule: usize, why: Unknown, toward: &Toward<'_>) -> String {
        let Toward { direction, peer, protocol, port } = toward;
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
