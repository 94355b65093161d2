//! Dialects: where an enforcer of NetworkPolicy is known to deviate from the text of the upstream API.
//!
//! A dialect is plain data: an enforcer, and its answer to each question that enforcers answer differently. Everything else is
//! judged by the upstream text. [`deviations`] gives a source for each deviation. Where an enforcer documents nothing about a
//! question, the most usual upstream answer is used, and results that depend on it carry a note that enforcers differ.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Serialize};

pub mod deviations;

/// The software that enforces NetworkPolicy in a cluster.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Cni {
    /// No particular enforcer: the text of the upstream API.
    #[default]
    Upstream,
    /// Antrea.
    Antrea,
    /// The network policy agent of Amazon's VPC CNI.
    AwsVpcCni,
    /// Azure's Network Policy Manager.
    AzureNpm,
    /// Calico, including Canal, where Calico enforces policies on another CNI's network.
    Calico,
    /// Cilium, including the managed Cilium of cloud providers.
    Cilium,
    /// kube-network-policies, which kindnet includes.
    KubeNetworkPolicies,
    /// kube-router, which k3s includes.
    KubeRouter,
    /// OVN-Kubernetes.
    OvnKubernetes,
    /// Weave Net.
    Weave,
}

impl Cni {
    /// All enforcers, in the order in which help and errors list them.
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

    /// Its name as a value of `--cni`.
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

    /// Its name in sentences.
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

/// Whether an `ipBlock` matches a pod or a node whose address lies in it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ByBlock {
    /// The API leaves it open. It matches, and an allow that depends on this alone carries a note that enforcers differ.
    #[default]
    Unspecified,
    /// It matches.
    Matched,
    /// It does not match.
    NotMatched,
}

/// What happens to traffic from a pod to its own node if the pod's policies do not allow it.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ToOwnNode {
    /// The API leaves it open. It is allowed, with a note that enforcers differ.
    #[default]
    Unspecified,
    /// It is allowed.
    Passes,
    /// Policies apply as for traffic to another node.
    Judged,
}

/// Which blocks an `except` removes its addresses from.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum Excepts {
    /// Only its own block.
    #[default]
    OfTheirBlock,
    /// All blocks of its rule that are not more specific than the `except`.
    OfTheirRule,
}

/// What a port's name means in an egress rule.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum NamedPorts {
    /// The port that has this name on the destination pod.
    #[default]
    OfTheDestination,
    /// In a rule for every destination: the numbers that have this name on pods of the policy's namespace, at any destination.
    /// With an `ipBlock`: no port.
    OfTheNamespace,
}

/// Which end's policies must allow a flow between two isolated pods.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum EnforcedEnds {
    /// Both ends.
    #[default]
    Both,
    /// If both pods run on one node, either end is enough; otherwise both.
    EitherOnOneNode,
}

/// By which address an egress policy sees a connection to a Service.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum ServicesSeen {
    /// By its backend: the Service's address is translated before policies apply.
    #[default]
    AsBackends,
    /// By the Service's address and port. A rule with selectors opens the cluster IP of a Service whose own selector it matches.
    ByAddress,
}

/// Whether selectors match nodes and pods on the host network.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum HostNetwork {
    /// They do not.
    #[default]
    OfNoNamespace,
    /// All of them belong to one namespace, [`HOST_NETWORK_NAMESPACES`]. An entry with a `namespaceSelector` that matches it, and
    /// without a `podSelector`, matches them.
    OfItsNamespace,
}

/// How an egress policy sees a connection from a pod to a node port of its own node.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum OwnNodePorts {
    /// As one to the node.
    #[default]
    AsTheNode,
    /// As one to a backend of the Service: the node port is translated before policies apply.
    AsBackends,
}

/// The namespaces that stand for the host network: in `OpenShift`, and in upstream's OVN-Kubernetes.
pub const HOST_NETWORK_NAMESPACES: [&str; 2] = ["openshift-host-network", "ovn-host-network"];

/// The label of the namespace `openshift-host-network`, with an empty value.
pub const HOST_NETWORK_LABEL: &str = "policy-group.network.openshift.io/host-network";

/// How an enforcer interprets policies.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub struct Dialect {
    /// The enforcer.
    pub cni: Cni,
    /// Whether an `ipBlock` matches pods.
    pub pods_by_block: ByBlock,
    /// Whether an `ipBlock` matches nodes and pods on the host network.
    pub nodes_by_block: ByBlock,
    /// Traffic from a pod to its own node.
    pub to_own_node: ToOwnNode,
    /// The scope of `except`.
    pub excepts: Excepts,
    /// The meaning of a port's name in egress rules.
    pub named_ports: NamedPorts,
    /// The ends of a flow whose policies must allow it.
    pub ends: EnforcedEnds,
    /// Connections to Services.
    pub services: ServicesSeen,
    /// Nodes and pods on the host network.
    pub host_network: HostNetwork,
    /// Connections to node ports of the own node.
    pub own_node_ports: OwnNodePorts,
}

/// A value of `--cni` that names no dialect.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum DialectError {
    /// No enforcer has this name.
    #[error("{0:?} is not a known enforcer: choose one of {choices}", choices = choices())]
    Cni(String),
    /// An option that this enforcer does not have.
    #[error("{option:?}: {cni} has no such option: {known}", known = options(*cni))]
    Option {
        /// The enforcer.
        cni: Cni,
        /// The option as given.
        option: String,
    },
    /// The option does not accept this value.
    #[error("{POLICY_CIDR_MATCH_MODE}={0}: write pods, nodes or pods+nodes")]
    MatchMode(String),
}

/// The name of the option in Cilium's configuration.
const POLICY_CIDR_MATCH_MODE: &str = "policy-cidr-match-mode";

fn choices() -> String {
    Cni::ALL.map(Cni::name).join(", ")
}

fn options(cni: Cni) -> &'static str {
    match cni {
        Cni::Cilium => {
            "write policy-cidr-match-mode=pods, policy-cidr-match-mode=nodes or policy-cidr-match-mode=pods+nodes"
        }
        _ => "this enforcer has no options",
    }
}

impl Dialect {
    /// The text of the upstream API, without deviations.
    pub const UPSTREAM: Self = Self {
        cni: Cni::Upstream,
        pods_by_block: ByBlock::Unspecified,
        nodes_by_block: ByBlock::Unspecified,
        to_own_node: ToOwnNode::Unspecified,
        excepts: Excepts::OfTheirBlock,
        named_ports: NamedPorts::OfTheDestination,
        ends: EnforcedEnds::Both,
        services: ServicesSeen::AsBackends,
        host_network: HostNetwork::OfNoNamespace,
        own_node_ports: OwnNodePorts::AsTheNode,
    };

    /// Whether this is the upstream API without deviations.
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

/// As a value of `--cni`: `cilium`, `cilium,policy-cidr-match-mode=nodes`.
impl fmt::Display for Dialect {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.cni.name())?;
        if self.cni != Cni::Cilium {
            return Ok(());
        }
        match (self.pods_by_block, self.nodes_by_block) {
            (ByBlock::Matched, ByBlock::Matched) => write!(f, ",{POLICY_CIDR_MATCH_MODE}=pods+nodes"),
            (ByBlock::Matched, _) => write!(f, ",{POLICY_CIDR_MATCH_MODE}=pods"),
            (_, ByBlock::Matched) => write!(f, ",{POLICY_CIDR_MATCH_MODE}=nodes"),
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
                    "pods" => dialect.pods_by_block = ByBlock::Matched,
                    "nodes" => dialect.nodes_by_block = ByBlock::Matched,
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
