//! Questions as an API server asks them, of the routes themselves.

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use foretell_webhook::metrics::Reviews;
use foretell_webhook::replicas::Evaluator;
use foretell_webhook::server::routes;
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// What the API server would send with this.
pub(crate) fn review(request: &Value) -> Value {
    let mut review = json!({
        "apiVersion": "admission.k8s.io/v1",
        "kind": "AdmissionReview",
        "request": {
            "uid": "705ab4f5-6393-11e8-b7cc-42010a800002",
            "operation": "CREATE",
            "userInfo": {"username": "admin", "groups": ["system:authenticated"]},
            "dryRun": false,
            "options": {"kind": "CreateOptions", "apiVersion": "meta.k8s.io/v1"},
        },
    });
    for (field, value) in request.as_object().unwrap() {
        review["request"][field] = value.clone();
    }
    review
}

/// Sends a body and returns what comes back.
pub(crate) async fn send(path: &str, body: impl Into<Body>) -> (StatusCode, Value) {
    let evaluator = Evaluator { namespace: "foretell".to_owned(), name: "foretell-evaluator".to_owned() };
    let request = Request::post(path).header("content-type", "application/json").body(body.into()).unwrap();
    let response = routes(evaluator, Reviews::default()).oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

/// The response to a question, which has its UID.
pub(crate) async fn ask(path: &str, request: &Value) -> Value {
    let (status, answer) = send(path, review(request).to_string()).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!((&answer["apiVersion"], &answer["kind"]), (&json!("admission.k8s.io/v1"), &json!("AdmissionReview")));
    assert_eq!(answer["response"]["uid"], "705ab4f5-6393-11e8-b7cc-42010a800002");
    answer["response"].clone()
}

/// A group, version and kind, and the resource of it.
pub(crate) fn of_kind(group: &str, version: &str, kind: &str, resource: &str) -> Value {
    json!({
        "kind": {"group": group, "version": version, "kind": kind},
        "resource": {"group": group, "version": version, "resource": resource},
    })
}

/// The question with further fields.
pub(crate) fn with(mut question: Value, fields: &Value) -> Value {
    question.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    question
}
