//! Random admin policies, and the objects that they are.

use std::sync::Arc;

use foretell_policy::policy::admin_policy::AdminPolicy;
use foretell_policy::resource::object::origin::Origin;
use foretell_policy::resource::read::read;
use proptest::collection::{SizeRange, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::select;
use serde_json::{Value, json};

use super::generate::{PORT_NAMES, short};
use super::scene::{Act, Clause, Edict, EdictKind, Pods, Scene, Which, Whom};
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
pub(crate) fn edicts() -> impl Strategy<Value = Vec<Edict>> {
    prop_oneof![1 => Just(Vec::new()), 1 => vec(edict(), SizeRange::from(1..=3))].prop_map(|mut edicts| {
        let mut baseline = false;
        for (index, edict) in edicts.iter_mut().enumerate() {
            edict.name = NAMES[index];
            if edict.kind == EdictKind::Baseline {
                // There is but one.
                if baseline {
                    edict.kind = EdictKind::ClusterBaseline;
                } else {
                    (baseline, edict.name) = (true, "default");
                }
            }
        }
        edicts
    })
}

fn edict() -> impl Strategy<Value = Edict> {
    use EdictKind::{Admin, Baseline, ClusterAdmin, ClusterBaseline};
    let kind = select(&[Admin, Baseline, ClusterAdmin, ClusterBaseline][..]);
    (
        kind,
        0..3_i32,
        pods(),
        vec(clause(ingress_peer().boxed()), short(2)),
        vec(clause(egress_peer().boxed()), short(3)),
    )
        .prop_map(|(kind, priority, subject, mut ingress, mut egress)| {
            for clause in ingress.iter_mut().chain(&mut egress) {
                if kind == Baseline {
                    clause.act = if clause.act == Act::Pass { Act::Deny } else { clause.act };
                    clause.peers.retain(|whom| !matches!(whom, Whom::Domain));
                }
                // Only pods have named ports.
                if clause.peers.iter().any(|whom| !matches!(whom, Whom::Pods(_))) {
                    clause.ports.retain(|which| !matches!(which, Which::Named(_)));
                }
            }
            ingress.retain(|clause| !clause.peers.is_empty());
            egress.retain(|clause| !clause.peers.is_empty());
            Edict { kind, name: "", priority, subject, ingress, egress }
        })
}

fn pods() -> impl Strategy<Value = Pods> {
    let everywhere = Just(k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector::default());
    let namespaces = prop_oneof![1 => everywhere, 2 => namespace_selector()];
    (namespaces, option::weighted(0.4, pod_selector())).prop_map(|(namespaces, pods)| Pods { namespaces, pods })
}

fn clause(peer: BoxedStrategy<Whom>) -> impl Strategy<Value = Clause> {
    (select(&[Act::Accept, Act::Pass, Act::Deny][..]), vec(peer, SizeRange::from(1..=2)), vec(which(), short(2)))
        .prop_map(|(act, peers, ports)| Clause { act, peers, ports })
}

fn ingress_peer() -> impl Strategy<Value = Whom> {
    pods().prop_map(Whom::Pods)
}

fn egress_peer() -> impl Strategy<Value = Whom> {
    let networks = proptest::sample::subsequence(NETWORKS.to_vec(), 1..=2);
    prop_oneof![
        3 => pods().prop_map(Whom::Pods),
        2 => pod_selector().prop_map(Whom::Nodes),
        3 => networks.prop_map(Whom::Networks),
        1 => Just(Whom::Domain),
    ]
}

fn which() -> impl Strategy<Value = Which> {
    let protocol = || select(&["TCP", "UDP", "SCTP"][..]);
    prop_oneof![
        3 => (protocol(), 80..84_u16).prop_map(|(of, number)| Which::Numbers(of, number, number)),
        2 => (protocol(), 80..83_u16).prop_map(|(of, first)| Which::Numbers(of, first, first + 1)),
        1 => select(&PORT_NAMES[..]).prop_map(Which::Named),
    ]
}

/// As they are read out of manifests.
pub(crate) fn compiled(scene: &Scene) -> Vec<Arc<AdminPolicy>> {
    let policies = scene.edicts.iter().map(|edict| {
        let object = read(manifest(edict), &Origin::Manifest { default_namespace: "default".to_owned() });
        let object = object.unwrap_or_else(|error| panic!("{error}\n{edict:#?}")).unwrap();
        Arc::new(AdminPolicy::of(&object).unwrap())
    });
    policies.collect()
}

fn manifest(edict: &Edict) -> Value {
    let (version, kind) = match edict.kind {
        EdictKind::Admin => ("v1alpha1", "AdminNetworkPolicy"),
        EdictKind::Baseline => ("v1alpha1", "BaselineAdminNetworkPolicy"),
        EdictKind::ClusterAdmin => ("v1alpha2", "ClusterNetworkPolicy"),
        EdictKind::ClusterBaseline => ("v1beta1", "ClusterNetworkPolicy"),
    };
    let rules = |clauses: &[Clause], peers: &str| -> Vec<Value> {
        let rules = clauses.iter().map(|clause| rule(clause, edict.kind, peers));
        rules.collect()
    };
    let mut spec = json!({"subject": pods_manifest(&edict.subject)});
    spec["ingress"] = rules(&edict.ingress, "from").into();
    spec["egress"] = rules(&edict.egress, "to").into();
    match edict.kind {
        EdictKind::Admin => spec["priority"] = json!(edict.priority),
        EdictKind::Baseline => {}
        EdictKind::ClusterAdmin | EdictKind::ClusterBaseline => {
            spec["priority"] = json!(edict.priority);
            spec["tier"] = json!(if edict.kind == EdictKind::ClusterAdmin { "Admin" } else { "Baseline" });
        }
    }
    json!({
        "apiVersion": format!("policy.networking.k8s.io/{version}"), "kind": kind,
        "metadata": {"name": edict.name}, "spec": spec,
    })
}

fn pods_manifest(pods: &Pods) -> Value {
    match &pods.pods {
        None => json!({"namespaces": pods.namespaces}),
        Some(selector) => json!({"pods": {"namespaceSelector": pods.namespaces, "podSelector": selector}}),
    }
}

fn rule(clause: &Clause, kind: EdictKind, peers: &str) -> Value {
    let is_cluster = matches!(kind, EdictKind::ClusterAdmin | EdictKind::ClusterBaseline);
    let action = match clause.act {
        Act::Accept if is_cluster => "Accept",
        Act::Accept => "Allow",
        Act::Pass => "Pass",
        Act::Deny => "Deny",
    };
    let whom = clause.peers.iter().map(|whom| match whom {
        Whom::Pods(pods) => pods_manifest(pods),
        Whom::Nodes(labels) => json!({"nodes": labels}),
        Whom::Networks(networks) => json!({"networks": networks}),
        Whom::Domain => json!({"domainNames": ["*.example.com"]}),
    });
    let mut rule = json!({"action": action});
    rule[peers] = whom.collect();
    if !clause.ports.is_empty() {
        let ports = clause.ports.iter().map(|which| if is_cluster { cluster_port(which) } else { port(which) });
        rule[if is_cluster { "protocols" } else { "ports" }] = ports.collect();
    }
    rule
}

fn port(which: &Which) -> Value {
    match which {
        Which::Named(name) => json!({"namedPort": name}),
        // TCP may be left out.
        Which::Numbers("TCP", first, last) if first == last => json!({"portNumber": {"port": first}}),
        Which::Numbers(of, first, last) if first == last => json!({"portNumber": {"protocol": of, "port": first}}),
        Which::Numbers(of, first, last) => json!({"portRange": {"protocol": of, "start": first, "end": last}}),
    }
}

fn cluster_port(which: &Which) -> Value {
    match which {
        Which::Named(name) => json!({"destinationNamedPort": name}),
        Which::Numbers(of, first, last) => {
            let port =
                if first == last { json!({"number": first}) } else { json!({"range": {"start": first, "end": last}}) };
            let mut entry = json!({});
            entry[of.to_lowercase()] = json!({"destinationPort": port});
            entry
        }
    }
}
