//! The shop's files fit together: the scenario plays in the snapshot, and the snapshot is a cluster of the repository.

#![expect(clippy::panic, clippy::unwrap_used, reason = "a test panics where it fails")]

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};

use foretell_demo::cast::{Families, cast};
use foretell_demo::pod;
use foretell_demo::scenario::Scenario;
use foretell_demo::template::{Times, fill};
use jiff::Timestamp;
use serde_json::Value;

fn shop() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../shop")
}

fn read(path: impl AsRef<Path>) -> String {
    let path = shop().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

fn snapshot() -> String {
    let start: Timestamp = "2026-11-21T08:00:00Z".parse().unwrap();
    fill(&read("snapshot.yaml"), &Times { start, job_start: start, job_end: start }).unwrap()
}

fn documents(text: &str) -> Vec<Value> {
    serde_saphyr::from_multiple(text).unwrap()
}

fn repository(part: &str) -> Vec<Value> {
    let mut folders = vec![shop().join("repository").join(part)];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                found.extend(documents(&read(path)));
            }
        }
    }
    found
}

fn find<'a>(documents: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = documents.iter().find(|document| document["kind"] == kind && document["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}

#[test]
fn the_scenario_plays_in_the_snapshot() {
    let scenario = Scenario::read(&read("traffic.yaml")).unwrap();
    let pods = pod::read(&snapshot()).unwrap();
    let cast = cast(&scenario, &pods, Families::V4AndV6).unwrap();
    // Every pod, the job's left out, and the kubelet and the world outside.
    assert_eq!(cast.parts.len(), pods.len() - 1 + 2);
    assert!(cast.job.name.starts_with("settlement-"));
}

#[test]
fn every_workload_listens_where_its_manifest_says() {
    let scenario = Scenario::read(&read("traffic.yaml")).unwrap();
    let base = repository("base");
    for server in &scenario.servers {
        let kind = if server.workload.name == "postgres" { "StatefulSet" } else { "Deployment" };
        let manifest = find(&base, kind, &server.workload.name);
        let ports = manifest["spec"]["template"]["spec"]["containers"][0]["ports"].as_array().unwrap();
        let ports: Vec<String> = ports
            .iter()
            .map(|port| format!("{}/{}", port["containerPort"], port["protocol"].as_str().unwrap_or("TCP")))
            .collect();
        let listens: Vec<String> = server.ports.iter().map(ToString::to_string).collect();
        assert_eq!(listens, ports, "{}", server.workload);
    }
}

#[test]
fn the_snapshots_pods_are_those_of_the_repository() {
    let base = repository("base");
    let snapshot = documents(&snapshot());
    let mut expected: BTreeMap<String, u64> = BTreeMap::new();
    for workload in &base {
        let template = match workload["kind"].as_str() {
            Some("Deployment" | "StatefulSet") => &workload["spec"]["template"],
            Some("CronJob") => &workload["spec"]["jobTemplate"]["spec"]["template"],
            _ => continue,
        };
        let name = workload["metadata"]["name"].as_str().unwrap();
        expected.insert(name.to_owned(), workload["spec"]["replicas"].as_u64().unwrap_or(1));
        let labels = template["metadata"]["labels"].as_object().unwrap();
        let pods: Vec<&Value> = snapshot
            .iter()
            .filter(|document| document["kind"] == "Pod")
            .filter(|pod| pod["metadata"]["namespace"] == workload["metadata"]["namespace"])
            .filter(|pod| labels.iter().all(|(key, value)| pod["metadata"]["labels"][key] == *value))
            .collect();
        assert_eq!(u64::try_from(pods.len()).unwrap(), expected[name], "{name}");
        for pod in pods {
            let (container, declared) = (&pod["spec"]["containers"][0], &template["spec"]["containers"][0]);
            assert_eq!(container["image"], declared["image"], "{name}");
            let ports = |container: &Value| -> Vec<(String, u64)> {
                let ports = container["ports"].as_array().cloned().unwrap_or_default();
                let port =
                    |port: &Value| (port["name"].as_str().unwrap().to_owned(), port["containerPort"].as_u64().unwrap());
                ports.iter().map(port).collect()
            };
            assert_eq!(ports(container), ports(declared), "{name}");
        }
    }
    assert_eq!(expected.len(), 8);
}

#[test]
fn the_clusters_policies_are_those_of_the_repository() {
    let (base, snapshot) = (repository("base"), documents(&snapshot()));
    for (kind, name) in [("AuditNetworkPolicy", "payments-ingress"), ("NetworkPolicy", "postgres")] {
        assert_eq!(find(&snapshot, kind, name), find(&base, kind, name));
    }
}

#[test]
fn the_pull_request_promotes_exactly_what_was_audited_and_the_mended_one_adds_two_rules() {
    let (base, promote, mended) = (repository("base"), repository("promote"), repository("mended"));
    let audited = &find(&base, "AuditNetworkPolicy", "payments-ingress")["spec"];
    let promoted = &find(&promote, "NetworkPolicy", "payments-ingress")["spec"];
    let mended = &find(&mended, "NetworkPolicy", "payments-ingress")["spec"];
    assert_eq!(audited, promoted);
    let rules = |spec: &Value| spec["ingress"].as_array().unwrap().clone();
    assert_eq!(rules(mended)[..1], rules(promoted));
    assert_eq!(rules(mended).len(), 3);
}
