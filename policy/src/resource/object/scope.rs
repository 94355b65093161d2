//! What the engine reads of each kind. Faults elsewhere do not refuse an object: newer API versions add fields, and webhooks
//! fill templates in.

use crate::resource::object::Kind;
use crate::resource::object::origin::Origin;
use crate::resource::object::path::OwnedPath;

/// The part of an object in which a fault refuses it.
pub(super) enum Scope {
    /// All of it but what a server writes: a policy that is about to be applied.
    AllButServers,
    /// These paths and what is below them; `*` is any item of a list.
    Only(&'static [&'static [&'static str]]),
}

/// Fields of `metadata` that a server writes, whatever a manifest says.
const SERVERS_METADATA: [&str; 8] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
];

const NAME: &[&str] = &["metadata", "name"];
const NAMESPACE: &[&str] = &["metadata", "namespace"];
const LABELS: &[&str] = &["metadata", "labels"];

const POLICY: &[&[&str]] = &[NAME, NAMESPACE, LABELS, &["metadata", "annotations"], &["spec"]];
const NAMESPACES: &[&[&str]] = &[NAME, LABELS];
const NODE: &[&[&str]] = &[NAME, LABELS, &["spec", "podCIDR"], &["spec", "podCIDRs"]];
const SERVICE: &[&[&str]] = &[
    NAME,
    NAMESPACE,
    &["spec", "clusterIP"],
    &["spec", "clusterIPs"],
    &["spec", "externalIPs"],
    &["spec", "externalName"],
    &["spec", "ports"],
    &["spec", "selector"],
    &["spec", "type"],
];
const SLICE: &[&[&str]] = &[
    NAME,
    NAMESPACE,
    LABELS,
    &["addressType"],
    &["endpoints", "*", "addresses"],
    &["endpoints", "*", "conditions"],
    &["endpoints", "*", "targetRef"],
    &["ports"],
];
const POD: &[&[&str]] = &[
    NAME,
    NAMESPACE,
    LABELS,
    &["spec", "hostNetwork"],
    &["spec", "nodeName"],
    &["spec", "containers", "*", "ports"],
    &["spec", "initContainers", "*", "ports"],
    &["spec", "initContainers", "*", "restartPolicy"],
];
const WORKLOAD: &[&[&str]] = &[
    NAME,
    NAMESPACE,
    &["spec", "template", "metadata", "labels"],
    &["spec", "template", "spec", "hostNetwork"],
    &["spec", "template", "spec", "containers", "*", "ports"],
    &["spec", "template", "spec", "initContainers", "*", "ports"],
    &["spec", "template", "spec", "initContainers", "*", "restartPolicy"],
];
const CRON_JOB: &[&[&str]] = &[
    NAME,
    NAMESPACE,
    &["spec", "jobTemplate", "spec", "template", "metadata", "labels"],
    &["spec", "jobTemplate", "spec", "template", "spec", "hostNetwork"],
    &["spec", "jobTemplate", "spec", "template", "spec", "containers", "*", "ports"],
    &["spec", "jobTemplate", "spec", "template", "spec", "initContainers", "*", "ports"],
    &["spec", "jobTemplate", "spec", "template", "spec", "initContainers", "*", "restartPolicy"],
];

impl Scope {
    pub(super) fn of(kind: Kind, origin: &Origin) -> Self {
        match (kind, origin) {
            (kind, Origin::Manifest { .. }) if kind.is_strict() => Self::AllButServers,
            (Kind::Namespace, _) => Self::Only(NAMESPACES),
            (Kind::Node, _) => Self::Only(NODE),
            (Kind::Pod, _) => Self::Only(POD),
            (Kind::Service, _) => Self::Only(SERVICE),
            (Kind::EndpointSlice, _) => Self::Only(SLICE),
            (Kind::CronJob, _) => Self::Only(CRON_JOB),
            (Kind::Deployment | Kind::StatefulSet | Kind::DaemonSet | Kind::ReplicaSet | Kind::Job, _) => {
                Self::Only(WORKLOAD)
            }
            (
                Kind::NetworkPolicy
                | Kind::AuditNetworkPolicy
                | Kind::AuditClusterNetworkPolicy
                | Kind::AuditException
                | Kind::AdminNetworkPolicy
                | Kind::BaselineAdminNetworkPolicy
                | Kind::ClusterNetworkPolicy,
                _,
            ) => Self::Only(POLICY),
        }
    }

    /// Whether unknown fields are faults.
    pub(super) fn is_strict(&self) -> bool {
        matches!(self, Self::AllButServers)
    }

    /// The widest part of the object that holds the fault at `path` and nothing that is read; `None` where that is read.
    pub(super) fn outside(&self, path: &OwnedPath) -> Option<OwnedPath> {
        (1..=path.0.len()).map(|length| OwnedPath(path.0[..length].to_vec())).find(|part| match self {
            // What of a status can be read is kept.
            _ if part.key(0) == Some("status") => part.0.len() > 1 || path.0.len() == 1,
            Self::AllButServers => {
                part.key(0) == Some("metadata") && part.key(1).is_some_and(|name| SERVERS_METADATA.contains(&name))
            }
            Self::Only(read) => !read.iter().any(|pattern| part.meets(pattern)),
        })
    }
}
