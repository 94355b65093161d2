//! Which of the policies' blocks hold an address. The addresses fall into intervals all of whose members lie in the same blocks.

use std::net::IpAddr;

use ipnet::IpNet;

use crate::engine::index::bits::{Rows, put, words};
use crate::engine::index::interned::Interned;
use crate::engine::index::pages::Pages;
use crate::model::dialect::Excepts;

/// A block and what of it is left out.
pub(super) type Block = (IpNet, Vec<IpNet>);

/// The distinct sets of blocks that rules name.
#[derive(Clone, Debug, Default)]
pub(super) struct Blocks {
    sets: Interned<Vec<Block>>,
    v4: Intervals<u32>,
    /// The row of all IPv4 addresses that begin with the same 16 bits, where they have one.
    by_half: Pages,
    v6: Intervals<u128>,
    rows: Rows,
    is_stale: bool,
}

/// In `by_half`: they have several.
const SPLIT: u32 = (1 << 31) - 1;

/// Intervals of numbers, each from its start to the next one's.
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
        // Nobody asks for the bit until another set gets the number.
        self.sets.release(number);
    }

    /// How many sets there are.
    pub(super) fn len(&self) -> usize {
        self.sets.len()
    }

    /// Brings the intervals up to date.
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

    /// The number of the row that tells which sets hold an address; 0: none does.
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
            put(&mut row, number, holds(set, ip, excepts));
        }
        rows.add(&row)
    });
    let numbers = numbers.collect();
    Intervals { starts, rows: numbers }
}

/// Whether the blocks of a rule take an address.
fn holds(set: &[Block], ip: IpAddr, excepts: Excepts) -> bool {
    match excepts {
        Excepts::OfTheirBlock => {
            set.iter().any(|(net, except)| net.contains(&ip) && !except.iter().any(|net| net.contains(&ip)))
        }
        // Blocks and exceptions lie in one set, and the most specific that holds the address decides. Of two alike the exception
        // is taken: which of them the enforcer keeps depends on their order.
        Excepts::OfTheirRule => {
            let longest = |nets: &mut dyn Iterator<Item = &IpNet>| {
                nets.filter(|net| net.contains(&ip)).map(IpNet::prefix_len).max()
            };
            longest(&mut set.iter().map(|(net, _)| net)) > longest(&mut set.iter().flat_map(|(_, except)| except))
        }
    }
}
