//! Who stood at the ends of a flow, at the time of the flow.

use std::net::IpAddr;

use jiff::Timestamp;

use crate::cluster::inventory::Cluster;
use crate::cluster::node::NodeId;
use crate::cluster::pod::{Pod, PodId};
use crate::cluster::service::ServiceId;
use foretell_objects::model::flow::{Endpoint, Flow};

/// One end of a resolved flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum End {
    /// A pod of the pod network.
    Pod {
        /// Which.
        pod: PodId,
        /// Its address in this flow.
        ip: IpAddr,
    },
    /// A hostNetwork pod: all that policies see of it is its node's address.
    Host {
        /// The node, if it is known.
        node: Option<NodeId>,
        /// The node's address.
        ip: IpAddr,
    },
    /// An address that no known pod had on its default network: no policy selects a pod there. Whether it is a node's own is
    /// decided when the flow is judged, because an agent's report may come after the flow.
    Address {
        /// The address.
        ip: IpAddr,
    },
    /// A pod, as the observer says, of which the snapshot knows nothing.
    UnknownPod {
        /// Its address.
        ip: IpAddr,
    },
}

impl End {
    /// The address in the flow.
    #[must_use]
    pub fn ip(&self) -> IpAddr {
        match *self {
            Self::Pod { ip, .. } | Self::Host { ip, .. } | Self::Address { ip } | Self::UnknownPod { ip } => ip,
        }
    }

    /// The pod, where it is one that policies can select.
    #[must_use]
    pub fn pod(&self) -> Option<PodId> {
        match *self {
            Self::Pod { pod, .. } => Some(pod),
            _ => None,
        }
    }
}

/// Where a flow goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Destination {
    /// To the one that answers.
    Direct(End),
    /// To a Service's address: one of its backends answers.
    Service {
        /// Which Service.
        service: ServiceId,
        /// Its address in this flow.
        ip: IpAddr,
    },
}

/// The ends of a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ends {
    /// Who opened it.
    pub src: End,
    /// Who listens.
    pub dst: Destination,
}

impl Cluster {
    /// Tells who stood at the ends of a flow.
    #[must_use]
    pub fn resolve(&self, flow: &Flow) -> Ends {
        let src = self.end(&flow.src, flow);
        let mut dst = Destination::Direct(self.end(&flow.dst, flow));
        if let Destination::Direct(End::Address { ip }) = dst {
            let mut services = self.services_by_address(ip).iter().copied();
            if let Some(service) = services.find(|id| self.service(*id).port(flow.protocol, flow.port).is_some()) {
                dst = Destination::Service { service, ip };
            }
        }
        let loopback = flow.src.ip.is_loopback() || flow.dst.ip.is_loopback();
        match (src, dst) {
            // Loopback never leaves the pod: the end that is known is both ends.
            (pod @ End::Pod { .. }, _) | (_, Destination::Direct(pod @ End::Pod { .. })) if loopback => {
                Ends { src: pod, dst: Destination::Direct(pod) }
            }
            (src, dst) => Ends { src, dst },
        }
    }

    fn end(&self, endpoint: &Endpoint, flow: &Flow) -> End {
        let ip = endpoint.ip.to_canonical();
        if let Some(pod) = endpoint.pod_uid.as_deref().and_then(|uid| self.pod_by_uid(uid)) {
            return self.end_of_pod(pod, ip);
        }
        let name = endpoint.namespace.as_deref().zip(endpoint.pod.as_deref());
        if let Some((namespace, name)) = name {
            let named = self.pods_by_name(namespace, name);
            if let Some(pod) = self.living(named, flow).or_else(|| named.last().copied()) {
                return self.end_of_pod(pod, ip);
            }
        }
        match self.living(self.pods_by_address(ip), flow) {
            // A pod of another name or UID had the address, as far as the snapshot knows: the observer knows better.
            Some(_) if name.is_some() => End::UnknownPod { ip },
            Some(owner) if endpoint.pod_uid.is_some() && self.pod(owner).uid.is_some() => End::UnknownPod { ip },
            Some(owner) => self.end_of_pod(owner, ip),
            None if endpoint.pod_uid.is_some() || name.is_some() => End::UnknownPod { ip },
            None => End::Address { ip },
        }
    }

    fn end_of_pod(&self, id: PodId, ip: IpAddr) -> End {
        let pod = self.pod(id);
        if pod.host_network {
            End::Host { node: pod.node, ip }
        } else if pod.secondary.iter().any(|secondary| secondary.ip == ip) {
            // On a secondary network no policy selects the pod, and no selector matches it.
            End::Address { ip }
        } else {
            End::Pod { pod: id, ip }
        }
    }

    /// The name of the secondary network on which a flow with these ends happened, if no policy can hold for it: one end is the
    /// address of a pod on that network, and no end is a pod on its default network or a Service, which leads to such pods.
    #[must_use]
    pub fn secondary_network(&self, ends: &Ends, flow: &Flow) -> Option<&str> {
        if !self.has_secondary_networks() {
            return None;
        }
        let Ends { src, dst: Destination::Direct(dst) } = *ends else { return None };
        if src.pod().is_some() || dst.pod().is_some() {
            return None;
        }
        let network = |end: End, endpoint: &Endpoint| {
            let End::Address { ip } = end else { return None };
            let mut owners = self.pods_by_secondary_address(ip).iter().map(|id| self.pod(*id));
            let is_named = |pod: &Pod| pod.uid.is_some() && pod.uid == endpoint.pod_uid;
            let lived = |pod: &Pod| pod.life.overlaps(flow.start, flow.end) || pod.life.may_contain(flow.end);
            let owner = owners.find(|pod| is_named(pod) || lived(pod))?;
            owner.secondary.iter().find(|secondary| secondary.ip == ip).map(|secondary| secondary.network.as_str())
        };
        network(src, &flow.src).or_else(|| network(dst, &flow.dst))
    }

    /// Of the pods that ever had an address or a name, the one that had it when the flow began; else when it ended, or in
    /// between; else one that finished nobody knows when. Of several the one that started last.
    fn living(&self, pods: &[PodId], flow: &Flow) -> Option<PodId> {
        let (start, end) = (flow.start, flow.end);
        let newest = |test: &dyn Fn(&Pod) -> bool| {
            let living = pods.iter().copied().filter(|id| test(self.pod(*id)));
            living.max_by_key(|id| self.pod(*id).life.start.unwrap_or(Timestamp::MIN))
        };
        newest(&|pod| pod.life.contains(start))
            .or_else(|| newest(&|pod| pod.life.contains(end)))
            .or_else(|| newest(&|pod| pod.life.overlaps(start, end)))
            .or_else(|| newest(&|pod| pod.life.may_contain(end)))
    }
}
