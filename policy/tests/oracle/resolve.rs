//! Resolves the ends of a flow.

use std::net::IpAddr;

use foretell_objects::model::flow::{Endpoint, Flow};

use super::address::{holds, is_loopback, overlap};
use super::deviations::Deviations;
use super::scene::{Container, ContainerPort, Fate, Minute, Pod, Scene, Service, ServicePort, Tags, Target, protocol};

/// The first minute of every scene.
pub(crate) const BEGINNING: i64 = 1_790_000_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Who {
    Pod {
        pod: usize,
        ip: IpAddr,
    },
    /// A hostNetwork pod.
    Host {
        node: Option<&'static str>,
        ip: IpAddr,
    },
    /// A pod that the scene does not know.
    Stranger {
        ip: IpAddr,
    },
    Address {
        ip: IpAddr,
    },
}

/// A flow to one of its possible backends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Road {
    pub(crate) src: Who,
    pub(crate) dst: Who,
    /// The port at the backend.
    pub(crate) port: u16,
    /// Whether the flow was to an address of a Service.
    pub(crate) over_service: bool,
    /// The Service whose address was called, by its index in the scene.
    pub(crate) called: Option<usize>,
    /// Whether the flow was to a node port of the client's own node, which the enforcer sees translated.
    pub(crate) over_own_node_port: bool,
}

impl Road {
    fn direct(src: Who, dst: Who, port: u16) -> Self {
        Self { src, dst, port, over_service: false, called: None, over_own_node_port: false }
    }
}

impl Who {
    pub(crate) fn ip(&self) -> IpAddr {
        match *self {
            Self::Pod { ip, .. } | Self::Host { ip, .. } | Self::Stranger { ip } | Self::Address { ip } => ip,
        }
    }

    pub(crate) fn is_pod_or_node(&self, scene: &Scene) -> bool {
        match *self {
            Self::Pod { .. } | Self::Host { .. } => true,
            Self::Stranger { .. } => false,
            Self::Address { ip } => is_node_address(scene, ip),
        }
    }

    /// Whether the end is an unknown pod.
    pub(crate) fn is_unresolved(&self, scene: &Scene) -> bool {
        match *self {
            Self::Pod { .. } | Self::Host { .. } => false,
            Self::Stranger { .. } => true,
            Self::Address { ip } => !is_node_address(scene, ip) && in_pod_range(scene, ip),
        }
    }
}

pub(crate) fn namespace_tags(scene: &Scene, namespace: &str) -> Tags {
    let mut tags = scene.namespaces.get(namespace).cloned().unwrap_or_default();
    tags.insert("kubernetes.io/metadata.name".to_owned(), namespace.to_owned());
    tags
}

pub(crate) fn named_ports(pod: &Pod) -> impl Iterator<Item = &ContainerPort> {
    pod.ports.iter().filter(|port| port.of != Container::Init)
}

/// All roads of a flow.
pub(crate) fn roads(scene: &Scene, flow: &Flow, deviations: Deviations) -> Vec<Road> {
    let mut src = who(scene, &flow.src, flow);
    let mut dst = who(scene, &flow.dst, flow);
    if let Who::Address { ip } = dst
        && let Some((service, port)) = service_at(scene, ip, flow)
    {
        let looped_pod = matches!(src, Who::Pod { .. }) && is_loopback(flow.src.ip);
        if !looped_pod {
            let mut roads = backends(scene, service, port, ip, flow);
            if roads.is_empty() {
                roads.push(Road { over_service: true, ..Road::direct(src, dst, flow.port) });
            }
            let called = scene.services.iter().position(|one| std::ptr::eq(one, service));
            for road in &mut roads {
                (road.src, road.called) = (src, called);
            }
            return roads;
        }
    }
    if is_loopback(flow.src.ip) || is_loopback(flow.dst.ip) {
        if matches!(src, Who::Pod { .. }) {
            dst = src;
        } else if matches!(dst, Who::Pod { .. }) {
            src = dst;
        }
    }
    if deviations.own_node_ports
        && let (Who::Pod { pod, .. }, Who::Address { .. }) = (src, dst)
        && is_own_node(scene, &scene.pods[pod], &dst)
        && let Some((service, port)) = at_node_port(scene, flow)
    {
        let mut roads = backends(scene, service, port, dst.ip(), flow);
        if roads.is_empty() {
            roads.push(Road::direct(src, Who::Address { ip: dst.ip() }, flow.port));
        }
        for road in &mut roads {
            (road.src, road.over_service, road.over_own_node_port) = (src, false, true);
        }
        return roads;
    }
    vec![Road::direct(src, dst, flow.port)]
}

/// The Service that has the port of a flow at every node, and its port.
fn at_node_port<'a>(scene: &'a Scene, flow: &Flow) -> Option<(&'a Service, &'a ServicePort)> {
    for service in &scene.services {
        for port in &service.ports {
            if protocol(port.protocol) == flow.protocol && port.node_port == Some(flow.port) {
                let same =
                    |other: &&ServicePort| protocol(other.protocol) == flow.protocol && other.number == port.number;
                return Some((service, service.ports.iter().find(same).unwrap()));
            }
        }
    }
    None
}

fn who(scene: &Scene, end: &Endpoint, flow: &Flow) -> Who {
    let ip = end.ip;
    if let Some(uid) = end.pod_uid.as_deref() {
        for (index, pod) in scene.pods.iter().enumerate() {
            if pod.uid == Some(uid) || pod.config_hash == Some(uid) {
                return as_end(scene, index, ip);
            }
        }
    }
    let mut is_said_to_be_a_pod = end.pod_uid.is_some();
    let mut names_a_pod = false;
    if let (Some(namespace), Some(name)) = (end.namespace.as_deref(), end.pod.as_deref()) {
        is_said_to_be_a_pod = true;
        names_a_pod = true;
        let called_so = |pod: &Pod| pod.namespace == namespace && pod.name == name;
        let namesakes: Vec<usize> = (0..scene.pods.len()).filter(|index| called_so(&scene.pods[*index])).collect();
        if let Some(index) = of_that_time(scene, &namesakes, flow).or(namesakes.last().copied()) {
            return as_end(scene, index, ip);
        }
    }
    let has_address = |pod: &Pod| !pod.host_network && pod.addresses.contains(&ip);
    let holders: Vec<usize> = (0..scene.pods.len()).filter(|index| has_address(&scene.pods[*index])).collect();
    match of_that_time(scene, &holders, flow) {
        // The observer names a pod that the scene does not have at this address. Without UIDs nothing contradicts it.
        Some(index) if names_a_pod || (end.pod_uid.is_some() && scene.pods[index].uid.is_some()) => {
            Who::Stranger { ip }
        }
        Some(index) => as_end(scene, index, ip),
        None if is_said_to_be_a_pod => Who::Stranger { ip },
        None => Who::Address { ip },
    }
}

fn as_end(scene: &Scene, index: usize, ip: IpAddr) -> Who {
    let pod = &scene.pods[index];
    if pod.host_network { Who::Host { node: pod.node, ip } } else { Who::Pod { pod: index, ip } }
}

fn minute(at: jiff::Timestamp) -> Minute {
    (at.as_second() - BEGINNING) / 60
}

/// Of several candidates the one that ran when the flow began; else when it ended; else in between; else one that finished at an
/// unknown time. Of two such the one that started later.
fn of_that_time(scene: &Scene, candidates: &[usize], flow: &Flow) -> Option<usize> {
    let (from, to) = (minute(flow.start), minute(flow.end));
    let lived_at = |pod: &Pod, at: Minute| started(pod, at) && end(pod).is_some_and(|end| at < end);
    let lived_between = |pod: &Pod| started(pod, to) && end(pod).is_some_and(|end| from < end);
    let perhaps = |pod: &Pod| started(pod, to) && end(pod).is_none();
    let tests: [&dyn Fn(&Pod) -> bool; 4] =
        [&|pod| lived_at(pod, from), &|pod| lived_at(pod, to), &lived_between, &perhaps];
    for test in tests {
        let mut found: Option<usize> = None;
        for index in candidates.iter().copied().filter(|index| test(&scene.pods[*index])) {
            let start = |index: usize| scene.pods[index].start.unwrap_or(Minute::MIN);
            if found.is_none_or(|best| start(best) <= start(index)) {
                found = Some(index);
            }
        }
        if found.is_some() {
            return found;
        }
    }
    None
}

fn started(pod: &Pod, at: Minute) -> bool {
    pod.start.is_none_or(|start| start <= at)
}

/// When a pod ended, a far minute for a running one; `None` if it is unknown.
fn end(pod: &Pod) -> Option<Minute> {
    match pod.fate {
        Fate::Running => Some(Minute::MAX),
        Fate::Finished(at) | Fate::Gone(at) => Some(at),
        Fate::FinishedAndGone(finished, gone) => Some(finished.min(gone)),
        Fate::FinishedSometime => None,
    }
}

fn lives(pod: &Pod, at: Minute) -> bool {
    started(pod, at) && end(pod).is_some_and(|end| at < end)
}

/// The first Service that has the address and the flow's port.
fn service_at<'s>(scene: &'s Scene, ip: IpAddr, flow: &Flow) -> Option<(&'s Service, &'s ServicePort)> {
    for service in &scene.services {
        let addresses = [&service.cluster_ips, &service.external_ips, &service.balancer_ips];
        if addresses.iter().any(|some| some.contains(&ip)) {
            for port in &service.ports {
                if protocol(port.protocol) == flow.protocol && port.number == flow.port {
                    return Some((service, port));
                }
            }
        }
    }
    None
}

/// The roads to the backends of a Service's port. The caller sets their source.
fn backends(scene: &Scene, service: &Service, port: &ServicePort, ip: IpAddr, flow: &Flow) -> Vec<Road> {
    let at = minute(flow.start);
    let mut roads = Vec::new();
    let is_selected = |pod: &Pod| {
        !service.selector.is_empty()
            && pod.namespace == service.namespace
            && service.selector.iter().all(|(key, value)| pod.labels.get(key) == Some(value))
    };
    if scene.pods.iter().any(is_selected) {
        for (index, pod) in scene.pods.iter().enumerate() {
            if !is_selected(pod) || !lives(pod, at) || !is_ready(scene, pod) {
                continue;
            }
            let number = match port.target {
                Target::Default => Some(port.number),
                Target::Number(number) => Some(number),
                Target::Named(name) => named_ports(pod)
                    .find(|named| named.name == name && protocol(named.protocol) == flow.protocol)
                    .map(|named| named.number),
            };
            // A Service's IPv6 address leads to the IPv6 addresses of its pods.
            let address = pod.addresses.iter().copied().find(|address| address.is_ipv6() == ip.is_ipv6());
            if let (Some(number), Some(address)) = (number, address) {
                let dst = as_end(scene, index, address);
                roads.push(Road { over_service: true, ..Road::direct(dst, dst, number) });
            }
        }
        return roads;
    }
    for slice in &scene.slices {
        if slice.namespace != service.namespace || slice.service != Some(service.name) {
            continue;
        }
        for (name, number) in &slice.ports {
            if name.unwrap_or_default() != port.name {
                continue;
            }
            for endpoint in slice.endpoints.iter().filter(|endpoint| endpoint.ready != Some(false)) {
                for address in endpoint.addresses.iter().filter(|address| address.is_ipv6() == ip.is_ipv6()) {
                    let has_it = |pod: &Pod| !pod.host_network && pod.addresses.contains(address) && lives(pod, at);
                    let mut holder: Option<usize> = None;
                    for index in (0..scene.pods.len()).filter(|index| has_it(&scene.pods[*index])) {
                        let start = |index: usize| scene.pods[index].start.unwrap_or(Minute::MIN);
                        if holder.is_none_or(|best| start(best) <= start(index)) {
                            holder = Some(index);
                        }
                    }
                    let dst = holder.map_or(Who::Address { ip: *address }, |pod| Who::Pod { pod, ip: *address });
                    roads.push(Road { over_service: true, ..Road::direct(dst, dst, *number) });
                }
            }
        }
    }
    roads
}

/// EndpointSlices have precedence over the pod's condition, which may be absent.
fn is_ready(scene: &Scene, pod: &Pod) -> bool {
    let slices = scene.slices.iter().filter(|slice| slice.namespace == pod.namespace);
    let listings: Vec<bool> = slices
        .flat_map(|slice| &slice.endpoints)
        .filter(|endpoint| endpoint.pod == Some(pod.name))
        .map(|endpoint| endpoint.ready != Some(false))
        .collect();
    if listings.is_empty() { pod.ready != Some(false) } else { listings.contains(&true) }
}

fn addresses_of_node(scene: &Scene, node: &str) -> Vec<IpAddr> {
    let mut addresses = Vec::new();
    for known in scene.nodes.iter().filter(|known| known.name == node) {
        addresses.extend(known.addresses.iter().chain(&known.reported));
    }
    for pod in scene.pods.iter().filter(|pod| pod.node == Some(node)) {
        addresses.extend(pod.host_ip);
    }
    addresses.retain(|ip| !is_loopback(*ip));
    addresses
}

/// Whether the other end is a pod's own node: an address of the node, or a hostNetwork pod on it.
pub(crate) fn is_own_node(scene: &Scene, pod: &Pod, peer: &Who) -> bool {
    let Some(own) = pod.node else { return false };
    match *peer {
        Who::Host { node, ip } => node == Some(own) || addresses_of_node(scene, own).contains(&ip),
        Who::Address { ip } => addresses_of_node(scene, own).contains(&ip),
        Who::Pod { .. } | Who::Stranger { .. } => false,
    }
}

fn is_node_address(scene: &Scene, ip: IpAddr) -> bool {
    let named_by_pods = scene.pods.iter().filter_map(|pod| pod.node);
    let mut names = scene.nodes.iter().map(|node| node.name).chain(named_by_pods);
    names.any(|name| addresses_of_node(scene, name).contains(&ip))
}

/// Declared ranges, and the neighbourhood of pods that no declared range contains.
fn in_pod_range(scene: &Scene, ip: IpAddr) -> bool {
    let declared: Vec<&str> =
        scene.nodes.iter().flat_map(|node| &node.pod_ranges).chain(&scene.pod_ranges).copied().collect();
    if declared.iter().any(|range| holds(range, ip)) {
        return true;
    }
    for pod in scene.pods.iter().filter(|pod| !pod.host_network) {
        for address in &pod.addresses {
            let around = format!("{address}/{}", if address.is_ipv6() { 64 } else { 24 });
            if holds(&around, ip) && !declared.iter().any(|range| overlap(range, &around)) {
                return true;
            }
        }
    }
    false
}
