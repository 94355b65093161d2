//! Which `ipBlock`s of the policies contain an address. Addresses form intervals whose members are in the same blocks.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::engine::index::bits::{Rows, put, words};
use crate::engine::index::interned::Interned;
use crate::engine::index::pages::Pages;
use foretell_objects::model::dialect::Excepts;

/// A block and its exceptions.
pub(super) type Block = (IpNet, Vec<IpNet>);

/// The distinct sets of blocks that rules name.
#[derive(Clone, Debug, Default)]
pub(super) struct Blocks {
    sets: Interned<Vec<Block>>,
    v4: Intervals<u32>,
    /// By the upper 16 bits of an IPv4 address: the row of all such addresses, or `SPLIT` if their rows differ.
    by_half: Pages,
    v6: Intervals<u128>,
    rows: Rows,
    is_stale: bool,
}

/// In `by_half`: the addresses have several rows.
const SPLIT: u32 = (1 << 31) - 1;

/// Intervals of numbers, each from its start to before the next start.
#[derive(Clone, Debug, Default)]
struct Intervals<N> {
    starts: Vec<N>,
    rows: Vec<u32>,
}

impl<N: Copy + Ord> Intervals<N> {
    fn row(&self, number: N) -> u32 {
        let after = self.starts.partition_point(|start| *start <= number);
        after.checked_sub(1).map_or(0, |place| self.rows[place])
    }
}

impl Blocks {
    pub(super) fn acquire(&mut self, set: &Vec<Block>) -> u32 {
        let (number, is_new) = self.sets.acquire(set);
        self.is_stale |= is_new;
        number
    }

    pub(super) fn release(&mut self, number: u32) {
        // The bit stays set in rows and is not tested until another set gets the number.
        self.sets.release(number);
    }

    /// The number of sets.
    pub(super) fn len(&self) -> usize {
        self.sets.len()
    }

    /// Recomputes the intervals if the sets changed.
    pub(super) fn settle(&mut self, excepts: Excepts) {
        if !std::mem::take(&mut self.is_stale) {
            return;
        }
        self.rows = Rows::new(self.sets.end());
        let nets = || self.sets.iter().flat_map(|(_, set)| set).flat_map(|(net, except)| except.iter().chain([net]));
        let (mut v4, mut v6) = (vec![0], vec![0]);
        for net in nets() {
            match net {
                IpNet::V4(net) => {
                    v4.push(u32::from(net.network()));
                    v4.extend(u32::from(net.broadcast()).checked_add(1));
                }
                IpNet::V6(net) => {
                    v6.push(u128::from(net.network()));
                    v6.extend(u128::from(net.broadcast()).checked_add(1));
                }
            }
        }
        let (sets, rows) = (&self.sets, &mut self.rows);
        self.v4 = intervals(v4, sets, rows, excepts, |number| IpAddr::V4(number.into()));
        self.v6 = intervals(v6, sets, rows, excepts, |number| IpAddr::V6(number.into()));
        self.by_half = Pages::default();
        self.by_half.fill(0, u16::MAX, SPLIT);
        for (index, (start, row)) in self.v4.starts.iter().zip(&self.v4.rows).enumerate() {
            let end = self.v4.starts.get(index + 1).map_or(1 << 32, |end| u64::from(*end));
            let (first, last) = (u64::from(*start).div_ceil(1 << 16), end >> 16);
            let half = |number: u64| u16::try_from(number).unwrap_or(u16::MAX);
            if first < last {
                self.by_half.fill(half(first), half(last - 1), *row);
            }
        }
    }

    /// The number of the row that states which sets contain an address; 0 if none does.
    #[inline]
    pub(super) fn row_of(&self, ip: IpAddr) -> u32 {
        match ip {
            IpAddr::V4(ip) => {
                let [high, low, ..] = ip.octets();
                match self.by_half.get(u16::from_be_bytes([high, low])) {
                    SPLIT => self.v4.row(ip.to_bits()),
                    row => row,
                }
            }
            IpAddr::V6(ip) => self.v6.row(u128::from(ip)),
        }
    }

    #[inline]
    pub(super) fn row(&self, number: u32) -> &[u64] {
        self.rows.get(number)
    }
}

fn intervals<N: Copy + Ord>(
    mut starts: Vec<N>,
    sets: &Interned<Vec<Block>>,
    rows: &mut Rows,
    excepts: Excepts,
    address: impl Fn(N) -> IpAddr,
) -> Intervals<N> {
    starts.sort_unstable();
    starts.dedup();
    let mut row = vec![0; words(sets.end())];
    let numbers = starts.iter().map(|start| {
        let ip = address(*start);
        row.fill(0);
        for (number, set) in sets.iter() {
            put(&mut row, number, contains(set, ip, excepts));
        }
        rows.add(&row)
    });
    let numbers = numbers.collect();
    Intervals { starts, rows: numbers }
}

/// Whether the blocks of a rule match an address.
fn contains(set: &[Block], ip: IpAddr, excepts: Excepts) -> bool {
    match excepts {
        Excepts::OfTheirBlock => {
            set.iter().any(|(net, except)| net.contains(&ip) && !except.iter().any(|net| net.contains(&ip)))
        }
        // Blocks and exceptions are in one set, and the most specific entry that contains the address decides. If a block equals
        // an exception, the exception counts: which of the two the enforcer keeps depends on their order.
        Excepts::OfTheirRule => {
            let longest = |nets: &mut dyn Iterator<Item = &IpNet>| {
                nets.filter(|net| net.contains(&ip)).map(IpNet::prefix_len).max()
            };
            longest(&mut set.iter().map(|(net, _)| net)) > longest(&mut set.iter().flat_map(|(_, except)| except))
        }
    }
}
