//! Deliveries of GitHub: whether they are its, and what they ask for.

use std::path::PathBuf;
use std::sync::Arc;

use axum::Router;
use axum::body::Bytes;
use axum::extract::{DefaultBodyLimit, State};
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse as _, Response};
use axum::routing::post;
use data_encoding::HEXLOWER_PERMISSIVE;
use foretell_service::files;
use foretell_service::refusal::Refusal;
use hmac::{Hmac, KeyInit as _, Mac as _};
use serde::Deserialize;
use serde::de::IgnoredAny;
use sha2::Sha256;
use tracing::{debug, warn};

use crate::api::Repo;
use crate::metrics::Metrics;
use crate::queue::{Offered, PullKey, Queue};

/// GitHub sends no more.
const MOST_BYTES: usize = 25 << 20;

/// What deliveries are received with.
#[derive(Debug)]
pub struct Webhook {
    /// File with the secret.
    pub secret_file: PathBuf,
    /// Where they go.
    pub queue: Arc<Queue>,
    /// What is counted of them.
    pub metrics: Metrics,
}

/// What is read of a delivery about a pull request.
#[derive(Debug, Deserialize)]
struct Payload {
    action: String,
    number: u64,
    repository: Repository,
    #[serde(default)]
    installation: Option<Installation>,
    #[serde(default)]
    changes: Option<Changes>,
}

#[derive(Debug, Deserialize)]
struct Repository {
    name: String,
    owner: Owner,
}

#[derive(Debug, Deserialize)]
struct Owner {
    login: String,
}

#[derive(Debug, Deserialize)]
struct Installation {
    id: u64,
}

#[derive(Debug, Default, Deserialize)]
struct Changes {
    #[serde(default)]
    base: Option<IgnoredAny>,
}

/// `POST /webhook`.
pub fn routes(webhook: Arc<Webhook>) -> Router {
    Router::new().route("/webhook", post(receive)).layer(DefaultBodyLimit::max(MOST_BYTES)).with_state(webhook)
}

async fn receive(State(webhook): State<Arc<Webhook>>, headers: HeaderMap, body: Bytes) -> Response {
    let (outcome, response) = webhook.take(&headers, &body);
    webhook.metrics.delivery(outcome);
    response
}

impl Webhook {
    /// What becomes of a delivery, and the answer to it.
    fn take(&self, headers: &HeaderMap, body: &[u8]) -> (&'static str, Response) {
        let secret = match files::read_token(&self.secret_file) {
            Ok(secret) => secret,
            Err(error) => return ("refused", Refusal::internal(&error).into_response()),
        };
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if !is_signed(&secret, header("x-hub-signature-256"), body) {
            warn!("A delivery was refused: it is not signed by the webhook's secret");
            // Whoever guesses is told nothing.
            return ("refused", StatusCode::UNAUTHORIZED.into_response());
        }
        match header("x-github-event") {
            Some("ping") => ("ignored", "pong\n".into_response()),
            Some("pull_request") => self.take_pull_request(header("x-github-delivery"), body),
            _ => ("ignored", StatusCode::NO_CONTENT.into_response()),
        }
    }

    fn take_pull_request(&self, delivery: Option<&str>, body: &[u8]) -> (&'static str, Response) {
        let unreadable = |what: String| ("unreadable", Refusal::bad_request(what).into_response());
        let payload: Payload = match serde_json::from_slice(body) {
            Ok(payload) => payload,
            Err(error) => {
                return unreadable(format!(
                    "no pull_request delivery in JSON: {error}; is the webhook's content type application/json?"
                ));
            }
        };
        if !concerns_answer(&payload) {
            return ("ignored", StatusCode::NO_CONTENT.into_response());
        }
        let Some(installation) = payload.installation else {
            return unreadable("names no installation: only the webhook of a GitHub App does".to_owned());
        };
        let Repository { name, owner } = payload.repository;
        let repo = Repo { installation: installation.id, owner: owner.login, name };
        let key = PullKey { repo, number: payload.number };
        debug!(pull.repo = %key.repo, pull.number = key.number, action = %payload.action, "A delivery names {}#{}", key.repo, key.number);
        match self.queue.offer(key, delivery) {
            Offered::Waits => ("queued", StatusCode::ACCEPTED.into_response()),
            Offered::Answered => ("duplicate", "answered before\n".into_response()),
            Offered::Full => {
                ("full", Refusal::unavailable("too many pull requests wait; redeliver this later").into_response())
            }
        }
    }
}

/// Whether the answer may be another one after it, or is missing.
fn concerns_answer(payload: &Payload) -> bool {
    match payload.action.as_str() {
        // Of one that is closed another may have the same head: what that one is told comes to count.
        "opened" | "synchronize" | "reopened" | "ready_for_review" | "closed" => true,
        "edited" => payload.changes.as_ref().is_some_and(|changes| changes.base.is_some()),
        _ => false,
    }
}

/// Whether the bytes are signed by the secret. How long that takes tells nothing of the right signature.
fn is_signed(secret: &str, signature: Option<&str>, body: &[u8]) -> bool {
    let Some(signature) = signature.and_then(|signature| signature.strip_prefix("sha256=")) else { return false };
    let Ok(signature) = HEXLOWER_PERMISSIVE.decode(signature.as_bytes()) else { return false };
    let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(secret.as_bytes()) else { return false };
    mac.update(body);
    mac.verify_slice(&signature).is_ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn signatures_are_told_as_github_documents_them() {
        // The example of GitHub's documentation.
        let (secret, body) = ("It's a Secret to Everybody", b"Hello, World!");
        let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert!(is_signed(secret, Some(signature), body));
        assert!(!is_signed(secret, Some(signature), b"Hello, World?"));
        assert!(!is_signed("another", Some(signature), body));
        assert!(!is_signed(secret, Some("sha256=75"), body));
        assert!(!is_signed(secret, Some("sha1=757107ea"), body));
        assert!(!is_signed(secret, None, body));
    }

    #[test]
    fn of_edits_only_another_base_concerns_the_answer() {
        let payload = |text: &str| serde_json::from_str::<Payload>(text).unwrap();
        let edited = |changes: &str| {
            payload(&format!(
                r#"{{"action":"edited","number":1,"repository":{{"name":"r","owner":{{"login":"o"}}}},"changes":{changes}}}"#
            ))
        };
        assert!(concerns_answer(&edited(r#"{"base":{"ref":{"from":"main"}}}"#)));
        assert!(!concerns_answer(&edited(r#"{"title":{"from":"a"}}"#)));
    }
}
