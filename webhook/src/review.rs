//! What the API server asks and what it is answered: `AdmissionReview`, `admission.k8s.io/v1`.

use foretell_policy::resource::object::api_error::ApiError;
use foretell_service::refusal::Refusal;
use json_patch::Patch;
use kube::core::admission::{
    AdmissionRequest, AdmissionResponse, AdmissionReview, META_API_VERSION_V1, META_KIND, SerializePatchError,
};
use kube::core::response::{Status, StatusCause, StatusDetails};
use kube::core::{DynamicObject, TypeMeta};
use serde::Deserialize as _;
use serde_json::Value;

/// What is asked about one object.
pub type Question = AdmissionRequest<DynamicObject>;

/// What is answered.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// It may be stored as it is.
    Allow,
    /// It may be stored with this change.
    Change(Patch),
    /// It may not be stored.
    Refuse(Vec<ApiError>),
}

/// Reads what was sent.
///
/// # Errors
/// 400 where it is no review of the one version that is answered, with what it is instead.
pub fn read(body: &[u8]) -> Result<Question, Refusal> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| Refusal::bad_request(format!("the body is not JSON: {error}; send an AdmissionReview")))?;
    let types: TypeMeta = TypeMeta::deserialize(&value)
        .map_err(|error| Refusal::bad_request(format!("the body has no apiVersion and kind: {error}")))?;
    if (types.api_version.as_str(), types.kind.as_str()) != (META_API_VERSION_V1, META_KIND) {
        let TypeMeta { api_version, kind } = types;
        return Err(Refusal::bad_request(format!(
            "the body is a {kind} of {api_version}: only an {META_KIND} of {META_API_VERSION_V1} is answered"
        )));
    }
    let review: AdmissionReview<DynamicObject> = AdmissionReview::deserialize(&value)
        .map_err(|error| Refusal::bad_request(format!("the AdmissionReview cannot be read: {error}")))?;
    review.try_into().map_err(|_| Refusal::bad_request("the AdmissionReview holds no request"))
}

/// The review that goes back.
///
/// # Errors
/// Where a change cannot be written as JSON, which no change of ours is.
pub fn reply(question: &Question, answer: Answer) -> Result<AdmissionReview<DynamicObject>, SerializePatchError> {
    let mut response = AdmissionResponse::from(question);
    match answer {
        Answer::Allow => {}
        Answer::Change(patch) => response = response.with_patch(patch)?,
        Answer::Refuse(complaints) => {
            response.allowed = false;
            response.result = invalid(question, &complaints);
        }
    }
    Ok(response.into_review())
}

/// As an API server refuses an object of its own kinds, so that kubectl and others show the two alike.
fn invalid(question: &Question, complaints: &[ApiError]) -> Status {
    let (kind, group) = (question.kind.kind.clone(), question.kind.group.clone());
    let name = question.name.clone();
    let mut said: Vec<String> = Vec::new();
    for complaint in complaints.iter().map(ToString::to_string) {
        if !said.contains(&complaint) {
            said.push(complaint);
        }
    }
    let said = match &said[..] {
        [one] => one.clone(),
        several => format!("[{}]", several.join(", ")),
    };
    let qualified = if group.is_empty() { kind.clone() } else { format!("{kind}.{group}") };
    let causes = complaints.iter().map(|complaint| StatusCause {
        reason: complaint.cause.reason().to_owned(),
        message: complaint.message(),
        field: complaint.field.clone(),
    });
    let message = format!("{qualified} {name:?} is invalid: {said}");
    let details =
        StatusDetails { name, group, kind, uid: String::new(), causes: causes.collect(), retry_after_seconds: 0 };
    Status::failure(&message, "Invalid").with_code(422).with_details(details)
}
