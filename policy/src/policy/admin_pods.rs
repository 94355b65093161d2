//! Pods by their labels and those of their namespaces.

use std::fmt;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use foretell_objects::model::labels::{Labels, Selector};
use foretell_objects::resource::admin;

/// Selects pods by the labels of their namespaces and their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AdminPods {
    namespaces: Selector,
    pods: Selector,
}

impl AdminPods {
    pub(super) fn of_namespaces(namespaces: &LabelSelector) -> Self {
        Self { namespaces: Selector::compile(namespaces), pods: Selector::everything() }
    }

    pub(super) fn compile(pods: &admin::Pods) -> Self {
        let namespaces = pods.namespace_selector.as_ref().map_or_else(Selector::everything, Selector::compile);
        Self { namespaces, pods: Selector::compile(&pods.pod_selector) }
    }

    /// The selector of namespaces.
    pub(crate) fn namespaces(&self) -> &Selector {
        &self.namespaces
    }

    /// The selector of pods within them.
    pub(crate) fn pods(&self) -> &Selector {
        &self.pods
    }

    pub(super) fn matches(&self, namespace_labels: &Labels, labels: &Labels) -> bool {
        self.namespaces.matches(namespace_labels) && self.pods.matches(labels)
    }
}

impl fmt::Display for AdminPods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pods.is_everything() {
            f.write_str("every pod")?;
        } else {
            write!(f, "pods with {}", self.pods)?;
        }
        if self.namespaces.is_everything() {
            f.write_str(" of every namespace")
        } else {
            write!(f, " of namespaces with {}", self.namespaces)
        }
    }
}
