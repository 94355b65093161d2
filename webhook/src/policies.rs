//! Validates audit policies and exceptions with the rules that an API server applies to a NetworkPolicy.
//!
//! As upstream, an update accepts errors that the stored object already has: an update with an unchanged spec is accepted with
//! any errors; a CIDR in a legacy form is accepted if the stored spec contains the same text; and the values of selectors are
//! not validated if those of the stored object are invalid.

use std::collections::BTreeSet;

use foretell_objects::resource::cidrs;
use foretell_objects::resource::object::api_error::ApiError;
use foretell_objects::resource::object::fault::FieldError;
use foretell_objects::resource::object::origin::Origin;
use foretell_objects::resource::read;
use kube::core::DynamicObject;
use serde_json::{Value, json};

/// The errors of the object, in the API server's words.
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
    let (origin, stored_cidrs) = match stored.map(validated_part) {
        None => (strict, BTreeSet::new()),
        Some(stored) => {
            let would_be_refused = read::read(stored.clone(), &strict).is_err();
            let known = read::read(stored, &Origin::Cluster).ok().flatten();
            let origin = if would_be_refused && known.is_some() { Origin::Cluster } else { strict };
            (origin, known.as_ref().map(cidrs::texts).unwrap_or_default())
        }
    };
    read::faults(validated_part(object), &origin, &stored_cidrs)
}

/// The part of the object that is validated. The API server has already validated the metadata, and a generated name is not
/// known yet.
fn validated_part(object: &DynamicObject) -> Value {
    let types = object.types.clone().unwrap_or_default();
    json!({
        "apiVersion": types.api_version,
        "kind": types.kind,
        "metadata": {"name": "it", "namespace": "it"},
        "spec": object.data.get("spec").cloned().unwrap_or_default(),
    })
}
