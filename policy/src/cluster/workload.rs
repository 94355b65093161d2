//! The workload that a pod belongs to, by the name that a person would give it.

use std::collections::HashMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use foretell_objects::resource::kubernetes as core;
use foretell_objects::resource::object::Object;

/// The controller that owns a pod; a pod without one is its own workload.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Workload {
    /// Namespace.
    pub namespace: String,
    /// `Deployment`, `StatefulSet`, ...; `Pod` for a pod without a controller, and for a static one.
    pub kind: String,
    /// Name.
    pub name: String,
}

/// `Deployment/checkout`, without the namespace.
impl fmt::Display for Workload {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind, self.name)
    }
}

impl Workload {
    /// The workloads that an object shows to exist: the controller that it is, and the one that owns it.
    #[must_use]
    pub fn controllers(object: &Object) -> Vec<Self> {
        if !object.kind().is_workload() {
            return Vec::new();
        }
        let (kind, metadata) = (object.kind().name(), object.metadata());
        let workload = |kind: &str, name: &str| Self {
            namespace: metadata.namespace.clone().unwrap_or_default(),
            kind: kind.to_owned(),
            name: name.to_owned(),
        };
        let itself = metadata.name.as_deref().map(|name| workload(kind, name));
        let owner = controller(metadata).map(|owner| workload(&owner.kind, &owner.name));
        itself.into_iter().chain(owner).collect()
    }
}

/// Kinds of workloads, with the other names that kubectl accepts for them.
const KINDS: [(&str, &[&str]); 7] = [
    ("CronJob", &["cronjobs", "cj"]),
    ("DaemonSet", &["daemonsets", "ds"]),
    ("Deployment", &["deployments", "deploy"]),
    ("Job", &["jobs"]),
    ("Pod", &["pods", "po"]),
    ("ReplicaSet", &["replicasets", "rs"]),
    ("StatefulSet", &["statefulsets", "sts"]),
];

/// A kind of workload as Kubernetes writes it, from its name in any case, its plural or its short name. Controllers of other kinds
/// are named as they call themselves.
///
/// ```
/// use foretell_policy::cluster::workload::kind_named;
///
/// assert_eq!(["sts", "Deploy", "cronjobs", "Rollout"].map(kind_named), ["StatefulSet", "Deployment", "CronJob", "Rollout"]);
/// ```
#[must_use]
pub fn kind_named(text: &str) -> &str {
    let is_called = |(kind, others): &&(&str, &[&str])| {
        kind.eq_ignore_ascii_case(text) || others.iter().any(|other| other.eq_ignore_ascii_case(text))
    };
    KINDS.iter().find(is_called).map_or(text, |(kind, _)| *kind)
}

/// Who owns the owners: Deployments own ReplicaSets, CronJobs own Jobs.
#[derive(Clone, Debug, Default)]
pub struct Owners(HashMap<(&'static str, String, String), Option<Owner>>);

/// Kind and name of a controller.
type Owner = (String, String);

impl Owners {
    /// Collects the owners of ReplicaSets and Jobs.
    #[must_use]
    pub fn of<'a>(objects: impl IntoIterator<Item = &'a Object>) -> Self {
        let mut owners = HashMap::new();
        for object in objects {
            let (kind, metadata) = match object {
                Object::ReplicaSet(set) => ("ReplicaSet", &set.metadata),
                Object::Job(job) => ("Job", &job.metadata),
                _ => continue,
            };
            let Some(name) = &metadata.name else { continue };
            let namespace = metadata.namespace.clone().unwrap_or_default();
            let owner = controller(metadata).map(|owner| (owner.kind.clone(), owner.name.clone()));
            owners.insert((kind, namespace, name.clone()), owner);
        }
        Self(owners)
    }

    /// The workload of a pod. Where its ReplicaSet or Job is not known, the Deployment or CronJob is told by the form of
    /// the generated name.
    #[must_use]
    pub fn workload_of(&self, pod: &core::Pod) -> Workload {
        let metadata = &pod.metadata;
        let namespace = metadata.namespace.clone().unwrap_or_default();
        let (kind, name) = match controller(metadata) {
            Some(owner) => self.top(&namespace, owner, metadata),
            None => ("Pod".to_owned(), metadata.name.clone().unwrap_or_default()),
        };
        Workload { namespace, kind, name }
    }

    fn top(&self, namespace: &str, owner: &OwnerReference, pod: &ObjectMeta) -> Owner {
        let kind = match owner.kind.as_str() {
            "ReplicaSet" => "ReplicaSet",
            "Job" => "Job",
            // A static pod is owned by its node; its own name says more.
            "Node" => return ("Pod".to_owned(), pod.name.clone().unwrap_or_default()),
            other => return (other.to_owned(), owner.name.clone()),
        };
        let top = match self.0.get(&(kind, namespace.to_owned(), owner.name.clone())) {
            Some(known) => known.clone(),
            None => guess_top(kind, &owner.name, pod),
        };
        top.unwrap_or_else(|| (owner.kind.clone(), owner.name.clone()))
    }
}

/// A Deployment names its ReplicaSets by the hash that it puts on their pods; a CronJob names its Jobs by the scheduled
/// minute since 1970, which nobody takes for a date: `20261121` was a minute of 2008, before there were CronJobs.
fn guess_top(kind: &str, owner: &str, pod: &ObjectMeta) -> Option<Owner> {
    if kind == "ReplicaSet" {
        let hash = pod.labels.as_ref()?.get("pod-template-hash")?;
        let name = owner.strip_suffix(hash.as_str())?.strip_suffix('-')?;
        return Some(("Deployment".to_owned(), name.to_owned()));
    }
    let (name, minute) = owner.rsplit_once('-')?;
    let is_minute = minute.len() == 8 && minute.bytes().all(|byte| byte.is_ascii_digit()) && minute >= "24";
    is_minute.then(|| ("CronJob".to_owned(), name.to_owned()))
}

fn controller(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}
