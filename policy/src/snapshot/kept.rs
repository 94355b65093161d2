//! What a snapshot keeps of an object: the fields that the engine reads, and no other. Commands, environments, images,
//! annotations of others and all that a controller notes down stay in the cluster.
//!
//! Of a manifest that is to be judged elsewhere a pod template is kept besides: it is what the manifest says of pods.
//!
//! Whoever teaches the engine to read another field of a live object adds it here; `tests/snapshot` compares what the engine
//! makes of objects before and after.

use serde_json::{Map, Value};

use crate::resource::object::{Kind, Object};

/// Paths to what is kept, with all that is below them. `*` is any item of a list; a key that ends in `/*` is any with this
/// prefix.
type Fields = &'static [&'static [&'static str]];

const EVERY_KIND: Fields = &[
    &["apiVersion"],
    &["kind"],
    &["metadata", "name"],
    &["metadata", "namespace"],
    &["metadata", "annotations", "foretell.dev/*"],
];
const NAMESPACE: Fields = &[&["metadata", "labels"]];
const NODE: Fields = &[
    // Rules of administrators select nodes by them.
    &["metadata", "labels"],
    &["spec", "podCIDR"],
    &["spec", "podCIDRs"],
    &["status", "addresses", "*", "type"],
    &["status", "addresses", "*", "address"],
];
const POD: Fields = &[
    &["metadata", "uid"],
    &["metadata", "labels"],
    // A static pod's cgroup is named after it.
    &["metadata", "annotations", "kubernetes.io/config.hash"],
    &["metadata", "ownerReferences", "*", "kind"],
    &["metadata", "ownerReferences", "*", "name"],
    &["metadata", "ownerReferences", "*", "controller"],
    &["spec", "hostNetwork"],
    &["spec", "nodeName"],
    &["spec", "containers", "*", "ports", "*", "name"],
    &["spec", "containers", "*", "ports", "*", "containerPort"],
    &["spec", "containers", "*", "ports", "*", "protocol"],
    &["spec", "initContainers", "*", "restartPolicy"],
    &["spec", "initContainers", "*", "ports", "*", "name"],
    &["spec", "initContainers", "*", "ports", "*", "containerPort"],
    &["spec", "initContainers", "*", "ports", "*", "protocol"],
    &["status", "phase"],
    &["status", "startTime"],
    &["status", "podIP"],
    &["status", "podIPs", "*", "ip"],
    &["status", "hostIP"],
    &["status", "hostIPs", "*", "ip"],
    &["status", "conditions", "*", "type"],
    &["status", "conditions", "*", "status"],
    &["status", "containerStatuses", "*", "state", "terminated", "finishedAt"],
    &["status", "initContainerStatuses", "*", "state", "terminated", "finishedAt"],
];
const SERVICE: Fields = &[
    &["spec", "type"],
    &["spec", "selector"],
    &["spec", "clusterIP"],
    &["spec", "clusterIPs"],
    &["spec", "externalIPs"],
    &["spec", "ports", "*", "name"],
    &["spec", "ports", "*", "protocol"],
    &["spec", "ports", "*", "port"],
    &["spec", "ports", "*", "targetPort"],
    &["status", "loadBalancer", "ingress", "*", "ip"],
];
const ENDPOINT_SLICE: Fields = &[
    &["metadata", "labels", "kubernetes.io/service-name"],
    &["addressType"],
    &["endpoints", "*", "addresses"],
    &["endpoints", "*", "conditions", "ready"],
    &["endpoints", "*", "targetRef", "kind"],
    &["endpoints", "*", "targetRef", "namespace"],
    &["endpoints", "*", "targetRef", "name"],
    &["ports", "*", "name"],
    &["ports", "*", "protocol"],
    &["ports", "*", "port"],
];
/// Of what makes pods, whose it is: its pods themselves tell the rest.
const CONTROLLER: Fields = &[
    &["metadata", "ownerReferences", "*", "kind"],
    &["metadata", "ownerReferences", "*", "name"],
    &["metadata", "ownerReferences", "*", "controller"],
];
const POLICY: Fields = &[&["spec"]];

/// What a manifest says of the pods that are to come, below their template.
const TEMPLATE: Fields = &[
    &["metadata", "labels"],
    &["spec", "hostNetwork"],
    &["spec", "containers", "*", "name"],
    &["spec", "containers", "*", "ports"],
    &["spec", "initContainers", "*", "name"],
    &["spec", "initContainers", "*", "restartPolicy"],
    &["spec", "initContainers", "*", "ports"],
];

/// What is kept of a manifest of this kind.
#[must_use]
pub fn strip_manifest(object: Value, kind: Kind) -> Value {
    let place: &[&str] = match kind {
        Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet | Kind::ReplicaSet | Kind::Job => &["spec", "template"],
        Kind::CronJob => &["spec", "jobTemplate", "spec", "template"],
        Kind::Pod => &[],
        _ => return strip(object, Some(kind)),
    };
    let below: Vec<Vec<&str>> = TEMPLATE.iter().map(|path| [place, path].concat()).collect();
    let fields: Vec<&[&str]> =
        EVERY_KIND.iter().chain(fields(Some(kind))).copied().chain(below.iter().map(Vec::as_slice)).collect();
    keep(object, &fields).unwrap_or_default()
}

/// What a snapshot keeps of an object of this kind. `None`: a policy of a kind that the engine does not read.
#[must_use]
pub fn strip(object: Value, kind: Option<Kind>) -> Value {
    let fields: Vec<&[&str]> = EVERY_KIND.iter().chain(fields(kind)).copied().collect();
    let mut kept = keep(object, &fields).unwrap_or_default();
    if kind == Some(Kind::Pod)
        && let Some(Value::Array(conditions)) = kept.pointer_mut("/status/conditions")
    {
        conditions.retain(|condition| condition["type"] == "Ready");
    }
    kept
}

fn fields(kind: Option<Kind>) -> Fields {
    match kind {
        Some(Kind::Namespace) => NAMESPACE,
        Some(Kind::Node) => NODE,
        Some(Kind::Pod) => POD,
        Some(Kind::Service) => SERVICE,
        Some(Kind::EndpointSlice) => ENDPOINT_SLICE,
        Some(Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet | Kind::ReplicaSet | Kind::Job | Kind::CronJob) => {
            CONTROLLER
        }
        Some(
            Kind::NetworkPolicy
            | Kind::AuditNetworkPolicy
            | Kind::AuditClusterNetworkPolicy
            | Kind::AuditException
            | Kind::AdminNetworkPolicy
            | Kind::BaselineAdminNetworkPolicy
            | Kind::ClusterNetworkPolicy,
        )
        | None => POLICY,
    }
}

/// `None` where nothing is left. A null that an API server wrote for an empty list says nothing either.
fn keep(value: Value, fields: &[&[&str]]) -> Option<Value> {
    if fields.iter().any(|path| path.is_empty()) {
        return Some(value).filter(|value| !value.is_null());
    }
    match value {
        Value::Object(entries) => {
            let kept: Map<String, Value> = entries
                .into_iter()
                .filter_map(|(key, value)| {
                    let below = below(fields, |name| is_named(&key, name));
                    Some((key, keep(value, &below)?))
                })
                .collect();
            (!kept.is_empty()).then(|| kept.into())
        }
        Value::Array(items) => {
            let below = below(fields, |name| name == "*");
            let kept: Vec<Value> = items.into_iter().filter_map(|item| keep(item, &below)).collect();
            (!kept.is_empty()).then(|| kept.into())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn below<'f>(fields: &[&'f [&'f str]], is_step: impl Fn(&str) -> bool) -> Vec<&'f [&'f str]> {
    fields
        .iter()
        .filter_map(|path| path.split_first())
        .filter(|(name, _)| is_step(name))
        .map(|(_, rest)| rest)
        .collect()
}

fn is_named(key: &str, name: &str) -> bool {
    match name.strip_suffix('*') {
        Some(prefix) if prefix.ends_with('/') => key.starts_with(prefix),
        _ => key == name,
    }
}

impl Object {
    /// As JSON, without the fields that the engine does not read, `apiVersion` and `kind` included:
    /// [`read`](crate::resource::read::read) reads it again.
    ///
    /// # Errors
    /// Never for what [`read`](crate::resource::read::read) returned.
    pub fn to_manifest(&self) -> Result<Value, serde_json::Error> {
        let mut value = self.to_json()?;
        let kind = self.kind();
        value["apiVersion"] = kind.api_version().into();
        value["kind"] = kind.name().into();
        Ok(strip_manifest(value, kind))
    }
}
