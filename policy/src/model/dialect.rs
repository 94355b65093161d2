//! Dialects: where an enforcer of NetworkPolicy is known to answer otherwise than upstream's text.
//!
//! A dialect is plain data: an enforcer, and what it makes of each question that enforcers answer differently. Whatever is not
//! named here is judged as upstream has it. Each deviation has its source, in [`deviations`]; where an enforcer's own words say
//! nothing of a question, the answer is upstream's most usual one, and what rests on it says that enforcers differ.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub mod deviations;

/// What enforces NetworkPolicy in a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cni {
    /// Nobody in particular: the text of the API.
    #[default]
    Upstream,
    /// Antrea.
    Antrea,
    /// The network policy agent of Amazon's VPC CNI.
    AwsVpcCni,
    /// Azure's Network Policy Manager.
    AzureNpm,
    /// Calico, also where it enforces beside another network (Canal).
    Calico,
    /// Cilium, also as clouds sell it.
    Cilium,
    /// kube-network-policies, which is in kindnet too.
    KubeNetworkPolicies,
    /// kube-router, which is in k3s too.
    KubeRouter,
    /// OVN-Kubernetes.
    OvnKubernetes,
    /// Weave Net.
    Weave,
}

impl Cni {
    /// All of them, as a user may choose them.
    pub const ALL: [Self; 10] = [
        Self::Upstream,
        Self::Antrea,
        Self::AwsVpcCni,
        Self::AzureNpm,
        Self::Calico,
        Self::Cilium,
        Self::KubeNetworkPolicies,
        Self::KubeRouter,
        Self::OvnKubernetes,
        Self::Weave,
    ];

    /// How `--cni` calls it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::Antrea => "antrea",
            Self::AwsVpcCni => "aws-vpc-cni",
            Self::AzureNpm => "azure-npm",
            Self::Calico => "calico",
            Self::Cilium => "cilium",
            Self::KubeNetworkPolicies => "kube-network-policies",
            Self::KubeRouter => "kube-router",
            Self::OvnKubernetes => "ovn-kubernetes",
            Self::Weave => "weave",
        }
    }

    /// How people call it.
    #[must_use]
    pub fn title(self) -> &'static str {
        match self {
            Self::Upstream => "upstream",
            Self::Antrea => "Antrea",
            Self::AwsVpcCni => "the Amazon VPC CNI",
            Self::AzureNpm => "Azure Network Policy Manager",
            Self::Calico => "Calico",
            Self::Cilium => "Cilium",
            Self::KubeNetworkPolicies => "kube-network-policies",
            Self::KubeRouter => "kube-router",
            Self::OvnKubernetes => "OVN-Kubernetes",
            Self::Weave => "Weave Net",
        }
    }
}

/// Whether an `ipBlock` takes a pod or a node whose address it holds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ByBlock {
    /// The text leaves it open: it does, and an allow that rests on it alone says that enforcers differ.
    #[default]
    Unsaid,
    /// It does.
    Taken,
    /// It does not.
    NotMatched,
}

/// What becomes of traffic from a pod to its own node, where its policies do not allow it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ToOwnNode {
    /// The text leaves it open: it passes, and says that enforcers differ.
    #[default]
    Unsaid,
    /// It passes.
    Passes,
    /// It is judged like traffic to another node.
    Judged,
}

/// What an `except` cuts its addresses out of.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Excepts {
    /// Its own block.
    #[default]
    OfTheirBlock,
    /// All blocks of its rule that are not more specific than it is.
    OfTheirRule,
}

/// What the name of a port means in an egress rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NamedPorts {
    /// What the destination calls so.
    #[default]
    OfTheDestination,
    /// In a rule for every destination: the numbers that pods of the policy's namespace call so, at whatever destination. At an
    /// `ipBlock`: nothing.
    OfTheNamespace,
}

/// Who has to let a flow pass between two pods that are both isolated.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EnforcedEnds {
    /// Both ends.
    #[default]
    Both,
    /// On one node: either end.
    EitherOnOneNode,
}

/// An enforcer's meaning of policies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Dialect {
    /// Whose.
    pub cni: Cni,
    /// Blocks and pods.
    pub pods_by_block: ByBlock,
    /// Blocks and nodes, with the pods on nodes' networks.
    pub nodes_by_block: ByBlock,
    /// A pod and its own node.
    pub to_own_node: ToOwnNode,
    /// `except`.
    pub excepts: Excepts,
    /// Names of ports on egress.
    pub named_ports: NamedPorts,
    /// Both ends of a flow.
    pub ends: EnforcedEnds,
}

/// A dialect that does not exist.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialectError {
    /// No enforcer of this name.
    #[error("{0:?} is no enforcer that is known; choose {choices}", choices = choices())]
    Cni(String),
    /// An option that this enforcer does not have.
    #[error("{option:?}: {cni} has no such option; {known}", known = options(*cni))]
    Option {
        /// Of which.
        cni: Cni,
        /// As given.
        option: String,
    },
    /// A value that this option does not take.
    #[error("{POLICY_CIDR_MATCH_MODE}={0}: write pods, nodes, or pods+nodes")]
    MatchMode(String),
}

/// Cilium's option, as Cilium calls it.
const POLICY_CIDR_MATCH_MODE: &str = "policy-cidr-match-mode";

fn choices() -> String {
    Cni::ALL.map(Cni::name).join(", ")
}

fn options(cni: Cni) -> &'static str {
    match cni {
        Cni::Cilium => "it knows policy-cidr-match-mode=pods, =nodes and =pods+nodes",
        _ => "it has none",
    }
}

impl Dialect {
    /// The text of the API.
    pub const UPSTREAM: Self = Self {
        cni: Cni::Upstream,
        pods_by_block: ByBlock::Unsaid,
        nodes_by_block: ByBlock::Unsaid,
        to_own_node: ToOwnNode::Unsaid,
        excepts: Excepts::OfTheirBlock,
        named_ports: NamedPorts::OfTheDestination,
        ends: EnforcedEnds::Both,
    };

    /// Whether it is upstream's.
    #[must_use]
    pub fn is_upstream(&self) -> bool {
        self.cni == Cni::Upstream
    }
}

impl fmt::Display for Cni {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

/// As `--cni` takes it: `cilium`, `cilium,policy-cidr-match-mode=nodes`.
impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.cni.name())?;
        if self.cni != Cni::Cilium {
            return Ok(());
        }
        match (self.pods_by_block, self.nodes_by_block) {
            (ByBlock::Taken, ByBlock::Taken) => write!(f, ",{POLICY_CIDR_MATCH_MODE}=pods+nodes"),
            (ByBlock::Taken, _) => write!(f, ",{POLICY_CIDR_MATCH_MODE}=pods"),
            (_, ByBlock::Taken) => write!(f, ",{POLICY_CIDR_MATCH_MODE}=nodes"),
            _ => Ok(()),
        }
    }
}

impl FromStr for Dialect {
    type Err = DialectError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let mut parts = text.split(',').map(str::trim);
        let name = parts.next().unwrap_or_default();
        let cni = Cni::ALL.into_iter().find(|cni| cni.name() == name).ok_or(DialectError::Cni(name.to_owned()))?;
        let mut dialect = Self::of(cni);
        for option in parts {
            let unknown = || DialectError::Option { cni, option: option.to_owned() };
            let (key, value) = option.split_once('=').ok_or_else(unknown)?;
            if cni != Cni::Cilium || key != POLICY_CIDR_MATCH_MODE {
                return Err(unknown());
            }
            for mode in value.split('+') {
                match mode {
                    "pods" => dialect.pods_by_block = ByBlock::Taken,
                    "nodes" => dialect.nodes_by_block = ByBlock::Taken,
                    _ => return Err(DialectError::MatchMode(value.to_owned())),
                }
            }
        }
        Ok(dialect)
    }
}

impl Serialize for Dialect {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for Dialect {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer)?.parse().map_err(serde::de::Error::custom)
    }
}
