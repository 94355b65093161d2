//! From the text of a file to the Kubernetes objects in it: YAML and JSON, several documents, Lists.
//!
//! YAML is read as `kubectl` reads it, which is YAML 1.1 in what matters: `yes`, `on`, `y` and their like are booleans,
//! `0644` is octal, merge keys are followed, and numbers and booleans as keys of a mapping are taken as text. Stricter
//! than `kubectl` in one point: a key given twice is an error, because two readers of the file would see two objects.

use serde_json::{Map, Value};

use crate::manifest::{json, yaml};

pub use crate::manifest::kinds::{POLICY_KINDS, may_hold_objects, names_policy, seems_to_hold_policy};

/// One object of a file, or the reason why its document cannot be read.
#[derive(Clone, Debug, PartialEq)]
pub struct Document {
    /// Number of the document in its text, from 1. Empty documents count; comments before the first `---` do not.
    pub number: usize,
    /// `items[3]` where the document is a List, `items[3].items[0]` where a List holds a List; `""` otherwise.
    pub item: String,
    /// The object.
    pub value: Result<Value, DocumentError>,
}

/// Why a document cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {problem}")]
pub struct DocumentError {
    /// Line in the whole text, from 1.
    pub line: usize,
    /// What is wrong, without a line.
    pub problem: String,
}

/// The documents of a text, in order. Lists are taken apart; empty documents and `null` are passed over.
///
/// A document that cannot be read does not end the reading: YAML's `---` parts documents whatever they hold. In JSON nothing
/// does, so there the first error is the last document.
#[must_use]
pub fn documents(text: &str) -> Vec<Document> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let read = if looks_like_json(text) { json::documents(text) } else { yaml::documents(text) };
    let mut documents = Vec::with_capacity(read.len());
    for (number, value) in read {
        match value {
            Ok(Value::Null) => {}
            Ok(value) => flatten(number, String::new(), value, &mut documents),
            Err(error) => documents.push(Document { number, item: String::new(), value: Err(error) }),
        }
    }
    documents
}

/// `kubectl` tells JSON from YAML by its first character, and so does this; a Helm template begins with two braces.
fn looks_like_json(text: &str) -> bool {
    let mut characters = text.trim_start().chars();
    matches!((characters.next(), characters.next()), (Some('{'), next) if next != Some('{'))
}

/// A List's items stand for themselves; those of a typed list (`NetworkPolicyList`) need not repeat their type.
fn flatten(number: usize, item: String, value: Value, documents: &mut Vec<Document>) {
    let mut object = match value {
        Value::Object(object) if is_list(&object) => object,
        value => return documents.push(Document { number, item, value: Ok(value) }),
    };
    let Some(Value::Array(items)) = object.remove("items") else { return };
    let kind =
        object.get("kind").and_then(Value::as_str).and_then(|kind| kind.strip_suffix("List")).unwrap_or_default();
    for (n, mut value) in items.into_iter().enumerate() {
        if let (false, Value::Object(fields)) = (kind.is_empty(), &mut value) {
            fields.entry("kind").or_insert_with(|| kind.into());
            if let Some(version) = object.get("apiVersion") {
                fields.entry("apiVersion").or_insert_with(|| version.clone());
            }
        }
        let path = if item.is_empty() { format!("items[{n}]") } else { format!("{item}.items[{n}]") };
        flatten(number, path, value, documents);
    }
}

fn is_list(object: &Map<String, Value>) -> bool {
    let kind = object.get("kind").and_then(Value::as_str).unwrap_or_default();
    match object.get("items") {
        Some(Value::Array(_)) => kind.ends_with("List"),
        // `items: null` is what Go writes for an empty list.
        Some(Value::Null) | None => kind == "List",
        Some(_) => false,
    }
}
