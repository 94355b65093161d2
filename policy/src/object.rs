//! Kubernetes objects that Foretell reads, and the one way in: from JSON to a typed object, or an error that names the field.

use std::collections::BTreeSet;
use std::fmt;

use k8s_openapi::api::{apps, batch, core, discovery, networking};
use serde_json::Value;

use crate::audit::{AuditClusterNetworkPolicy, AuditNetworkPolicy};
use crate::exception::AuditException;

/// The kinds that the engine reads. Everything else is passed over.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// `v1`
    Namespace,
    /// `v1`
    Node,
    /// `v1`
    Pod,
    /// `v1`
    Service,
    /// `discovery.k8s.io/v1`
    EndpointSlice,
    /// `apps/v1`
    Deployment,
    /// `apps/v1`
    StatefulSet,
    /// `apps/v1`
    DaemonSet,
    /// `apps/v1`
    ReplicaSet,
    /// `batch/v1`
    Job,
    /// `batch/v1`
    CronJob,
    /// `networking.k8s.io/v1`
    NetworkPolicy,
    /// `kguardian.dev/v1alpha1`
    AuditNetworkPolicy,
    /// `kguardian.dev/v1alpha1`
    AuditClusterNetworkPolicy,
    /// `foretell.dev/v1alpha1`
    AuditException,
}

/// What makes an object the same object at two revisions. `namespace` is empty for cluster-scoped kinds.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    /// The kind, of whatever served version.
    pub kind: Kind,
    /// The namespace, or `""`.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
}

/// A typed object.
#[derive(Clone, Debug, PartialEq)]
#[expect(missing_docs, reason = "each variant is the kind of its name")]
pub enum Object {
    Namespace(Box<core::v1::Namespace>),
    Node(Box<core::v1::Node>),
    Pod(Box<core::v1::Pod>),
    Service(Box<core::v1::Service>),
    EndpointSlice(Box<discovery::v1::EndpointSlice>),
    Deployment(Box<apps::v1::Deployment>),
    StatefulSet(Box<apps::v1::StatefulSet>),
    DaemonSet(Box<apps::v1::DaemonSet>),
    ReplicaSet(Box<apps::v1::ReplicaSet>),
    Job(Box<batch::v1::Job>),
    CronJob(Box<batch::v1::CronJob>),
    NetworkPolicy(Box<networking::v1::NetworkPolicy>),
    AuditNetworkPolicy(Box<AuditNetworkPolicy>),
    AuditClusterNetworkPolicy(Box<AuditClusterNetworkPolicy>),
    AuditException(Box<AuditException>),
}

/// Under which rules an object is read.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A live cluster's object: an API server has taken it once. Unknown fields and old forms of CIDRs are let pass.
    Cluster,
    /// A manifest that is about to be applied, read as a strict API server would: unknown fields are errors.
    Manifest {
        /// Namespace of a namespaced object that names none.
        default_namespace: String,
    },
}

/// A fault of one field.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{path}: {problem}")]
pub struct FieldError {
    /// `spec.ingress[0].from[1].ipBlock.cidr`
    pub path: String,
    /// What is wrong and how to mend it.
    pub problem: String,
}

/// An object that was refused, with every fault that was found in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ObjectError {
    /// As far as it could be told: `NetworkPolicy prod/web`.
    pub object: String,
    /// At least one.
    pub faults: Vec<FieldError>,
}

impl fmt::Display for ObjectError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.object)?;
        for (n, fault) in self.faults.iter().enumerate() {
            write!(f, "{}{fault}", if n == 0 { "" } else { "; " })?;
        }
        Ok(())
    }
}

impl std::error::Error for ObjectError {}

/// Reads one object. `None`: no kind that the engine reads, or no Kubernetes object at all.
///
/// # Errors
/// [`ObjectError`] where it is of a kind that the engine reads and is not valid.
pub fn read(_value: Value, _origin: &Origin) -> Result<Option<Object>, ObjectError> {
    Ok(None)
}

impl Object {
    /// Its identity.
    #[must_use]
    pub fn id(&self) -> ObjectId {
        ObjectId { kind: Kind::Namespace, namespace: String::new(), name: String::new() }
    }

    /// What the engine reads of it, with defaults applied and nothing else: two forms that are equal here are no change.
    #[must_use]
    pub fn substance(&self) -> Value {
        Value::Null
    }
}

/// The CIDRs of a policy that Kubernetes takes only where they stood already (host bits set, leading zeros, IPv4 mapped into
/// IPv6): faults of a new or changed object, unless `stored` holds the same text.
#[must_use]
pub fn new_cidr_faults(_object: &Object, _stored: &BTreeSet<String>) -> Vec<FieldError> {
    Vec::new()
}
