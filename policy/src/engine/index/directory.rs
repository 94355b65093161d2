//! The owner of each address, in a form in which one memory access finds it.
//!
//! The directory resolves an address that exactly one pod, node or Service has, which is nearly every address. All others need
//! [`Cluster::resolve`], which handles every case.

use std::net::IpAddr;

use crate::cluster::address_table::{Slot, Table};
use crate::cluster::inventory::Cluster;
use crate::cluster::node::NodeId;
use crate::cluster::pod::{Ending, PodId};
use crate::cluster::service::ServiceId;
use crate::engine::identities::Identities;
use crate::engine::index::resolved_end::nanoseconds;
use crate::engine::index::services::ServiceBackends;

/// The directory of one world.
#[derive(Clone, Debug, Default)]
pub(crate) struct Directory {
    v4: Table<u32, Entry>,
    v6: Table<u128, Entry>,
    /// The lifetimes of pods that ended, or whose start is unknown, by the number in their entries.
    lifetimes: Vec<(i64, i64)>,
    free_lifetimes: Vec<u32>,
    /// By Service.
    services: Vec<Option<ServiceBackends>>,
}

/// The owner of an address, in 16 bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// The identity of a pod, or one of the constants below.
    identity: u32,
    /// The number of the pod, node or Service.
    holder: u32,
    /// The pod's node.
    node: u32,
    /// The time, in seconds since 2020, from which the pod has the address with no known end; or `LISTED` and the number of its
    /// lifetime.
    since: u32,
}

const NOTHING: u32 = u32::MAX;
const NODE: u32 = u32::MAX - 1;
const SERVICE: u32 = u32::MAX - 2;
/// The address has several owners, or needs a full lookup for another reason.
const UNCLEAR: u32 = u32::MAX - 3;

/// Set in `since` of a pod whose lifetime is in `Directory::lifetimes`.
const LISTED: u32 = 1 << 31;

const SECOND: i64 = 1_000_000_000;
/// In seconds since 1970.
const YEAR_2020: i64 = 1_577_836_800;

impl Slot for Entry {
    const NOTHING: Self = Self { identity: NOTHING, holder: 0, node: NOTHING, since: 0 };

    fn is_nothing(&self) -> bool {
        self.identity == NOTHING
    }
}

/// The owner of an address.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Holder {
    Pod { pod: PodId, identity: u32, node: Option<NodeId> },
    Node(NodeId),
    Service(ServiceId),
    NeedsFullLookup,
}

impl Directory {
    pub(crate) fn of(cluster: &Cluster, identities: &Identities) -> Self {
        let mut directory = Self::default();
        for ip in cluster.addresses() {
            directory.update(ip, cluster, identities);
        }
        directory.services = cluster.services().map(|(id, _)| ServiceBackends::of(id, cluster, identities)).collect();
        directory
    }

    #[inline]
    pub(crate) fn get(&self, ip: IpAddr) -> Option<Entry> {
        match ip {
            IpAddr::V4(ip) => self.v4.get(ip.to_bits()),
            IpAddr::V6(ip) => self.v6.get(ip.to_bits()),
        }
    }

    /// Whether the pod of an entry had its address, or may have had it, at some time between `start` and `end`.
    #[inline]
    pub(crate) fn is_alive(&self, entry: &Entry, start: i64, end: i64) -> bool {
        if entry.since & LISTED == 0 {
            return (i64::from(entry.since) + YEAR_2020) * SECOND <= end;
        }
        let (from, to) = self.lifetimes[(entry.since & !LISTED) as usize];
        from <= end && start < to
    }

    /// The number of lifetimes that are listed.
    pub(crate) fn listed_lifetimes(&self) -> usize {
        self.lifetimes.len() - self.free_lifetimes.len()
    }

    /// The backends of a Service; `None` if they need a full lookup.
    pub(super) fn service(&self, service: ServiceId) -> Option<&ServiceBackends> {
        self.services.get(service.index())?.as_ref()
    }

    /// Recomputes the backends of a Service.
    pub(crate) fn update_service(&mut self, service: ServiceId, cluster: &Cluster, identities: &Identities) {
        if let Some(backends) = self.services.get_mut(service.index()) {
            *backends = ServiceBackends::of(service, cluster, identities);
        }
    }

    /// Recomputes the owner of an address.
    pub(crate) fn update(&mut self, ip: IpAddr, cluster: &Cluster, identities: &Identities) {
        let former = self.get(ip).filter(|entry| entry.since & LISTED != 0);
        self.free_lifetimes.extend(former.map(|entry| entry.since & !LISTED));
        let entry = self.entry(ip, cluster, identities);
        match (ip, entry) {
            (IpAddr::V4(ip), Some(entry)) => self.v4.set(ip.to_bits(), entry),
            (IpAddr::V6(ip), Some(entry)) => self.v6.set(ip.to_bits(), entry),
            (IpAddr::V4(ip), None) => self.v4.remove(ip.to_bits()),
            (IpAddr::V6(ip), None) => self.v6.remove(ip.to_bits()),
        }
    }

    fn entry(&mut self, ip: IpAddr, cluster: &Cluster, identities: &Identities) -> Option<Entry> {
        let (pods, services) = (cluster.pods_by_address(ip), cluster.services_by_address(ip));
        let nodes = cluster.nodes().by_address(ip);
        let entry = |identity, holder: usize| Entry {
            identity,
            holder: u32::try_from(holder).unwrap_or(u32::MAX),
            node: NOTHING,
            since: 0,
        };
        Some(match (pods, nodes, services) {
            ([], [], []) => return None,
            // Loopback never leaves a pod.
            _ if ip.is_loopback() => entry(UNCLEAR, 0),
            ([id], [], []) if identities.moves_pods() && identities.identity(*id).host_network => entry(UNCLEAR, 0),
            ([id], [], []) => {
                let pod = cluster.pod(*id);
                let end = match pod.life.end {
                    Ending::Running | Ending::Unknown => i64::MAX,
                    Ending::At(end) => nanoseconds(end),
                };
                let start = pod.life.start.map_or(i64::MIN, nanoseconds);
                let since = self.since(start, end);
                let node = pod.node.map_or(NOTHING, NodeId::number);
                let identity = identities.identity_id(*id).number();
                Entry { node, since, ..entry(identity, id.index()) }
            }
            ([], [node], []) => entry(NODE, node.number() as usize),
            ([], [], [service]) => entry(SERVICE, service.index()),
            _ => entry(UNCLEAR, 0),
        })
    }

    fn since(&mut self, start: i64, end: i64) -> u32 {
        let since = u32::try_from(start / SECOND - YEAR_2020).ok().filter(|since| *since < LISTED);
        if let Some(since) = since.filter(|_| end == i64::MAX && start % SECOND == 0) {
            return since;
        }
        let place = self.free_lifetimes.pop().unwrap_or(u32::try_from(self.lifetimes.len()).unwrap_or(u32::MAX));
        if place as usize == self.lifetimes.len() {
            self.lifetimes.push((start, end));
        } else {
            self.lifetimes[place as usize] = (start, end);
        }
        LISTED | place
    }
}

impl Entry {
    /// Unpacks the owner.
    #[inline]
    pub(crate) fn holder(&self) -> Holder {
        match self.identity {
            NODE => Holder::Node(NodeId::of(self.holder)),
            SERVICE => Holder::Service(ServiceId::of(self.holder)),
            UNCLEAR | NOTHING => Holder::NeedsFullLookup,
            identity => Holder::Pod {
                pod: PodId::of(self.holder),
                identity,
                node: (self.node != NOTHING).then_some(NodeId::of(self.node)),
            },
        }
    }
}
