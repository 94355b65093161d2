//! The recording contains every connection of the demo, no losses, and nothing about the machine on which it was made.
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

mod files;

use std::collections::BTreeSet;
use std::net::IpAddr;

use files::{read, snapshot};
use foretell_objects::model::flow::{Direction, Flow, Line, NodeReport, Outcome, Protocol};
use foretell_policy::cluster::inventory::Cluster;
use foretell_policy::cluster::ownership::{Destination, End};
use foretell_policy::cluster::pod::Ending;

const PAYMENTS: &str = "payments Deployment/payments";
const CHECKOUT: &str = "shop Deployment/checkout";
const STOREFRONT: &str = "shop Deployment/storefront";
const INGRESS: &str = "ingress Deployment/ingress-controller";
const PROMETHEUS: &str = "monitoring Deployment/prometheus";
const POSTGRES: &str = "payments StatefulSet/postgres";
const SETTLEMENT: &str = "payments CronJob/settlement";
const NETSHOOT: &str = "shop Pod/netshoot";
const DNS: &str = "kube-system Deployment/coredns";
/// A caller with an address of the node, such as the kubelet.
const NODE: &str = "the node";

struct Recorded {
    cluster: Cluster,
    flows: Vec<Flow>,
    reports: Vec<NodeReport>,
}

fn recorded() -> Recorded {
    let (mut cluster, mut flows, mut reports) = (Cluster::build(&snapshot()), Vec::new(), Vec::new());
    for (number, line) in read("recorded/flows.ndjson").lines().enumerate() {
        match Line::parse(line.as_bytes()).unwrap_or_else(|error| panic!("line {}: {error}", number + 1)) {
            Line::Flow(flow) => flows.push(*flow),
            Line::Report(report) => {
                cluster.add_node_addresses(&report.node, &report.addresses);
                reports.push(report);
            }
        }
    }
    Recorded { cluster, flows, reports }
}

impl Recorded {
    /// Name of a workload, the node, or an outside address.
    fn name(&self, end: End) -> String {
        if let Some(pod) = end.pod() {
            let workload = &self.cluster.pod(pod).workload;
            return format!("{} {workload}", workload.namespace);
        }
        assert!(!matches!(end, End::UnknownPod { .. }), "the snapshot does not contain this pod: {end:?}");
        if self.cluster.nodes().by_address(end.ip()).is_empty() { end.ip().to_string() } else { NODE.to_owned() }
    }

    fn ends(&self, flow: &Flow) -> (String, String) {
        let ends = self.cluster.resolve(flow);
        let dst = match ends.dst {
            Destination::Direct(end) => self.name(end),
            Destination::Service { service, .. } => {
                let service = self.cluster.service(service);
                format!("{} Service/{}", service.namespace, service.name)
            }
        };
        (self.name(ends.src), dst)
    }

    fn count(&self, src: &str, dst: &str, protocol: Protocol, port: u16, wanted: impl Fn(&Flow) -> bool) -> usize {
        let is_wanted = |flow: &&Flow| {
            (flow.protocol, flow.port) == (protocol, port)
                && wanted(flow)
                && self.ends(flow) == (src.to_owned(), dst.to_owned())
        };
        self.flows.iter().filter(is_wanted).count()
    }
}

fn established(flow: &Flow, end: Direction) -> bool {
    flow.outcome == Some(Outcome::Established) && !flow.guessed && flow.observed == Some(end)
}

#[test]
fn every_connection_of_the_demo_was_observed_at_the_server() {
    let recorded = recorded();
    for (src, dst, protocol, port) in [
        ("203.0.113.7", INGRESS, Protocol::Tcp, 8443),
        ("203.0.113.58", INGRESS, Protocol::Tcp, 8443),
        (INGRESS, STOREFRONT, Protocol::Tcp, 8080),
        (STOREFRONT, CHECKOUT, Protocol::Tcp, 8080),
        (CHECKOUT, PAYMENTS, Protocol::Tcp, 8443),
        (SETTLEMENT, PAYMENTS, Protocol::Tcp, 8443),
        (PAYMENTS, POSTGRES, Protocol::Tcp, 5432),
        (PROMETHEUS, STOREFRONT, Protocol::Tcp, 9102),
        (PROMETHEUS, CHECKOUT, Protocol::Tcp, 9102),
        (PROMETHEUS, PAYMENTS, Protocol::Tcp, 9102),
        (CHECKOUT, DNS, Protocol::Udp, 53),
        (SETTLEMENT, DNS, Protocol::Udp, 53),
        (NODE, PAYMENTS, Protocol::Tcp, 8443),
        (NODE, POSTGRES, Protocol::Tcp, 5432),
    ] {
        let seen = recorded.count(src, dst, protocol, port, |flow| established(flow, Direction::Ingress));
        assert!(seen > 0, "{src} to {dst}, {port}/{protocol}");
    }
}

#[test]
fn workloads_call_services_except_prometheus_which_calls_each_pod() {
    let recorded = recorded();
    for (src, dst, protocol, port) in [
        (INGRESS, "shop Service/storefront", Protocol::Tcp, 80),
        (STOREFRONT, "shop Service/checkout", Protocol::Tcp, 80),
        (CHECKOUT, "payments Service/payments", Protocol::Tcp, 8443),
        (SETTLEMENT, "payments Service/payments", Protocol::Tcp, 8443),
        (PAYMENTS, "payments Service/postgres", Protocol::Tcp, 5432),
        (CHECKOUT, "kube-system Service/kube-dns", Protocol::Udp, 53),
        (PAYMENTS, "203.0.113.200", Protocol::Tcp, 443),
        (PROMETHEUS, PAYMENTS, Protocol::Tcp, 9102),
    ] {
        let seen = recorded.count(src, dst, protocol, port, |flow| established(flow, Direction::Egress));
        assert!(seen > 0, "{src} to {dst}, {port}/{protocol}");
    }
}

#[test]
fn the_scan_was_refused() {
    let recorded = recorded();
    let scan = |wanted: fn(&Flow) -> bool| recorded.count(NETSHOOT, PAYMENTS, Protocol::Tcp, 22, wanted);
    assert!(scan(|flow| flow.outcome == Some(Outcome::Refused)) > 0);
    assert_eq!(scan(Flow::in_use), 0);
}

#[test]
fn no_other_workload_called_payments() {
    let recorded = recorded();
    let called =
        |dst: &str| [PAYMENTS, "payments Service/payments", "payments Service/payments-metrics"].contains(&dst);
    let ends = recorded.flows.iter().map(|flow| recorded.ends(flow));
    let callers: BTreeSet<String> = ends.filter(|(_, dst)| called(dst)).map(|(src, _)| src).collect();
    let expected = [NODE, PROMETHEUS, SETTLEMENT, CHECKOUT, NETSHOOT].map(str::to_owned);
    assert_eq!(callers, BTreeSet::from(expected));
}

#[test]
fn the_reports_have_no_gap_and_no_losses() {
    let recorded = recorded();
    assert!(recorded.reports.len() > 5);
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
        assert_eq!(flow.node.as_deref(), Some("node-1"));
    }
}

#[test]
fn the_settlement_called_while_its_pod_existed() {
    let recorded = recorded();
    let (id, pod) = recorded.cluster.pods().find(|(_, pod)| pod.workload.kind == "CronJob").unwrap();
    assert!(matches!(pod.life.end, Ending::At(_)), "{:?}", pod.life);
    let calls: Vec<&Flow> =
        recorded.flows.iter().filter(|flow| recorded.cluster.resolve(flow).src.pod() == Some(id)).collect();
    assert!(!calls.is_empty());
    for flow in calls {
        assert!(pod.life.contains(flow.start) && pod.life.contains(flow.end), "{:?}: {flow:?}", pod.life);
    }
}

#[test]
fn only_private_and_documentation_addresses_are_recorded() {
    let recorded = recorded();
    // The addresses of pods, Services and the node, and the ranges that RFC 5737 reserves for documentation.
    let ours = |ip: &IpAddr| match ip {
        IpAddr::V4(v4) => {
            matches!(v4.octets(), [10, 244 | 96, ..] | [192, 168, 64, _] | [192, 0, 2, _] | [203, 0, 113, _])
        }
        IpAddr::V6(v6) => matches!(v6.segments(), [0xfd00, 0x10 | 0x64, ..] | [0xfe80, ..]),
    };
    for flow in &recorded.flows {
        assert!(ours(&flow.src.ip) && ours(&flow.dst.ip), "{flow:?}");
    }
    for report in &recorded.reports {
        assert!(report.addresses.iter().all(ours), "{report:?}");
    }
}
