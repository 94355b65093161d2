//! What peers of rules and subjects select.

use super::{admin, cluster, from_all};
use crate::scenario::{NOTHING, Scenario, flow, shop};
use foretell_objects::model::flow::Direction;
use foretell_objects::model::flow::Direction::{Egress, Ingress};
use serde_json::json;

/// The decision about a flow from `web` by one egress rule.
fn to(peer: &str, destination: &str) -> String {
    let rules = format!("egress: [{{action: Deny, to: [{peer}]}}]");
    shop().and(&cluster("a", "Admin", 1, &rules)).decide(&format!("web -> {destination} TCP 80"), Egress)
}

fn from(peer: &str, source: &str) -> String {
    let rules = format!("ingress: [{{action: Deny, from: [{peer}]}}]");
    shop().and(&cluster("a", "Admin", 1, &rules)).decide(&format!("{source} -> web TCP 80"), Ingress)
}

const DENIED: &str = "Admin: a 0 Deny";

#[test]
fn a_namespaces_peer_matches_all_pods_of_the_namespaces() {
    for (peer, db, cart) in [
        ("{namespaces: {}}", DENIED, DENIED),
        ("{namespaces: {matchLabels: {team: data}}}", DENIED, "open"),
        ("{namespaces: {matchLabels: {kubernetes.io/metadata.name: shop}}}", "open", DENIED),
        ("{namespaces: {matchExpressions: [{key: team, operator: NotIn, values: [shop]}]}}", DENIED, "open"),
    ] {
        assert_eq!((to(peer, "db").as_str(), to(peer, "cart").as_str()), (db, cart), "{peer}");
        assert_eq!((from(peer, "db").as_str(), from(peer, "cart").as_str()), (db, cart), "{peer}");
    }
}

#[test]
fn pods_must_match_both_selectors() {
    let peer = "{pods: {namespaceSelector: {matchLabels: {team: data}}, podSelector: {matchLabels: {app: web}}}}";
    assert_eq!(from(peer, "other-web"), DENIED);
    assert_eq!(from(peer, "db"), "open");
    assert_eq!(from(peer, "cart"), "open");
}

#[test]
fn a_cluster_network_policy_without_a_namespace_selector_means_every_namespace() {
    let peer = "{pods: {podSelector: {matchLabels: {app: web}}}}";
    assert_eq!(from(peer, "other-web"), DENIED);
    assert_eq!(from(peer, "db"), "open");
    let subject = "apiVersion: policy.networking.k8s.io/v1alpha2\nkind: ClusterNetworkPolicy\nmetadata: {name: a}\nspec: {tier: Admin, priority: 1, subject: {pods: {podSelector: {matchLabels: {app: web}}}}, ingress: [{action: Deny, from: [{namespaces: {}}]}]}\n";
    let scenario = shop().and(subject);
    assert_eq!(scenario.decide("db -> web TCP 80", Ingress), DENIED);
    assert_eq!(scenario.decide("db -> other-web TCP 80", Ingress), DENIED);
    assert_eq!(scenario.decide("db -> cart TCP 80", Ingress), "open");
}

#[test]
fn a_subject_is_selected_by_namespaces_or_by_pods() {
    let subject = |subject: &str| {
        format!(
            "apiVersion: policy.networking.k8s.io/v1alpha1\nkind: AdminNetworkPolicy\nmetadata: {{name: a}}\nspec: {{priority: 1, subject: {subject}, {}}}\n",
            from_all("Deny")
        )
    };
    let all = shop().and(&subject("{namespaces: {}}"));
    assert_eq!(all.decide("web -> db TCP 80", Ingress), DENIED);
    let one = shop().and(&subject(
        "{pods: {namespaceSelector: {matchLabels: {team: shop}}, podSelector: {matchLabels: {app: web}}}}",
    ));
    assert_eq!(one.decide("db -> web TCP 80", Ingress), DENIED);
    assert_eq!(one.decide("db -> other-web TCP 80", Ingress), "open");
    assert_eq!(one.decide("db -> cart TCP 80", Ingress), "open");
}

fn by_uid(scenario: &Scenario, src: &str, dst: &str, direction: Direction) -> String {
    let line = json!({"src": {"ip": "192.168.0.2", "podUid": src}, "dst": {"ip": "10.1.1.1", "podUid": dst},
        "protocol": "TCP", "port": 8080});
    scenario.verdicts_of(&flow(&line), direction)
}

#[test]
fn host_network_pods_are_neither_subjects_nor_pods_to_a_rule() {
    let subject = "apiVersion: policy.networking.k8s.io/v1alpha1\nkind: AdminNetworkPolicy\nmetadata: {name: a}\nspec: {priority: 1, subject: {namespaces: {}}, ingress: [{action: Deny, from: [{namespaces: {}}]}], egress: [{action: Deny, to: [{namespaces: {}}]}]}\n";
    let scenario = shop().and(subject);
    assert_eq!(by_uid(&scenario, "uid-agent-2", "uid-web", Egress), NOTHING);
    assert_eq!(by_uid(&scenario, "uid-agent-2", "uid-web", Ingress), NOTHING);
    assert_eq!(scenario.decide("web -> agent-2 TCP 80", Egress), "open");
}

#[test]
fn nodes_are_selected_by_their_labels_and_are_the_addresses_in_their_status() {
    let nodes = "
{apiVersion: v1, kind: Node, metadata: {name: n1, labels: {disk: ssd}}, status: {addresses: [{type: InternalIP, address: 192.168.0.1}, {type: ExternalIP, address: 198.51.100.1}]}}
---
{apiVersion: v1, kind: Node, metadata: {name: n2, labels: {disk: hdd}}, status: {addresses: [{type: InternalIP, address: 192.168.0.2}]}}";
    let policy =
        |nodes: &str| cluster("a", "Admin", 1, &format!("egress: [{{action: Deny, to: [{{nodes: {nodes}}}]}}]"));
    let scenario = |selector: &str| shop().and(nodes).and(&policy(selector)).reported("n2", &["172.16.0.2"]);
    let all = scenario("{}");
    for (destination, denied) in [
        ("192.168.0.1", true),
        ("198.51.100.1", true),
        ("192.168.0.2", true),
        // A hostNetwork pod counts as the node.
        ("agent-2", true),
        // The agent reports it; it is not in the status of the node.
        ("172.16.0.2", false),
        ("203.0.113.9", false),
        ("db", false),
    ] {
        let stands = all.decide(&format!("web -> {destination} TCP 80"), Egress);
        assert_eq!(stands, if denied { DENIED } else { "open" }, "{destination}");
    }
    let hdd = scenario("{matchLabels: {disk: hdd}}");
    assert_eq!(hdd.decide("web -> 192.168.0.1 TCP 80", Egress), "open");
    assert_eq!(hdd.decide("web -> 192.168.0.2 TCP 80", Egress), DENIED);
    assert_eq!(hdd.decide("web -> agent-2 TCP 80", Egress), DENIED);
}

#[test]
fn a_networks_peer_matches_every_end_with_an_address_in_it() {
    for (networks, destination, stands) in [
        ("[203.0.113.0/24]", "203.0.113.9", DENIED),
        ("[203.0.113.0/24]", "198.51.100.9", "open"),
        ("[198.51.100.0/24, 203.0.113.0/24]", "203.0.113.9", DENIED),
        ("[0.0.0.0/0]", "db", DENIED),
        ("[10.1.1.3/32]", "db", DENIED),
        ("[10.1.1.4/32]", "db", "open"),
        ("[192.168.0.0/16]", "192.168.0.2", DENIED),
        ("['::/0']", "203.0.113.9", "open"),
        ("['2001:db8::/32']", "2001:db8::1", DENIED),
    ] {
        assert_eq!(to(&format!("{{networks: {networks}}}"), destination), stands, "{networks} {destination}");
    }
}

#[test]
fn networks_distinguish_the_backends_of_a_service() {
    let pods = "
{apiVersion: v1, kind: Pod, metadata: {name: b1, namespace: data, uid: b1, labels: {app: back}, ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: b, uid: b, controller: true}]}, spec: {nodeName: n1, containers: [{name: c, image: c}]}, status: {phase: Running, podIP: 10.1.1.21}}
---
{apiVersion: v1, kind: Pod, metadata: {name: b2, namespace: data, uid: b2, labels: {app: back}, ownerReferences: [{apiVersion: apps/v1, kind: StatefulSet, name: b, uid: b, controller: true}]}, spec: {nodeName: n1, containers: [{name: c, image: c}]}, status: {phase: Running, podIP: 10.1.1.22}}
---
{apiVersion: v1, kind: Service, metadata: {name: back, namespace: data}, spec: {clusterIP: 10.96.0.7, selector: {app: back}, ports: [{port: 80}]}}";
    for network in ["10.1.1.21/32", "10.1.1.22/32"] {
        let rules = format!("egress: [{{action: Deny, to: [{{networks: [{network}]}}]}}]");
        for policy in [admin("a", 1, &rules), cluster("a", "Admin", 1, &rules)] {
            let scenario = shop().and(pods).and(&policy);
            assert_eq!(scenario.decide("web -> 10.96.0.7 TCP 80", Egress), DENIED, "{network}");
        }
    }
}

#[test]
fn one_matching_entry_of_a_list_is_enough() {
    let peers = "{namespaces: {matchLabels: {team: nobody}}}, {networks: [203.0.113.0/24]}, {nodes: {}}";
    assert_eq!(to(peers, "203.0.113.9"), DENIED);
    assert_eq!(to(peers, "192.168.0.1"), DENIED);
    assert_eq!(to(peers, "db"), "open");
}
