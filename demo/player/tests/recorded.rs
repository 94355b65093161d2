//! The recording that is kept holds the story: every relation, nothing lost, and nothing of the machine it was made on.

#![expect(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test panics where it fails")]

use std::collections::BTreeSet;
use std::fs;
use std::net::IpAddr;
use std::path::Path;

use foretell_demo::pod::{self, Pod};
use foretell_demo::scenario::Scenario;
use foretell_policy::flow::{Direction, Endpoint, Flow, Line, NodeReport, Outcome, Protocol};

fn read(path: &str) -> String {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

struct Recorded {
    pods: Vec<Pod>,
    flows: Vec<Flow>,
    reports: Vec<NodeReport>,
}

fn recorded() -> Recorded {
    let mut recorded =
        Recorded { pods: pod::read(&read("recorded/snapshot.yaml")).unwrap(), flows: Vec::new(), reports: Vec::new() };
    for (number, line) in read("recorded/flows.ndjson").lines().enumerate() {
        match Line::parse(line.as_bytes()).unwrap_or_else(|error| panic!("line {}: {error}", number + 1)) {
            Line::Flow(flow) => recorded.flows.push(*flow),
            Line::Report(report) => recorded.reports.push(report),
        }
    }
    recorded
}

impl Recorded {
    /// `namespace/name` of a pod; an address that no pod has.
    fn name(&self, end: &Endpoint) -> String {
        let pod = match &end.pod_uid {
            Some(uid) => Some(self.pods.iter().find(|pod| pod.uid == *uid).expect("a pod of the snapshot")),
            None => self.pods.iter().find(|pod| pod.addresses.contains(&end.ip)),
        };
        pod.map_or_else(|| end.ip.to_string(), |pod| pod.workload.to_string())
    }

    fn count(&self, src: &str, dst: &str, protocol: Protocol, port: u16, wanted: impl Fn(&Flow) -> bool) -> usize {
        let relation = |flow: &&Flow| {
            self.name(&flow.src) == src
                && self.name(&flow.dst) == dst
                && (flow.protocol, flow.port) == (protocol, port)
                && wanted(flow)
        };
        self.flows.iter().filter(relation).count()
    }
}

fn established(flow: &Flow) -> bool {
    flow.outcome == Some(Outcome::Established) && !flow.guessed
}

#[test]
fn every_relation_of_the_story_was_seen_at_both_ends() {
    let recorded = recorded();
    for (src, dst, protocol, port) in [
        ("ingress/ingress-controller", "shop/storefront", Protocol::Tcp, 8080),
        ("shop/storefront", "shop/checkout", Protocol::Tcp, 8080),
        ("shop/checkout", "payments/payments", Protocol::Tcp, 8443),
        ("payments/settlement", "payments/payments", Protocol::Tcp, 8443),
        ("payments/payments", "payments/postgres", Protocol::Tcp, 5432),
        ("monitoring/prometheus", "payments/payments", Protocol::Tcp, 9102),
        ("monitoring/prometheus", "shop/checkout", Protocol::Tcp, 9102),
        ("shop/checkout", "kube-system/kube-dns", Protocol::Udp, 53),
        ("payments/settlement", "kube-system/kube-dns", Protocol::Udp, 53),
    ] {
        for end in Direction::BOTH {
            let seen = recorded.count(src, dst, protocol, port, |flow| established(flow) && flow.observed == Some(end));
            assert!(seen > 0, "{src} to {dst}, {port}/{protocol}, {end}");
        }
    }
}

#[test]
fn customers_come_from_outside_over_both_families() {
    let recorded = recorded();
    for address in ["203.0.113.7", "203.0.113.58", "2001:db8:59::12"] {
        let seen = recorded.count(address, "ingress/ingress-controller", Protocol::Tcp, 443, established);
        assert!(seen > 0, "{address}");
    }
}

#[test]
fn probes_come_from_the_gateway_which_is_the_nodes_own() {
    let recorded = recorded();
    let scenario = Scenario::read(&read("shop/traffic.yaml")).unwrap();
    let gateway = scenario.node.probes_from;
    for (dst, port) in [("payments/payments", 8443), ("payments/postgres", 5432), ("kube-system/kube-dns", 8181)] {
        let seen = recorded.count(&gateway.to_string(), dst, Protocol::Tcp, port, established);
        assert!(seen > 0, "{dst} {port}");
    }
    let own: BTreeSet<IpAddr> = scenario.node.addresses.iter().copied().collect();
    for report in &recorded.reports {
        assert_eq!(report.addresses.iter().copied().collect::<BTreeSet<_>>(), own);
    }
}

#[test]
fn the_scan_came_to_nothing() {
    let recorded = recorded();
    let scan =
        |wanted: fn(&Flow) -> bool| recorded.count("shop/netshoot", "payments/payments", Protocol::Tcp, 22, wanted);
    assert!(scan(|flow| matches!(flow.outcome, Some(Outcome::Refused | Outcome::Unanswered))) > 0);
    assert_eq!(scan(Flow::in_use), 0);
}

#[test]
fn nobody_else_called_payments() {
    let recorded = recorded();
    let callers: BTreeSet<String> = recorded
        .flows
        .iter()
        .filter(|flow| recorded.name(&flow.dst) == "payments/payments")
        .map(|flow| recorded.name(&flow.src))
        .collect();
    let expected = ["10.244.0.1", "monitoring/prometheus", "payments/settlement", "shop/checkout", "shop/netshoot"]
        .map(str::to_owned);
    assert_eq!(callers, BTreeSet::from(expected));
}

#[test]
fn the_node_was_watched_without_a_gap_and_nothing_was_lost() {
    let recorded = recorded();
    assert!(recorded.reports.len() > 2);
    for report in &recorded.reports {
        assert_eq!(report.node, "node-1");
        assert!(report.lost.is_empty(), "{report:?}");
    }
    for pair in recorded.reports.windows(2) {
        assert_eq!(pair[0].end, pair[1].start);
    }
    let (first, last) = (recorded.reports.first().unwrap().start, recorded.reports.last().unwrap().end);
    for flow in &recorded.flows {
        assert!(first <= flow.start && flow.end <= last, "{flow:?}");
    }
}

#[test]
fn the_settlement_lived_while_it_called() {
    let recorded = recorded();
    let snapshot: Vec<serde_json::Value> = serde_saphyr::from_multiple(&read("recorded/snapshot.yaml")).unwrap();
    let pod = snapshot.iter().find(|document| document["status"]["phase"] == "Succeeded").unwrap();
    let time = |value: &serde_json::Value| value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap();
    let start = time(&pod["status"]["startTime"]);
    let end = time(&pod["status"]["containerStatuses"][0]["state"]["terminated"]["finishedAt"]);
    let calls = recorded.flows.iter().filter(|flow| recorded.name(&flow.src) == "payments/settlement");
    for flow in calls {
        assert!(start <= flow.start && flow.end < end, "{start} to {end}: {flow:?}");
    }
}

#[test]
fn only_the_plays_own_addresses_and_names_are_in_it() {
    let recorded = recorded();
    let ours = |ip: &IpAddr| match ip {
        IpAddr::V4(v4) => v4.octets().starts_with(&[10, 244, 0]) || v4.octets().starts_with(&[203, 0, 113]),
        IpAddr::V6(v6) => {
            v6.segments().starts_with(&[0xfd00, 0x10, 0x244]) || v6.segments().starts_with(&[0x2001, 0xdb8])
        }
    };
    for flow in &recorded.flows {
        assert!(ours(&flow.src.ip) && ours(&flow.dst.ip), "{flow:?}");
        assert_eq!(flow.node.as_deref(), Some("node-1"));
    }
    // No time was left to be put in.
    assert!(!read("recorded/snapshot.yaml").contains('$'));
}
