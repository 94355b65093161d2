//! Who answers at a destination: behind a Service's address there may be several.

use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;

use crate::cluster::inventory::Cluster;
use crate::cluster::ownership::{Destination, End};
use crate::cluster::pod::PodId;
use crate::cluster::service::{ListedEndpoint, ServicePort};
use crate::engine::inhabitants::{Behind, Inhabitants};
use crate::model::flow::Protocol;

/// One that answers at a destination, and at which port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Who.
    pub end: End,
    /// The port there.
    pub port: u16,
}

/// Whether a pod stands behind a Service's port at a time and is ready.
fn serves(cluster: &Cluster, pod: PodId, at: Timestamp) -> bool {
    let pod = cluster.pod(pod);
    pod.ready && pod.life.contains(at)
}

impl Inhabitants {
    /// Who may answer at a destination. Of the pods behind a Service, one of each kind that policies can tell apart, and the
    /// client itself if it is among them; `blocks` are the blocks by which policies tell addresses apart. Without a ready
    /// backend, or with one outside the cluster, it is the address.
    #[must_use]
    #[expect(clippy::too_many_arguments, reason = "a flow, and who asks")]
    pub fn listeners(
        &self,
        cluster: &Cluster,
        client: &End,
        destination: &Destination,
        protocol: Protocol,
        port: u16,
        at: Timestamp,
        blocks: &[IpNet],
    ) -> Vec<Listener> {
        let (service, ip) = match *destination {
            Destination::Direct(end) => return vec![Listener { end, port }],
            Destination::Service { service, ip } => (service, ip),
        };
        let behind = self.behind(service);
        let found = behind.ports.iter().find(|given| given.protocol == protocol && given.port == port);
        let mut listeners = match found {
            Some(port) if behind.groups.is_empty() => listed_backends(cluster, behind, port, ip, at),
            Some(port) => self.selected_backends(cluster, client, behind, port, ip, at, blocks),
            None => Vec::new(),
        };
        if listeners.is_empty() {
            listeners.push(Listener { end: End::Address { ip }, port });
        }
        listeners
    }

    #[expect(clippy::too_many_arguments, reason = "a flow, and who asks")]
    fn selected_backends(
        &self,
        cluster: &Cluster,
        client: &End,
        behind: &Behind,
        port: &ServicePort,
        dialled: IpAddr,
        at: Timestamp,
        blocks: &[IpNet],
    ) -> Vec<Listener> {
        let mut listeners = Vec::new();
        for group in &behind.groups {
            let is_client = |id: PodId| client.pod() == Some(id);
            let is_apart = |id: PodId| is_client(id) || cluster.pod(id).host_network;
            let alike = blocks.is_empty() && !group.iter().any(|id| is_apart(*id));
            let mut kinds: Vec<(bool, Option<IpAddr>, Vec<bool>)> = Vec::new();
            for id in group.iter().copied().filter(|id| serves(cluster, *id, at)) {
                let pod = cluster.pod(id);
                // A Service's IPv6 address leads to its pods' IPv6 addresses.
                let Some(ip) = pod.addresses.iter().copied().find(|own| own.is_ipv4() == dialled.is_ipv4()) else {
                    continue;
                };
                let Some(port) = port.target.on(port.protocol, &self.identity(id).ports) else { continue };
                // All that is seen of a hostNetwork pod is its address, which may be the client's own node's.
                let host = pod.host_network.then_some(ip);
                let kind = (is_client(id), host, blocks.iter().map(|block| block.contains(&ip)).collect());
                if kinds.contains(&kind) {
                    continue;
                }
                kinds.push(kind);
                let end = if pod.host_network { End::Host { node: pod.node, ip } } else { End::Pod { pod: id, ip } };
                listeners.push(Listener { end, port });
                if alike {
                    break;
                }
            }
        }
        listeners
    }
}

fn listed_backends(
    cluster: &Cluster,
    behind: &Behind,
    port: &ServicePort,
    dialled: IpAddr,
    at: Timestamp,
) -> Vec<Listener> {
    let listed = behind.listed.iter().filter(|listed| listed.port_name == port.name);
    let listed = listed.filter(|listed| listed.ip.is_ipv4() == dialled.is_ipv4());
    listed.map(|listed| Listener { end: end_at(cluster, listed, at), port: listed.port }).collect()
}

fn end_at(cluster: &Cluster, listed: &ListedEndpoint, at: Timestamp) -> End {
    let owners = cluster.pods_by_address(listed.ip).iter().copied();
    let living = owners.filter(|id| cluster.pod(*id).life.contains(at));
    let owner = living.max_by_key(|id| cluster.pod(*id).life.start.unwrap_or(Timestamp::MIN));
    owner.map_or(End::Address { ip: listed.ip }, |pod| End::Pod { pod, ip: listed.ip })
}
