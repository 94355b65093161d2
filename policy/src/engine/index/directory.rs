//! Who has an address, in the form in which a flow finds it with one load.
//!
//! An address that exactly one pod, node or Service has, as nearly all have, is answered from here. All others are left to
//! [`Cluster::resolve`], which knows every case.

use std::net::IpAddr;

use jiff::Timestamp;

use crate::cluster::inventory::Cluster;
use crate::cluster::node::NodeId;
use crate::cluster::pod::{Ending, PodId};
use crate::cluster::service::ServiceId;
use crate::engine::identities::Identities;
use crate::engine::index::services::ServiceBackends;
use crate::model::address_table::{Slot, Table};

/// The directory of one world.
#[derive(Clone, Debug, Default)]
pub(crate) struct Directory {
    v4: Table<u32, Entry>,
    v6: Table<u128, Entry>,
    /// The lives of pods that ended, or began nobody knows when, by the number in their entries.
    lives: Vec<(i64, i64)>,
    free_lives: Vec<u32>,
    /// By Service.
    fronts: Vec<Option<ServiceBackends>>,
}

/// Who has an address, in 16 bytes.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Entry {
    /// The identity of a pod, or one of the marks.
    identity: u32,
    /// The pod, the node or the Service.
    holder: u32,
    /// The pod's node.
    node: u32,
    /// In seconds since 2020 the time from which the pod has the address for good; or where its life is.
    since: u32,
}

const NOTHING: u32 = u32::MAX;
const NODE: u32 = u32::MAX - 1;
const SERVICE: u32 = u32::MAX - 2;
/// Several have it, or something wants more thought.
const UNCLEAR: u32 = u32::MAX - 3;

/// `since` of a pod whose life is listed apart.
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

/// Who has an address.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Holder {
    Pod { pod: PodId, identity: u32, node: Option<NodeId> },
    Node(NodeId),
    Service(ServiceId),
    NeedsFullLookup,
}

/// A time as the directory compares it with a flow's, which lies between the years 1677 and 2262: what lies beyond is from ever, or
/// for good.
pub(crate) fn nanoseconds(at: Timestamp) -> i64 {
    let within = at.as_nanosecond().clamp(i64::MIN.into(), i64::MAX.into());
    i64::try_from(within).unwrap_or(i64::MAX)
}

impl Directory {
    pub(crate) fn of(cluster: &Cluster, identities: &Identities) -> Self {
        let mut directory = Self::default();
        for ip in cluster.addresses() {
            directory.update(ip, cluster, identities);
        }
        directory.fronts = cluster.services().map(|(id, _)| ServiceBackends::of(id, cluster, identities)).collect();
        directory
    }

    #[inline]
    pub(crate) fn get(&self, ip: IpAddr) -> Option<Entry> {
        match ip {
            IpAddr::V4(ip) => self.v4.get(ip.to_bits()),
            IpAddr::V6(ip) => self.v6.get(ip.to_bits()),
        }
    }

    /// Whether the pod of an entry had its address at some time of a span, or may have.
    #[inline]
    pub(crate) fn lives(&self, entry: &Entry, start: i64, end: i64) -> bool {
        if entry.since & LISTED == 0 {
            return (i64::from(entry.since) + YEAR_2020) * SECOND <= end;
        }
        let (from, to) = self.lives[(entry.since & !LISTED) as usize];
        from <= end && start < to
    }

    /// How many lives are listed apart.
    pub(crate) fn listed_lives(&self) -> usize {
        self.lives.len() - self.free_lives.len()
    }

    /// What is known of a Service in bulk.
    pub(super) fn front(&self, service: ServiceId) -> Option<&ServiceBackends> {
        self.fronts.get(service.index())?.as_ref()
    }

    /// Looks up anew who stands behind a Service.
    pub(crate) fn update_front(&mut self, service: ServiceId, cluster: &Cluster, identities: &Identities) {
        if let Some(front) = self.fronts.get_mut(service.index()) {
            *front = ServiceBackends::of(service, cluster, identities);
        }
    }

    /// Looks up anew who has an address.
    pub(crate) fn update(&mut self, ip: IpAddr, cluster: &Cluster, identities: &Identities) {
        let former = self.get(ip).filter(|entry| entry.since & LISTED != 0);
        self.free_lives.extend(former.map(|entry| entry.since & !LISTED));
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
        let place = self.free_lives.pop().unwrap_or(u32::try_from(self.lives.len()).unwrap_or(u32::MAX));
        if place as usize == self.lives.len() {
            self.lives.push((start, end));
        } else {
            self.lives[place as usize] = (start, end);
        }
        LISTED | place
    }
}

impl Entry {
    /// Who it is.
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
