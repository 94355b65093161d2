//! Connections of a report, in which many outside addresses become a few ranges.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;

use crate::cluster::ownership::End;
use crate::cluster::party::Party;
use crate::engine::pair::Pair;
use crate::judge::assessment::AssessmentInputs;
use crate::policy::end_kind::EndKind;
use crate::report::denial::ConnectionKey;
use foretell_objects::model::flow::{Direction, Protocol};

/// How many outside addresses of one subject, direction and port are listed one by one. If there are more, each counts to its
/// range: an ingress controller has thousands of clients, and no rule is written for each.
const MOST_ADDRESSES: usize = 8;

/// What is known of each connection, by key.
#[derive(Clone, Debug)]
pub struct Connections<T> {
    found: BTreeMap<ConnectionKey, Found<T>>,
    outside: BTreeMap<Side, OutsidePeers>,
}

/// A connection without its peer.
type Side = (Direction, Party, Protocol, u16);

#[derive(Clone, Debug)]
enum OutsidePeers {
    /// They are listed one by one.
    Few(BTreeSet<IpAddr>),
    /// They are listed by range.
    Many,
}

#[derive(Clone, Debug)]
struct Found<T> {
    value: Option<T>,
    /// The addresses, if the peer is a range.
    addresses: BTreeSet<IpAddr>,
}

/// Sums of two connections that turn out to be one.
pub trait Merge {
    /// Adds another connection.
    fn merge(&mut self, other: Self, inputs: &AssessmentInputs<'_>);
}

impl<T> Default for Connections<T> {
    fn default() -> Self {
        Self { found: BTreeMap::new(), outside: BTreeMap::new() }
    }
}

impl<T> Default for Found<T> {
    fn default() -> Self {
        Self { value: None, addresses: BTreeSet::new() }
    }
}

impl<T> Connections<T> {
    /// Each connection, with the addresses that were seen if its peer is a range.
    pub fn iter(&self) -> impl Iterator<Item = (&ConnectionKey, &T, &BTreeSet<IpAddr>)> {
        self.found.iter().filter_map(|(key, found)| Some((key, found.value.as_ref()?, &found.addresses)))
    }

    /// Whether the connection is one of them.
    #[must_use]
    pub fn contains(&self, key: &ConnectionKey) -> bool {
        self.found.contains_key(key)
    }

    /// How many there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.found.len()
    }

    /// Whether there are none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.found.is_empty()
    }
}

impl<T: Merge> Connections<T> {
    /// The connection of a flow; `None` in it if this is its first flow.
    pub(super) fn entry(&mut self, inputs: &AssessmentInputs<'_>, direction: Direction, pair: &Pair) -> &mut Option<T> {
        let key = inputs.connection_key(direction, pair);
        let Some(ip) = inputs.outside_address(pair.peer(direction)) else {
            return &mut self.found.entry(key).or_default().value;
        };
        let side = (direction, key.subject.clone(), key.protocol, key.port);
        let peers = self.outside.entry(side).or_insert_with(|| OutsidePeers::Few(BTreeSet::new()));
        if let OutsidePeers::Few(few) = peers {
            few.insert(ip);
            if few.len() <= MOST_ADDRESSES {
                return &mut self.found.entry(key).or_default().value;
            }
            let few = std::mem::take(few);
            *peers = OutsidePeers::Many;
            for address in few {
                let single = ConnectionKey { peer: Party::Address { cidr: address.into(), node: None }, ..key.clone() };
                if let Some(value) = self.found.remove(&single).and_then(|found| found.value) {
                    match self.range(inputs, &key, address) {
                        Some(known) => known.merge(value, inputs),
                        vacant => *vacant = Some(value),
                    }
                }
            }
        }
        self.range(inputs, &key, ip)
    }

    /// The connection with the range of an address.
    fn range(&mut self, inputs: &AssessmentInputs<'_>, key: &ConnectionKey, ip: IpAddr) -> &mut Option<T> {
        let found = self.found.entry(ConnectionKey { peer: inputs.ranges.of(ip), ..key.clone() }).or_default();
        found.addresses.insert(ip);
        &mut found.value
    }
}

impl AssessmentInputs<'_> {
    /// The address of an end outside of the cluster. A Service without backends is not outside.
    fn outside_address(&self, end: &End) -> Option<IpAddr> {
        let after = self.worlds.after;
        let ip = end.ip();
        let is_outside = after.view().kind(end) == EndKind::Outside;
        (is_outside && after.cluster().services_by_address(ip).is_empty()).then_some(ip)
    }
}
