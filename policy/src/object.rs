//! Kubernetes objects that Foretell reads, and the one way in: from JSON to a typed object, or an error that names the field.

use std::collections::BTreeSet;
use std::fmt;

use k8s_openapi::api::{apps, batch, core, discovery, networking};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::admin::{AdminNetworkPolicy, BaselineAdminNetworkPolicy, ClusterNetworkPolicy};
use crate::audit::{AuditClusterNetworkPolicy, AuditNetworkPolicy};
use crate::exception::AuditException;
use crate::listing::write_list;
use crate::validation;
use complaint::Complaint;

mod admin_substance;
pub mod cidrs;
pub mod complaint;
mod decode;
pub mod kept;
mod kind;
mod known_fields;
mod naming;
pub(crate) mod path;
mod scope;
mod substance;

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
    /// `policy.networking.k8s.io/v1alpha1`
    AdminNetworkPolicy,
    /// `policy.networking.k8s.io/v1alpha1`
    BaselineAdminNetworkPolicy,
    /// `policy.networking.k8s.io/v1alpha2` and `v1beta1`
    ClusterNetworkPolicy,
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

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.as_str() {
            "" => write!(f, "{} {}", self.kind, self.name),
            namespace => write!(f, "{} {namespace}/{}", self.kind, self.name),
        }
    }
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
    AdminNetworkPolicy(Box<AdminNetworkPolicy>),
    BaselineAdminNetworkPolicy(Box<BaselineAdminNetworkPolicy>),
    ClusterNetworkPolicy(Box<ClusterNetworkPolicy>),
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
    /// What an API server says of it, where it knows the fault.
    complaints: Vec<Complaint>,
}

impl FieldError {
    pub(crate) fn new(path: impl fmt::Display, problem: impl Into<String>) -> Self {
        Self { path: path.to_string(), problem: problem.into(), complaints: Vec::new() }
    }
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
        write_list(f, &self.faults, "; ")
    }
}

impl std::error::Error for ObjectError {}

/// Reads one object. `None`: no kind that the engine reads, no Kubernetes object at all, or one that has no name until an
/// API server makes one up and that cannot be compared before.
///
/// # Errors
/// [`ObjectError`] where it is of a kind that the engine reads and is not valid.
pub fn read(value: Value, origin: &Origin) -> Result<Option<Object>, ObjectError> {
    let Some((object, named)) = typed(value, origin)? else { return Ok(None) };
    let faults = validation::faults(&object, origin);
    if faults.is_empty() { Ok(Some(object)) } else { Err(ObjectError { object: named.to_string(), faults }) }
}

/// Every fault of an object that is new, or takes the place of one that holds these CIDRs: those that [`read`] finds, and
/// those of [`cidrs::new_faults`].
#[must_use]
pub fn faults(value: Value, origin: &Origin, stored: &BTreeSet<String>) -> Vec<FieldError> {
    match typed(value, origin) {
        Ok(None) => Vec::new(),
        Ok(Some((object, _))) => [validation::faults(&object, origin), cidrs::new_faults(&object, stored)].concat(),
        Err(error) => error.faults,
    }
}

/// The object as its type has it, not validated yet, and its name.
fn typed(mut value: Value, origin: &Origin) -> Result<Option<(Object, naming::Naming)>, ObjectError> {
    let Some(fields) = value.as_object_mut() else { return Ok(None) };
    let (Some(Value::String(api_version)), Some(Value::String(kind_name))) =
        (fields.get("apiVersion"), fields.get("kind"))
    else {
        return Ok(None);
    };
    let recognised = Kind::recognise(api_version, kind_name);
    let (kind, obsolete) = match recognised {
        None => return Ok(None),
        Some(kind::Recognised::Served(kind)) => (kind, None),
        Some(kind::Recognised::NotServed(kind)) => (kind, Some(api_version.clone())),
    };
    // The type decides what they are; a custom resource's would take them for unknown fields.
    fields.remove("apiVersion");
    fields.remove("kind");

    let named = naming::Naming::of(&value, kind, origin);
    let refused = |faults| ObjectError { object: named.to_string(), faults };
    if let Some(api_version) = obsolete {
        let problem = format!("no {kind} is served as {api_version}: write {}", kind.api_versions().join(" or "));
        return Err(refused(vec![FieldError::new("apiVersion", problem)]));
    }
    if named.is_generated() && matches!(origin, Origin::Manifest { .. }) {
        if !kind.is_strict() {
            return Ok(None);
        }
        let problem =
            "required: with generateName alone each apply makes another object, which no later change can name";
        return Err(refused(vec![FieldError::new("metadata.name", problem)]));
    }

    let mut object = decode(value, kind, origin).map_err(&refused)?;
    let metadata = object.metadata_mut();
    metadata.namespace = kind.is_namespaced().then(|| named.namespace.clone());
    Ok(Some((object, named)))
}

fn decode(value: Value, kind: Kind, origin: &Origin) -> Result<Object, Vec<FieldError>> {
    fn typed<T: DeserializeOwned>(value: Value, kind: Kind, origin: &Origin) -> Result<Box<T>, Vec<FieldError>> {
        decode::decode(value, kind, origin).map(Box::new)
    }
    fn strictly<T: DeserializeOwned>(value: Value, kind: Kind, origin: &Origin) -> Result<Box<T>, Vec<FieldError>> {
        decode::decode_strictly(value, kind, origin).map(Box::new)
    }
    Ok(match kind {
        Kind::Namespace => Object::Namespace(typed(value, kind, origin)?),
        Kind::Node => Object::Node(typed(value, kind, origin)?),
        Kind::Pod => Object::Pod(typed(value, kind, origin)?),
        Kind::Service => Object::Service(typed(value, kind, origin)?),
        Kind::EndpointSlice => Object::EndpointSlice(typed(value, kind, origin)?),
        Kind::Deployment => Object::Deployment(typed(value, kind, origin)?),
        Kind::StatefulSet => Object::StatefulSet(typed(value, kind, origin)?),
        Kind::DaemonSet => Object::DaemonSet(typed(value, kind, origin)?),
        Kind::ReplicaSet => Object::ReplicaSet(typed(value, kind, origin)?),
        Kind::Job => Object::Job(typed(value, kind, origin)?),
        Kind::CronJob => Object::CronJob(typed(value, kind, origin)?),
        Kind::NetworkPolicy => Object::NetworkPolicy(strictly(value, kind, origin)?),
        Kind::AuditNetworkPolicy => Object::AuditNetworkPolicy(strictly(value, kind, origin)?),
        Kind::AuditClusterNetworkPolicy => Object::AuditClusterNetworkPolicy(strictly(value, kind, origin)?),
        Kind::AuditException => Object::AuditException(strictly(value, kind, origin)?),
        Kind::AdminNetworkPolicy => Object::AdminNetworkPolicy(strictly(value, kind, origin)?),
        Kind::BaselineAdminNetworkPolicy => Object::BaselineAdminNetworkPolicy(strictly(value, kind, origin)?),
        Kind::ClusterNetworkPolicy => Object::ClusterNetworkPolicy(strictly(value, kind, origin)?),
    })
}

impl Object {
    /// As JSON, less what the engine does not read, `apiVersion` and `kind` included: [`read`] reads it again.
    ///
    /// # Errors
    /// Never for what [`read`] gave.
    pub fn to_manifest(&self) -> Result<Value, serde_json::Error> {
        let mut value = match self {
            Self::Namespace(object) => serde_json::to_value(object),
            Self::Node(object) => serde_json::to_value(object),
            Self::Pod(object) => serde_json::to_value(object),
            Self::Service(object) => serde_json::to_value(object),
            Self::EndpointSlice(object) => serde_json::to_value(object),
            Self::Deployment(object) => serde_json::to_value(object),
            Self::StatefulSet(object) => serde_json::to_value(object),
            Self::DaemonSet(object) => serde_json::to_value(object),
            Self::ReplicaSet(object) => serde_json::to_value(object),
            Self::Job(object) => serde_json::to_value(object),
            Self::CronJob(object) => serde_json::to_value(object),
            Self::NetworkPolicy(object) => serde_json::to_value(object),
            Self::AuditNetworkPolicy(object) => serde_json::to_value(object),
            Self::AuditClusterNetworkPolicy(object) => serde_json::to_value(object),
            Self::AuditException(object) => serde_json::to_value(object),
            Self::AdminNetworkPolicy(object) => serde_json::to_value(object),
            Self::BaselineAdminNetworkPolicy(object) => serde_json::to_value(object),
            Self::ClusterNetworkPolicy(object) => serde_json::to_value(object),
        }?;
        let kind = self.kind();
        value["apiVersion"] = kind.api_version().into();
        value["kind"] = kind.name().into();
        Ok(kept::strip_manifest(value, kind))
    }

    /// Its kind.
    #[must_use]
    pub fn kind(&self) -> Kind {
        match self {
            Self::Namespace(_) => Kind::Namespace,
            Self::Node(_) => Kind::Node,
            Self::Pod(_) => Kind::Pod,
            Self::Service(_) => Kind::Service,
            Self::EndpointSlice(_) => Kind::EndpointSlice,
            Self::Deployment(_) => Kind::Deployment,
            Self::StatefulSet(_) => Kind::StatefulSet,
            Self::DaemonSet(_) => Kind::DaemonSet,
            Self::ReplicaSet(_) => Kind::ReplicaSet,
            Self::Job(_) => Kind::Job,
            Self::CronJob(_) => Kind::CronJob,
            Self::NetworkPolicy(_) => Kind::NetworkPolicy,
            Self::AuditNetworkPolicy(_) => Kind::AuditNetworkPolicy,
            Self::AuditClusterNetworkPolicy(_) => Kind::AuditClusterNetworkPolicy,
            Self::AuditException(_) => Kind::AuditException,
            Self::AdminNetworkPolicy(_) => Kind::AdminNetworkPolicy,
            Self::BaselineAdminNetworkPolicy(_) => Kind::BaselineAdminNetworkPolicy,
            Self::ClusterNetworkPolicy(_) => Kind::ClusterNetworkPolicy,
        }
    }

    /// Its identity.
    #[must_use]
    pub fn id(&self) -> ObjectId {
        let kind = self.kind();
        let metadata = self.metadata();
        let namespace = metadata.namespace.clone().filter(|_| kind.is_namespaced());
        ObjectId { kind, namespace: namespace.unwrap_or_default(), name: metadata.name.clone().unwrap_or_default() }
    }

    /// Its `metadata`.
    #[must_use]
    pub fn metadata(&self) -> &ObjectMeta {
        match self {
            Self::Namespace(object) => &object.metadata,
            Self::Node(object) => &object.metadata,
            Self::Pod(object) => &object.metadata,
            Self::Service(object) => &object.metadata,
            Self::EndpointSlice(object) => &object.metadata,
            Self::Deployment(object) => &object.metadata,
            Self::StatefulSet(object) => &object.metadata,
            Self::DaemonSet(object) => &object.metadata,
            Self::ReplicaSet(object) => &object.metadata,
            Self::Job(object) => &object.metadata,
            Self::CronJob(object) => &object.metadata,
            Self::NetworkPolicy(object) => &object.metadata,
            Self::AuditNetworkPolicy(object) => &object.metadata,
            Self::AuditClusterNetworkPolicy(object) => &object.metadata,
            Self::AuditException(object) => &object.metadata,
            Self::AdminNetworkPolicy(object) => &object.metadata,
            Self::BaselineAdminNetworkPolicy(object) => &object.metadata,
            Self::ClusterNetworkPolicy(object) => &object.metadata,
        }
    }

    fn metadata_mut(&mut self) -> &mut ObjectMeta {
        match self {
            Self::Namespace(object) => &mut object.metadata,
            Self::Node(object) => &mut object.metadata,
            Self::Pod(object) => &mut object.metadata,
            Self::Service(object) => &mut object.metadata,
            Self::EndpointSlice(object) => &mut object.metadata,
            Self::Deployment(object) => &mut object.metadata,
            Self::StatefulSet(object) => &mut object.metadata,
            Self::DaemonSet(object) => &mut object.metadata,
            Self::ReplicaSet(object) => &mut object.metadata,
            Self::Job(object) => &mut object.metadata,
            Self::CronJob(object) => &mut object.metadata,
            Self::NetworkPolicy(object) => &mut object.metadata,
            Self::AuditNetworkPolicy(object) => &mut object.metadata,
            Self::AuditClusterNetworkPolicy(object) => &mut object.metadata,
            Self::AuditException(object) => &mut object.metadata,
            Self::AdminNetworkPolicy(object) => &mut object.metadata,
            Self::BaselineAdminNetworkPolicy(object) => &mut object.metadata,
            Self::ClusterNetworkPolicy(object) => &mut object.metadata,
        }
    }
}
