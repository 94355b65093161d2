//! The workload that a pod belongs to, by the name that a person would give it.

use std::collections::HashMap;
use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, OwnerReference};

use foretell_objects::resource::kubernetes as core;
use foretell_objects::resource::object::{Kind, Object};

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

/// Who owns the owners: Deployments own ReplicaSets, CronJobs own Jobs, and custom resources own any of them.
#[derive(Clone, Debug, Default)]
pub struct Owners(HashMap<(&'static str, String, String), Option<Owner>>);

/// The longest chain of owners above a workload. A chain that is longer is a circle.
const LONGEST_CHAIN: usize = 8;

/// The labels by which Knative names the owners of a revision's pods. It sets them on every pod (`makeLabels` in
/// pkg/reconciler/revision/resources/meta.go of knative/serving).
const KNATIVE_OWNERS: [(&str, &str); 3] = [
    ("serving.knative.dev/revision", "Revision"),
    ("serving.knative.dev/configuration", "Configuration"),
    ("serving.knative.dev/service", "Service"),
];

/// Kind and name of a controller.
type Owner = (String, String);

impl Owners {
    /// Collects the owners of controllers.
    #[must_use]
    pub fn of<'a>(objects: impl IntoIterator<Item = &'a Object>) -> Self {
        let mut owners = HashMap::new();
        for object in objects {
            if !object.kind().is_workload() {
                continue;
            }
            let (kind, metadata) = (object.kind().name(), object.metadata());
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

    /// The objects that own a pod's workload, from its own owner upwards, as far as they are known. Their templates define the pod
    /// too.
    #[must_use]
    pub fn managers_of(&self, pod: &core::Pod, workload: &Workload) -> Vec<Workload> {
        let namespace = &workload.namespace;
        let manager = |kind: &str, name: &str| Workload {
            namespace: namespace.clone(),
            kind: kind.to_owned(),
            name: name.to_owned(),
        };
        let mut managers = Vec::new();
        let (mut kind, mut name) = (workload.kind.as_str(), workload.name.as_str());
        while managers.len() < LONGEST_CHAIN {
            // The table is keyed by the names of known kinds.
            let Some(known) = Kind::ALL.into_iter().find(|known| known.is_workload() && known.name() == kind) else {
                break;
            };
            let key = (known.name(), namespace.clone(), name.to_owned());
            let Some(Some((owner_kind, owner_name))) = self.0.get(&key) else { break };
            managers.push(manager(owner_kind, owner_name));
            (kind, name) = (owner_kind, owner_name);
        }
        if let Some(labels) = &pod.metadata.labels {
            let named = KNATIVE_OWNERS.iter().filter_map(|(label, kind)| Some(manager(kind, labels.get(*label)?)));
            managers.extend(named.collect::<Vec<_>>());
        }
        managers
    }

    fn top(&self, namespace: &str, owner: &OwnerReference, pod: &ObjectMeta) -> Owner {
        let kind = match owner.kind.as_str() {
            "ReplicaSet" => "ReplicaSet",
            "Job" => "Job",
            "ReplicationController" => "ReplicationController",
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

/// An Argo Rollout names its ReplicaSets by the hash that it puts on their pods (`rollouts-pod-template-hash`), and an `OpenShift`
/// `DeploymentConfig` its `ReplicationController`s by their numbers, with its own name on their pods (`deploymentconfig`).
///
/// A Deployment names its ReplicaSets by the hash that it puts on their pods; a CronJob names its Jobs by the scheduled
/// minute since 1970, which nobody takes for a date: `20261121` was a minute of 2008, before there were CronJobs.
fn guess_top(kind: &str, owner: &str, pod: &ObjectMeta) -> Option<Owner> {
    if kind == "ReplicaSet" {
        let labels = pod.labels.as_ref()?;
        let kinds = [("pod-template-hash", "Deployment"), ("rollouts-pod-template-hash", "Rollout")];
        return kinds.into_iter().find_map(|(label, kind)| {
            let name = owner.strip_suffix(labels.get(label)?.as_str())?.strip_suffix('-')?;
            Some((kind.to_owned(), name.to_owned()))
        });
    }
    if kind == "ReplicationController" {
        let name = pod.labels.as_ref()?.get("deploymentconfig")?;
        let number = owner.strip_prefix(name.as_str())?.strip_prefix('-')?;
        let is_number = !number.is_empty() && number.bytes().all(|byte| byte.is_ascii_digit());
        return is_number.then(|| ("DeploymentConfig".to_owned(), name.clone()));
    }
    let (name, minute) = owner.rsplit_once('-')?;
    let is_minute = minute.len() == 8 && minute.bytes().all(|byte| byte.is_ascii_digit()) && minute >= "24";
    is_minute.then(|| ("CronJob".to_owned(), name.to_owned()))
}

fn controller(metadata: &ObjectMeta) -> Option<&OwnerReference> {
    metadata.owner_references.iter().flatten().find(|owner| owner.controller == Some(true))
}
