//! How many flows a second one core judges: every verdict with its reason and its sentence, as `foretell evaluate` writes them.
//!
//! `cargo bench -p foretell-policy --bench engine`. The data is made by arithmetic, the same in every run:
//! - 200 namespaces with 100 pods each, on 200 nodes: ten apps of ten pods, two tiers, a named port, two labels more.
//! - 5,000 audit policies, 25 a namespace: twenty that select one app (two an app; one for ingress and one for egress, of two
//!   or three rules by pod labels, by namespace and pod labels, by `ipBlock` with `except`, on numbers, ranges and named
//!   ports), three that select a tier, and two that select everything (ingress denied; egress for DNS and the outside). About
//!   five and a half hold for a pod.
//! - A Service for every app: 2,000 of ten backends each.
//! - 100,000 flows: 60 % from pod to pod, half of them within a namespace; 15 % to a Service's address; 10 % to and 10 % from
//!   outside; 5 % from a node. Each names its ends by address alone, so that resolving them is part of the figure.
//!
//! Reading of objects and flows lies outside the clock; compiling policies, indexing the cluster and building the world are
//! measured apart.
//!
//! Measured so, on two cores that other builds kept busy: 88,000 flows/s (485,433 verdicts); compiling 20 ms, indexing 107 ms, building the world 40 ms.
//!
//! What others reach on a cluster, policies and traffic of these sizes on one core of the same two-core machine:
//! kguardian's matcher 3,261 flows/s (all verdicts; policies of both namespaces and all cluster policies),
//! kube-network-policies' engine 17,061 (accept or deny only), policy-assistant's matcher 11,545 (accept or deny only, with
//! everything resolved outside the clock).
#![expect(clippy::unwrap_used, reason = "the data is made here")]

use std::hint::black_box;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use foretell_policy::cluster::Cluster;
use foretell_policy::compiled::Policy;
use foretell_policy::evaluation::evaluate;
use foretell_policy::flow::{Endpoint, Flow, Protocol};
use foretell_policy::object::{Object, Origin, read};
use foretell_policy::population::Population;
use foretell_policy::world::World;
use jiff::Timestamp;
use serde_json::{Value, json};

const NAMESPACES: u32 = 200;
const PODS: u32 = 100;
const APPS: u32 = 10;
const FLOWS: u32 = 100_000;

fn object(value: Value) -> Object {
    read(value, &Origin::Cluster).unwrap().unwrap()
}

fn address(namespace: u32, pod: u32) -> IpAddr {
    let octet = |number: u32| u8::try_from(number).unwrap();
    IpAddr::V4(Ipv4Addr::new(10, 1, octet(namespace), octet(pod + 1)))
}

fn service_address(namespace: u32, app: u32) -> IpAddr {
    let octet = |number: u32| u8::try_from(number).unwrap();
    IpAddr::V4(Ipv4Addr::new(10, 96, octet(namespace), octet(app + 1)))
}

fn node_address(node: u32) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(192, 168, 0, u8::try_from(node).unwrap()))
}

fn cluster_objects() -> Vec<Object> {
    let mut objects = Vec::new();
    for namespace in 0..NAMESPACES {
        let name = format!("ns-{namespace}");
        objects.push(object(json!({"apiVersion": "v1", "kind": "Namespace",
            "metadata": {"name": name, "labels": {"team": format!("team-{}", namespace % 20)}}})));
        objects.push(object(
            json!({"apiVersion": "v1", "kind": "Node", "metadata": {"name": format!("node-{namespace}")},
            "spec": {"podCIDR": format!("10.1.{namespace}.0/24")},
            "status": {"addresses": [{"type": "InternalIP", "address": node_address(namespace)}]}}),
        ));
        for app in 0..APPS {
            objects.push(object(json!({"apiVersion": "v1", "kind": "Service",
                "metadata": {"name": format!("app-{app}"), "namespace": name},
                "spec": {"clusterIP": service_address(namespace, app), "selector": {"app": format!("app-{app}")},
                    "ports": [{"port": 80, "targetPort": "http"}]}})));
        }
        for pod in 0..PODS {
            let app = pod % APPS;
            objects.push(object(json!({"apiVersion": "v1", "kind": "Pod",
                "metadata": {"name": format!("pod-{pod}"), "namespace": name, "uid": format!("{namespace}-{pod}"),
                    "labels": {"app": format!("app-{app}"), "tier": format!("tier-{}", app % 2), "release": "stable",
                        "pod-template-hash": "6d4cf"},
                    "ownerReferences": [{"apiVersion": "apps/v1", "kind": "ReplicaSet", "controller": true,
                        "name": format!("app-{app}-6d4cf"), "uid": "u"}]},
                "spec": {"nodeName": format!("node-{namespace}"),
                    "containers": [{"name": "app", "image": "app", "ports": [{"name": "http", "containerPort": 8080}]}]},
                "status": {"phase": "Running", "podIP": address(namespace, pod), "startTime": "2026-11-01T00:00:00Z"}})));
        }
    }
    objects
}

fn policy_objects() -> Vec<Object> {
    let mut objects = Vec::new();
    for namespace in 0..NAMESPACES {
        let mut add = |name: String, spec: Value| {
            objects.push(object(json!({"apiVersion": "kguardian.dev/v1alpha1", "kind": "AuditNetworkPolicy",
                "metadata": {"name": name, "namespace": format!("ns-{namespace}")}, "spec": spec})));
        };
        for app in 0..APPS {
            let pods = |app: u32| json!({"matchLabels": {"app": format!("app-{}", app % APPS)}});
            let team = json!({"matchLabels": {"team": format!("team-{}", app % 20)}});
            add(
                format!("app-{app}-ingress"),
                json!({"podSelector": pods(app), "policyTypes": ["Ingress"], "ingress": [
                    {"from": [{"podSelector": pods(app + 1)}, {"podSelector": pods(app + 2)}], "ports": [{"port": "http"}]},
                    {"from": [{"namespaceSelector": team, "podSelector": {"matchExpressions":
                        [{"key": "app", "operator": "In", "values": ["app-1", "app-2", "app-3"]}]}}],
                        "ports": [{"port": 8000, "endPort": 8100}]},
                    {"from": [{"ipBlock": {"cidr": "203.0.113.0/24", "except": ["203.0.113.128/25"]}}]}]}),
            );
            add(
                format!("app-{app}-egress"),
                json!({"podSelector": pods(app), "policyTypes": ["Egress"], "egress": [
                    {"to": [{"podSelector": pods(app + 9)}], "ports": [{"port": 8080}]},
                    {"to": [{"namespaceSelector": {}, "podSelector": pods(app + 5)}]}]}),
            );
        }
        for (number, tier) in ["tier-0", "tier-1", "tier-0"].iter().enumerate() {
            add(
                format!("tier-{number}"),
                json!({"podSelector": {"matchLabels": {"tier": tier}}, "ingress": [
                    {"from": [{"namespaceSelector": {"matchLabels": {"team": format!("team-{}", namespace % 20)}}}]},
                    {"from": [{"podSelector": {"matchExpressions": [{"key": "canary", "operator": "DoesNotExist"}]}}],
                        "ports": [{"protocol": "TCP", "port": 8080}]}]}),
            );
        }
        add("default-deny".to_owned(), json!({"podSelector": {}, "policyTypes": ["Ingress"]}));
        add(
            "default-egress".to_owned(),
            json!({"podSelector": {}, "policyTypes": ["Egress"], "egress": [
                {"to": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "ns-0"}}}],
                    "ports": [{"protocol": "UDP", "port": 53}]},
                {"to": [{"ipBlock": {"cidr": "0.0.0.0/0", "except": ["10.0.0.0/8", "192.168.0.0/16"]}}]}]}),
        );
    }
    objects
}

/// A generator good enough to scatter flows, and the same on every machine.
struct Numbers(u64);

impl Numbers {
    fn below(&mut self, limit: u32) -> u32 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        u32::try_from((self.0 >> 33) % u64::from(limit)).unwrap()
    }
}

fn flows() -> Vec<Flow> {
    let mut numbers = Numbers(7);
    let at: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
    let outside = |number: u32| IpAddr::V4(Ipv4Addr::new(203, 0, 113, u8::try_from(number).unwrap()));
    let mut flows = Vec::new();
    for _ in 0..FLOWS {
        let (namespace, pod) = (numbers.below(NAMESPACES), numbers.below(PODS));
        let here = address(namespace, pod);
        let other_namespace = if numbers.below(2) == 0 { namespace } else { numbers.below(NAMESPACES) };
        let (src, dst, port) = match numbers.below(100) {
            0..60 => {
                (here, address(other_namespace, numbers.below(PODS)), [8080, 8080, 9090][numbers.below(3) as usize])
            }
            60..75 => (here, service_address(other_namespace, numbers.below(APPS)), 80),
            75..85 => (here, outside(numbers.below(256)), 443),
            85..95 => (outside(numbers.below(256)), here, 8080),
            _ => (node_address(numbers.below(NAMESPACES)), here, 8080),
        };
        flows.push(Flow {
            start: at,
            end: at,
            node: None,
            observed: None,
            src: Endpoint::address(src),
            dst: Endpoint::address(dst),
            protocol: Protocol::Tcp,
            port,
            outcome: None,
            guessed: false,
            connections: 1,
            packets: 10,
            bytes: 1000,
        });
    }
    flows
}

fn engine(criterion: &mut Criterion) {
    let (objects, policy_objects, flows) = (cluster_objects(), policy_objects(), flows());
    let compile = || policy_objects.iter().filter_map(Policy::of).map(Arc::new).collect::<Vec<_>>();
    let policies = compile();
    let cluster = Cluster::build(&objects);
    let population = Arc::new(Population::as_recorded(&cluster));
    let world = World::new(Arc::clone(&population), policies.clone());
    let judge = || flows.iter().map(|flow| black_box(evaluate(&world, flow, 0)).lines.len()).sum::<usize>();
    println!("{} policies, {} flows, {} verdicts", policies.len(), flows.len(), judge());

    let mut group = criterion.benchmark_group("engine");
    group.sample_size(10);
    group.bench_function("compile 5,000 policies", |bencher| bencher.iter(compile));
    group.bench_function("index 20,000 pods", |bencher| bencher.iter(|| Cluster::build(&objects)));
    group.bench_function("build the world", |bencher| {
        bencher.iter(|| World::new(Arc::new(Population::as_recorded(&cluster)), policies.clone()));
    });
    group.throughput(Throughput::Elements(u64::from(FLOWS)));
    group.bench_function("judge 100,000 flows", |bencher| bencher.iter(judge));
    group.finish();
}

criterion_group!(benches, engine);
criterion_main!(benches);
