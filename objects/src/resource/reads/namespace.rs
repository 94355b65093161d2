//! The fields of a Namespace that the engine reads.

use crate::model::labels::{Labels, NAMESPACE_NAME_LABEL};
use crate::resource::kubernetes::Namespace;

/// The name and the labels of a Namespace, with the label that every Namespace carries with its own name.
#[must_use]
pub fn labels(namespace: &Namespace) -> (String, Labels) {
    let name = namespace.metadata.name.clone().unwrap_or_default();
    let labels = with_name(&name, namespace.metadata.labels.clone().unwrap_or_default());
    (name, labels)
}

/// Labels of a namespace, with the label that the API server adds (`NamespaceDefaultLabelName`).
#[must_use]
pub fn with_name(name: &str, mut labels: Labels) -> Labels {
    labels.insert(NAMESPACE_NAME_LABEL.to_owned(), name.to_owned());
    labels
}
