//! Which sets of ports that rules name contain a port of a destination.

use std::collections::HashMap;

use crate::engine::index::bits::{Rows, put, words};
use crate::engine::index::interned::Interned;
use crate::engine::index::pages::Pages;
use crate::policy::port::{PortMatcher, Ports as Matched};
use foretell_objects::model::flow::Protocol;
use foretell_objects::model::port::NamedPort;

const PROTOCOLS: [Protocol; 3] = [Protocol::Tcp, Protocol::Udp, Protocol::Sctp];

/// The place of a protocol in tables.
pub(super) fn place(protocol: Protocol) -> usize {
    match protocol {
        Protocol::Tcp => 0,
        Protocol::Udp => 1,
        Protocol::Sctp => 2,
    }
}

/// The distinct sets of ports that rules name, and the distinct lists of named ports that pods declare.
#[derive(Clone, Debug, Default)]
pub(super) struct Ports {
    sets: Interned<Vec<PortMatcher>>,
    lists: Interned<Vec<NamedPort>>,
    rows: Rows,
    /// By protocol and port: the row of a destination without named ports.
    numbers: [Pages; 3],
    /// By list: the rows of the ports that the destination names.
    named: Vec<Vec<(Protocol, u16, u32)>>,
    sets_are_stale: bool,
    stale_lists: Vec<u32>,
}

impl Ports {
    pub(super) fn acquire(&mut self, set: &Vec<PortMatcher>) -> u32 {
        let (number, is_new) = self.sets.acquire(set);
        self.sets_are_stale |= is_new;
        number
    }

    pub(super) fn release(&mut self, number: u32) {
        // The bit stays set in rows and is not tested until another set gets the number.
        self.sets.release(number);
    }

    pub(super) fn acquire_list(&mut self, list: &Vec<NamedPort>) -> u32 {
        let (number, is_new) = self.lists.acquire(list);
        if is_new {
            self.stale_lists.push(number);
        }
        number
    }

    pub(super) fn release_list(&mut self, number: u32) {
        self.lists.release(number);
    }

    /// The number of sets.
    pub(super) fn sets(&self) -> usize {
        self.sets.len()
    }

    /// The number of lists.
    pub(super) fn lists(&self) -> usize {
        self.lists.len()
    }

    /// Recomputes the tables if sets or lists changed.
    pub(super) fn settle(&mut self) {
        if std::mem::take(&mut self.sets_are_stale) {
            self.rows = Rows::new(self.sets.end());
            self.number();
            self.stale_lists = self.lists.iter().map(|(number, _)| number).collect();
        }
        for number in std::mem::take(&mut self.stale_lists) {
            let Some(list) = self.lists.get(number) else { continue };
            let named = self.resolve(&list.clone());
            if number as usize >= self.named.len() {
                self.named.resize(number as usize + 1, Vec::new());
            }
            self.named[number as usize] = named;
        }
    }

    /// Fills the tables. All ports between two boundaries of ranges have the same row.
    fn number(&mut self) {
        for protocol in PROTOCOLS {
            let mut starts = vec![0_u32];
            for matcher in self.sets.iter().flat_map(|(_, set)| set).filter(|matcher| matcher.protocol == protocol) {
                if let Matched::Range(first, last) = matcher.ports {
                    starts.extend([u32::from(first), u32::from(last) + 1]);
                }
            }
            starts.sort_unstable();
            starts.dedup();
            let mut table = Pages::default();
            for (index, start) in starts.iter().enumerate() {
                let Ok(port) = u16::try_from(*start) else { continue };
                let last = starts.get(index + 1).and_then(|end| u16::try_from(end - 1).ok()).unwrap_or(u16::MAX);
                let mut row = vec![0; words(self.sets.end())];
                self.mark(&mut row, protocol, port, &[]);
                table.fill(port, last, self.rows.add(&row));
            }
            self.numbers[place(protocol)] = table;
        }
    }

    fn mark(&self, row: &mut [u64], protocol: Protocol, number: u16, named: &[NamedPort]) {
        let port = crate::policy::port::Port { protocol, number, named };
        for (set, matchers) in self.sets.iter() {
            put(row, set, matchers.iter().any(|matcher| matcher.matches(&port)));
        }
    }

    fn resolve(&mut self, list: &[NamedPort]) -> Vec<(Protocol, u16, u32)> {
        let mut resolved: HashMap<(Protocol, u16), u32> = HashMap::new();
        for port in list {
            if resolved.contains_key(&(port.protocol, port.number)) {
                continue;
            }
            let mut row = vec![0; words(self.sets.end())];
            self.mark(&mut row, port.protocol, port.number, list);
            resolved.insert((port.protocol, port.number), self.rows.add(&row));
        }
        let mut resolved: Vec<_> = resolved.into_iter().map(|((protocol, port), row)| (protocol, port, row)).collect();
        resolved.sort_unstable();
        resolved
    }

    /// The number of the row that states which sets contain a port of a pod with this list of named ports.
    #[inline]
    pub(super) fn row_of_pod(&self, list: u32, protocol: Protocol, port: u16) -> u32 {
        let named = self.named.get(list as usize).map_or(&[][..], Vec::as_slice);
        let found = named.iter().find(|(its, number, _)| (*its, *number) == (protocol, port));
        found.map_or_else(|| self.row_of(protocol, port), |(_, _, row)| *row)
    }

    /// The same for a destination that is not a pod.
    #[inline]
    pub(super) fn row_of(&self, protocol: Protocol, port: u16) -> u32 {
        self.numbers[place(protocol)].get(port)
    }

    #[inline]
    pub(super) fn row(&self, number: u32) -> &[u64] {
        self.rows.get(number)
    }
}
