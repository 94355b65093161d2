//! Reads the demo's files: the shop's repository and the recording.
#![allow(dead_code, reason = "each test file uses a part of it")]

use std::fs;
use std::path::{Path, PathBuf};

use foretell_objects::resource::object::Object;
use foretell_objects::resource::object::origin::Origin;
use foretell_objects::resource::read;
use serde_json::Value;

pub(crate) fn demo() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

pub(crate) fn read(path: impl AsRef<Path>) -> String {
    let path = demo().join(path);
    fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The objects of a file, including the items of lists.
pub(crate) fn documents(path: impl AsRef<Path>) -> Vec<Value> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(&read(path)).unwrap();
    let objects = |document: Value| match document["items"].as_array() {
        Some(items) => items.clone(),
        None => vec![document],
    };
    documents.into_iter().flat_map(objects).collect()
}

/// The objects in a folder of the repository.
pub(crate) fn repository(part: &str) -> Vec<Value> {
    let mut folders = vec![demo().join("shop/repository").join(part)];
    let mut found = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "yaml") {
                found.extend(documents(&path));
            }
        }
    }
    found
}

pub(crate) fn find<'a>(documents: &'a [Value], kind: &str, name: &str) -> &'a Value {
    let found = documents.iter().find(|document| document["kind"] == kind && document["metadata"]["name"] == name);
    found.unwrap_or_else(|| panic!("no {kind} {name}"))
}

/// The pod template of a workload.
pub(crate) fn template(object: &Value) -> Option<&Value> {
    match object["kind"].as_str() {
        Some("Deployment" | "StatefulSet") => Some(&object["spec"]["template"]),
        Some("CronJob") => Some(&object["spec"]["jobTemplate"]["spec"]["template"]),
        _ => None,
    }
}

/// The objects of the recorded cluster.
pub(crate) fn snapshot() -> Vec<Object> {
    let documents = documents("recorded/snapshot.yaml").into_iter();
    documents.filter_map(|document| read::read(document, &Origin::Cluster).unwrap()).collect()
}
