//! Decides whether an object is changed before it is stored.

use kube::core::admission::Operation;

use crate::promotion;
use crate::review::{Answer, Request};

/// Answers a request. Only NetworkPolicies are changed, and only if the request stores them.
#[must_use]
pub fn answer(request: &Request) -> Answer {
    let is_policy = request.kind.group == "networking.k8s.io" && request.kind.kind == "NetworkPolicy";
    let is_stored = matches!(request.operation, Operation::Create | Operation::Update);
    let subresource = request.sub_resource.as_deref().unwrap_or_default();
    match &request.object {
        Some(object) if is_policy && is_stored && subresource.is_empty() => {
            promotion::cleanup(object).map_or(Answer::Allow, Answer::Patch)
        }
        _ => Answer::Allow,
    }
}
