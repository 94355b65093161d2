//! hostNetwork pods, a pod's own node, and a pod itself.

use crate::scenario::{NOTHING, audit, audit_cluster, egress, flow, ingress, shop};
use foretell_objects::model::flow::Direction;
use serde_json::json;

const DENY: &str = "{policyTypes: [Ingress, Egress]}";

#[test]
fn no_policy_selects_a_host_network_pod() {
    let scenario = shop().and(&audit_cluster(DENY));
    assert_eq!(scenario.verdicts("web -> agent-2 TCP 9100", Direction::Ingress), NOTHING);
    assert_eq!(scenario.verdicts("agent-2 -> web TCP 8080", Direction::Egress), NOTHING);
    let by_uid = json!({"src": {"ip": "192.168.0.2", "podUid": "uid-agent-2"}, "dst": {"ip": "10.1.1.1"},
        "protocol": "TCP", "port": 8080});
    assert_eq!(scenario.verdicts_of(&flow(&by_uid), Direction::Egress), NOTHING);
}

#[test]
fn a_host_network_pod_as_peer_is_the_address_of_its_node() {
    // agent-2 has the label app=web in kube-system, but no selector can match it.
    let spec = "{ingress: [{from: [{namespaceSelector: {}}]}]}";
    assert_eq!(ingress(spec, "agent-2 -> web TCP 8080"), "deny NoRuleMatched");
    let spec = "{ingress: [{from: [{ipBlock: {cidr: 192.168.0.0/24}}]}]}";
    assert_eq!(ingress(spec, "agent-2 -> web TCP 8080"), "allow 0, enforcers differ");
    let spec = "{egress: [{to: [{ipBlock: {cidr: 192.168.0.2/32}}]}]}";
    assert_eq!(egress(spec, "web -> agent-2 TCP 9100"), "allow 0, enforcers differ");
}

#[test]
fn a_pods_own_node_always_reaches_it() {
    assert_eq!(ingress(DENY, "192.168.0.1 -> web TCP 8080"), "exempt node");
    assert_eq!(ingress(DENY, "192.168.0.1 -> cart TCP 9090"), "deny NoRules", "another node, by its address");
    assert_eq!(ingress(DENY, "192.168.0.2 -> cart TCP 9090"), "exempt node");
}

#[test]
fn a_host_network_pod_of_its_own_node_always_reaches_it() {
    let scenario = shop().and(&audit(DENY));
    for (uid, verdict) in [("uid-agent-1", "exempt node"), ("uid-agent-2", "deny NoRules")] {
        // From an address of the node that was not reported.
        let line = json!({"src": {"ip": "172.16.0.9", "podUid": uid}, "dst": {"ip": "10.1.1.1"},
            "protocol": "TCP", "port": 8080});
        assert_eq!(scenario.verdicts_of(&flow(&line), Direction::Ingress), verdict, "{uid}");
    }
}

#[test]
fn a_pod_always_reaches_its_own_node_with_a_note_that_enforcers_differ() {
    assert_eq!(egress(DENY, "web -> 192.168.0.1 TCP 10250"), "exempt node, enforcers differ");
    assert_eq!(egress(DENY, "web -> 192.168.0.2 TCP 10250"), "deny NoRules");
    let message = shop().and(&audit(DENY)).message("web -> 192.168.0.1 TCP 10250", Direction::Egress);
    assert_eq!(
        message,
        "from a pod to its own node: most enforcers always allow this traffic, some apply policies to it"
    );
}

#[test]
fn addresses_that_an_agent_reports_belong_to_its_node() {
    let scenario = shop().and(&audit(DENY)).reported("n1", &["10.1.1.254", "169.254.1.1", "127.0.0.1", "fd00:1::fe"]);
    for src in ["10.1.1.254", "169.254.1.1", "fd00:1::fe"] {
        assert_eq!(scenario.verdicts(&format!("{src} -> web TCP 8080"), Direction::Ingress), "exempt node", "{src}");
    }
    // The node of cart has not reported this gateway address.
    assert_eq!(scenario.verdicts("169.254.1.1 -> cart TCP 9090", Direction::Ingress), "deny NoRules");
    let scenario = scenario.reported("n2", &["169.254.1.1"]);
    assert_eq!(scenario.verdicts("169.254.1.1 -> cart TCP 9090", Direction::Ingress), "exempt node", "both have it");
    assert_eq!(scenario.verdicts("169.254.1.1 -> web TCP 8080", Direction::Ingress), "exempt node", "both have it");
}

#[test]
fn the_host_ip_of_a_pod_is_an_address_of_its_node() {
    let scenario = shop().and(&audit(DENY)).and(
        "apiVersion: v1
kind: Pod
metadata: {name: far, namespace: shop}
spec: {nodeName: n9, containers: [{name: c, image: c}]}
status: {phase: Running, podIP: 10.1.9.1, hostIP: 192.168.0.9, hostIPs: [{ip: 192.168.0.9}, {ip: 'fd00:9::9'}]}",
    );
    for src in ["192.168.0.9", "fd00:9::9"] {
        assert_eq!(scenario.verdicts(&format!("{src} -> far TCP 80"), Direction::Ingress), "exempt node", "{src}");
    }
}

#[test]
fn traffic_to_a_node_port_goes_to_the_address_of_the_node() {
    let scenario = shop().and(&audit("{egress: [{to: [{podSelector: {}}]}]}")).and(
        "apiVersion: v1
kind: Service
metadata: {name: cart, namespace: shop}
spec: {type: NodePort, clusterIP: 10.96.0.2, selector: {app: cart}, ports: [{port: 80, targetPort: 9090, nodePort: 30080}]}",
    );
    assert_eq!(scenario.verdicts("web -> 192.168.0.2 TCP 30080", Direction::Egress), "deny NoRuleMatched");
    assert_eq!(scenario.verdicts("web -> 192.168.0.1 TCP 30080", Direction::Egress), "exempt node, enforcers differ");
}

#[test]
fn a_pod_always_reaches_itself() {
    for address in ["10.1.1.1", "fd00:1::1"] {
        let text = format!("{address} -> {address} TCP 8080");
        assert_eq!(ingress(DENY, &text), "exempt self");
        assert_eq!(egress(DENY, &text), "exempt self");
    }
    assert_eq!(egress(DENY, "10.1.1.1 -> fd00:1::1 TCP 8080"), "exempt self", "from one of its addresses to the other");
}

#[test]
fn loopback_never_leaves_the_pod() {
    let scenario = shop().and(&audit(DENY));
    let line = json!({"src": {"ip": "127.0.0.1", "podUid": "uid-web"}, "dst": {"ip": "127.0.0.1"},
        "protocol": "TCP", "port": 8080});
    for direction in Direction::BOTH {
        assert_eq!(scenario.verdicts_of(&flow(&line), direction), "exempt self");
    }
}

#[test]
fn a_pod_reaches_itself_through_its_own_service() {
    let scenario = shop().and(&audit(DENY)).and(
        "{apiVersion: v1, kind: Service, metadata: {name: web, namespace: shop},
 spec: {clusterIP: 10.96.0.1, selector: {app: web}, ports: [{port: 80, targetPort: http}]}}",
    );
    assert_eq!(scenario.verdicts("web -> 10.96.0.1 TCP 80", Direction::Egress), "exempt self");
    assert_eq!(scenario.verdicts("cart -> 10.96.0.1 TCP 80", Direction::Egress), "deny NoRules");

    let scenario = scenario.and(
        "{apiVersion: v1, kind: Pod, metadata: {name: twin, namespace: shop, labels: {app: web}},
 spec: {containers: [{name: c, image: c, ports: [{name: http, containerPort: 8080}]}]}, status: {podIP: 10.1.1.77}}",
    );
    assert_eq!(scenario.verdicts("web -> 10.96.0.1 TCP 80", Direction::Egress), "deny NoRules", "its twin may answer");
}
