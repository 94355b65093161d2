//! Finds the faults for which an API server would refuse an object. Policies and exceptions are checked by upstream's rules for
//! NetworkPolicy, which the schema of a custom resource cannot express; admin policies by the rules in their definitions.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use crate::resource::audit::AuditClusterNetworkPolicySpec;
use crate::resource::object::Object;
use crate::resource::object::fault::FieldError;
use crate::resource::object::origin::Origin;
use crate::resource::object::path::Path;

mod admin;
mod api_errors;
mod exception;
mod grammar;
mod names;
mod policy;
mod selector;

/// Largest total size of an object's annotations, in bytes (`TotalAnnotationSizeLimitB`).
const MOST_ANNOTATION_BYTES: usize = 256 * 1024;

/// Every fault of a typed object. For kinds other than policies and exceptions, only the name is checked.
pub(crate) fn faults(object: &Object, origin: &Origin) -> Vec<FieldError> {
    let faults = &mut Vec::new();
    let kind = object.kind();
    metadata(object.metadata(), kind.is_strict(), kind.is_namespaced(), faults);
    let spec = Path::Root("spec");
    let strictness = Strictness::of(origin);
    match object {
        Object::NetworkPolicy(object) => {
            if let Some(policy) = &object.spec {
                policy::check(policy, strictness, &spec, faults);
            }
        }
        Object::AuditNetworkPolicy(object) => policy::check(&object.spec.policy, strictness, &spec, faults),
        Object::AuditClusterNetworkPolicy(object) => cluster_policy(&object.spec, strictness, &spec, faults),
        Object::AuditException(object) => exception::check(&object.spec, strictness, &spec, faults),
        Object::AdminNetworkPolicy(_) | Object::BaselineAdminNetworkPolicy(_) | Object::ClusterNetworkPolicy(_) => {
            admin::check(object, strictness, faults);
        }
        Object::Namespace(_)
        | Object::Node(_)
        | Object::Pod(_)
        | Object::Service(_)
        | Object::EndpointSlice(_)
        | Object::Deployment(_)
        | Object::StatefulSet(_)
        | Object::DaemonSet(_)
        | Object::ReplicaSet(_)
        | Object::Job(_)
        | Object::Endpoints(_)
        | Object::ReplicationController(_)
        | Object::CronJob(_) => {}
    }
    std::mem::take(faults)
}

/// Whether to check values that older API servers did not check, and that stored objects may therefore contain.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Strictness {
    /// The object is new.
    New,
    /// The object is stored in a cluster already (`AllowInvalidLabelValueInSelector`).
    Stored,
}

impl Strictness {
    fn of(origin: &Origin) -> Self {
        match origin {
            Origin::Cluster => Self::Stored,
            Origin::Manifest { .. } => Self::New,
        }
    }
}

fn cluster_policy(
    spec: &AuditClusterNetworkPolicySpec,
    strictness: Strictness,
    path: &Path<'_>,
    faults: &mut Vec<FieldError>,
) {
    if let Some(namespaces) = &spec.namespace_selector {
        selector::check(namespaces, strictness, &Path::Field(path, "namespaceSelector"), faults);
    }
    policy::check(&spec.policy(), strictness, path, faults);
}

/// The rules of upstream's `ValidateObjectMeta` for fields that people write. `strict`: check more than the presence of a name.
fn metadata(metadata: &ObjectMeta, strict: bool, namespaced: bool, faults: &mut Vec<FieldError>) {
    let path = Path::Root("metadata");
    let name = metadata.name.as_deref().unwrap_or_default();
    if name.is_empty() {
        faults.push(
            Path::Field(&path, "name").fault("required: an object without a name cannot be compared between revisions"),
        );
    }
    if !strict {
        return;
    }
    if !name.is_empty()
        && let Err(problem) = names::subdomain(name)
    {
        let fault = Path::Field(&path, "name").fault(problem);
        faults.push(fault.invalid_texts(name, &api_errors::subdomain(name)));
    }
    if namespaced && let Err(problem) = names::label(metadata.namespace.as_deref().unwrap_or_default()) {
        faults.push(Path::Field(&path, "namespace").fault(problem));
    }
    for (key, value) in metadata.labels.iter().flatten() {
        names::check_label(key, value, &Path::Field(&path, "labels"), faults);
    }
    let annotations = Path::Field(&path, "annotations");
    let mut bytes = 0;
    for (key, value) in metadata.annotations.iter().flatten() {
        bytes += key.len() + value.len();
        // The prefix of an annotation's key may contain upper-case letters, unlike that of a label's key.
        if let Err(problem) = names::qualified(&key.to_lowercase()) {
            let fault = Path::Field(&annotations, key).fault(problem);
            let fault = fault.invalid_texts(key, &api_errors::qualified(&key.to_lowercase()));
            faults.push(fault.reported_at(&annotations));
        }
    }
    if bytes > MOST_ANNOTATION_BYTES {
        let fault = annotations.fault(format!("{bytes} bytes together: at most {MOST_ANNOTATION_BYTES} are allowed"));
        faults.push(fault.too_long(MOST_ANNOTATION_BYTES));
    }
}
