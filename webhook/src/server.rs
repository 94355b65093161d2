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
use crate::review::{self, Answer, Question};
use crate::{mutate, validate};

/// An API server takes objects of 3 MiB, and sends the stored one beside the new one.
const MOST_BYTES: usize = 8 << 20;

struct Shared {
    evaluator: Evaluator,
    reviews: Reviews,
}

/// `/validate` and `/mutate`.
pub fn routes(evaluator: Evaluator, reviews: Reviews) -> Router {
    Router::new()
        .route("/validate", post(validated))
        .route("/mutate", post(mutated))
        .layer(DefaultBodyLimit::max(MOST_BYTES))
        .with_state(Arc::new(Shared { evaluator, reviews }))
}

async fn validated(State(shared): State<Arc<Shared>>, body: Result<Bytes, BytesRejection>) -> Response {
    answered(&shared, Endpoint::validate, body, |question| validate::answer(question, &shared.evaluator))
}

async fn mutated(State(shared): State<Arc<Shared>>, body: Result<Bytes, BytesRejection>) -> Response {
    answered(&shared, Endpoint::mutate, body, mutate::answer)
}

fn answered(
    shared: &Shared,
    endpoint: Endpoint,
    body: Result<Bytes, BytesRejection>,
    judge: impl Fn(&Question) -> Answer,
) -> Response {
    let asked = Instant::now();
    let question = match body.map_err(|rejection| unread(&rejection)).and_then(|body| review::read(&body)) {
        Ok(question) => question,
        Err(refusal) => {
            warn!(review.problem = %refusal.message, "A question cannot be read: {}", refusal.message);
            shared.reviews.count(endpoint, None, Outcome::unreadable, asked.elapsed());
            return refusal.into_response();
        }
    };
    let answer = judge(&question);
    let outcome = match &answer {
        Answer::Allow => Outcome::allowed,
        Answer::Change(_) => Outcome::patched,
        Answer::Refuse(complaints) => {
            tell_refused(&question, complaints.len());
            Outcome::refused
        }
    };
    let reply = review::reply(&question, answer);
    shared.reviews.count(endpoint, Some(&question.kind.kind), outcome, asked.elapsed());
    match reply {
        Ok(review) => Json(review).into_response(),
        Err(error) => Refusal::internal(&error).into_response(),
    }
}

fn tell_refused(question: &Question, faults: usize) {
    let (kind, name) = (&question.kind.kind, &question.name);
    let namespace = question.namespace.as_deref().unwrap_or_default();
    info!(object.kind = %kind, object.namespace = %namespace, object.name = %name, faults, "Refused {kind} {name}");
}

fn unread(rejection: &BytesRejection) -> Refusal {
    if rejection.status() == StatusCode::PAYLOAD_TOO_LARGE {
        return Refusal::too_large(format!("the body has more than {MOST_BYTES} bytes"));
    }
    Refusal::bad_request(format!("the body did not arrive: {}", rejection.body_text()))
}
