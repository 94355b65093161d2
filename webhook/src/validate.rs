//! Decides whether an object may be stored.

use kube::core::admission::Operation;

use crate::policies;
use crate::replicas::{self, Evaluator};
use crate::review::{Answer, Request};

/// Answers a request. Objects of other kinds are allowed. So is every deletion, and every update of an object that is being
/// deleted, because it must be possible to delete an invalid object.
#[must_use]
pub fn answer(request: &Request, evaluator: &Evaluator) -> Answer {
    let Some(object) = request.object.as_ref() else { return Answer::Allow };
    let is_stored = matches!(request.operation, Operation::Create | Operation::Update);
    if !is_stored || object.metadata.deletion_timestamp.is_some() {
        return Answer::Allow;
    }
    let subresource = request.sub_resource.as_deref().unwrap_or_default();
    let api_errors = match (request.resource.group.as_str(), subresource) {
        ("kguardian.dev" | "foretell.dev", "") => policies::api_errors(object, request.old_object.as_ref()),
        ("apps", "" | "scale") => replicas::api_errors(request, object, evaluator),
        _ => Vec::new(),
    };
    if api_errors.is_empty() { Answer::Allow } else { Answer::Refuse(api_errors) }
}
