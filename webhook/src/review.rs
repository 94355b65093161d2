//! Reads and writes `AdmissionReview` of `admission.k8s.io/v1`.

use foretell_objects::resource::object::api_error::ApiError;
use foretell_service::refusal::Refusal;
use json_patch::Patch;
use kube::core::admission::{
    AdmissionRequest, AdmissionResponse, AdmissionReview, META_API_VERSION_V1, META_KIND, SerializePatchError,
};
use kube::core::response::{Status, StatusCause, StatusDetails};
use kube::core::{DynamicObject, TypeMeta};
use serde::Deserialize as _;
use serde_json::Value;

/// A request about one object.
pub type Request = AdmissionRequest<DynamicObject>;

/// The answer to a request.
#[derive(Debug, Clone, PartialEq)]
pub enum Answer {
    /// The object may be stored unchanged.
    Allow,
    /// The object may be stored with this patch.
    Patch(Patch),
    /// The object must not be stored.
    Refuse(Vec<ApiError>),
}

/// Reads a request.
///
/// # Errors
/// Status 400 if the body is not an `AdmissionReview` of `admission.k8s.io/v1`.
pub fn read(body: &[u8]) -> Result<Request, Refusal> {
    let value: Value = serde_json::from_slice(body)
        .map_err(|error| Refusal::bad_request(format!("the body is not JSON: {error}; send an AdmissionReview")))?;
    let types: TypeMeta = TypeMeta::deserialize(&value)
        .map_err(|error| Refusal::bad_request(format!("the body has no apiVersion and kind: {error}")))?;
    if (types.api_version.as_str(), types.kind.as_str()) != (META_API_VERSION_V1, META_KIND) {
        let TypeMeta { api_version, kind } = types;
        return Err(Refusal::bad_request(format!(
            "the body is a {kind} of {api_version}: send an {META_KIND} of {META_API_VERSION_V1}"
        )));
    }
    let review: AdmissionReview<DynamicObject> = AdmissionReview::deserialize(&value)
        .map_err(|error| Refusal::bad_request(format!("the AdmissionReview cannot be read: {error}")))?;
    review.try_into().map_err(|_| Refusal::bad_request("the AdmissionReview has no request"))
}

/// The `AdmissionReview` with the response.
///
/// # Errors
/// If a patch cannot be written as JSON. This does not happen with the webhook's patches.
pub fn reply(request: &Request, answer: Answer) -> Result<AdmissionReview<DynamicObject>, SerializePatchError> {
    let mut response = AdmissionResponse::from(request);
    match answer {
        Answer::Allow => {}
        Answer::Patch(patch) => response = response.with_patch(patch)?,
        Answer::Refuse(api_errors) => {
            response.allowed = false;
            response.result = invalid(request, &api_errors);
        }
    }
    Ok(response.into_review())
}

/// The status with which an API server rejects an invalid object of its own kinds, so that clients show both in the same way.
fn invalid(request: &Request, api_errors: &[ApiError]) -> Status {
    let (kind, group) = (request.kind.kind.clone(), request.kind.group.clone());
    let name = request.name.clone();
    let mut messages: Vec<String> = Vec::new();
    for error in api_errors.iter().map(ToString::to_string) {
        if !messages.contains(&error) {
            messages.push(error);
        }
    }
    let messages = match &messages[..] {
        [one] => one.clone(),
        several => format!("[{}]", several.join(", ")),
    };
    let qualified = if group.is_empty() { kind.clone() } else { format!("{kind}.{group}") };
    let causes = api_errors.iter().map(|error| StatusCause {
        reason: error.cause.reason().to_owned(),
        message: error.message(),
        field: error.field.clone(),
    });
    let message = format!("{qualified} {name:?} is invalid: {messages}");
    let details =
        StatusDetails { name, group, kind, uid: String::new(), causes: causes.collect(), retry_after_seconds: 0 };
    Status::failure(&message, "Invalid").with_code(422).with_details(details)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn request(group: &str, kind: &str) -> Request {
        let review = json!({
            "apiVersion": META_API_VERSION_V1, "kind": META_KIND,
            "request": {
                "uid": "1", "operation": "CREATE", "name": "web", "userInfo": {}, "dryRun": false,
                "kind": {"group": group, "version": "v1", "kind": kind},
                "resource": {"group": group, "version": "v1", "resource": "any"},
            },
        });
        read(review.to_string().as_bytes()).unwrap()
    }

    fn message(group: &str, kind: &str, api_errors: &[ApiError]) -> String {
        invalid(&request(group, kind), api_errors).message
    }

    #[test]
    fn the_message_names_the_kind_its_group_and_all_different_errors() {
        let one = ApiError::invalid("spec.a", 1, "is wrong");
        let two = ApiError::invalid("spec.b", 2, "is wrong");
        let (first, second) = ("spec.a: Invalid value: 1: is wrong", "spec.b: Invalid value: 2: is wrong");
        for (group, kind, api_errors, expected) in [
            ("", "Pod", vec![one.clone()], format!(r#"Pod "web" is invalid: {first}"#)),
            ("apps", "Deployment", vec![one.clone()], format!(r#"Deployment.apps "web" is invalid: {first}"#)),
            ("", "Pod", vec![one.clone(), two.clone()], format!(r#"Pod "web" is invalid: [{first}, {second}]"#)),
            ("", "Pod", vec![one.clone(), one.clone()], format!(r#"Pod "web" is invalid: {first}"#)),
        ] {
            assert_eq!(message(group, kind, &api_errors), expected);
        }
    }

    #[test]
    fn only_a_refusal_is_not_allowed_and_only_a_patch_has_one() {
        let patch = Patch(vec![]);
        let refusal = Answer::Refuse(vec![ApiError::invalid("spec.a", 1, "is wrong")]);
        for (answer, allowed, has_patch) in
            [(Answer::Allow, true, false), (Answer::Patch(patch), true, true), (refusal, false, false)]
        {
            let response = reply(&request("", "Pod"), answer).unwrap().response.unwrap();
            assert_eq!((response.allowed, response.patch.is_some(), response.uid.as_str()), (allowed, has_patch, "1"));
        }
    }
}
