//! Carries pods that are gone from one snapshot to the next, with their owners, namespaces and nodes, so that old flows can still
//! be attributed to the pods that had their addresses.
//!
//! A pod that is gone is marked with the last time at which it is known to have run: when the previous snapshot was taken, or when
//! the pod finished. It may have run longer, and its address may have been reused before the next snapshot, even by a pod that no
//! snapshot contains. Flows between the two snapshots are therefore only attributed to the pod if they name it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::cluster::pod;
use crate::cluster::pod::GONE_AT;
use crate::snapshot::text::{Snapshot, gone_at, kind, name, namespace};

/// Adds to `now` the pods of `former` that no longer exist, including those that were gone already, with the objects that they
/// refer to. Pods that were gone for longer than `keep` are dropped, and so are objects that no pod refers to any more.
pub fn add_gone(now: &mut Snapshot, former: Snapshot, keep: SignedDuration) {
    // The clock may have been set back in between.
    let seen = former.taken.min(now.taken);
    let oldest = now.taken.checked_sub(keep).unwrap_or(Timestamp::MIN);

    let mut before: BTreeMap<ObjectKey, Value> = BTreeMap::new();
    for object in former.objects {
        before.insert(ObjectKey::of(&object), object);
    }
    for object in &mut now.objects {
        let was = before.remove(&ObjectKey::of(object));
        mark_finished(object, was.as_ref(), seen);
    }
    let (mut pods, mut others) = (Vec::new(), Vec::new());
    for (_, mut object) in before {
        let Some(end) = last_seen(&object, seen) else { continue };
        mark(&mut object, end);
        match kind(&object) {
            "Pod" | "Service" if end < oldest => {}
            "Pod" => pods.push(object),
            _ => others.push(object),
        }
    }

    let needed = Needed::by(now.objects.iter().chain(&pods));
    let addresses: BTreeSet<(&str, &str)> = now.objects.iter().flat_map(own_addresses).collect();
    let is_reused = |object: &Value| own_addresses(object).iter().any(|address| addresses.contains(address));
    others.retain(|object| match kind(object) {
        // Flows to it lead to its pods, as long as no other object has its address.
        "Service" => !is_reused(object),
        "Node" => needed.nodes.contains(name(object)) && !is_reused(object),
        "Namespace" => needed.namespaces.contains(name(object)),
        "ReplicaSet" | "Job" => {
            needed.owners.contains(&(kind(object).to_owned(), namespace(object).to_owned(), name(object).to_owned()))
        }
        _ => false,
    });
    now.objects.extend(pods.into_iter().chain(others));
}

/// Identifies an object across snapshots. Pods of one name are distinguished by their UIDs, other objects are identified by their
/// names alone.
#[derive(PartialEq, Eq, PartialOrd, Ord)]
struct ObjectKey {
    kind: String,
    namespace: String,
    name: String,
    uid: Option<String>,
}

impl ObjectKey {
    fn of(object: &Value) -> Self {
        let uid = object["metadata"]["uid"].as_str().filter(|_| kind(object) == "Pod");
        Self {
            kind: kind(object).to_owned(),
            namespace: namespace(object).to_owned(),
            name: name(object).to_owned(),
            uid: uid.map(str::to_owned),
        }
    }
}

/// What kept pods refer to.
#[derive(Default)]
struct Needed<'a> {
    namespaces: BTreeSet<&'a str>,
    nodes: BTreeSet<&'a str>,
    /// Kind, namespace and name.
    owners: BTreeSet<(String, String, String)>,
}

impl<'a> Needed<'a> {
    fn by(objects: impl Iterator<Item = &'a Value>) -> Self {
        let mut needed = Self::default();
        for pod in objects.filter(|object| kind(object) == "Pod") {
            needed.namespaces.insert(namespace(pod));
            needed.nodes.extend(pod["spec"]["nodeName"].as_str());
            for owner in items(&pod["metadata"]["ownerReferences"]) {
                let text = |field: &str| owner[field].as_str().unwrap_or_default().to_owned();
                needed.owners.insert((text("kind"), namespace(pod).to_owned(), text("name")));
            }
        }
        needed
    }
}

/// Marks a pod that finished without the end times of its containers or without its address, as happens when it is evicted or its
/// node is lost. It is known to have run when a snapshot last contained it as running.
fn mark_finished(pod: &mut Value, was: Option<&Value>, seen: Timestamp) {
    let Some(was) = was.filter(|_| is_finished(pod)) else { return };
    if let (Some(status), Some(before)) = (pod["status"].as_object_mut(), was["status"].as_object()) {
        for field in ["podIP", "podIPs", "hostIP", "hostIPs", "startTime"] {
            if let (false, Some(value)) = (status.contains_key(field), before.get(field)) {
                status.insert(field.to_owned(), value.clone());
            }
        }
    }
    if last_container_end(pod).is_some() {
        return;
    }
    if let Some(end) = if is_finished(was) { gone_at(was) } else { Some(seen) } {
        mark(pod, end);
    }
}

/// When an object is last known to have existed. `None` for a pod that had finished before the first snapshot and has no times, so
/// it never ran.
fn last_seen(object: &Value, seen: Timestamp) -> Option<Timestamp> {
    if let Some(end) = gone_at(object) {
        return Some(end);
    }
    if !is_finished(object) {
        return Some(seen);
    }
    let started = || object["status"]["startTime"].as_str()?.parse().ok();
    last_container_end(object).or_else(started).map(|end: Timestamp| end.min(seen))
}

fn is_finished(object: &Value) -> bool {
    kind(object) == "Pod" && matches!(object["status"]["phase"].as_str(), Some("Succeeded" | "Failed"))
}

fn last_container_end(pod: &Value) -> Option<Timestamp> {
    pod::last_container_end(&serde_json::from_value(pod["status"].clone()).ok()?)
}

/// The addresses of a Service or a Node, each with the kind of the object.
fn own_addresses(object: &Value) -> Vec<(&str, &str)> {
    let (spec, status) = (&object["spec"], &object["status"]);
    let addresses: Vec<&Value> = match kind(object) {
        "Service" => [&spec["clusterIP"]]
            .into_iter()
            .chain(items(&spec["clusterIPs"]))
            .chain(items(&spec["externalIPs"]))
            .chain(items(&status["loadBalancer"]["ingress"]).map(|entry| &entry["ip"]))
            .collect(),
        "Node" => items(&status["addresses"]).map(|entry| &entry["address"]).collect(),
        _ => Vec::new(),
    };
    let texts = addresses.into_iter().filter_map(Value::as_str).filter(|address| !matches!(*address, "" | "None"));
    texts.map(|address| (kind(object), address)).collect()
}

fn items(list: &Value) -> impl Iterator<Item = &Value> {
    list.as_array().into_iter().flatten()
}

fn mark(object: &mut Value, end: Timestamp) {
    let Some(metadata) = object["metadata"].as_object_mut() else { return };
    let annotations = metadata.entry("annotations").or_insert_with(|| json!({}));
    if let Some(annotations) = annotations.as_object_mut() {
        annotations.insert(GONE_AT.to_owned(), end.to_string().into());
    }
}
