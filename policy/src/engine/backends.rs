//! The backends of a destination. A Service may have several.

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;

use crate::cluster::inventory::Cluster;
use crate::cluster::ownership::{Destination, End};
use crate::cluster::pod::PodId;
use crate::cluster::service::ListedEndpoint;
use crate::engine::identities::{Identities, ServiceTargets, unspecified};
use crate::engine::pair::Dialled;
use foretell_objects::model::flow::Protocol;
use foretell_objects::resource::reads::service::ServicePort;

/// An end that accepts connections to a destination, and its port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Backend {
    /// The end that accepts connections.
    pub end: End,
    /// The port at the end. Behind a Service it may differ from the port that the client connects to.
    pub port: u16,
    /// How the end is reached.
    pub dialled: Dialled,
}

/// A connection, for which backends are looked up.
#[derive(Clone, Copy, Debug)]
pub struct BackendQuery<'a> {
    /// The client. If it is a backend itself, it is always in the result.
    pub client: &'a End,
    /// The destination of the connection.
    pub destination: &'a Destination,
    /// Transport protocol.
    pub protocol: Protocol,
    /// The port that the client connects to; for a node port that of the Service.
    pub port: u16,
    /// How the destination is reached.
    pub dialled: Dialled,
    /// The time: only pods that run and are ready at this time are backends.
    pub at: Timestamp,
    /// The blocks by which policies distinguish the addresses of backends.
    pub blocks: &'a [IpNet],
}

/// Whether a pod runs and is ready at a time.
fn serves(cluster: &Cluster, pod: PodId, at: Timestamp) -> bool {
    let pod = cluster.pod(pod);
    pod.ready && pod.life.contains(at)
}

impl Identities {
    /// The backends of a connection. For a Service, one pod of each kind that policies can distinguish is listed, and the client if
    /// it is a backend. If no backend is ready, the address of the Service is the only backend.
    #[must_use]
    pub fn backends(&self, cluster: &Cluster, query: &BackendQuery<'_>) -> Vec<Backend> {
        let BackendQuery { protocol, port, dialled, .. } = *query;
        let (service, ip) = match *query.destination {
            Destination::Direct(end) => return vec![Backend { end, port, dialled }],
            Destination::Service { service, ip } => (service, ip),
        };
        let targets = self.targets(service);
        let found = targets.ports.iter().find(|given| given.protocol == protocol && given.port == port);
        let mut backends = match found {
            Some(port) if targets.groups.is_empty() => listed_backends(cluster, targets, port, ip, query),
            Some(port) => self.selected_backends(cluster, query, targets, port, ip),
            None => Vec::new(),
        };
        if backends.is_empty() {
            let port = if let Dialled::OwnNodePort { port } = dialled { port } else { port };
            backends.push(Backend { end: End::Address { ip }, port, dialled });
        }
        backends
    }

    fn selected_backends(
        &self,
        cluster: &Cluster,
        query: &BackendQuery<'_>,
        targets: &ServiceTargets,
        port: &ServicePort,
        dialled: IpAddr,
    ) -> Vec<Backend> {
        let BackendQuery { client, at, blocks, dialled: by, .. } = *query;
        let mut backends = Vec::new();
        for group in &targets.groups {
            let is_client = |id: PodId| client.pod() == Some(id);
            let is_apart = |id: PodId| is_client(id) || cluster.pod(id).host_network || self.identity(id).host_network;
            let alike = blocks.is_empty() && !group.iter().any(|id| is_apart(*id));
            let mut kinds: Vec<(bool, Option<IpAddr>, Vec<bool>)> = Vec::new();
            for id in group.iter().copied().filter(|id| serves(cluster, *id, at)) {
                let pod = cluster.pod(id);
                // A Service's IPv6 address leads to its pods' IPv6 addresses.
                let Some(ip) = pod.addresses.iter().copied().find(|own| own.is_ipv4() == dialled.is_ipv4()) else {
                    continue;
                };
                let Some(port) = port.target.on(port.protocol, &self.identity(id).ports) else { continue };
                // Policies see only the address of a hostNetwork pod, which may be that of the client's own node.
                let is_host = self.identity(id).host_network;
                let host = (pod.host_network || is_host).then_some(ip);
                let kind = (is_client(id), host, blocks.iter().map(|block| block.contains(&ip)).collect());
                if kinds.contains(&kind) {
                    continue;
                }
                kinds.push(kind);
                let end = match (pod.host_network, is_host) {
                    (true, true) => End::Host { node: pod.node, ip },
                    // It leaves its node's network, and its new address is unknown.
                    (true, false) => End::Pod { pod: id, ip: unspecified(ip) },
                    (false, _) => End::Pod { pod: id, ip },
                };
                backends.push(Backend { end, port, dialled: by });
                if alike {
                    break;
                }
            }
        }
        backends
    }
}

fn listed_backends(
    cluster: &Cluster,
    targets: &ServiceTargets,
    port: &ServicePort,
    dialled: IpAddr,
    query: &BackendQuery<'_>,
) -> Vec<Backend> {
    let BackendQuery { at, dialled: by, .. } = *query;
    let listed = targets.listed.iter().filter(|listed| listed.port_name == port.name);
    let listed = listed.filter(|listed| listed.ip.is_ipv4() == dialled.is_ipv4());
    listed.map(|listed| Backend { end: end_at(cluster, listed, at), port: listed.port, dialled: by }).collect()
}

fn end_at(cluster: &Cluster, listed: &ListedEndpoint, at: Timestamp) -> End {
    let owners = cluster.pods_by_address(listed.ip).iter().copied();
    let alive = owners.filter(|id| cluster.pod(*id).life.contains(at));
    let owner = alive.max_by_key(|id| cluster.pod(*id).life.start.unwrap_or(Timestamp::MIN));
    owner.map_or(End::Address { ip: listed.ip }, |pod| End::Pod { pod, ip: listed.ip })
}
