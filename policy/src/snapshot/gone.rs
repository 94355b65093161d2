//! What a snapshot keeps of the one before it: pods that have gone, so that a week of flows still finds who had an address,
//! and what tells whose they were.
//!
//! A pod is marked with the last time at which it is known to have lived, which is when the former snapshot was taken, or
//! when it finished. It may have lived on for a while, and then nothing tells for how long: until the next snapshot its
//! address may have been another's, even one's that came and went unseen. So between the two a flow is laid at the pod only
//! where the flow itself names it.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::cluster::pod::{self, GONE_AT};
use crate::snapshot::text::{Snapshot, gone_at, kind, name, namespace};

/// Adds to `now` what was in `former`, or had gone before it, and is no longer there. Pods that went longer than `keep` before
/// `now` are left out, and with the last of them its owner, namespace and node.
pub fn add_gone(now: &mut Snapshot, former: Snapshot, keep: SignedDuration) {
    // A clock may have been set back in between.
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
    let is_taken = |object: &Value| own_addresses(object).iter().any(|address| addresses.contains(address));
    others.retain(|object| match kind(object) {
        // Calls of it lead to its pods, while nobody else has its address.
        "Service" => !is_taken(object),
        "Node" => needed.nodes.contains(name(object)) && !is_taken(object),
        "Namespace" => needed.namespaces.contains(name(object)),
        "ReplicaSet" | "Job" => {
            needed.owners.contains(&(kind(object).to_owned(), namespace(object).to_owned(), name(object).to_owned()))
        }
        _ => false,
    });
    now.objects.extend(pods.into_iter().chain(others));
}

/// What makes an object the same one later: pods of one name are told apart by their UIDs. Of anything else the one that is
/// there stands for those of its name.
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

/// A pod that was evicted or whose node was lost may finish without a word on when its containers ended, or which address it
/// had: it is known to have lived when it was last seen running.
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

/// When an object is last known to have been there. `None`: a pod that had finished before it was ever seen and tells no time
/// at all, so it never ran.
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

/// The addresses by which a Service or a Node is known, each with its kind.
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
