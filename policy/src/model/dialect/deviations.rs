//! What each enforcer does otherwise, with the source of that.
//!
//! An enforcer that is not named in a function deviates in nothing that its makers or others have written down, as far as was
//! found: it is judged as upstream has it, and keeps upstream's notes that enforcers differ.

use std::fmt;

use crate::model::dialect::{ByBlock, Cni, Dialect, EnforcedEnds, Excepts, NamedPorts, ToOwnNode};

/// A way in which an enforcer's answer differs from upstream's.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Deviation {
    /// No `ipBlock` takes a pod.
    BlocksLeavePods,
    /// No `ipBlock` takes a node.
    BlocksLeaveNodes,
    /// From a pod to its own node policies decide.
    OwnNodeIsJudged,
    /// An `except` cuts addresses out of other blocks of its rule too.
    ExceptsOfTheRule,
    /// The name of a port opens what pods of the policy's namespace call so.
    NamedPortsOfTheNamespace,
    /// Of two isolated pods on one node either end's policies are enough.
    EitherEndOnOneNode,
}

/// What Cilium says of both: "By default, CIDR-based selectors do not match in-cluster entities (pods or nodes)".
const CILIUM_BLOCKS: &str =
    "https://docs.cilium.io/en/stable/security/policy/layer3/#selecting-pods-or-nodes-with-cidr-ipblock";
/// A pod's own node is the entity `host` there, which no entry of a NetworkPolicy names: what an egress rule must have is an
/// entity, or no `to`.
const CILIUM_OWN_NODE: &str = "https://github.com/cilium/cilium/issues/12277";
/// `defaultEndpointToHostAction`: what happens to traffic from a workload to the host itself "after the endpoint's egress policy
/// is applied". Where that action is Drop, nothing passes whatever the policies say; installers set Accept.
const CALICO_OWN_NODE: &str = "https://docs.tigera.io/calico/latest/reference/resources/felixconfig";
/// The source of its rules: of each rule one `hash:net` set with `nomatch` for exceptions, where the most specific entry that
/// holds an address decides. Seen with real packets as well, like the other two.
const KUBE_ROUTER_RULES: &str =
    "https://github.com/cloudnativelabs/kube-router/blob/master/pkg/controllers/netpol/policy.go";
/// A packet between two pods of a node that was accepted for one of them is not held against the other one's policies.
const KUBE_ROUTER_ENDS: &str = "https://github.com/k3s-io/k3s/issues/2390";

impl Deviation {
    /// Its name on the wire.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::BlocksLeavePods => "ipBlockTakesNoPod",
            Self::BlocksLeaveNodes => "ipBlockTakesNoNode",
            Self::OwnNodeIsJudged => "ownNodeIsJudged",
            Self::ExceptsOfTheRule => "exceptOfTheRule",
            Self::NamedPortsOfTheNamespace => "namedPortOfTheNamespace",
            Self::EitherEndOnOneNode => "eitherEndOnOneNode",
        }
    }

    /// Where it is written down that an enforcer deviates so.
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
            Self::BlocksLeavePods => "an ipBlock takes no pod",
            Self::BlocksLeaveNodes => "an ipBlock takes no node",
            Self::OwnNodeIsJudged => "traffic from a pod to its own node is held to the pod's policies",
            Self::ExceptsOfTheRule => "an except cuts its addresses out of the other blocks of its rule too",
            Self::NamedPortsOfTheNamespace => {
                "in an egress rule the name of a port means the numbers that pods of the policy's namespace call so, whatever \
                 the destination calls so"
            }
            Self::EitherEndOnOneNode => "between two isolated pods of one node it is enough that one end's policies allow it",
        })
    }
}

impl Dialect {
    /// An enforcer's meaning of policies, where it is set up as it comes.
    #[must_use]
    pub fn of(cni: Cni) -> Self {
        let plain = Self { cni, ..Self::UPSTREAM };
        match cni {
            Cni::Upstream | Cni::Antrea | Cni::AwsVpcCni | Cni::AzureNpm | Cni::OvnKubernetes => plain,
            // `nets` of its rules, which blocks become, "match packets with IP in any of the listed CIDRs", whoever has the
            // address: https://docs.tigera.io/calico/latest/reference/resources/networkpolicy
            Cni::Calico => Self {
                pods_by_block: ByBlock::Taken,
                nodes_by_block: ByBlock::Taken,
                to_own_node: ToOwnNode::Judged,
                ..plain
            },
            // With policy-cidr-match-mode=nodes versions 1.19 and 1.20 leave nodes out of a block of /0 all the same, which their
            // makers call a mistake: https://github.com/cilium/cilium/issues/47827
            Cni::Cilium => Self {
                pods_by_block: ByBlock::NotMatched,
                nodes_by_block: ByBlock::NotMatched,
                to_own_node: ToOwnNode::Judged,
                ..plain
            },
            // "Pod-to-same-node is always allowed": https://github.com/kubernetes-sigs/kube-network-policies/issues/283
            // And of Weave Net: https://github.com/weaveworks/weave/issues/3924
            Cni::KubeNetworkPolicies | Cni::Weave => Self { to_own_node: ToOwnNode::Passes, ..plain },
            Cni::KubeRouter => Self {
                pods_by_block: ByBlock::Taken,
                nodes_by_block: ByBlock::Taken,
                excepts: Excepts::OfTheirRule,
                named_ports: NamedPorts::OfTheNamespace,
                ends: EnforcedEnds::EitherOnOneNode,
                ..plain
            },
        }
    }

    /// In what it differs from upstream's most usual answers.
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
        .filter_map(|(deviates, how)| deviates.then_some(how))
    }
}
