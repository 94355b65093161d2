//! Rejects a second replica of the evaluator.

use foretell_objects::resource::object::api_error::ApiError;
use kube::core::DynamicObject;

use crate::review::Request;

/// The label of the evaluator's Deployment or `StatefulSet`.
const LABEL: (&str, &str) = ("app.kubernetes.io/name", "foretell-evaluator");

/// Namespace and name of the evaluator. A request to scale it does not contain its labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluator {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// The error in the number of replicas, if the object is the evaluator.
#[must_use]
pub fn api_errors(request: &Request, object: &DynamicObject, evaluator: &Evaluator) -> Vec<ApiError> {
    if !matches!(request.resource.resource.as_str(), "deployments" | "statefulsets") {
        return Vec::new();
    }
    let is_named = request.namespace.as_ref() == Some(&evaluator.namespace) && request.name == evaluator.name;
    let labels = object.metadata.labels.as_ref();
    let is_labelled = labels.and_then(|labels| labels.get(LABEL.0)).is_some_and(|value| value == LABEL.1);
    let replicas = object.data.pointer("/spec/replicas").and_then(serde_json::Value::as_i64);
    match replicas {
        Some(replicas) if replicas > 1 && (is_named || is_labelled) => {
            let reason = "one evaluator owns the window of traffic; each of several replicas would record only a part of it: keep it at 1";
            vec![ApiError::invalid("spec.replicas", replicas, reason)]
        }
        _ => Vec::new(),
    }
}
