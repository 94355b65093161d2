//! Services in bulk: the ready pods behind each, by identity.
//!
//! A pod that calls a Service is judged as if it called each backend, and of what a policy says the worst stands. BackendGroup of
//! one identity in the same blocks are alike to every policy, so one of them is asked.

use std::net::IpAddr;

use crate::cluster::inventory::Cluster;
use crate::cluster::pod::{Ending, PodId};
use crate::cluster::service::ServiceId;
use crate::engine::identities::Identities;
use crate::engine::index::batch::ResolvedEnd;
use crate::engine::index::directory::nanoseconds;
use crate::engine::index::{EndKind, Index, PeerView};
use crate::model::flow::Protocol;

/// A Service whose selector finds its backends.
#[derive(Clone, Debug)]
pub(crate) struct ServiceBackends {
    /// Protocol and number of each port of the Service.
    ports: Vec<(Protocol, u16)>,
    backends: Vec<BackendGroup>,
}

/// Its ready backends of one identity.
#[derive(Clone, Debug)]
struct BackendGroup {
    identity: u32,
    /// By port of the Service: the port at these pods.
    targets: Vec<Option<u16>>,
    pods: Vec<BackendLife>,
}

#[derive(Clone, Copy, Debug)]
struct BackendLife {
    pod: PodId,
    /// From the first to before the second.
    life: (i64, i64),
    v4: Option<IpAddr>,
    v6: Option<IpAddr>,
}

impl ServiceBackends {
    /// The front of a Service; `None` where it wants more thought: nobody selected, or pods on nodes' networks.
    pub(super) fn of(service: ServiceId, cluster: &Cluster, identities: &Identities) -> Option<Self> {
        let behind = identities.targets(service);
        if behind.groups.is_empty() || behind.pods().any(|pod| cluster.pod(pod).host_network) {
            return None;
        }
        let mut backends: Vec<BackendGroup> = Vec::new();
        for id in behind.pods() {
            let pod = cluster.pod(id);
            let end = match pod.life.end {
                Ending::Running => i64::MAX,
                Ending::At(end) => nanoseconds(end),
                Ending::Unknown => continue,
            };
            if !pod.ready {
                continue;
            }
            let identity = identities.identity_id(id).number();
            if backends.last().is_none_or(|last| last.identity != identity) {
                let named = &identities.identity(id).ports;
                let targets = behind.ports.iter().map(|port| port.target.on(port.protocol, named)).collect();
                backends.push(BackendGroup { identity, targets, pods: Vec::new() });
            }
            let address = |is_v4: bool| pod.addresses.iter().copied().find(|ip| ip.is_ipv4() == is_v4);
            let life = (pod.life.start.map_or(i64::MIN, nanoseconds), end);
            let backend = BackendLife { pod: id, life, v4: address(true), v6: address(false) };
            if let Some(last) = backends.last_mut() {
                last.pods.push(backend);
            }
        }
        let ports = behind.ports.iter().map(|port| (port.protocol, port.port)).collect();
        Some(Self { ports, backends })
    }

    /// Appends who may answer a pod that calls this Service, one of each kind that policies can tell apart.
    pub(super) fn answer(&self, call: &Call, index: &Index, backends: &mut Vec<(ResolvedEnd, u16)>) {
        let Some(place) = self.ports.iter().position(|port| *port == (call.protocol, call.port)) else { return };
        for group in &self.backends {
            let Some(target) = group.targets[place] else { continue };
            let mut last = None;
            for backend in &group.pods {
                let is_client = Some(backend.pod) == call.client;
                if !is_client && last.is_some() && !call.tells_blocks_apart {
                    continue;
                }
                let lives = backend.life.0 <= call.at && call.at < backend.life.1;
                let Some(ip) = (if call.dialled.is_ipv4() { backend.v4 } else { backend.v6 }).filter(|_| lives) else {
                    continue;
                };
                let seen = PeerView { kind: EndKind::Pod(group.identity), blocks: index.blocks_of(ip) };
                if is_client || last != Some(seen.blocks) {
                    backends.push((ResolvedEnd { seen, pod: Some(backend.pod), node: None }, target));
                }
                last = if is_client { last } else { Some(seen.blocks) };
            }
        }
    }
}

/// A call of a Service.
pub(super) struct Call {
    pub(super) client: Option<PodId>,
    /// Whether a rule on what leaves the client names a block.
    pub(super) tells_blocks_apart: bool,
    pub(super) dialled: IpAddr,
    pub(super) protocol: Protocol,
    pub(super) port: u16,
    pub(super) at: i64,
}
