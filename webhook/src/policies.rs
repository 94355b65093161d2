//! Audit policies and exceptions: what an API server would refuse of a NetworkPolicy is refused of them.
//!
//! What is stored already may stand, as upstream lets it: an update that leaves the spec as it is passes, whatever is wrong
//! with it; CIDRs in an old form pass where the stored spec has the same text; and values of selectors are not judged where
//! the stored ones would be refused.

use std::collections::BTreeSet;

use foretell_policy::resource::object::api_error::ApiError;
use foretell_policy::resource::object::cidrs;
use foretell_policy::resource::object::fault::FieldError;
use foretell_policy::resource::object::origin::Origin;
use foretell_policy::resource::read;
use kube::core::DynamicObject;
use serde_json::{Value, json};

/// What is wrong with it, in the API server's words.
#[must_use]
pub fn api_errors(object: &DynamicObject, stored: Option<&DynamicObject>) -> Vec<ApiError> {
    let spec = |object: &DynamicObject| object.data.get("spec").cloned();
    if stored.is_some_and(|stored| spec(stored) == spec(object)) {
        return Vec::new();
    }
    faults(object, stored).iter().flat_map(FieldError::api_errors).collect()
}

fn faults(object: &DynamicObject, stored: Option<&DynamicObject>) -> Vec<FieldError> {
    let strict = Origin::Manifest { default_namespace: String::new() };
    let (origin, standing) = match stored.map(essentials) {
        None => (strict, BTreeSet::new()),
        Some(stored) => {
            let would_be_refused = read::read(stored.clone(), &strict).is_err();
            let known = read::read(stored, &Origin::Cluster).ok().flatten();
            let origin = if would_be_refused && known.is_some() { Origin::Cluster } else { strict };
            (origin, known.as_ref().map(cidrs::texts).unwrap_or_default())
        }
    };
    read::faults(essentials(object), &origin, &standing)
}

/// What is judged here. Metadata is the API server's own affair, and it has judged it; a name may not be made up yet.
fn essentials(object: &DynamicObject) -> Value {
    let types = object.types.clone().unwrap_or_default();
    json!({
        "apiVersion": types.api_version,
        "kind": types.kind,
        "metadata": {"name": "it", "namespace": "it"},
        "spec": object.data.get("spec").cloned().unwrap_or_default(),
    })
}
