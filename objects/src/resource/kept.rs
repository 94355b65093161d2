//! Reduces objects to the fields that a snapshot keeps: those that the engine reads, as listed in the table of fields
//! (`resource::fields`). Commands, environments, images, other annotations and everything else stay in the cluster.
//!
//! For a manifest that is judged elsewhere the pod template is kept as well, because it defines future pods.

use serde_json::{Map, Value};

use crate::resource::fields;
use crate::resource::object::{Kind, Object};

/// Reduces a manifest of this kind to the fields that the engine reads, with its pod template.
#[must_use]
pub fn strip_manifest(object: Value, kind: Kind) -> Value {
    keep(object, &paths(fields::kept_of_manifest(kind))).unwrap_or_default()
}

/// Reduces an object to the fields that a snapshot keeps. `kind` is `None` for a policy of a kind that the engine does not evaluate.
#[must_use]
pub fn strip(object: Value, kind: Option<Kind>) -> Value {
    let mut kept = keep(object, &paths(fields::kept_of_live(kind))).unwrap_or_default();
    if kind == Some(Kind::Pod)
        && let Some(Value::Array(conditions)) = kept.pointer_mut("/status/conditions")
    {
        conditions.retain(|condition| condition["type"] == "Ready");
    }
    kept
}

fn paths(fields: &'static [Vec<&'static str>]) -> Vec<&'static [&'static str]> {
    fields.iter().map(Vec::as_slice).collect()
}

/// `None` if nothing is left. A null, which an API server may write for an empty list, is dropped.
fn keep(value: Value, fields: &[&[&str]]) -> Option<Value> {
    if fields.iter().any(|path| path.is_empty()) {
        return Some(value).filter(|value| !value.is_null());
    }
    match value {
        Value::Object(entries) => {
            let kept: Map<String, Value> = entries
                .into_iter()
                .filter_map(|(key, value)| {
                    let below = below(fields, |name| is_named(&key, name));
                    Some((key, keep(value, &below)?))
                })
                .collect();
            (!kept.is_empty()).then(|| kept.into())
        }
        Value::Array(items) => {
            let below = below(fields, |name| name == "*");
            let kept: Vec<Value> = items.into_iter().filter_map(|item| keep(item, &below)).collect();
            (!kept.is_empty()).then(|| kept.into())
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => None,
    }
}

fn below<'f>(fields: &[&'f [&'f str]], is_step: impl Fn(&str) -> bool) -> Vec<&'f [&'f str]> {
    fields
        .iter()
        .filter_map(|path| path.split_first())
        .filter(|(name, _)| is_step(name))
        .map(|(_, rest)| rest)
        .collect()
}

fn is_named(key: &str, name: &str) -> bool {
    match name.strip_suffix('*') {
        Some(prefix) if prefix.ends_with('/') => key.starts_with(prefix),
        _ => key == name,
    }
}

impl Object {
    /// The object as JSON, with `apiVersion` and `kind`, and without the fields that the engine does not read.
    /// [`read`](crate::resource::read::read) accepts the result.
    ///
    /// # Errors
    /// Never for an object that [`read`](crate::resource::read::read) returned.
    pub fn to_manifest(&self) -> Result<Value, serde_json::Error> {
        let mut value = self.to_json()?;
        let kind = self.kind();
        value["apiVersion"] = kind.api_version().into();
        value["kind"] = kind.name().into();
        Ok(strip_manifest(value, kind))
    }
}
