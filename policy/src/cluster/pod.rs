//! A pod as the engine sees it.

use std::net::IpAddr;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::cluster::node::{NodeId, Nodes};
use crate::cluster::secondary;
use crate::cluster::secondary::SecondaryAddress;
use crate::cluster::workload::{Owners, Workload};
use foretell_objects::model::labels::Labels;
use foretell_objects::model::port::NamedPort;
use foretell_objects::resource::kubernetes as core;
use foretell_objects::resource::reads::pod::PodFields;

/// Tells when an object of a kept snapshot was last there: it has gone since, and the cluster no longer says when.
pub const GONE_AT: &str = "foretell.dev/gone-at";

/// The kubelet's hash of a static pod's manifest. The pod's cgroup is named after it, not after the API's UID.
const CONFIG_HASH: &str = "kubernetes.io/config.hash";

/// Index of a pod.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PodId(u32);

impl PodId {
    pub(crate) fn of(number: u32) -> Self {
        Self(number)
    }

    pub(super) fn new(index: usize) -> Self {
        Self(u32::try_from(index).unwrap_or(u32::MAX))
    }

    /// Its place in a list with one entry a pod.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A pod, running or gone.
#[derive(Clone, Debug)]
pub struct Pod {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// `metadata.uid`; a snapshot written by hand may lack it.
    pub uid: Option<String>,
    /// A static pod's hash, which its cgroup is named after.
    pub config_hash: Option<String>,
    /// Labels.
    pub labels: Labels,
    /// Named container ports, sorted.
    pub ports: Vec<NamedPort>,
    /// Whether it lives on its node's network.
    pub host_network: bool,
    /// The node it was bound to.
    pub node: Option<NodeId>,
    /// Its addresses.
    pub addresses: Vec<IpAddr>,
    /// Its addresses on secondary networks, for which NetworkPolicies do not hold.
    pub secondary: Vec<SecondaryAddress>,
    /// Whether its networks are recorded in a form that cannot be read.
    pub has_unreadable_networks: bool,
    /// Who made it.
    pub workload: Workload,
    /// The objects that own its workload, as far as they are known.
    pub managers: Vec<Workload>,
    /// When it had its addresses.
    pub life: Life,
    /// Whether Services send it traffic.
    pub ready: bool,
}

/// The span in which a pod owned its addresses: from its start up to, not including, its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Life {
    /// `None`: from ever.
    pub start: Option<Timestamp>,
    /// How it ended, if it did.
    pub end: Ending,
}

/// How a pod's life ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Ending {
    /// It has not.
    Running,
    /// At this time.
    At(Timestamp),
    /// It finished, and nothing says when: it owns its address only where no other pod does.
    Unknown,
}

impl Life {
    /// Whether the pod surely lived at a time.
    #[must_use]
    pub fn contains(&self, at: Timestamp) -> bool {
        self.start.is_none_or(|start| start <= at)
            && match self.end {
                Ending::Running => true,
                Ending::At(end) => at < end,
                Ending::Unknown => false,
            }
    }

    /// Whether it lived at some time of a span, both ends included.
    #[must_use]
    pub fn overlaps(&self, from: Timestamp, to: Timestamp) -> bool {
        self.start.is_none_or(|start| start <= to)
            && match self.end {
                Ending::Running => true,
                Ending::At(end) => from < end,
                Ending::Unknown => false,
            }
    }

    /// Whether it has started by a time and finished nobody knows when.
    #[must_use]
    pub fn may_contain(&self, at: Timestamp) -> bool {
        self.end == Ending::Unknown && self.start.is_none_or(|start| start <= at)
    }
}

impl Pod {
    pub(super) fn read(pod: &core::Pod, owners: &Owners, nodes: &mut Nodes) -> Self {
        let PodFields { labels, ports, host_network } = PodFields::of_pod(pod);
        let spec = pod.spec.as_ref();
        let status = pod.status.as_ref();
        let workload = owners.workload_of(pod);
        let annotation = |key: &str| pod.metadata.annotations.as_ref().and_then(|all| all.get(key)).cloned();
        let node = spec.and_then(|spec| spec.node_name.as_deref()).filter(|name| !name.is_empty());
        let node_id = node.map(|name| nodes.intern(name));
        if let Some(name) = node {
            nodes.add_addresses(name, &host_addresses(status));
        }
        let addresses = pod_addresses(status);
        let networks = annotation(secondary::NETWORK_STATUS).or_else(|| annotation(secondary::FORMER_NETWORK_STATUS));
        let networks = networks.filter(|_| !host_network).map(|text| secondary::addresses(&text, &addresses));
        Self {
            namespace: pod.metadata.namespace.clone().unwrap_or_default(),
            name: pod.metadata.name.clone().unwrap_or_default(),
            uid: pod.metadata.uid.clone(),
            config_hash: annotation(CONFIG_HASH),
            labels,
            ports,
            host_network,
            node: node_id,
            addresses,
            has_unreadable_networks: networks.as_ref().is_some_and(Result::is_err),
            secondary: networks.and_then(Result::ok).unwrap_or_default(),
            managers: owners.managers_of(pod, &workload),
            workload,
            life: life(pod, gone_at(&pod.metadata)),
            ready: status.is_none_or(is_ready),
        }
    }
}

/// When an object was last there, if it has gone since.
pub(crate) fn gone_at(metadata: &ObjectMeta) -> Option<Timestamp> {
    metadata.annotations.as_ref()?.get(GONE_AT)?.parse().ok()
}

fn pod_addresses(status: Option<&core::PodStatus>) -> Vec<IpAddr> {
    let Some(status) = status else { return Vec::new() };
    let many = status.pod_ips.iter().flatten().map(|ip| ip.ip.as_str());
    let mut addresses: Vec<IpAddr> = Vec::new();
    for ip in many.chain(status.pod_ip.as_deref()).filter_map(|ip| ip.parse::<IpAddr>().ok()) {
        let ip = ip.to_canonical();
        if !addresses.contains(&ip) {
            addresses.push(ip);
        }
    }
    addresses
}

fn host_addresses(status: Option<&core::PodStatus>) -> Vec<IpAddr> {
    let Some(status) = status else { return Vec::new() };
    let many = status.host_ips.iter().flatten().map(|ip| ip.ip.as_str());
    many.chain(status.host_ip.as_deref()).filter_map(|ip| ip.parse().ok()).collect()
}

fn life(pod: &core::Pod, gone_at: Option<Timestamp>) -> Life {
    let status = pod.status.as_ref();
    let start = status.and_then(|status| status.start_time.as_ref()).map(|time| time.0);
    let finished = status.is_some_and(|status| matches!(status.phase.as_deref(), Some("Succeeded" | "Failed")));
    let end = match (finished, status.and_then(last_container_end), gone_at) {
        (true, Some(finished_at), Some(gone_at)) => Ending::At(finished_at.min(gone_at)),
        (true, Some(finished_at), None) => Ending::At(finished_at),
        (_, _, Some(gone_at)) => Ending::At(gone_at),
        (true, None, None) => Ending::Unknown,
        (false, _, None) => Ending::Running,
    };
    Life { start, end }
}

pub(crate) fn last_container_end(status: &core::PodStatus) -> Option<Timestamp> {
    let containers = status.container_statuses.iter().flatten().chain(status.init_container_statuses.iter().flatten());
    containers
        .filter_map(|container| Some(container.state.as_ref()?.terminated.as_ref()?.finished_at.as_ref()?.0))
        .max()
}

fn is_ready(status: &core::PodStatus) -> bool {
    let mut conditions = status.conditions.iter().flatten();
    conditions.find(|condition| condition.type_ == "Ready").is_none_or(|condition| condition.status == "True")
}
