//! The known deviations of each enforcer, with their sources.
//!
//! For an enforcer without deviations no documented one was found. It is judged by the upstream text and keeps the notes that
//! enforcers differ.

use std::fmt;

use crate::model::dialect::{
    ByBlock, Cni, Dialect, EnforcedEnds, Excepts, HostNetwork, NamedPorts, OwnNodePorts, ServicesSeen, ToOwnNode,
};

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
    /// An egress policy sees a connection to a Service by the Service's address.
    ServicesByAddress,
    /// Nodes and pods on the host network belong to a namespace, which namespace selectors match.
    HostNetworkNamespace,
    /// An egress policy sees a connection to a node port of the own node by the backend.
    OwnNodePortsAsBackends,
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
/// The source code of its controller, `getMatchingServiceClusterIPs`: the agent sees packets before the Service's address is
/// translated, so a rule also opens the cluster IP of each Service "where the service.spec.Selector matches the pod selector".
const AWS_SERVICES: &str =
    "https://github.com/aws/amazon-network-policy-controller-k8s/blob/main/pkg/resolvers/endpoints.go";
/// "You can use the policy-group.network.openshift.io/host-network: \"\" namespace selector to select traffic from the host
/// network". Only entries without a `podSelector` use the address set of a namespace, `useNamespaceAddrSet` in the source code of
/// OVN-Kubernetes, and that of this namespace holds the addresses of the nodes.
const OPENSHIFT_HOST_NETWORK: &str =
    "https://docs.redhat.com/en/documentation/openshift_container_platform/4.18/html/network_security/network-policy";
/// "If the node IP is the pod's local node, then DNAT is going to occur via kube-proxy prior to network policy enforcement, and the
/// NetworkPolicy is going to "see" the Pod's IP".
const CALICO_NODE_PORTS: &str = "https://github.com/projectcalico/calico/issues/9869";

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
            Self::ServicesByAddress => "serviceByItsAddress",
            Self::HostNetworkNamespace => "hostNetworkNamespace",
            Self::OwnNodePortsAsBackends => "ownNodePortAsBackend",
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
            (Self::ServicesByAddress, _) => AWS_SERVICES,
            (Self::HostNetworkNamespace, _) => OPENSHIFT_HOST_NETWORK,
            (Self::OwnNodePortsAsBackends, _) => CALICO_NODE_PORTS,
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
            Self::ServicesByAddress => {
                "egress policies see the address and port of a Service, not its pods: an ipBlock must contain the address, or a \
                 selector match the Service's own selector"
            }
            Self::HostNetworkNamespace => {
                "nodes and pods on the host network belong to the namespace of the host network, which a namespaceSelector without \
                 podSelector matches"
            }
            Self::OwnNodePortsAsBackends => {
                "egress policies see a connection to a node port of the pod's own node as one to a pod behind it"
            }
        })
    }
}

impl Dialect {
    /// How an enforcer interprets policies in its default configuration.
    #[must_use]
    pub fn of(cni: Cni) -> Self {
        let plain = Self { cni, ..Self::UPSTREAM };
        match cni {
            Cni::Upstream | Cni::Antrea | Cni::AzureNpm => plain,
            Cni::AwsVpcCni => Self { services: ServicesSeen::ByAddress, ..plain },
            Cni::OvnKubernetes => Self { host_network: HostNetwork::OfItsNamespace, ..plain },
            // Calico turns blocks into `nets`, which "match packets with IP in any of the listed CIDRs", so they match pods and
            // nodes too: https://docs.tigera.io/calico/latest/reference/resources/networkpolicy
            Cni::Calico => Self {
                pods_by_block: ByBlock::Matched,
                nodes_by_block: ByBlock::Matched,
                to_own_node: ToOwnNode::Judged,
                own_node_ports: OwnNodePorts::AsBackends,
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
            (self.services == ServicesSeen::ByAddress, Deviation::ServicesByAddress),
            (self.host_network == HostNetwork::OfItsNamespace, Deviation::HostNetworkNamespace),
            (self.own_node_ports == OwnNodePorts::AsBackends, Deviation::OwnNodePortsAsBackends),
        ]
        .into_iter()
        .filter_map(|(deviates, deviation)| deviates.then_some(deviation))
    }
}
