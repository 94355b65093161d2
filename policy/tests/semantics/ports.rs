//! Which ports a rule matches.

use crate::scenario::{Scenario, audit, egress, ingress, shop};
use foretell_objects::model::flow::Direction;

fn on(ports: &str) -> String {
    format!("{{ingress: [{{ports: [{ports}]}}], egress: [{{ports: [{ports}]}}]}}")
}

#[test]
fn a_numeric_port_matches_that_number() {
    assert_eq!(ingress(&on("{port: 8080}"), "cart -> web TCP 8080"), "allow 0");
    assert_eq!(ingress(&on("{port: 8080}"), "cart -> web TCP 8081"), "deny NoRuleMatched");
}

#[test]
fn end_port_is_inclusive() {
    let spec = on("{port: 8000, endPort: 8080}");
    for (port, verdict) in [
        (7999, "deny NoRuleMatched"),
        (8000, "allow 0"),
        (8040, "allow 0"),
        (8080, "allow 0"),
        (8081, "deny NoRuleMatched"),
    ] {
        assert_eq!(ingress(&spec, &format!("cart -> web TCP {port}")), verdict, "{port}");
    }
    assert_eq!(ingress(&on("{port: 1, endPort: 65535}"), "cart -> web TCP 65535"), "allow 0");
    assert_eq!(ingress(&on("{port: 80, endPort: 80}"), "cart -> web TCP 80"), "allow 0");
}

#[test]
fn udp_and_sctp_are_distinguished_from_tcp() {
    for protocol in ["TCP", "UDP", "SCTP"] {
        for seen in ["TCP", "UDP", "SCTP"] {
            let verdict =
                ingress(&on(&format!("{{protocol: {protocol}, port: 53}}")), &format!("cart -> web {seen} 53"));
            assert_eq!(verdict == "allow 0", protocol == seen, "{protocol} {seen}");
        }
    }
}

#[test]
fn a_protocol_without_a_port_matches_every_port_of_the_protocol() {
    assert_eq!(ingress(&on("{protocol: UDP}"), "cart -> web UDP 5353"), "allow 0");
    assert_eq!(ingress(&on("{protocol: UDP}"), "cart -> web TCP 5353"), "deny NoRuleMatched");
    assert_eq!(ingress(&on("{}"), "cart -> web TCP 5353"), "allow 0");
}

#[test]
fn one_of_several_ports_is_enough() {
    assert_eq!(ingress(&on("{port: 1}, {port: http}, {protocol: UDP}"), "cart -> web UDP 9"), "allow 0");
}

#[test]
fn a_named_port_is_looked_up_on_the_destination_pod() {
    // `http` is 8080 on web and 9090 on cart.
    assert_eq!(ingress(&on("{port: http}"), "cart -> web TCP 8080"), "allow 0");
    assert_eq!(ingress(&on("{port: http}"), "cart -> web TCP 9090"), "deny NoRuleMatched");
    assert_eq!(egress(&on("{port: http}"), "web -> cart TCP 9090"), "allow 0");
    assert_eq!(egress(&on("{port: http}"), "web -> cart TCP 8080"), "deny NoRuleMatched");
}

#[test]
fn a_named_port_must_match_by_protocol_and_number() {
    assert_eq!(ingress(&on("{port: http, protocol: UDP}"), "cart -> web UDP 8080"), "deny NoRuleMatched");
    assert_eq!(ingress(&on("{port: http}"), "cart -> web TCP 9000"), "deny NoRuleMatched");
    assert_eq!(ingress(&on("{port: https}"), "cart -> web TCP 8080"), "deny NoRuleMatched");
}

#[test]
fn a_named_port_matches_neither_outside_addresses_nor_nodes() {
    assert_eq!(egress(&on("{port: http}"), "web -> 203.0.113.9 TCP 8080"), "deny NoRuleMatched");
    assert_eq!(egress(&on("{port: http}"), "web -> agent-2 TCP 8080"), "deny NoRuleMatched");
}

#[test]
fn named_ports_of_restartable_init_containers_count_and_those_of_other_init_containers_do_not() {
    let scenario = |policy: &Scenario| policy.verdicts("cart -> meshed TCP 15090", Direction::Ingress);
    for (restart_policy, verdict) in [(", restartPolicy: Always", "allow 0"), ("", "deny NoRuleMatched")] {
        let pod = format!(
            "apiVersion: v1
kind: Pod
metadata: {{name: meshed, namespace: shop}}
spec:
  initContainers: [{{name: proxy, image: proxy{restart_policy}, ports: [{{name: metrics, containerPort: 15090}}]}}]
  containers: [{{name: main, image: main}}]
status: {{phase: Running, podIP: 10.1.1.20}}"
        );
        assert_eq!(scenario(&shop().and(&pod).and(&audit(&on("{port: metrics}")))), verdict, "{restart_policy}");
    }
}

#[test]
fn one_name_may_refer_to_several_ports_of_a_pod() {
    let pod = "
apiVersion: v1
kind: Pod
metadata: {name: dns, namespace: shop}
spec:
  containers:
  - {name: a, image: a, ports: [{name: dns, containerPort: 53, protocol: UDP}]}
  - {name: b, image: b, ports: [{name: dns, containerPort: 5353, protocol: UDP}, {name: dns-tcp, containerPort: 53}]}
status: {phase: Running, podIP: 10.1.1.20}";
    let scenario = shop().and(pod).and(&audit(&on("{port: dns, protocol: UDP}, {port: dns-tcp}")));
    for (port, verdict) in
        [("UDP 53", "allow 0"), ("UDP 5353", "allow 0"), ("TCP 53", "allow 0"), ("TCP 5353", "deny NoRuleMatched")]
    {
        assert_eq!(scenario.verdicts(&format!("cart -> dns {port}"), Direction::Ingress), verdict, "{port}");
    }
}
