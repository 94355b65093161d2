//! What is changed of an object before it is stored.

use kube::core::admission::Operation;

use crate::promotion;
use crate::review::{Answer, Question};

/// The answer: only NetworkPolicies are changed, and only where they are stored.
#[must_use]
pub fn answer(question: &Question) -> Answer {
    let is_policy = question.kind.group == "networking.k8s.io" && question.kind.kind == "NetworkPolicy";
    let is_stored = matches!(question.operation, Operation::Create | Operation::Update);
    let subresource = question.sub_resource.as_deref().unwrap_or_default();
    match &question.object {
        Some(object) if is_policy && is_stored && subresource.is_empty() => {
            promotion::tidied(object).map_or(Answer::Allow, Answer::Change)
        }
        _ => Answer::Allow,
    }
}
