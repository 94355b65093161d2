//! Random admin policies, and their objects.

use std::sync::Arc;

use foretell_objects::resource::object::origin::Origin;
use foretell_objects::resource::read::read;
use foretell_policy::policy::admin_policy::AdminPolicy;
use proptest::collection::{SizeRange, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::generate::{PORT_NAMES, short};
use super::scene::{Action, AdminPeer, AdminPolicyKind, AdminPort, AdminRule, OracleAdminPolicy, Pods, Scene};
use super::specs::{namespace_selector, pod_selector};

const NAMES: [&str; 3] = ["first", "second", "third"];
const NETWORKS: [&str; 9] = [
    "10.0.0.0/24",
    "10.0.0.1/32",
    "10.0.0.2/31",
    "10.0.0.0/8",
    "192.168.0.0/16",
    "192.168.0.2/32",
    "203.0.113.0/24",
    "0.0.0.0/0",
    "fd00::/16",
];

/// Half of all scenes have none.
pub(crate) fn admin_policies() -> impl Strategy<Value = Vec<OracleAdminPolicy>> {
    prop_oneof![1 => Just(Vec::new()), 1 => vec(admin_policy(), SizeRange::from(1..=3))].prop_map(
        |mut admin_policies| {
            let mut baseline = false;
            for (index, admin_policy) in admin_policies.iter_mut().enumerate() {
                admin_policy.name = NAMES[index];
                if admin_policy.kind == AdminPolicyKind::Baseline {
                    // There is only one.
                    if baseline {
                        admin_policy.kind = AdminPolicyKind::ClusterBaseline;
                    } else {
                        (baseline, admin_policy.name) = (true, "default");
                    }
                }
            }
            admin_policies
        },
    )
}

fn admin_policy() -> impl Strategy<Value = OracleAdminPolicy> {
    use AdminPolicyKind::{Admin, Baseline, ClusterAdmin, ClusterBaseline};
    let kind = select(&[Admin, Baseline, ClusterAdmin, ClusterBaseline][..]);
    (kind, 0..3_i32, pods(), vec(rule(ingress_peer().boxed()), short(2)), vec(rule(egress_peer().boxed()), short(3)))
        .prop_map(|(kind, priority, subject, mut ingress, mut egress)| {
            for rule in ingress.iter_mut().chain(&mut egress) {
                if kind == Baseline {
                    rule.act = if rule.act == Action::Pass { Action::Deny } else { rule.act };
                    rule.peers.retain(|admin_peer| !matches!(admin_peer, AdminPeer::Domain));
                }
                // Only pods have named ports.
                if rule.peers.iter().any(|admin_peer| !matches!(admin_peer, AdminPeer::Pods(_))) {
                    rule.ports.retain(|which| !matches!(which, AdminPort::Named(_)));
                }
            }
            ingress.retain(|rule| !rule.peers.is_empty());
            egress.retain(|rule| !rule.peers.is_empty());
            OracleAdminPolicy { kind, name: "", priority, subject, ingress, egress }
        })
}

fn pods() -> impl Strategy<Value = Pods> {
    let everywhere = Just(k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector::default());
    let namespaces = prop_oneof![1 => everywhere, 2 => namespace_selector()];
    (namespaces, option::weighted(0.4, pod_selector())).prop_map(|(namespaces, pods)| Pods { namespaces, pods })
}

fn rule(peer: BoxedStrategy<AdminPeer>) -> impl Strategy<Value = AdminRule> {
    (
        select(&[Action::Accept, Action::Pass, Action::Deny][..]),
        vec(peer, SizeRange::from(1..=2)),
        vec(which(), short(2)),
    )
        .prop_map(|(act, peers, ports)| AdminRule { act, peers, ports })
}

fn ingress_peer() -> impl Strategy<Value = AdminPeer> {
    pods().prop_map(AdminPeer::Pods)
}

fn egress_peer() -> impl Strategy<Value = AdminPeer> {
    let networks = proptest::sample::subsequence(NETWORKS.to_vec(), 1..=2);
    prop_oneof![
        3 => pods().prop_map(AdminPeer::Pods),
        2 => pod_selector().prop_map(AdminPeer::Nodes),
        3 => networks.prop_map(AdminPeer::Networks),
        1 => Just(AdminPeer::Domain),
    ]
}

fn which() -> impl Strategy<Value = AdminPort> {
    let protocol = || select(&["TCP", "UDP", "SCTP"][..]);
    prop_oneof![
        3 => (protocol(), 80..84_u16).prop_map(|(of, number)| AdminPort::Numbers(of, number, number)),
        2 => (protocol(), 80..83_u16).prop_map(|(of, first)| AdminPort::Numbers(of, first, first + 1)),
        1 => select(&PORT_NAMES[..]).prop_map(AdminPort::Named),
    ]
}

/// The admin policies, read from their manifests.
pub(crate) fn compiled(scene: &Scene) -> Vec<Arc<AdminPolicy>> {
    let policies = scene.admin_policies.iter().map(|admin_policy| {
        let object = read(manifest(admin_policy), &Origin::Manifest { default_namespace: "default".to_owned() });
        let object = object.unwrap_or_else(|error| panic!("{error}\n{admin_policy:#?}")).unwrap();
        Arc::new(AdminPolicy::of(&object).unwrap())
    });
    policies.collect()
}

fn manifest(admin_policy: &OracleAdminPolicy) -> Value {
    let (version, kind) = match admin_policy.kind {
        AdminPolicyKind::Admin => ("v1alpha1", "AdminNetworkPolicy"),
        AdminPolicyKind::Baseline => ("v1alpha1", "BaselineAdminNetworkPolicy"),
        AdminPolicyKind::ClusterAdmin => ("v1alpha2", "ClusterNetworkPolicy"),
        AdminPolicyKind::ClusterBaseline => ("v1beta1", "ClusterNetworkPolicy"),
    };
    let rules = |rules: &[AdminRule], peers: &str| -> Vec<Value> {
        let rules = rules.iter().map(|rule| rule_manifest(rule, admin_policy.kind, peers));
        rules.collect()
    };
    let mut spec = json!({"subject": pods_manifest(&admin_policy.subject)});
    spec["ingress"] = rules(&admin_policy.ingress, "from").into();
    spec["egress"] = rules(&admin_policy.egress, "to").into();
    match admin_policy.kind {
        AdminPolicyKind::Admin => spec["priority"] = json!(admin_policy.priority),
        AdminPolicyKind::Baseline => {}
        AdminPolicyKind::ClusterAdmin | AdminPolicyKind::ClusterBaseline => {
            spec["priority"] = json!(admin_policy.priority);
            spec["tier"] = json!(if admin_policy.kind == AdminPolicyKind::ClusterAdmin { "Admin" } else { "Baseline" });
        }
    }
    json!({
        "apiVersion": format!("policy.networking.k8s.io/{version}"), "kind": kind,
        "metadata": {"name": admin_policy.name}, "spec": spec,
    })
}

fn pods_manifest(pods: &Pods) -> Value {
    match &pods.pods {
        None => json!({"namespaces": pods.namespaces}),
        Some(selector) => json!({"pods": {"namespaceSelector": pods.namespaces, "podSelector": selector}}),
    }
}

fn rule_manifest(rule: &AdminRule, kind: AdminPolicyKind, peers: &str) -> Value {
    let is_cluster = matches!(kind, AdminPolicyKind::ClusterAdmin | AdminPolicyKind::ClusterBaseline);
    let action = match rule.act {
        Action::Accept if is_cluster => "Accept",
        Action::Accept => "Allow",
        Action::Pass => "Pass",
        Action::Deny => "Deny",
    };
    let admin_peer = rule.peers.iter().map(|admin_peer| match admin_peer {
        AdminPeer::Pods(pods) => pods_manifest(pods),
        AdminPeer::Nodes(labels) => json!({"nodes": labels}),
        AdminPeer::Networks(networks) => json!({"networks": networks}),
        AdminPeer::Domain => json!({"domainNames": ["*.example.com"]}),
    });
    let mut manifest = json!({"action": action});
    manifest[peers] = admin_peer.collect();
    if !rule.ports.is_empty() {
        let ports = rule.ports.iter().map(|which| if is_cluster { cluster_port(which) } else { port(which) });
        manifest[if is_cluster { "protocols" } else { "ports" }] = ports.collect();
    }
    manifest
}

fn port(which: &AdminPort) -> Value {
    match which {
        AdminPort::Named(name) => json!({"namedPort": name}),
        // TCP may be left out.
        AdminPort::Numbers("TCP", first, last) if first == last => json!({"portNumber": {"port": first}}),
        AdminPort::Numbers(of, first, last) if first == last => json!({"portNumber": {"protocol": of, "port": first}}),
        AdminPort::Numbers(of, first, last) => json!({"portRange": {"protocol": of, "start": first, "end": last}}),
    }
}

fn cluster_port(which: &AdminPort) -> Value {
    match which {
        AdminPort::Named(name) => json!({"destinationNamedPort": name}),
        AdminPort::Numbers(of, first, last) => {
            let port =
                if first == last { json!({"number": first}) } else { json!({"range": {"start": first, "end": last}}) };
            let mut entry = json!({});
            entry[of.to_lowercase()] = json!({"destinationPort": port});
            entry
        }
    }
}
