//! Receives webhook deliveries from GitHub and checks their signatures.

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
use crate::queue::{OfferResult, PullKey, Queue};

/// The maximum size of a delivery that GitHub sends.
const MAX_BYTES: usize = 25 << 20;

/// Receives deliveries.
#[derive(Debug)]
pub struct Webhook {
    /// File with the webhook secret.
    pub secret_file: PathBuf,
    /// Where the pull requests wait.
    pub queue: Arc<Queue>,
    /// Counts the deliveries.
    pub metrics: Metrics,
}

/// The fields of a `pull_request` delivery that are used.
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

/// The route `POST /webhook`.
pub fn routes(webhook: Arc<Webhook>) -> Router {
    Router::new().route("/webhook", post(receive)).layer(DefaultBodyLimit::max(MAX_BYTES)).with_state(webhook)
}

async fn receive(State(webhook): State<Arc<Webhook>>, headers: HeaderMap, body: Bytes) -> Response {
    let (outcome, response) = webhook.handle(&headers, &body);
    webhook.metrics.delivery(outcome);
    response
}

impl Webhook {
    /// Handles a delivery. Returns its outcome for the metrics, and the answer to it.
    fn handle(&self, headers: &HeaderMap, body: &[u8]) -> (&'static str, Response) {
        let secret = match files::read_token(&self.secret_file) {
            Ok(secret) => secret,
            Err(error) => return ("refused", Refusal::internal(&error).into_response()),
        };
        let header = |name: &str| headers.get(name).and_then(|value| value.to_str().ok());
        if !is_signed(&secret, header("x-hub-signature-256"), body) {
            warn!("A delivery was refused: it is not signed with the webhook secret");
            // The answer must not help an attacker.
            return ("refused", StatusCode::UNAUTHORIZED.into_response());
        }
        match header("x-github-event") {
            Some("ping") => ("ignored", "pong\n".into_response()),
            Some("pull_request") => self.handle_pull_request(header("x-github-delivery"), body),
            _ => ("ignored", StatusCode::NO_CONTENT.into_response()),
        }
    }

    fn handle_pull_request(&self, delivery: Option<&str>, body: &[u8]) -> (&'static str, Response) {
        let unreadable = |what: String| ("unreadable", Refusal::bad_request(what).into_response());
        let payload: Payload = match serde_json::from_slice(body) {
            Ok(payload) => payload,
            Err(error) => {
                return unreadable(format!(
                    "the body is not a pull_request delivery in JSON: {error}; is the webhook's content type application/json?"
                ));
            }
        };
        if !may_change_answer(&payload) {
            return ("ignored", StatusCode::NO_CONTENT.into_response());
        }
        let Some(installation) = payload.installation else {
            return unreadable(
                "the delivery names no installation; use the webhook of the GitHub App, not that of a repository"
                    .to_owned(),
            );
        };
        let Repository { name, owner } = payload.repository;
        let repo = Repo { installation: installation.id, owner: owner.login, name };
        let key = PullKey { repo, number: payload.number };
        debug!(pull.repo = %key.repo, pull.number = key.number, action = %payload.action, "Received a delivery for {}#{}", key.repo, key.number);
        match self.queue.offer(key, delivery) {
            OfferResult::Queued => ("queued", StatusCode::ACCEPTED.into_response()),
            OfferResult::Duplicate => ("duplicate", "already answered\n".into_response()),
            OfferResult::Full => (
                "full",
                Refusal::unavailable("too many pull requests are waiting; redeliver this delivery later")
                    .into_response(),
            ),
        }
    }
}

/// Whether the answer to the pull request may change after this delivery, or is missing.
fn may_change_answer(payload: &Payload) -> bool {
    match payload.action.as_str() {
        // If another pull request has the same head, a closed one no longer counts for the status.
        "opened" | "synchronize" | "reopened" | "ready_for_review" | "closed" => true,
        "edited" => payload.changes.as_ref().is_some_and(|changes| changes.base.is_some()),
        _ => false,
    }
}

/// Whether the bytes are signed with the secret. The comparison takes constant time.
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
    fn signatures_are_checked_as_github_documents_them() {
        // The example in GitHub's documentation.
        let (secret, body) = ("It's a Secret to Everybody", b"Hello, World!");
        let signature = "sha256=757107ea0eb2509fc211221cce984b8a37570b6d7586c22c46f4379c8b043e17";
        assert!(is_signed(secret, Some(signature), body));
        assert!(!is_signed(secret, Some(signature), b"Hello, World?"));
        assert!(!is_signed("another", Some(signature), body));
        assert!(!is_signed(secret, Some("sha256=75"), body));
        assert!(!is_signed(secret, Some("sha1=757107ea"), body));
        assert!(!is_signed(secret, None, body));
    }

    const SECRET: &str = "the secret";

    fn payload(action: &str, fields: &str) -> String {
        let repository = r#"{"name":"shop","owner":{"login":"acme"}}"#;
        format!(r#"{{"action":"{action}","number":7,"repository":{repository}{fields}}}"#)
    }

    #[test]
    fn only_some_actions_can_change_the_answer() {
        for (action, fields, expected) in [
            ("opened", "", true),
            ("synchronize", "", true),
            ("reopened", "", true),
            ("ready_for_review", "", true),
            ("closed", "", true),
            ("labeled", "", false),
            ("assigned", "", false),
            ("edited", "", false),
            ("edited", r#","changes":{"title":{"from":"a"}}"#, false),
            ("edited", r#","changes":{"base":{"ref":{"from":"main"}}}"#, true),
        ] {
            let payload = serde_json::from_str(&payload(action, fields)).unwrap();
            assert_eq!(may_change_answer(&payload), expected, "{action} {fields}");
        }
    }

    struct Receiver {
        webhook: Webhook,
        _folder: tempfile::TempDir,
    }

    fn receiver(max_waiting: usize) -> Receiver {
        let folder = tempfile::tempdir().unwrap();
        let secret_file = folder.path().join("secret");
        std::fs::write(&secret_file, SECRET).unwrap();
        let queue = Arc::new(Queue::new(max_waiting));
        Receiver { webhook: Webhook { secret_file, queue, metrics: Metrics::default() }, _folder: folder }
    }

    impl Receiver {
        /// The outcome and the status of a signed delivery.
        fn deliver(&self, event: &str, body: &str) -> (&'static str, u16) {
            let mut mac = Hmac::<Sha256>::new_from_slice(SECRET.as_bytes()).unwrap();
            mac.update(body.as_bytes());
            let signature = HEXLOWER_PERMISSIVE.encode(&mac.finalize().into_bytes());
            self.send(&[("x-github-event", event), ("x-hub-signature-256", &format!("sha256={signature}"))], body)
        }

        fn send(&self, headers: &[(&'static str, &str)], body: &str) -> (&'static str, u16) {
            let headers = headers.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect();
            let (outcome, response) = self.webhook.handle(&headers, body.as_bytes());
            (outcome, response.status().as_u16())
        }
    }

    const INSTALLATION: &str = r#","installation":{"id":3}"#;

    #[test]
    fn each_delivery_has_its_outcome_and_status() {
        let opened = payload("opened", INSTALLATION);
        for (event, body, expected) in [
            ("ping", "{}", ("ignored", 200)),
            ("push", "{}", ("ignored", 204)),
            ("pull_request", opened.as_str(), ("queued", 202)),
            ("pull_request", &payload("labeled", INSTALLATION), ("ignored", 204)),
            ("pull_request", &payload("opened", ""), ("unreadable", 400)),
            ("pull_request", "payload=%7B%7D", ("unreadable", 400)),
        ] {
            assert_eq!(receiver(10).deliver(event, body), expected, "{event} {body}");
        }
    }

    #[test]
    fn a_delivery_without_the_right_signature_is_refused_before_it_is_read() {
        let receiver = receiver(10);
        let opened = payload("opened", INSTALLATION);
        let wrong = ("x-hub-signature-256", "sha256=00");
        assert_eq!(receiver.send(&[("x-github-event", "pull_request"), wrong], &opened), ("refused", 401));
        assert_eq!(receiver.send(&[("x-github-event", "ping")], "{}"), ("refused", 401));
        assert!(receiver.webhook.queue.is_empty());
    }

    #[test]
    fn a_delivery_is_refused_while_its_secret_cannot_be_read() {
        let mut receiver = receiver(10);
        receiver.webhook.secret_file = "/nowhere".into();
        assert_eq!(receiver.deliver("ping", "{}"), ("refused", 500));
    }

    #[test]
    fn a_full_queue_refuses_another_pull_request() {
        let receiver = receiver(1);
        let first = payload("opened", INSTALLATION);
        assert_eq!(receiver.deliver("pull_request", &first), ("queued", 202));
        assert_eq!(receiver.deliver("pull_request", &first.replace(":7", ":8")), ("full", 503));
        assert_eq!(receiver.deliver("pull_request", &first), ("queued", 202));
    }
}
