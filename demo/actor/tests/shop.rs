//! The shop's files are consistent: every called Service exists, and the recorded cluster matches the repository.
#![allow(clippy::panic, clippy::unwrap_used, reason = "tests fail by panicking")]

mod files;

use std::collections::BTreeSet;

use clap::Parser as _;
use files::{documents, find, repository, snapshot, template};
use foretell_demo::args::Args;
use foretell_demo::port::Protocol;
use foretell_policy::cluster::inventory::Cluster;
use serde_json::Value;

/// A container of the shop with its arguments.
struct Container {
    namespace: String,
    workload: String,
    args: Args,
    /// The declared ports, in the form of `--listen`.
    ports: BTreeSet<String>,
}

fn containers() -> Vec<Container> {
    let mut objects = repository("base");
    objects.extend(documents("shop/netshoot.yaml"));
    let mut found = Vec::new();
    for object in &objects {
        let pod = if object["kind"] == "Pod" { Some(object) } else { template(object) };
        for container in pod.iter().flat_map(|pod| pod["spec"]["containers"].as_array().unwrap()) {
            let args = container["args"].as_array().unwrap().iter().map(|arg| arg.as_str().unwrap());
            let ports = container["ports"].as_array().into_iter().flatten();
            let ports =
                ports.map(|port| format!("{}/{}", port["containerPort"], port["protocol"].as_str().unwrap_or("TCP")));
            found.push(Container {
                namespace: object["metadata"]["namespace"].as_str().unwrap().to_owned(),
                workload: object["metadata"]["name"].as_str().unwrap().to_owned(),
                args: Args::try_parse_from(["foretell-demo"].into_iter().chain(args)).unwrap(),
                ports: ports.collect(),
            });
        }
    }
    assert_eq!(found.len(), 8);
    found
}

#[test]
fn every_workload_listens_where_it_declares_ports() {
    for container in containers() {
        let listens: BTreeSet<String> = container.args.listen.iter().map(ToString::to_string).collect();
        assert_eq!(listens, container.ports, "{}", container.workload);
    }
}

#[test]
fn every_call_is_to_a_service_of_the_shop_or_an_outside_address() {
    let base = repository("base");
    for container in containers() {
        for call in &container.args.call {
            if call.name.parse::<std::net::IpAddr>().is_ok() {
                assert_eq!((call.name.as_str(), container.workload.as_str()), ("203.0.113.200", "payments"));
                continue;
            }
            let (name, namespace) = call.name.split_once('.').unwrap_or((&call.name, &container.namespace));
            let service = find(&base, "Service", name);
            assert_eq!(service["metadata"]["namespace"], namespace, "{call} of {}", container.workload);
            assert_eq!(call.port.protocol, Protocol::Tcp);
            let ports = service["spec"]["ports"].as_array().unwrap();
            let is_open = ports.iter().any(|port| port["port"] == call.port.number);
            let is_expected = call.expected == foretell_demo::args::Expected::Answer;
            assert_eq!(is_open, is_expected, "{call} of {}", container.workload);
        }
    }
}

#[test]
fn the_recorded_pods_match_the_repository() {
    let cluster = Cluster::build(&snapshot());
    for object in repository("base") {
        let Some(template) = template(&object) else { continue };
        let name = object["metadata"]["name"].as_str().unwrap();
        let pods: Vec<_> = cluster.pods().filter(|(_, pod)| pod.workload.name == name).map(|(_, pod)| pod).collect();
        assert_eq!(pods.len() as u64, object["spec"]["replicas"].as_u64().unwrap_or(1), "{name}");
        let declared = template["spec"]["containers"][0]["ports"].as_array().cloned().unwrap_or_default();
        let declared: BTreeSet<u64> = declared.iter().map(|port| port["containerPort"].as_u64().unwrap()).collect();
        for pod in pods {
            assert_eq!(pod.workload.kind, object["kind"].as_str().unwrap());
            assert_eq!(pod.namespace, object["metadata"]["namespace"].as_str().unwrap());
            for (key, value) in template["metadata"]["labels"].as_object().unwrap() {
                assert_eq!(pod.labels.get(key).map(String::as_str), value.as_str(), "{name}");
            }
            assert_eq!(
                pod.ports.iter().map(|port| u64::from(port.number)).collect::<BTreeSet<_>>(),
                declared,
                "{name}"
            );
        }
    }
}

#[test]
fn the_recorded_policies_match_the_repository() {
    let (base, snapshot) = (repository("base"), documents("recorded/snapshot.yaml"));
    for (kind, name) in [("AuditNetworkPolicy", "payments-ingress"), ("NetworkPolicy", "postgres")] {
        assert_eq!(find(&snapshot, kind, name)["spec"], find(&base, kind, name)["spec"]);
    }
}

#[test]
fn the_pull_request_promotes_the_audit_policy_unchanged_and_the_fix_adds_two_rules() {
    let (base, promote, fixed) = (repository("base"), repository("promote"), repository("fixed"));
    let audited = &find(&base, "AuditNetworkPolicy", "payments-ingress")["spec"];
    let promoted = &find(&promote, "NetworkPolicy", "payments-ingress")["spec"];
    let fixed = &find(&fixed, "NetworkPolicy", "payments-ingress")["spec"];
    assert_eq!(audited, promoted);
    let rules = |spec: &Value| spec["ingress"].as_array().unwrap().clone();
    assert_eq!(rules(fixed)[..1], rules(promoted));
    assert_eq!(rules(fixed).len(), 3);
}
