//! Why a rule does not match a flow, entry by entry, as data. This is computed from the policy when it is needed; a verdict only
//! contains the index of the nearest rule, and whether peer or port does not match.

use std::net::IpAddr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::engine::verdict::Reason;
use crate::policy::flow_question::Question;
use crate::policy::network_policy::{Failed, Policy, Rule};
use crate::policy::peer::Peer;
use crate::policy::port::Port;
use foretell_objects::model::flow::{Direction, Protocol};
use foretell_objects::model::policy_ref::PolicyRef;
use foretell_objects::model::words::rule_name;

mod peers;
mod ports;
pub(crate) mod words;

/// The rule that is nearest to matching a flow, and why it does not match.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct RuleMismatch {
    /// The rule: `ingress[1]`.
    pub rule: String,
    /// The part of the rule that does not match.
    pub failed: Failed,
    /// Why its entries do not match the peer, the nearest first and at most ten; empty if the rule matches the peer.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<PeerMismatch>,
    /// The number of further entries that do not match the peer.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_peers: u64,
    /// Why its entries do not match the port, the nearest first and at most ten; empty if the rule matches the port.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortMismatch>,
    /// The number of further entries that do not match the port.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_ports: u64,
}

/// The nearest rule, with its policy.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct NearestRule {
    /// The policy that denies. If a change removes what allowed a flow, this is not the policy to which the denial is attributed.
    pub policy: PolicyRef,
    /// Its nearest rule, and why it does not match.
    #[serde(flatten)]
    pub mismatch: RuleMismatch,
}

/// Why an entry of a rule's `from` or `to` does not match a peer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PeerMismatch {
    /// The entry: `from[0]`.
    pub entry: String,
    /// What the entry matches, as text.
    pub matches: String,
    /// The causes, at least one. Each is sufficient.
    pub causes: Vec<PeerCause>,
}

/// A reason why an entry does not match a peer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "type")]
pub enum PeerCause {
    /// The entry has no `namespaceSelector`, so it only matches pods of the subject's namespace.
    OtherNamespace {
        /// The peer's namespace.
        namespace: String,
        /// The subject's namespace.
        wanted: String,
    },
    /// A label of the peer's namespace does not match.
    NamespaceLabel {
        /// The peer's namespace.
        namespace: String,
        /// The key of the label.
        key: String,
        /// What the selector requires: `team=data`, `!legacy`.
        wanted: String,
        /// The value that the namespace has; absent if it lacks the label.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        found: Option<String>,
    },
    /// A label of the pod does not match.
    PodLabel {
        /// The key of the label.
        key: String,
        /// What the selector requires: `app=web`, `!canary`.
        wanted: String,
        /// The value that the pod has; absent if it lacks the label.
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
    /// The address is in the block, and in one of its exceptions.
    InException {
        /// The peer's address.
        ip: IpAddr,
        /// The exception.
        #[schemars(with = "String")]
        except: IpNet,
    },
    /// The peer is outside the cluster: no selector can match it, only an `ipBlock`.
    Outside {
        /// The peer's address.
        ip: IpAddr,
    },
    /// The peer is a node or a hostNetwork pod: no selector can match it, only an `ipBlock`.
    Node {
        /// The peer's address.
        ip: IpAddr,
    },
    /// The peer is a pod, and it is unknown which pod had its address at that time, so no selector can match it.
    Unresolved {
        /// The peer's address.
        ip: IpAddr,
    },
}

/// Why an entry of a rule's `ports` does not match a port.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PortMismatch {
    /// The entry: `ports[0]`.
    pub entry: String,
    /// What the entry matches, as text: `TCP 8080`.
    pub matches: String,
    /// The cause.
    pub cause: PortCause,
}

/// A reason why an entry does not match a port.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase", rename_all_fields = "camelCase", tag = "type")]
pub enum PortCause {
    /// The number matches, and the protocol differs.
    OtherProtocol {
        /// The protocol of the entry.
        wanted: Protocol,
    },
    /// The number differs.
    OtherNumber,
    /// The protocol and the number differ.
    OtherProtocolAndNumber {
        /// The protocol of the entry.
        wanted: Protocol,
    },
    /// The entry names a port, and the destination pod declares it with another number.
    DeclaredWithOtherNumber {
        /// The name of the port.
        name: String,
        /// The number that the pod declares.
        number: u16,
    },
    /// The entry names a port, and the destination pod declares it with another protocol.
    DeclaredWithOtherProtocol {
        /// The name of the port.
        name: String,
        /// The protocol that the pod declares.
        protocol: Protocol,
    },
    /// The entry names a port that the destination pod does not declare.
    NotDeclared {
        /// The name of the port.
        name: String,
    },
    /// The entry names a port, and the destination is not a known pod, so its named ports are unknown.
    NoNamedPorts {
        /// The name of the port.
        name: String,
    },
}

/// The number of entries that are listed. A rule may have thousands.
const MOST_ENTRIES: usize = 10;

impl RuleMismatch {
    /// Why a rule does not match a flow; `None` if it does. `index` is that of the rule in its policy and direction.
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
    /// The nearest rule to a flow that the policy denies, and why it does not match. `None` if the policy has no rules, or if the
    /// rule matches by the Kubernetes specification and the enforcer deviates from it.
    #[must_use]
    pub fn mismatch(&self, reason: &Reason, question: &Question<'_>) -> Option<RuleMismatch> {
        let nearest = reason.nearest()?;
        RuleMismatch::of(self.rules(question.direction).get(nearest)?, nearest, question)
    }

    /// The reason as a sentence. `peer` is the name of the other end.
    #[must_use]
    pub fn explain(&self, reason: &Reason, question: &Question<'_>, peer: &str) -> String {
        let field = question.direction.field();
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

    /// The same without peer and port, for output that shows them elsewhere: the nearest rule, and why it does not match.
    #[must_use]
    pub fn explain_nearest(&self, reason: &Reason, question: &Question<'_>) -> String {
        let nearest = reason.nearest().and_then(|index| Some((index, self.rules(question.direction).get(index)?)));
        let Some((index, rule)) = nearest else {
            return match question.direction {
                Direction::Ingress => "it has no ingress rules, so all incoming traffic is denied".to_owned(),
                Direction::Egress => "it has no egress rules, so all outgoing traffic is denied".to_owned(),
            };
        };
        let text = match self.mismatch(reason, question) {
            Some(mismatch) => words::describe(&mismatch, rule, question),
            None => format!("{} is the nearest rule", rule_name(question.direction, index)),
        };
        match (reason, question.peer) {
            (Reason::UnresolvedPeer { .. }, Peer::Unresolved { ip }) => {
                format!("it is unknown which pod had {ip} at that time, so no selector can match it; {text}")
            }
            _ => text,
        }
    }
}

/// The nearest entries, and the number of further ones. Equally near entries keep their order.
fn nearest<T, R: Ord>(mut mismatches: Vec<(R, T)>) -> (Vec<T>, u64) {
    mismatches.sort_by(|(a, _), (b, _)| a.cmp(b));
    let more = mismatches.len().saturating_sub(MOST_ENTRIES) as u64;
    (mismatches.into_iter().take(MOST_ENTRIES).map(|(_, mismatch)| mismatch).collect(), more)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde requires")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
