//! The one way in: from JSON to a typed and valid object, or an error that names the field.

use std::collections::BTreeSet;

use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::resource::object::decode::{decode, decode_strictly};
use crate::resource::object::fault::{FieldError, ObjectError};
use crate::resource::object::naming::Naming;
use crate::resource::object::origin::Origin;
use crate::resource::object::recognise::RecognisedKind;
use crate::resource::object::{Decoder, Kind, Object, cidrs};
use crate::resource::validation;

/// Reads one object. `None`: a kind that the engine does not read, no Kubernetes object at all, or an object that has no name
/// until an API server generates one, and that cannot be compared before.
///
/// # Errors
/// [`ObjectError`] where it is of a kind that the engine reads and is not valid.
pub fn read(value: Value, origin: &Origin) -> Result<Option<Object>, ObjectError> {
    let Some((object, named)) = typed(value, origin)? else { return Ok(None) };
    let faults = validation::faults(&object, origin);
    if faults.is_empty() { Ok(Some(object)) } else { Err(ObjectError { object: named.to_string(), faults }) }
}

/// Every fault of an object that is new, or that replaces one that holds these CIDRs: those that [`read`] finds, and those of
/// [`cidrs::new_faults`].
#[must_use]
pub fn faults(value: Value, origin: &Origin, stored: &BTreeSet<String>) -> Vec<FieldError> {
    match typed(value, origin) {
        Ok(None) => Vec::new(),
        Ok(Some((object, _))) => [validation::faults(&object, origin), cidrs::new_faults(&object, stored)].concat(),
        Err(error) => error.faults,
    }
}

/// The object as its type has it, not validated yet, and its name.
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
    // The type decides them; a custom resource's type would report them as unknown fields.
    fields.remove("apiVersion");
    fields.remove("kind");

    let named = Naming::of(&value, kind, origin);
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
