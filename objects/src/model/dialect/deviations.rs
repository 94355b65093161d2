//! The known deviations of each enforcer, with their sources.
//!
//! For an enforcer without deviations no documented one was found. It is judged by the upstream text and keeps the notes that
//! enforcers differ.

use std::fmt;

use crate::model::dialect::{ByBlock, Cni, Dialect, EnforcedEnds, Excepts, NamedPorts, ToOwnNode};

/// A difference between an enforcer's answer and upstream's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Deviation {
    /// An `ipBlock` matches no pods.
    BlocksLeavePods,
    /// An `ipBlock` matches no nodes.
    BlocksLeaveNodes,
    /// Policies apply to traffic from a pod to its own node.
    OwnNodeIsJudged,
    /// An `except` also removes its addresses from other blocks of its rule.
    ExceptsOfTheRule,
    /// In egress rules a port's name means the numbers that have this name on pods of the policy's namespace.
    NamedPortsOfTheNamespace,
    /// Between two isolated pods on one node, it is enough that one end's policies allow the traffic.
    EitherEndOnOneNode,
}

/// Cilium on pods and nodes: "By default, CIDR-based selectors do not match in-cluster entities (pods or nodes)".
const CILIUM_BLOCKS: &str =
    "https://docs.cilium.io/en/stable/security/policy/layer3/#selecting-pods-or-nodes-with-cidr-ipblock";
/// In Cilium a pod's own node is the entity `host`, which no peer of a NetworkPolicy can name. Only an egress rule without `to`
/// allows it.
const CILIUM_OWN_NODE: &str = "https://github.com/cilium/cilium/issues/12277";
/// `defaultEndpointToHostAction`: what happens to traffic from a workload to the host itself "after the endpoint's egress
/// policy is applied". If that action is Drop, all of it is denied; installers set Accept.
const CALICO_OWN_NODE: &str = "https://docs.tigera.io/calico/latest/reference/resources/felixconfig";
/// The source code of its rules: one `hash:net` set for each rule, with `nomatch` for exceptions, where the most specific entry
/// that contains an address decides. Confirmed with real packets, like the other two deviations.
const KUBE_ROUTER_RULES: &str =
    "https://github.com/cloudnativelabs/kube-router/blob/master/pkg/controllers/netpol/policy.go";
/// If the policies of one pod accept a packet between two pods of a node, those of the other pod are not applied.
const KUBE_ROUTER_ENDS: &str = "https://github.com/k3s-io/k3s/issues/2390";

impl Deviation {
    /// Its name in JSON.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BlocksLeavePods => "ipBlockMatchesNoPod",
            Self::BlocksLeaveNodes => "ipBlockMatchesNoNode",
            Self::OwnNodeIsJudged => "ownNodeIsJudged",
            Self::ExceptsOfTheRule => "exceptOfTheRule",
            Self::NamedPortsOfTheNamespace => "namedPortOfTheNamespace",
            Self::EitherEndOnOneNode => "eitherEndOnOneNode",
        }
    }

    /// The URL of the document or source code that shows this deviation of an enforcer.
    #[must_use]
    pub fn source(self, cni: Cni) -> &'static str {
        match (self, cni) {
            (Self::OwnNodeIsJudged, Cni::Calico) => CALICO_OWN_NODE,
            (Self::OwnNodeIsJudged, _) => CILIUM_OWN_NODE,
            (Self::BlocksLeavePods | Self::BlocksLeaveNodes, _) => CILIUM_BLOCKS,
            (Self::ExceptsOfTheRule | Self::NamedPortsOfTheNamespace, _) => KUBE_ROUTER_RULES,
            (Self::EitherEndOnOneNode, _) => KUBE_ROUTER_ENDS,
        }
    }
}

impl fmt::Display for Deviation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::BlocksLeavePods => "an ipBlock matches no pod",
            Self::BlocksLeaveNodes => "an ipBlock matches no node",
            Self::OwnNodeIsJudged => "the pod's policies apply to traffic from a pod to its own node",
            Self::ExceptsOfTheRule => "an except also removes its addresses from the other blocks of its rule",
            Self::NamedPortsOfTheNamespace => {
                "in an egress rule a port's name means the numbers that have this name on pods of the policy's namespace, not on \
                 the destination"
            }
            Self::EitherEndOnOneNode => "between two isolated pods on one node it is enough that one end's policies allow it",
        })
    }
}

impl Dialect {
    /// How an enforcer interprets policies in its default configuration.
    #[must_use]
    pub fn of(cni: Cni) -> Self {
        let plain = Self { cni, ..Self::UPSTREAM };
        match cni {
            Cni::Upstream | Cni::Antrea | Cni::AwsVpcCni | Cni::AzureNpm | Cni::OvnKubernetes => plain,
            // Calico turns blocks into `nets`, which "match packets with IP in any of the listed CIDRs", so they match pods and
            // nodes too: https://docs.tigera.io/calico/latest/reference/resources/networkpolicy
            Cni::Calico => Self {
                pods_by_block: ByBlock::Matched,
                nodes_by_block: ByBlock::Matched,
                to_own_node: ToOwnNode::Judged,
                ..plain
            },
            // With policy-cidr-match-mode=nodes, versions 1.19 and 1.20 still do not match nodes with a /0 block. Cilium
            // regards that as a bug: https://github.com/cilium/cilium/issues/47827
            Cni::Cilium => Self {
                pods_by_block: ByBlock::NotMatched,
                nodes_by_block: ByBlock::NotMatched,
                to_own_node: ToOwnNode::Judged,
                ..plain
            },
            // "Pod-to-same-node is always allowed": https://github.com/kubernetes-sigs/kube-network-policies/issues/283
            // The same for Weave Net: https://github.com/weaveworks/weave/issues/3924
            Cni::KubeNetworkPolicies | Cni::Weave => Self { to_own_node: ToOwnNode::Passes, ..plain },
            Cni::KubeRouter => Self {
                pods_by_block: ByBlock::Matched,
                nodes_by_block: ByBlock::Matched,
                excepts: Excepts::OfTheirRule,
                named_ports: NamedPorts::OfTheNamespace,
                ends: EnforcedEnds::EitherOnOneNode,
                ..plain
            },
        }
    }

    /// Its differences from upstream's most usual answers.
    pub fn deviations(&self) -> impl Iterator<Item = Deviation> + use<> {
        [
            (self.pods_by_block == ByBlock::NotMatched, Deviation::BlocksLeavePods),
            (self.nodes_by_block == ByBlock::NotMatched, Deviation::BlocksLeaveNodes),
            (self.to_own_node == ToOwnNode::Judged, Deviation::OwnNodeIsJudged),
            (self.excepts == Excepts::OfTheirRule, Deviation::ExceptsOfTheRule),
            (self.named_ports == NamedPorts::OfTheNamespace, Deviation::NamedPortsOfTheNamespace),
            (self.ends == EnforcedEnds::EitherOnOneNode, Deviation::EitherEndOnOneNode),
        ]
        .into_iter()
        .filter_map(|(deviates, deviation)| deviates.then_some(deviation))
    }
}
