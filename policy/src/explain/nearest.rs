//! Why a rule does not take a flow, entry by entry, as data. It is worked out from the policy's text once somebody reads it: the
//! engine itself knows no more than which rule came nearest, and whether peer or port failed.

use std::net::IpAddr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::verdict::Reason;
use crate::model::flow::{Direction, Protocol};
use crate::model::policy_ref::PolicyRef;
use crate::model::words::rule_name;
use crate::policy::flow_question::Question;
use crate::policy::network_policy::{Failed, Policy, Rule};
use crate::policy::peer::Peer;
use crate::policy::port::Port;

mod peers;
mod ports;
mod words;

pub(crate) use crate::explain::nearest::words::describe;

/// The rule that came nearest to a flow, and what of it failed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleMismatch {
    /// The rule: `ingress[1]`.
    pub rule: String,
    /// What of it failed.
    pub failed: Failed,
    /// Why its entries do not take the peer, the nearest first and at most ten; empty where the rule takes it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<PeerMismatch>,
    /// How many more entries do not take the peer either.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_peers: u64,
    /// Why its ports are others, the nearest first and at most ten; empty where the rule takes the port.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortMismatch>,
    /// How many more ports are others too.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_ports: u64,
}

/// The rule that came nearest, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct NearestRule {
    /// The policy that denies. Where a change takes away what allowed a flow it is not the one at which the denial is laid.
    pub policy: PolicyRef,
    /// Its rule, and what of it failed.
    #[serde(flatten)]
    pub mismatch: RuleMismatch,
}

/// Why an entry of a rule's `from` or `to` does not take a peer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PeerMismatch {
    /// The entry: `from[0]`.
    pub entry: String,
    /// Whom it takes, in words.
    pub matches: String,
    /// Each is enough by itself; there is at least one.
    pub causes: Vec<PeerCause>,
}

/// What keeps an entry from taking a peer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "type")]
pub enum PeerCause {
    /// The entry has no `namespaceSelector`, so it takes pods of the subject's namespace alone.
    OtherNamespace {
        /// The peer's.
        namespace: String,
        /// The subject's.
        wanted: String,
    },
    /// The labels of the peer's namespace are others.
    NamespaceLabel {
        /// The peer's namespace.
        namespace: String,
        /// The label.
        key: String,
        /// What the selector asks for: `team=data`, `!legacy`.
        wanted: String,
        /// What the namespace has; absent: it lacks the label.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        found: Option<String>,
    },
    /// The pod's labels are others.
    PodLabel {
        /// The label.
        key: String,
        /// What the selector asks for: `app=web`, `!canary`.
        wanted: String,
        /// What the pod has; absent: it lacks the label.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        found: Option<String>,
    },
    /// The address is not in the block.
    NotInBlock {
        /// The peer's address.
        ip: IpAddr,
        /// The block.
        #[schemars(with = "String")]
        cidr: IpNet,
    },
    /// The address is in the block and in an exception of it.
    InException {
        /// The peer's address.
        ip: IpAddr,
        /// The exception.
        #[schemars(with = "String")]
        except: IpNet,
    },
    /// The peer is outside the cluster: no selector sees it, only an `ipBlock` could take it.
    Outside {
        /// Its address.
        ip: IpAddr,
    },
    /// The peer is a node, or a pod on its node's network: no selector sees it, only an `ipBlock` could take it.
    Node {
        /// Its address.
        ip: IpAddr,
    },
    /// The peer is a pod, and no pod is known to have had its address at the time: no selector can match.
    Unresolved {
        /// Its address.
        ip: IpAddr,
    },
}

/// Why an entry of a rule's `ports` does not take a port.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PortMismatch {
    /// The entry: `ports[0]`.
    pub entry: String,
    /// What it takes, in words: `TCP 8080`.
    pub matches: String,
    /// Why that is not this port.
    pub cause: PortCause,
}

/// What keeps an entry from taking a port.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "type")]
pub enum PortCause {
    /// The number would do, the protocol is another.
    OtherProtocol {
        /// The entry's.
        wanted: Protocol,
    },
    /// The number is another.
    OtherNumber,
    /// The protocol and the number are others.
    OtherProtocolAndNumber {
        /// The entry's.
        wanted: Protocol,
    },
    /// The entry names a port, and the destination pod declares it with another number.
    DeclaredWithOtherNumber {
        /// The name.
        name: String,
        /// The number that the pod declares.
        number: u16,
    },
    /// The entry names a port, and the destination pod declares it with another protocol.
    DeclaredWithOtherProtocol {
        /// The name.
        name: String,
        /// The protocol that the pod declares.
        protocol: Protocol,
    },
    /// The entry names a port that the destination pod does not declare.
    NotDeclared {
        /// The name.
        name: String,
    },
    /// The entry names a port, and the destination is no pod of which ports are known.
    NoNamedPorts {
        /// The name.
        name: String,
    },
}

/// How many entries are told: more of them nobody reads, and a rule may have thousands.
const MOST_ENTRIES: usize = 10;

impl RuleMismatch {
    /// Why a rule, by its index, does not take a flow. `None`: it does.
    #[must_use]
    pub fn of(rule: &Rule, index: usize, question: &Question<'_>) -> Option<Self> {
        let (peers, more_peers) = nearest(peers::mismatches(&rule.peers, question));
        let (ports, more_ports) = nearest(ports::mismatches(&rule.ports, question));
        let failed = match (peers.is_empty(), ports.is_empty()) {
            (true, true) => return None,
            (true, false) => Failed::Port,
            (false, true) => Failed::Peer,
            (false, false) => Failed::PeerAndPort,
        };
        Some(Self { rule: rule_name(question.direction, index), failed, peers, more_peers, ports, more_ports })
    }
}

impl Policy {
    /// The rule that came nearest to a flow which the policy denies, and what of it failed. `None` where it has no rules, and where
    /// the rule as it is written takes the flow, and who enforces has it otherwise.
    #[must_use]
    pub fn mismatch(&self, reason: &Reason, question: &Question<'_>) -> Option<RuleMismatch> {
        let nearest = reason.nearest()?;
        RuleMismatch::of(self.rules(question.direction).get(nearest)?, nearest, question)
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
        let missed = match self.mismatch(reason, question) {
            Some(mismatch) => describe(&mismatch, rule, question),
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

/// The nearest few, and how many more there are. Of equally near ones the first comes first.
fn nearest<T, R: Ord>(mut mismatches: Vec<(R, T)>) -> (Vec<T>, u64) {
    mismatches.sort_by(|(a, _), (b, _)| a.cmp(b));
    let more = mismatches.len().saturating_sub(MOST_ENTRIES) as u64;
    (mismatches.into_iter().take(MOST_ENTRIES).map(|(_, mismatch)| mismatch).collect(), more)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde wants")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
