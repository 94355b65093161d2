//! Reads JSON as a typed and valid object, or reports each field that is wrong. All objects are read here.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::resource::object::fault::{FieldError, ObjectError};
use crate::resource::object::origin::Origin;
use crate::resource::object::{Decoder, Kind, Object};
use crate::resource::read::decode::{decode, decode_strictly};
use crate::resource::read::naming::Naming;
use crate::resource::read::recognise::RecognisedKind;
use crate::resource::{cidrs, validation};

mod decode;
mod known_fields;
mod naming;
mod recognise;
mod scope;

/// Reads one object. `None`: the value is not a Kubernetes object, is of a kind that is not read, or is a workload with
/// `generateName`, which has no name by which it could be compared between revisions.
///
/// ```
/// use foretell_objects::resource::object::origin::Origin;
/// use foretell_objects::resource::read::read;
/// use serde_json::json;
///
/// let policy = |cidr: &str| json!({
///     "apiVersion": "networking.k8s.io/v1",
///     "kind": "NetworkPolicy",
///     "metadata": {"name": "web"},
///     "spec": {"podSelector": {}, "ingress": [{"from": [{"ipBlock": {"cidr": cidr}}]}]},
/// });
/// let origin = Origin::Manifest { default_namespace: "shop".to_owned() };
///
/// let object = read(policy("10.0.0.0/8"), &origin).unwrap().expect("a kind that is read");
/// assert_eq!(object.id().to_string(), "NetworkPolicy shop/web");
///
/// let error = read(policy("10.0.0.0/33"), &origin).unwrap_err();
/// assert_eq!(
///     error.to_string(),
///     "NetworkPolicy shop/web: spec.ingress[0].from[0].ipBlock.cidr: \"10.0.0.0/33\": prefix length over 32"
/// );
/// ```
///
/// # Errors
/// [`ObjectError`] with all faults of an object that is of a known kind and not valid.
pub fn read(value: Value, origin: &Origin) -> Result<Option<Object>, ObjectError> {
    let Some((object, named)) = typed(value, origin)? else { return Ok(None) };
    let faults = validation::faults(&object, origin);
    if faults.is_empty() { Ok(Some(object)) } else { Err(ObjectError { object: named.to_string(), faults }) }
}

/// Every fault of a new object, or of a new version of an object that contains the CIDRs `stored`: the faults that [`read`]
/// finds, and those of [`cidrs::new_faults`].
#[must_use]
pub fn faults(value: Value, origin: &Origin, stored: &BTreeSet<String>) -> Vec<FieldError> {
    match typed(value, origin) {
        Ok(None) => Vec::new(),
        Ok(Some((object, _))) => [validation::faults(&object, origin), cidrs::new_faults(&object, stored)].concat(),
        Err(error) => error.faults,
    }
}

/// The typed object, not validated yet, and its name.
fn typed(mut value: Value, origin: &Origin) -> Result<Option<(Object, Naming)>, ObjectError> {
    let Some(fields) = value.as_object_mut() else { return Ok(None) };
    let (Some(Value::String(api_version)), Some(Value::String(kind_name))) =
        (fields.get("apiVersion"), fields.get("kind"))
    else {
        return Ok(None);
    };
    let (kind, obsolete) = match Kind::recognise(api_version, kind_name) {
        None => return Ok(None),
        Some(RecognisedKind::Served(kind)) => (kind, None),
        Some(RecognisedKind::NotServed(kind)) => (kind, Some(api_version.clone())),
    };
    // They follow from the type. Types of custom resources would report them as unknown fields.
    fields.remove("apiVersion");
    fields.remove("kind");

    let named = Naming::of(&value, kind, origin);
    let refused = |faults| ObjectError { object: named.to_string(), faults };
    if let Some(api_version) = obsolete {
        let problem = format!("{kind} is not served as {api_version}: write {}", kind.api_versions().join(" or "));
        return Err(refused(vec![FieldError::new("apiVersion", problem)]));
    }
    if named.is_generated() && matches!(origin, Origin::Manifest { .. }) {
        if !kind.is_strict() {
            return Ok(None);
        }
        let problem =
            "required: with generateName each apply creates another object, which no later change can refer to";
        return Err(refused(vec![FieldError::new("metadata.name", problem)]));
    }

    let mut object = Object::decode_with(kind, Manifest { value, kind, origin }).map_err(&refused)?;
    let metadata = object.metadata_mut();
    metadata.namespace = kind.is_namespaced().then(|| named.namespace.clone());
    Ok(Some((object, named)))
}

struct Manifest<'a> {
    value: Value,
    kind: Kind,
    origin: &'a Origin,
}

impl Decoder for Manifest<'_> {
    type Error = Vec<FieldError>;

    fn decode<T: DeserializeOwned>(self) -> Result<T, Self::Error> {
        decode(self.value, self.kind, self.origin)
    }

    fn decode_strictly<T: DeserializeOwned>(self) -> Result<T, Self::Error> {
        decode_strictly(self.value, self.kind, self.origin)
    }
}
