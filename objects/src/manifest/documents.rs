//! From the text of a file to the Kubernetes objects in it: YAML and JSON, several documents, Lists.
//!
//! YAML is read as `kubectl` reads it, which is mostly YAML 1.1: `yes`, `on`, `y` and similar words are booleans, `0644` is
//! octal, merge keys are followed, and numbers and booleans as keys of a mapping are read as text. One rule is stricter than
//! `kubectl`'s: a duplicate key is an error, because different parsers of the file would see different objects.

use serde_json::{Map, Value};

use crate::manifest::document::Document;
use crate::manifest::{json, yaml};

/// The documents of a text, in order. Each item of a List becomes a document of its own; empty documents and `null` are
/// skipped.
///
/// In YAML, reading continues after a document with an error, because `---` separates documents whatever they contain. JSON has
/// no separator, so the first error is the last document.
///
/// ```
/// use foretell_objects::manifest::documents::documents;
///
/// let read = documents("kind: Pod\n---\nkind: [\n---\nkind: List\nitems:\n- kind: Service\n");
/// assert_eq!(read.len(), 3);
/// assert_eq!(read[0].value.as_ref().unwrap()["kind"], "Pod");
/// assert!(read[1].value.is_err());
/// assert_eq!((read[2].number, read[2].item.as_str()), (3, "items[0]"));
/// ```
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

/// Like `kubectl`, distinguishes JSON from YAML by the first character. Two braces begin a Helm template, not JSON.
pub(super) fn looks_like_json(text: &str) -> bool {
    let mut characters = text.trim_start().chars();
    matches!((characters.next(), characters.next()), (Some('{'), next) if next != Some('{'))
}

/// Adds the items of a List, or the object itself if it is not a List. Items of a typed list (`NetworkPolicyList`) need not
/// repeat its type.
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
        // Go writes an empty list as `items: null`.
        Some(Value::Null) | None => kind == "List",
        Some(_) => false,
    }
}
