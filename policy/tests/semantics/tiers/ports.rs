//! Ports, in the forms of both kinds.

use super::{admin, baseline, cluster};
use crate::scenario::shop;
use foretell_objects::model::flow::Direction::Ingress;

/// Those of several flows from `db` to `web` that one rule denies.
fn denied(policy: &str) -> Vec<&'static str> {
    let scenario = shop().and(policy);
    let flows = ["TCP 8080", "TCP 8081", "TCP 9000", "UDP 8080", "SCTP 8080", "UDP 53"];
    let is_denied = |flow: &&str| scenario.decide(&format!("db -> web {flow}"), Ingress) != "open";
    flows.into_iter().filter(is_denied).collect()
}

#[test]
fn ports_of_admin_network_policies() {
    for (ports, takes) in [
        ("", &["TCP 8080", "TCP 8081", "TCP 9000", "UDP 8080", "SCTP 8080", "UDP 53"][..]),
        ("ports: [{portNumber: {port: 8080}}], ", &["TCP 8080"]),
        ("ports: [{portNumber: {protocol: UDP, port: 8080}}], ", &["UDP 8080"]),
        ("ports: [{portRange: {start: 8080, end: 8081}}], ", &["TCP 8080", "TCP 8081"]),
        ("ports: [{portRange: {protocol: SCTP, start: 1, end: 65535}}], ", &["SCTP 8080"]),
        ("ports: [{namedPort: http}], ", &["TCP 8080"]),
        ("ports: [{namedPort: sql}], ", &[]),
        ("ports: [{portNumber: {port: 9000}}, {portNumber: {protocol: UDP, port: 53}}], ", &["TCP 9000", "UDP 53"]),
        // An empty range.
        ("ports: [{portRange: {start: 8081, end: 8080}}], ", &[]),
    ] {
        let rules = format!("ingress: [{{action: Deny, {ports}from: [{{namespaces: {{}}}}]}}]");
        assert_eq!(denied(&admin("a", 1, &rules)), takes, "{ports}");
        assert_eq!(denied(&baseline(&rules)), takes, "{ports}");
    }
}

#[test]
fn ports_of_cluster_network_policies() {
    for (protocols, takes) in [
        ("", &["TCP 8080", "TCP 8081", "TCP 9000", "UDP 8080", "SCTP 8080", "UDP 53"][..]),
        ("protocols: [{tcp: {destinationPort: {number: 8080}}}], ", &["TCP 8080"]),
        ("protocols: [{udp: {destinationPort: {number: 8080}}}], ", &["UDP 8080"]),
        ("protocols: [{sctp: {destinationPort: {range: {start: 8080, end: 8081}}}}], ", &["SCTP 8080"]),
        (
            "protocols: [{tcp: {destinationPort: {range: {start: 8080, end: 9000}}}}], ",
            &["TCP 8080", "TCP 8081", "TCP 9000"],
        ),
        ("protocols: [{destinationNamedPort: http}], ", &["TCP 8080"]),
        (
            "protocols: [{tcp: {destinationPort: {number: 9000}}}, {udp: {destinationPort: {number: 53}}}], ",
            &["TCP 9000", "UDP 53"],
        ),
    ] {
        let rules = format!("ingress: [{{action: Deny, {protocols}from: [{{namespaces: {{}}}}]}}]");
        assert_eq!(denied(&cluster("a", "Admin", 1, &rules)), takes, "{protocols}");
        assert_eq!(denied(&cluster("a", "Baseline", 1, &rules)), takes, "{protocols}");
    }
}
