//! One evaluator, and no second one.

use foretell_policy::resource::object::api_error::ApiError;
use kube::core::DynamicObject;

use crate::review::Question;

/// Label of the evaluator's Deployment or `StatefulSet`, and its value.
const LABEL: (&str, &str) = ("app.kubernetes.io/name", "foretell-evaluator");

/// The evaluator, for a request to scale it: that holds none of its labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Evaluator {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

/// What is wrong with the number of replicas, of the evaluator alone.
#[must_use]
pub fn api_errors(question: &Question, object: &DynamicObject, evaluator: &Evaluator) -> Vec<ApiError> {
    if !matches!(question.resource.resource.as_str(), "deployments" | "statefulsets") {
        return Vec::new();
    }
    let is_named = question.namespace.as_ref() == Some(&evaluator.namespace) && question.name == evaluator.name;
    let labels = object.metadata.labels.as_ref();
    let is_labelled = labels.and_then(|labels| labels.get(LABEL.0)).is_some_and(|value| value == LABEL.1);
    let replicas = object.data.pointer("/spec/replicas").and_then(serde_json::Value::as_i64);
    match replicas {
        Some(replicas) if replicas > 1 && (is_named || is_labelled) => {
            let reason =
                "one evaluator owns the window of traffic, and several would each count a part of it: keep it at 1";
            vec![ApiError::invalid("spec.replicas", replicas, reason)]
        }
        _ => Vec::new(),
    }
}
