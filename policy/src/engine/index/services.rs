//! The ready backends of each Service, grouped by identity, for many flows at once.
//!
//! A flow to a Service is judged as if it went to each backend, and the strictest verdict of a policy counts. No policy can
//! distinguish backends of one identity in the same blocks, so one of them is judged for all.

use std::net::IpAddr;

use crate::cluster::inventory::Cluster;
use crate::cluster::pod::{Ending, PodId};
use crate::cluster::service::ServiceId;
use crate::engine::identities::Identities;
use crate::engine::index::Index;
use crate::engine::index::flow_query::PeerView;
use crate::engine::index::resolved_end::{ResolvedEnd, nanoseconds};
use crate::policy::end_kind::EndKind;
use foretell_objects::model::flow::Protocol;

/// The backends of a Service that has a selector.
#[derive(Clone, Debug)]
pub(crate) struct ServiceBackends {
    /// Protocol and number of each port of the Service.
    ports: Vec<(Protocol, u16)>,
    backends: Vec<BackendGroup>,
}

/// The ready backends of one identity.
#[derive(Clone, Debug)]
struct BackendGroup {
    identity: u32,
    /// By port of the Service: the port at these pods.
    targets: Vec<Option<u16>>,
    pods: Vec<BackendPod>,
}

#[derive(Clone, Copy, Debug)]
struct BackendPod {
    pod: PodId,
    /// In nanoseconds since 1970, from the first to before the second.
    lifetime: (i64, i64),
    v4: Option<IpAddr>,
    v6: Option<IpAddr>,
}

impl ServiceBackends {
    /// The backends of a Service; `None` if they need a full lookup: the Service selects no pod, or selects hostNetwork pods.
    pub(super) fn of(service: ServiceId, cluster: &Cluster, identities: &Identities) -> Option<Self> {
        let service_targets = identities.targets(service);
        let is_host = |pod: PodId| cluster.pod(pod).host_network || identities.identity(pod).host_network;
        if service_targets.groups.is_empty() || service_targets.pods().any(is_host) {
            return None;
        }
        let mut backends: Vec<BackendGroup> = Vec::new();
        for id in service_targets.pods() {
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
                let targets = service_targets.ports.iter().map(|port| port.target.on(port.protocol, named)).collect();
                backends.push(BackendGroup { identity, targets, pods: Vec::new() });
            }
            let address = |is_v4: bool| pod.addresses.iter().copied().find(|ip| ip.is_ipv4() == is_v4);
            let lifetime = (pod.life.start.map_or(i64::MIN, nanoseconds), end);
            let backend = BackendPod { pod: id, lifetime, v4: address(true), v6: address(false) };
            if let Some(last) = backends.last_mut() {
                last.pods.push(backend);
            }
        }
        let ports = service_targets.ports.iter().map(|port| (port.protocol, port.port)).collect();
        Some(Self { ports, backends })
    }

    /// Appends the backends that a connection to this Service may reach: one of each kind that policies can distinguish.
    pub(super) fn append_backends(&self, call: &ServiceCall, index: &Index, backends: &mut Vec<(ResolvedEnd, u16)>) {
        let Some(place) = self.ports.iter().position(|port| *port == (call.protocol, call.port)) else { return };
        for group in &self.backends {
            let Some(target) = group.targets[place] else { continue };
            let mut last = None;
            for backend in &group.pods {
                let is_client = Some(backend.pod) == call.client;
                if !is_client && last.is_some() && !call.distinguishes_blocks {
                    continue;
                }
                let is_alive = backend.lifetime.0 <= call.at && call.at < backend.lifetime.1;
                let Some(ip) = (if call.dialled.is_ipv4() { backend.v4 } else { backend.v6 }).filter(|_| is_alive)
                else {
                    continue;
                };
                let view = PeerView { kind: EndKind::Pod(group.identity), blocks: index.blocks_of(ip) };
                if is_client || last != Some(view.blocks) {
                    backends.push((ResolvedEnd { view, pod: Some(backend.pod), node: None }, target));
                }
                last = if is_client { last } else { Some(view.blocks) };
            }
        }
    }
}

/// A connection from a pod to a Service.
pub(super) struct ServiceCall {
    pub(super) client: Option<PodId>,
    /// Whether an egress rule of the client names a block.
    pub(super) distinguishes_blocks: bool,
    pub(super) dialled: IpAddr,
    pub(super) protocol: Protocol,
    pub(super) port: u16,
    pub(super) at: i64,
}
