//! Whether an object may be stored.

use kube::core::admission::Operation;

use crate::policies;
use crate::replicas::{self, Evaluator};
use crate::review::{Answer, Question};

/// The answer. What is none of Foretell's is allowed; so is every deletion, and every change of what is being deleted:
/// whatever is wrong with it, it must be possible to be rid of it.
#[must_use]
pub fn answer(question: &Question, evaluator: &Evaluator) -> Answer {
    let Some(object) = question.object.as_ref() else { return Answer::Allow };
    let is_stored = matches!(question.operation, Operation::Create | Operation::Update);
    if !is_stored || object.metadata.deletion_timestamp.is_some() {
        return Answer::Allow;
    }
    let subresource = question.sub_resource.as_deref().unwrap_or_default();
    let complaints = match (question.resource.group.as_str(), subresource) {
        ("kguardian.dev" | "foretell.dev", "") => policies::api_errors(object, question.old_object.as_ref()),
        ("apps", "" | "scale") => replicas::api_errors(question, object, evaluator),
        _ => Vec::new(),
    };
    if complaints.is_empty() { Answer::Allow } else { Answer::Refuse(complaints) }
}
