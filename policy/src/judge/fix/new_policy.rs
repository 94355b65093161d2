//! A policy without rules for one workload.

use foretell_objects::model::flow::Direction;
use foretell_objects::model::labels::Labels;
use foretell_objects::resource::object::fault::{FieldError, ObjectError};
use foretell_objects::resource::object::origin::Origin;
use foretell_objects::resource::object::{Kind, Object};
use foretell_objects::resource::read::read;
use serde_json::{Value, json};

/// The manifest of a policy that selects pods with these labels and allows them nothing in these directions.
#[must_use]
pub fn manifest(kind: Kind, namespace: &str, name: &str, labels: &Labels, directions: &[Direction]) -> Value {
    let types: Vec<String> = directions.iter().map(ToString::to_string).collect();
    json!({
        "apiVersion": kind.api_version(),
        "kind": kind.name(),
        "metadata": {"name": name, "namespace": namespace},
        "spec": {"podSelector": {"matchLabels": labels}, "policyTypes": types},
    })
}

/// The policy of such a manifest.
///
/// # Errors
/// [`ObjectError`] if Kubernetes does not accept a name in it.
pub fn object(manifest: Value) -> Result<Object, ObjectError> {
    let no_kind = || ObjectError { object: "policy".to_owned(), faults: vec![FieldError::new("kind", "not a policy")] };
    read(manifest, &Origin::Manifest { default_namespace: String::new() })?.ok_or_else(no_kind)
}
