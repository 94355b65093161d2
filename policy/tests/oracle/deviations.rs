//! The deviations of enforcers from upstream, as the oracle implements them.

use std::net::IpAddr;

use foretell_objects::model::flow::{Direction, Protocol};
use k8s_openapi::api::networking::v1::{IPBlock, NetworkPolicyPeer, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::address::holds;
use super::judge::Together;
use super::resolve::{Road, Who, named_ports, namespace_tags};
use super::rules::selects;
use super::scene::{Fate, Scene, Service, ServicePort, Tags, Target, protocol};

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
    /// Egress rules see a Service by its address.
    pub(crate) services_by_address: bool,
    /// Rules that select the namespace of the host network match nodes.
    pub(crate) host_namespace: bool,
    /// A node port of the own node is translated before egress rules see it.
    pub(crate) own_node_ports: bool,
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
            "calico" => Self { sure_of_blocks: true, own_node_is_judged: true, own_node_ports: true, ..plain },
            "aws-vpc-cni" => Self { services_by_address: true, ..plain },
            "ovn-kubernetes" => Self { host_namespace: true, ..plain },
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

/// Whether rules that select namespaces match the host network: `openshift-host-network` is a namespace without pods of its own.
pub(crate) fn selects_host_network(scene: &Scene, peers: &[NetworkPolicyPeer]) -> bool {
    let host =
        ["openshift-host-network", "ovn-host-network"].into_iter().find(|name| scene.namespaces.contains_key(name));
    peers.iter().any(|peer| {
        let (Some(selector), None) = (&peer.namespace_selector, &peer.pod_selector) else { return false };
        if let Some(name) = host {
            return selects(Some(selector), &namespace_tags(scene, name));
        }
        let label = "policy-group.network.openshift.io/host-network".to_owned();
        selects(Some(selector), &Tags::from([(label, String::new())])) && !selects(Some(selector), &Tags::new())
    })
}

/// What the VPC CNI's controller writes for a rule about one address of a Service, as ranges of ports; `None`: all ports.
fn opened(scene: &Scene, own: &str, rule: &Opening<'_>, called: &Called<'_>) -> Vec<Option<(u16, u16)>> {
    let service = called.service;
    let entries = |listed: &dyn Fn(&NetworkPolicyPort) -> Option<(u16, u16)>| -> Vec<Option<(u16, u16)>> {
        if rule.ports.is_empty() {
            return vec![None];
        }
        let of_protocol = rule.ports.iter().filter(|entry| protocol(entry.protocol.as_deref()) == called.protocol);
        of_protocol
            .filter_map(|entry| if entry.port.is_none() { Some(None) } else { listed(entry).map(Some) })
            .collect()
    };
    let as_written = |entry: &NetworkPolicyPort| match &entry.port {
        Some(IntOrString::Int(first)) => {
            let last = entry.end_port.unwrap_or(*first);
            Some((u16::try_from(*first).unwrap(), u16::try_from(last).unwrap()))
        }
        _ => None,
    };
    if rule.peers.is_empty() {
        return entries(&as_written);
    }
    let mut all = Vec::new();
    for peer in rule.peers {
        if let Some(block) = &peer.ip_block {
            let excepted = block.except.iter().flatten().any(|except| holds(except, called.ip));
            if holds(&block.cidr, called.ip) && !excepted {
                all.extend(entries(&as_written));
            }
            continue;
        }
        let there = match &peer.namespace_selector {
            None => own == service.namespace,
            Some(selector) => selects(Some(selector), &namespace_tags(scene, service.namespace)),
        };
        if !there
            || service.cluster_ips.first() != Some(&called.ip)
            || !selects(peer.pod_selector.as_ref(), &service.selector)
        {
            continue;
        }
        all.extend(entries(&|entry| {
            let port = listen_port(scene, service, called.protocol, entry.port.as_ref()?)?;
            let last = entry.end_port.filter(|last| Some(&IntOrString::Int(*last)) != entry.port.as_ref());
            Some((port, last.map_or(port, |last| u16::try_from(last).unwrap())))
        }));
    }
    all
}

/// The Service's port whose target is a port of a rule, or is the same port of a pod behind it.
fn listen_port(scene: &Scene, service: &Service, proto: Protocol, wanted: &IntOrString) -> Option<u16> {
    let target = |port: &ServicePort| match port.target {
        Target::Default => IntOrString::Int(i32::from(port.number)),
        Target::Number(number) => IntOrString::Int(i32::from(number)),
        Target::Named(name) => IntOrString::String(name.to_owned()),
    };
    let ports = || service.ports.iter().filter(|port| protocol(port.protocol) == proto);
    let by = |wanted: &IntOrString| ports().find(|port| target(port) == *wanted).map(|port| port.number);
    if let Some(port) = by(wanted) {
        return Some(port);
    }
    let mut found = Vec::new();
    for pod in scene.pods.iter().filter(|pod| is_behind(service, pod)) {
        for named in named_ports(pod).filter(|named| protocol(named.protocol) == proto) {
            let number = IntOrString::Int(i32::from(named.number));
            let name = IntOrString::String(named.name.to_owned());
            if *wanted == number {
                found.extend(by(&name));
            } else if *wanted == name {
                found.extend(by(&number));
            }
        }
    }
    // Pods may differ; the controller uses the first one that it is notified of.
    found.sort_unstable();
    found.dedup();
    found.first().copied()
}

fn is_behind(service: &Service, pod: &super::scene::Pod) -> bool {
    let has = |(key, value): (&String, &String)| pod.labels.get(key) == Some(value);
    !service.selector.is_empty() && pod.namespace == service.namespace && service.selector.iter().all(has)
}

/// A rule, as the VPC CNI's controller reads it.
pub(crate) struct Opening<'a> {
    pub(crate) peers: &'a [NetworkPolicyPeer],
    pub(crate) ports: &'a [NetworkPolicyPort],
}

/// A call of a Service.
#[derive(Clone, Copy)]
pub(crate) struct Called<'a> {
    pub(crate) service: &'a Service,
    pub(crate) ip: IpAddr,
    pub(crate) port: u16,
    pub(crate) protocol: Protocol,
}

/// Whether a rule lets a call of a Service out, by the Service's address.
pub(crate) fn lets_call(scene: &Scene, own: &str, rule: &Opening<'_>, called: &Called<'_>) -> bool {
    opened(scene, own, rule, called)
        .into_iter()
        .any(|ports| ports.is_none_or(|(first, last)| first <= called.port && called.port <= last))
}
