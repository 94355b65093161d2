//! The deviations of enforcers from upstream, as the oracle implements them.

use std::net::IpAddr;

use foretell_objects::model::flow::{Direction, Protocol};
use k8s_openapi::api::networking::v1::{IPBlock, NetworkPolicyPeer, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::address::holds;
use super::judge::Together;
use super::resolve::{Road, Who, named_ports};
use super::scene::{Fate, Scene, protocol};

/// The deviations of an enforcer; all `false` is upstream.
#[derive(Clone, Copy, Debug, Default)]
#[expect(clippy::struct_excessive_bools, reason = "independent questions")]
pub(crate) struct Deviations {
    /// A block matches every end with an address in it, and the specification of the enforcer is definite on this.
    pub(crate) sure_of_blocks: bool,
    pub(crate) blocks_leave_pods: bool,
    pub(crate) blocks_leave_nodes: bool,
    pub(crate) own_node_is_judged: bool,
    /// The most specific of all blocks and exceptions of a rule decides.
    pub(crate) most_specific: bool,
    /// Named ports are those of the namespace's pods.
    pub(crate) names_of_namespace: bool,
    pub(crate) either_end: bool,
}

impl Deviations {
    /// The deviations of an enforcer, in the form of `--cni`.
    pub(crate) fn of(cni: &str) -> Self {
        let plain = Self::default();
        match cni {
            "cilium" => Self {
                sure_of_blocks: true,
                blocks_leave_pods: true,
                blocks_leave_nodes: true,
                own_node_is_judged: true,
                ..plain
            },
            "cilium,policy-cidr-match-mode=nodes" => {
                Self { sure_of_blocks: true, blocks_leave_pods: true, own_node_is_judged: true, ..plain }
            }
            "calico" => Self { sure_of_blocks: true, own_node_is_judged: true, ..plain },
            "kube-router" => {
                Self { sure_of_blocks: true, most_specific: true, names_of_namespace: true, either_end: true, ..plain }
            }
            "upstream" | "antrea" | "weave" => plain,
            other => panic!("whose deviations are {other}'s?"),
        }
    }

    pub(crate) fn leave(self, peer: &Who) -> bool {
        match peer {
            Who::Pod { .. } => self.blocks_leave_pods,
            _ => self.blocks_leave_nodes,
        }
    }
}

fn length(cidr: &str) -> u32 {
    let length: u32 = cidr.rsplit('/').next().unwrap().parse().unwrap();
    // An IPv4 block mapped into IPv6.
    if cidr.starts_with("::ffff:") && length >= 96 { length - 96 } else { length }
}

/// Whether the blocks of a rule match an address, if the most specific entry decides.
pub(crate) fn most_specific_takes(peers: &[NetworkPolicyPeer], ip: IpAddr) -> bool {
    let blocks: Vec<&IPBlock> = peers.iter().filter_map(|peer| peer.ip_block.as_ref()).collect();
    let mut best: Option<(u32, bool)> = None;
    for block in blocks {
        let entries = std::iter::once((&block.cidr, true));
        for (cidr, takes) in entries.chain(block.except.iter().flatten().map(|cidr| (cidr, false))) {
            if !holds(cidr, ip) {
                continue;
            }
            let length = length(cidr);
            best = match best {
                Some((known, _)) if known > length => best,
                Some((known, taken)) if known == length => Some((known, taken && takes)),
                _ => Some((length, takes)),
            };
        }
    }
    best.is_some_and(|(_, takes)| takes)
}

/// Whether a rule for every destination opens a port, if a named port means the ports of the namespace's pods.
pub(crate) fn namespace_calls_it(
    scene: &Scene,
    namespace: &str,
    ports: &[NetworkPolicyPort],
    proto: Protocol,
    number: u16,
) -> bool {
    ports.iter().any(|entry| {
        let Some(IntOrString::String(name)) = &entry.port else { return false };
        let there =
            |pod: &&super::scene::Pod| pod.namespace == namespace && !pod.host_network && pod.fate == Fate::Running;
        protocol(entry.protocol.as_deref()) == proto
            && scene
                .pods
                .iter()
                .filter(there)
                .flat_map(named_ports)
                .any(|port| port.name == name && protocol(port.protocol) == proto && port.number == number)
    })
}

/// The decision at each end of a road, if either end is enough for two pods of one node.
pub(crate) fn either(scene: &Scene, road: &Road, ends: [Together; 2]) -> [Together; 2] {
    let node = |who: &Who| match *who {
        Who::Pod { pod, .. } => scene.pods[pod].node,
        _ => None,
    };
    if node(&road.src).is_none() || node(&road.src) != node(&road.dst) {
        return ends;
    }
    let is_allowed = |end: Together| matches!(end, Together::Allowed | Together::AllowedByBlock);
    let [egress, ingress] = ends;
    let relieved = |end: Together, other: Together| {
        if end == Together::Denied && is_allowed(other) { Together::AllowedThere } else { end }
    };
    [relieved(egress, ingress), relieved(ingress, egress)]
}

/// The two directions, as `either` has them.
pub(crate) const ENDS: [Direction; 2] = [Direction::Egress, Direction::Ingress];
