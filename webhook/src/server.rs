//! The two routes that the API server calls.

use std::sync::Arc;
use std::time::Instant;

use axum::Json;
use axum::Router;
use axum::body::Bytes;
use axum::extract::rejection::BytesRejection;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use foretell_service::refusal::Refusal;
use tracing::{info, warn};

use crate::metrics::{Endpoint, Outcome, Reviews};
use crate::replicas::Evaluator;
use crate::review::{self, Answer, Request};
use crate::{mutate, validate};

/// An API server accepts objects of up to 3 MiB, and sends the stored object together with the new one.
const MAX_BYTES: usize = 8 << 20;

struct Shared {
    evaluator: Evaluator,
    reviews: Reviews,
}

/// The routes `/validate` and `/mutate`.
pub fn routes(evaluator: Evaluator, reviews: Reviews) -> Router {
    Router::new()
        .route("/validate", post(handle_validate))
        .route("/mutate", post(handle_mutate))
        .layer(DefaultBodyLimit::max(MAX_BYTES))
        .with_state(Arc::new(Shared { evaluator, reviews }))
}

async fn handle_validate(State(shared): State<Arc<Shared>>, body: Result<Bytes, BytesRejection>) -> Response {
    handle(&shared, Endpoint::validate, body, |request| validate::answer(request, &shared.evaluator))
}

async fn handle_mutate(State(shared): State<Arc<Shared>>, body: Result<Bytes, BytesRejection>) -> Response {
    handle(&shared, Endpoint::mutate, body, mutate::answer)
}

fn handle(
    shared: &Shared,
    endpoint: Endpoint,
    body: Result<Bytes, BytesRejection>,
    decide: impl Fn(&Request) -> Answer,
) -> Response {
    let start = Instant::now();
    let request = match body.map_err(|rejection| unreadable(&rejection)).and_then(|body| review::read(&body)) {
        Ok(request) => request,
        Err(refusal) => {
            warn!(review.problem = %refusal.message, "An admission review cannot be read: {}", refusal.message);
            shared.reviews.count(endpoint, None, Outcome::unreadable, start.elapsed());
            return refusal.into_response();
        }
    };
    let answer = decide(&request);
    let outcome = match &answer {
        Answer::Allow => Outcome::allowed,
        Answer::Patch(_) => Outcome::patched,
        Answer::Refuse(api_errors) => {
            log_refusal(&request, api_errors.len());
            Outcome::refused
        }
    };
    let reply = review::reply(&request, answer);
    shared.reviews.count(endpoint, Some(&request.kind.kind), outcome, start.elapsed());
    match reply {
        Ok(review) => Json(review).into_response(),
        Err(error) => Refusal::internal(&error).into_response(),
    }
}

fn log_refusal(request: &Request, faults: usize) {
    let (kind, name) = (&request.kind.kind, &request.name);
    let namespace = request.namespace.as_deref().unwrap_or_default();
    info!(object.kind = %kind, object.namespace = %namespace, object.name = %name, object.errors = faults, "Rejected {kind} {name} with {faults} errors");
}

fn unreadable(rejection: &BytesRejection) -> Refusal {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return Refusal::too_large(format!("the body has more than {MAX_BYTES} bytes"));
    }
    Refusal::bad_request(format!("the body could not be received: {}", rejection.body_text()))
}
