//! Why a rule does not take a flow, entry by entry, as data. It is worked out from the policy's text once somebody reads it: the
//! engine itself knows no more than which rule came nearest, and whether peer or port failed.

use std::net::IpAddr;

use ipnet::IpNet;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::compiled::{Failed, PolicyRef, Rule};
use crate::flow::{Direction, Protocol};
use crate::verdict::Question;

mod peers;
mod ports;
mod words;

pub(crate) use words::describe;

/// The rule that came nearest to a flow, and what of it failed.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Miss {
    /// The rule: `ingress[1]`.
    pub rule: String,
    /// What of it failed.
    pub failed: Failed,
    /// Why its entries do not take the peer, the nearest first and at most ten; empty where the rule takes it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub peers: Vec<PeerMiss>,
    /// How many more entries do not take the peer either.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_peers: u64,
    /// Why its ports are others, the nearest first and at most ten; empty where the rule takes the port.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub ports: Vec<PortMiss>,
    /// How many more ports are others too.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub more_ports: u64,
}

/// The rule that came nearest, and whose it is.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
pub struct Nearest {
    /// The policy that denies. Where a change takes away what allowed a flow it is not the one at which the denial is laid.
    pub policy: PolicyRef,
    /// Its rule, and what of it failed.
    #[serde(flatten)]
    pub miss: Miss,
}

/// Why an entry of a rule's `from` or `to` does not take a peer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PeerMiss {
    /// The entry: `from[0]`.
    pub entry: String,
    /// Whom it takes, in words.
    pub takes: String,
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
pub struct PortMiss {
    /// The entry: `ports[0]`.
    pub entry: String,
    /// What it takes, in words: `TCP 8080`.
    pub takes: String,
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

impl Miss {
    /// Why a rule, by its index, does not take a flow. `None`: it does.
    #[must_use]
    pub fn of(rule: &Rule, index: usize, question: &Question<'_>) -> Option<Self> {
        let (peers, more_peers) = nearest(peers::misses(&rule.peers, question));
        let (ports, more_ports) = nearest(ports::misses(&rule.ports, question));
        let failed = match (peers.is_empty(), ports.is_empty()) {
            (true, true) => return None,
            (true, false) => Failed::Port,
            (false, true) => Failed::Peer,
            (false, false) => Failed::PeerAndPort,
        };
        Some(Self { rule: rule_name(question.direction, index), failed, peers, more_peers, ports, more_ports })
    }
}

/// `ingress[1]`
#[must_use]
pub fn rule_name(direction: Direction, rule: usize) -> String {
    match direction {
        Direction::Ingress => format!("ingress[{rule}]"),
        Direction::Egress => format!("egress[{rule}]"),
    }
}

/// The nearest few, and how many more there are. Of equally near ones the first comes first.
fn nearest<T, R: Ord>(mut misses: Vec<(R, T)>) -> (Vec<T>, u64) {
    misses.sort_by(|(a, _), (b, _)| a.cmp(b));
    let more = misses.len().saturating_sub(MOST_ENTRIES) as u64;
    (misses.into_iter().take(MOST_ENTRIES).map(|(_, miss)| miss).collect(), more)
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "the signature that serde wants")]
fn is_zero(number: &u64) -> bool {
    *number == 0
}
