//! Snapshots: the fields that they keep, pods that are gone, and their text.
#![allow(clippy::expect_used, clippy::panic, clippy::unwrap_used, reason = "a test panics on what it does not expect")]

mod gone;
mod kept;
mod rights;
mod text;

use foretell_policy::snapshot::text::Snapshot;
use serde_json::Value;

/// A snapshot of these documents.
fn snapshot(taken: &str, documents: &str) -> Snapshot {
    let read = foretell_objects::manifest::documents::documents(documents);
    Snapshot {
        taken: taken.parse().unwrap(),
        cluster: Some("one".to_owned()),
        server: "https://one.example:6443".to_owned(),
        not_served: vec!["AuditException".to_owned()],
        objects: read.into_iter().map(|document| document.value.unwrap()).collect(),
    }
}

/// The name of an object: `Pod shop/web-1`.
fn title(object: &Value) -> String {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let metadata = &object["metadata"];
    format!("{} {}/{}", text(&object["kind"]), text(&metadata["namespace"]), text(&metadata["name"]))
}
