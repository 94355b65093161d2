//! The window of traffic in memory: sums of flows by the hour, and the spans in which nodes were watched.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use foretell_objects::model::flow::{Direction, Endpoint, Flow, NodeReport, Outcome, Protocol};
use foretell_policy::cluster::evidence::{FileWatch, Watch};
use foretell_policy::cluster::inventory::Cluster;
use foretell_policy::cluster::ownership::{Destination, End};
use foretell_policy::cluster::traffic::{Tally, Traffic};
use jiff::{SignedDuration, Timestamp, Unit};

/// Identifies a row of the window. Flows of one hour with the same key are summed.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct RowKey {
    /// Beginning of the hour.
    pub hour: Timestamp,
    /// Node whose agent observed it; empty: unknown.
    pub node: String,
    /// End at which it was observed; `None`: unknown.
    pub observed: Option<Direction>,
    /// End that opened the connection.
    pub src: Endpoint,
    /// End that accepted the connection.
    pub dst: Endpoint,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Destination port.
    pub port: u16,
    /// Outcome; `None`: unknown.
    pub outcome: Option<Outcome>,
    /// Whether the direction of the connection is a guess.
    pub guessed: bool,
}

/// A span in which a node was watched.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Span {
    /// Name of the node.
    pub node: String,
    /// Start of the span.
    pub start: Timestamp,
    /// End of the span.
    pub end: Timestamp,
}

/// The window.
#[derive(Clone, Debug, Default)]
pub struct Window {
    rows: HashMap<RowKey, Tally>,
    spans: Vec<Span>,
    /// Counts of lost events by node and hour, then by cause.
    lost: BTreeMap<(String, Timestamp), BTreeMap<String, u64>>,
    /// The nodes' own addresses.
    addresses: BTreeMap<String, BTreeSet<IpAddr>>,
}

/// Beginning of the hour of a time.
#[must_use]
pub fn hour(at: Timestamp) -> Timestamp {
    // Rounding fails only near the limits of `Timestamp`, where no traffic is observed.
    at.round(jiff::TimestampRound::new().smallest(Unit::Hour).mode(jiff::RoundMode::Floor)).unwrap_or(at)
}

/// Rounds down to microseconds, the precision of Postgres.
#[must_use]
pub fn microseconds(at: Timestamp) -> Timestamp {
    Timestamp::from_microsecond(at.as_microsecond()).unwrap_or(at)
}

/// A flow as a row. Ends without a pod are resolved by the cluster now: when the flow is judged, their addresses may belong
/// to other pods.
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
        src: resolved(&flow.src, Some(ends.src), cluster),
        dst: resolved(&flow.dst, dst, cluster),
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

fn resolved(endpoint: &Endpoint, end: Option<End>, cluster: &Cluster) -> Endpoint {
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
    /// Adds a sum to its row.
    pub fn add(&mut self, key: RowKey, tally: Tally) {
        self.rows.entry(key).and_modify(|sum| sum.add(&tally)).or_insert(tally);
    }

    /// Adds an agent's report.
    pub fn add_report(&mut self, report: &NodeReport) {
        let (start, end) = (microseconds(report.start), microseconds(report.end));
        self.add_span(Span { node: report.node.clone(), start, end });
        self.addresses.entry(report.node.clone()).or_default().extend(&report.addresses);
        for (cause, count) in &report.lost {
            self.add_lost(&report.node, hour(end), cause, *count);
        }
    }

    /// Adds a watched span. One that begins within the node's last span, or at its end, extends it.
    pub fn add_span(&mut self, span: Span) {
        let last = self.spans.iter_mut().rev().find(|known| known.node == span.node);
        match last {
            Some(last) if last.start <= span.start && span.start <= last.end => last.end = last.end.max(span.end),
            _ => self.spans.push(span),
        }
    }

    /// Adds a count of lost events.
    pub fn add_lost(&mut self, node: &str, hour: Timestamp, cause: &str, count: u64) {
        let causes = self.lost.entry((node.to_owned(), hour)).or_default();
        let sum = causes.entry(cause.to_owned()).or_default();
        *sum = sum.saturating_add(count);
    }

    /// Adds an address of a node.
    pub fn add_address(&mut self, node: &str, address: IpAddr) {
        self.addresses.entry(node.to_owned()).or_default().insert(address);
    }

    /// Removes traffic and spans that ended before `oldest`.
    pub fn forget_before(&mut self, oldest: Timestamp) {
        self.rows.retain(|_, tally| tally.last >= oldest);
        self.spans.retain(|span| span.end >= oldest);
        self.lost.retain(|(_, hour), _| *hour + SignedDuration::from_hours(1) >= oldest);
    }

    /// Number of rows.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.rows.len()
    }

    /// Every row as a flow.
    pub fn flows(&self) -> impl Iterator<Item = Flow> {
        self.rows.iter().map(|(key, tally)| key.flow(tally))
    }

    /// The nodes' own addresses.
    #[must_use]
    pub fn node_addresses(&self) -> &BTreeMap<String, BTreeSet<IpAddr>> {
        &self.addresses
    }

    /// The traffic between two times, with its ends resolved by a cluster.
    #[must_use]
    pub fn traffic(&self, cluster: &Cluster, from: Timestamp, to: Timestamp) -> Traffic {
        let mut traffic = Traffic::default();
        for flow in self.flows() {
            traffic.add(&flow, cluster, from, to);
        }
        traffic
    }

    /// The watched spans, for a window from `from` to `at`.
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
            // The counts go with the newest span of the node: it lies in the window if any span does.
            let lost = lost.remove(node.as_str()).unwrap_or_default();
            file.add_report(&NodeReport { node, start, end, addresses: Vec::new(), lost }, from, at);
        }
        let mut watch = Watch::default();
        watch.add_file(file);
        watch
    }
}

#[cfg(test)]
mod tests {
    use foretell_objects::resource::object::Object;
    use serde_json::json;

    use crate::objects::typed;
    use foretell_policy::snapshot::text::Snapshot;

    use super::*;

    fn at(time: &str) -> Timestamp {
        format!("2026-11-21T{time}Z").parse().unwrap()
    }

    fn flow(start: &str, end: &str) -> Flow {
        let end_of = |ip: &str| Endpoint::address(ip.parse().unwrap());
        Flow {
            start: at(start),
            end: at(end),
            node: Some("n1".to_owned()),
            observed: Some(Direction::Ingress),
            src: end_of("10.0.0.1"),
            dst: end_of("10.0.0.2"),
            protocol: Protocol::Tcp,
            port: 8080,
            outcome: Some(Outcome::Established),
            guessed: false,
            connections: 3,
            packets: 5,
            bytes: 7,
        }
    }

    fn span(node: &str, start: &str, end: &str) -> Span {
        Span { node: node.to_owned(), start: at(start), end: at(end) }
    }

    fn objects() -> Vec<Object> {
        let metadata = json!({"namespace": "shop", "name": "web", "uid": "u"});
        let status = json!({"phase": "Running", "podIP": "10.0.0.2", "podIPs": [{"ip": "10.0.0.2"}],
            "startTime": "2026-11-21T10:00:00Z"});
        let spec = json!({"nodeName": "n1", "containers": []});
        let pod = json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec, "status": status});
        let (taken, server) = (at("12:00:00"), String::new());
        typed(&Snapshot { taken, cluster: None, server, not_served: Vec::new(), objects: vec![pod] }).0
    }

    #[test]
    fn times_are_rounded_down_to_the_hour_and_to_the_microsecond() {
        assert_eq!(hour(at("11:59:59.999")), at("11:00:00"));
        assert_eq!(hour(at("12:00:00")), at("12:00:00"));
        assert_eq!(microseconds(at("12:00:00.123456789")), at("12:00:00.123456"));
    }

    #[test]
    fn a_flow_belongs_to_the_hour_of_its_end_and_comes_back_as_it_was() {
        let flow = flow("11:59:59", "12:00:01");
        let (key, tally) = row(&flow, &Cluster::default());
        assert_eq!(key.hour, at("12:00:00"));
        assert_eq!(key.flow(&tally), flow);
    }

    #[test]
    fn a_row_names_the_pod_that_has_the_address_at_the_time_of_the_flow() {
        let cluster = Cluster::build(&objects());
        let (key, _) = row(&flow("11:00:00", "11:00:01"), &cluster);
        let names = |end: &Endpoint| (end.pod_uid.clone(), end.namespace.clone(), end.pod.clone());
        assert_eq!(names(&key.dst), (Some("u".to_owned()), Some("shop".to_owned()), Some("web".to_owned())));
        assert_eq!(names(&key.src), (None, None, None), "no pod has the address");
        let (key, _) = row(&flow("09:00:00", "09:00:01"), &cluster);
        assert_eq!(names(&key.dst), (None, None, None), "the pod did not run yet");
    }

    #[test]
    fn flows_of_one_hour_with_the_same_key_are_summed() {
        let mut window = Window::default();
        let other_port = Flow { port: 9090, ..flow("11:00:00", "11:00:05") };
        let flows =
            [flow("11:00:00", "11:00:01"), flow("11:30:00", "11:40:00"), flow("12:30:00", "12:30:01"), other_port];
        for flow in flows {
            let (key, tally) = row(&flow, &Cluster::default());
            window.add(key, tally);
        }
        assert_eq!(window.rows(), 3);
        let sum = window.flows().find(|flow| flow.connections == 6).unwrap();
        assert_eq!((sum.packets, sum.bytes), (10, 14));
        assert_eq!((sum.start, sum.end), (at("11:00:00"), at("11:40:00")));
        let traffic = window.traffic(&Cluster::default(), at("12:00:00"), at("13:00:00"));
        assert_eq!((traffic.flows(), traffic.outside_window()), (1, 2));
    }

    #[test]
    fn a_span_extends_the_last_one_of_its_node_if_it_begins_within_it() {
        for (case, second, expected) in [
            ("at its end", span("n1", "11:00:00", "11:10:00"), vec![span("n1", "10:00:00", "11:10:00")]),
            ("within it", span("n1", "10:30:00", "11:10:00"), vec![span("n1", "10:00:00", "11:10:00")]),
            ("inside it", span("n1", "10:30:00", "10:40:00"), vec![span("n1", "10:00:00", "11:00:00")]),
            (
                "after a gap",
                span("n1", "11:00:01", "11:10:00"),
                vec![span("n1", "10:00:00", "11:00:00"), span("n1", "11:00:01", "11:10:00")],
            ),
            (
                "before it",
                span("n1", "09:00:00", "10:30:00"),
                vec![span("n1", "10:00:00", "11:00:00"), span("n1", "09:00:00", "10:30:00")],
            ),
            (
                "of another node",
                span("n2", "11:00:00", "11:10:00"),
                vec![span("n1", "10:00:00", "11:00:00"), span("n2", "11:00:00", "11:10:00")],
            ),
        ] {
            let mut window = Window::default();
            window.add_span(span("n1", "10:00:00", "11:00:00"));
            window.add_span(second);
            assert_eq!(window.spans, expected, "{case}");
        }
    }

    #[test]
    fn a_report_adds_its_span_its_addresses_and_what_was_lost() {
        let mut window = Window::default();
        let report = |start: &str, end: &str| NodeReport {
            node: "n1".to_owned(),
            start: at(start),
            end: at(end),
            addresses: vec!["192.0.2.1".parse().unwrap()],
            lost: BTreeMap::from([("ring buffer full".to_owned(), 2)]),
        };
        window.add_report(&report("10:00:00", "10:30:00"));
        window.add_report(&report("10:30:00", "11:30:00"));
        let watch = window.watch(at("09:00:00"), at("12:00:00"));
        let node = &watch.nodes()["n1"];
        assert_eq!((node.since(), node.until()), (Some(at("10:00:00")), Some(at("11:30:00"))));
        assert_eq!(node.lost, BTreeMap::from([("ring buffer full".to_owned(), 4)]));
        assert_eq!(window.node_addresses()["n1"].len(), 1);
        let later = window.watch(at("11:30:00"), at("12:00:00"));
        assert_eq!(later.nodes()["n1"].lost["ring buffer full"], 2, "the first loss is outside the window");
    }

    #[test]
    fn what_ended_before_the_window_is_forgotten() {
        let mut window = Window::default();
        for flow in [flow("09:00:00", "09:59:59"), flow("09:00:00", "10:00:00")] {
            // Of two hours, so that they are two rows.
            let (key, tally) = row(&flow, &Cluster::default());
            window.add(key, tally);
        }
        window.add_span(span("n1", "08:00:00", "09:59:59"));
        window.add_span(span("n2", "08:00:00", "10:00:00"));
        window.add_lost("n1", at("08:00:00"), "it", 1);
        window.add_lost("n1", at("09:00:00"), "it", 1);
        window.forget_before(at("10:00:00"));
        assert_eq!(window.flows().map(|flow| flow.end).collect::<Vec<_>>(), [at("10:00:00")]);
        assert_eq!(window.spans, [span("n2", "08:00:00", "10:00:00")]);
        assert_eq!(window.lost.keys().map(|(_, hour)| *hour).collect::<Vec<_>>(), [at("09:00:00")]);
    }
}
