//! The window of traffic, in memory: sums of flows by the hour, and who watched.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use foretell_policy::cluster::evidence::{FileWatch, Watch};
use foretell_policy::cluster::inventory::Cluster;
use foretell_policy::cluster::ownership::{Destination, End};
use foretell_policy::cluster::traffic::{Tally, Traffic};
use foretell_policy::model::flow::{Direction, Endpoint, Flow, NodeReport, Outcome, Protocol};
use jiff::{SignedDuration, Timestamp, Unit};

/// What is summed together: what makes a flow one flow, within an hour.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RowKey {
    /// The hour's beginning.
    pub hour: Timestamp,
    /// The node whose agent saw it; empty: not known.
    pub node: String,
    /// The end at which it was seen.
    pub observed: Option<Direction>,
    /// Who opened it.
    pub src: Endpoint,
    /// Who listens.
    pub dst: Endpoint,
    /// Transport protocol.
    pub protocol: Protocol,
    /// The listener's port.
    pub port: u16,
    /// What became of it.
    pub outcome: Option<Outcome>,
    /// Whether which end listens was guessed.
    pub guessed: bool,
}

/// A watched span of a node.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// The node.
    pub node: String,
    /// Its start.
    pub start: Timestamp,
    /// Its end.
    pub end: Timestamp,
}

/// The window.
#[derive(Clone, Debug, Default)]
pub struct Window {
    rows: HashMap<RowKey, Tally>,
    spans: Vec<Span>,
    lost: BTreeMap<(String, Timestamp), BTreeMap<String, u64>>,
    addresses: BTreeMap<String, BTreeSet<IpAddr>>,
}

/// The beginning of the hour in which something was seen last.
#[must_use]
pub fn hour(at: Timestamp) -> Timestamp {
    // Nothing near the ends of time is ever seen; there it stays as it is.
    at.round(jiff::TimestampRound::new().smallest(Unit::Hour).mode(jiff::RoundMode::Floor)).unwrap_or(at)
}

/// As exact as Postgres keeps it.
#[must_use]
pub fn microseconds(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}

/// A flow as a row, with the pods that had the addresses at its time named as far as the cluster knows them: by the time it
/// is judged their addresses may be others'.
#[must_use]
pub fn row(flow: &Flow, cluster: &Cluster) -> (RowKey, Tally) {
    let ends = cluster.resolve(flow);
    let dst = match ends.dst {
        Destination::Direct(end) => Some(end),
        Destination::Service { .. } => None,
    };
    let key = RowKey {
        hour: hour(flow.end),
        node: flow.node.clone().unwrap_or_default(),
        observed: flow.observed,
        src: named(&flow.src, Some(ends.src), cluster),
        dst: named(&flow.dst, dst, cluster),
        protocol: flow.protocol,
        port: flow.port,
        outcome: flow.outcome,
        guessed: flow.guessed,
    };
    let tally = Tally {
        connections: flow.connections,
        packets: flow.packets,
        bytes: flow.bytes,
        first: microseconds(flow.start),
        last: microseconds(flow.end),
    };
    (key, tally)
}

fn named(endpoint: &Endpoint, end: Option<End>, cluster: &Cluster) -> Endpoint {
    let Some(End::Pod { pod, .. }) = end else { return endpoint.clone() };
    let pod = cluster.pod(pod);
    Endpoint {
        ip: endpoint.ip,
        pod_uid: endpoint.pod_uid.clone().or_else(|| pod.uid.clone()),
        namespace: Some(pod.namespace.clone()),
        pod: Some(pod.name.clone()),
    }
}

impl RowKey {
    /// The row as a flow.
    #[must_use]
    pub fn flow(&self, tally: &Tally) -> Flow {
        Flow {
            start: tally.first,
            end: tally.last,
            node: Some(self.node.clone()).filter(|node| !node.is_empty()),
            observed: self.observed,
            src: self.src.clone(),
            dst: self.dst.clone(),
            protocol: self.protocol,
            port: self.port,
            outcome: self.outcome,
            guessed: self.guessed,
            connections: tally.connections,
            packets: tally.packets,
            bytes: tally.bytes,
        }
    }
}

impl Window {
    /// Adds sums.
    pub fn add(&mut self, key: RowKey, tally: Tally) {
        self.rows.entry(key).and_modify(|sum| sum.add(&tally)).or_insert(tally);
    }

    /// Notes an agent's word.
    pub fn add_report(&mut self, report: &NodeReport) {
        let (start, end) = (microseconds(report.start), microseconds(report.end));
        self.add_span(Span { node: report.node.clone(), start, end });
        self.addresses.entry(report.node.clone()).or_default().extend(&report.addresses);
        for (cause, count) in &report.lost {
            self.add_lost(&report.node, hour(end), cause, *count);
        }
    }

    /// Adds a watched span; one that begins where the last one of its node ended goes on with it.
    pub fn add_span(&mut self, span: Span) {
        let last = self.spans.iter_mut().rev().find(|known| known.node == span.node);
        match last {
            Some(last) if last.start <= span.start && span.start <= last.end => last.end = last.end.max(span.end),
            _ => self.spans.push(span),
        }
    }

    /// Notes what was lost.
    pub fn add_lost(&mut self, node: &str, hour: Timestamp, cause: &str, count: u64) {
        let causes = self.lost.entry((node.to_owned(), hour)).or_default();
        let sum = causes.entry(cause.to_owned()).or_default();
        *sum = sum.saturating_add(count);
    }

    /// Notes an address of a node's own.
    pub fn add_address(&mut self, node: &str, address: IpAddr) {
        self.addresses.entry(node.to_owned()).or_default().insert(address);
    }

    /// Forgets what was seen before.
    pub fn forget_before(&mut self, oldest: Timestamp) {
        self.rows.retain(|_, tally| tally.last >= oldest);
        self.spans.retain(|span| span.end >= oldest);
        self.lost.retain(|(_, hour), _| *hour + SignedDuration::from_hours(1) >= oldest);
    }

    /// Distinct rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Every row as a flow.
    pub fn flows(&self) -> impl Iterator<Item = Flow> {
        self.rows.iter().map(|(key, tally)| key.flow(tally))
    }

    /// The addresses of nodes' own.
    #[must_use]
    pub fn node_addresses(&self) -> &BTreeMap<String, BTreeSet<IpAddr>> {
        &self.addresses
    }

    /// The traffic of a span, resolved by this cluster.
    #[must_use]
    pub fn traffic(&self, cluster: &Cluster, from: Timestamp, to: Timestamp) -> Traffic {
        let mut traffic = Traffic::default();
        for flow in self.flows() {
            traffic.add(&flow, cluster, from, to);
        }
        traffic
    }

    /// Who watched, as seen at `at` of a window that begins at `from`.
    #[must_use]
    pub fn watch(&self, from: Timestamp, at: Timestamp) -> Watch {
        let mut lost: BTreeMap<&str, BTreeMap<String, u64>> = BTreeMap::new();
        for ((node, hour), causes) in &self.lost {
            if *hour + SignedDuration::from_hours(1) < from {
                continue;
            }
            for (cause, count) in causes {
                let sum = lost.entry(node).or_default().entry(cause.clone()).or_default();
                *sum = sum.saturating_add(*count);
            }
        }
        let mut file = FileWatch::default();
        for span in self.spans.iter().rev() {
            let Span { node, start, end } = span.clone();
            // With the newest span of its node, which lies in the window if any does.
            let lost = lost.remove(node.as_str()).unwrap_or_default();
            file.add_report(&NodeReport { node, start, end, addresses: Vec::new(), lost }, from, at);
        }
        let mut watch = Watch::default();
        watch.add_file(file);
        watch
    }
}
