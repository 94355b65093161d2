//! Sends admission reviews to the routes as an API server does.

use axum::body::{Body, to_bytes};
use axum::http::{Request, StatusCode};
use foretell_webhook::metrics::Reviews;
use foretell_webhook::replicas::Evaluator;
use foretell_webhook::server::routes;
use serde_json::{Value, json};
use tower::ServiceExt as _;

/// The `AdmissionReview` that the API server would send with this request.
fn admission_review(request: &Value) -> Value {
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

/// Posts a body, and returns the status and the answer.
pub(crate) async fn send(path: &str, body: impl Into<Body>) -> (StatusCode, Value) {
    let evaluator = Evaluator { namespace: "foretell".to_owned(), name: "foretell-evaluator".to_owned() };
    let request = Request::post(path).header("content-type", "application/json").body(body.into()).unwrap();
    let response = routes(evaluator, Reviews::default()).oneshot(request).await.unwrap();
    let status = response.status();
    let bytes = to_bytes(response.into_body(), 1 << 20).await.unwrap();
    (status, serde_json::from_slice(&bytes).unwrap_or(Value::Null))
}

/// The response to a request. It must have the request's UID.
pub(crate) async fn review(path: &str, request: &Value) -> Value {
    let (status, answer) = send(path, admission_review(request).to_string()).await;
    assert_eq!(status, StatusCode::OK, "{answer}");
    assert_eq!((&answer["apiVersion"], &answer["kind"]), (&json!("admission.k8s.io/v1"), &json!("AdmissionReview")));
    assert_eq!(answer["response"]["uid"], "705ab4f5-6393-11e8-b7cc-42010a800002");
    answer["response"].clone()
}

/// The fields of a request for this kind and resource.
pub(crate) fn of_kind(group: &str, version: &str, kind: &str, resource: &str) -> Value {
    json!({
        "kind": {"group": group, "version": version, "kind": kind},
        "resource": {"group": group, "version": version, "resource": resource},
    })
}

/// The request with further fields.
pub(crate) fn with(mut request: Value, fields: &Value) -> Value {
    request.as_object_mut().unwrap().extend(fields.as_object().unwrap().clone());
    request
}
