//! From which ranges pods get their addresses: those that are declared, and those in which pods were seen.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::cluster::address_table::{Key, Table};

/// The ranges.
#[derive(Clone, Debug, Default)]
pub(super) struct PodRanges {
    v4: Family<u32>,
    v6: Family<u128>,
}

/// Those of one family, as spans of numbers.
#[derive(Clone, Debug, Default)]
struct Family<N> {
    /// In order and apart from each other.
    declared: Vec<(N, N)>,
    /// How many addresses of pods were seen in a neighbourhood, by its first address.
    seen: Table<N, u32>,
}

impl<N: Key + Ord> Family<N> {
    fn declare(&mut self, mut first: N, mut last: N) {
        let from = self.declared.partition_point(|(_, end)| *end < first);
        let to = self.declared.partition_point(|(start, _)| *start <= last);
        for (start, end) in self.declared.drain(from..to) {
            (first, last) = (first.min(start), last.max(end));
        }
        self.declared.insert(from, (first, last));
    }

    fn declares(&self, first: N, last: N) -> bool {
        let place = self.declared.partition_point(|(_, end)| *end < first);
        self.declared.get(place).is_some_and(|(start, _)| *start <= last)
    }

    fn see(&mut self, first: N, more: bool) {
        let count = self.seen.get(first).unwrap_or(0);
        match (more, count) {
            (true, count) => self.seen.set(first, count + 1),
            (false, 0 | 1) => self.seen.remove(first),
            (false, count) => self.seen.set(first, count - 1),
        }
    }

    fn contains(&self, address: N, (first, last): (N, N)) -> bool {
        self.declares(address, address) || (self.seen.get(first).is_some() && !self.declares(first, last))
    }
}

impl PodRanges {
    /// Adds a range that is declared.
    pub(super) fn declare(&mut self, range: IpNet) {
        match range {
            IpNet::V4(net) => self.v4.declare(net.network().to_bits(), net.broadcast().to_bits()),
            IpNet::V6(net) => self.v6.declare(net.network().to_bits(), net.broadcast().to_bits()),
        }
    }

    /// Notes that a pod has an address.
    pub(super) fn see(&mut self, ip: IpAddr) {
        self.count(ip, true);
    }

    /// Notes that a pod has it no more.
    pub(super) fn unsee(&mut self, ip: IpAddr) {
        self.count(ip, false);
    }

    fn count(&mut self, ip: IpAddr, more: bool) {
        match ip {
            IpAddr::V4(ip) => self.v4.see(around_v4(ip.to_bits()).0, more),
            IpAddr::V6(ip) => self.v6.see(around_v6(ip.to_bits()).0, more),
        }
    }

    /// Whether pods get such addresses. The neighbourhood of a pod that was seen serves as a hint where no declared range
    /// knows of it: many networks give pods other addresses than the nodes' `podCIDRs`.
    pub(super) fn contain(&self, ip: IpAddr) -> bool {
        match ip {
            IpAddr::V4(ip) => self.v4.contains(ip.to_bits(), around_v4(ip.to_bits())),
            IpAddr::V6(ip) => self.v6.contains(ip.to_bits(), around_v6(ip.to_bits())),
        }
    }
}

/// The /24 of an address.
fn around_v4(address: u32) -> (u32, u32) {
    (address & !0xff, address | 0xff)
}

/// The /64 of an address.
fn around_v6(address: u128) -> (u128, u128) {
    let host = u128::from(u64::MAX);
    (address & !host, address | host)
}
