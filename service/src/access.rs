//! Authenticates and authorises HTTP callers.
//!
//! In a cluster a caller sends a bearer token. `TokenReview` says whose it is and whether it is for our audience, and
//! `SubjectAccessReview` whether that user may call the path. The API server guards its own `/metrics` in the same way: access is
//! granted in RBAC by `nonResourceURLs`. Outside a cluster, callers present the one token that a file holds.

use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use kube::Client;
use sha2::{Digest as _, Sha256};

use crate::access::cache::{AnswerCache, Question};
use crate::access::caller::Caller;
use crate::refusal::Refusal;
use crate::{files, kubernetes};

mod cache;
pub mod caller;
mod review;

/// Decides who may call a service.
#[derive(Clone)]
pub struct Access(Arc<AuthMode>);

enum AuthMode {
    Cluster { client: Client, audience: String, answers: Mutex<AnswerCache> },
    TokenFile(PathBuf),
}

impl Access {
    /// By the token file if there is one; otherwise by the API server, for tokens of this audience.
    ///
    /// # Errors
    /// There is no token file and no client of the API server can be made.
    pub async fn new(token_file: Option<PathBuf>, audience: &str) -> anyhow::Result<Self> {
        Ok(match token_file {
            Some(path) => Self::by_token_file(path),
            None => Self::by_cluster(kubernetes::client().await?, audience),
        })
    }

    fn by_cluster(client: Client, audience: &str) -> Self {
        Self(Arc::new(AuthMode::Cluster { client, audience: audience.to_owned(), answers: Mutex::default() }))
    }

    /// The file is read for each request, so that a new token counts at once.
    fn by_token_file(path: PathBuf) -> Self {
        Self(Arc::new(AuthMode::TokenFile(path)))
    }

    /// The caller with this token, if they may use this verb on this path.
    ///
    /// # Errors
    /// [`Refusal`]: 401 the token is missing or not valid, 403 the caller has no permission, 503 the API server does not answer.
    pub async fn admit(&self, token: Option<&str>, verb: &str, path: &str) -> Result<Caller, Refusal> {
        let token = token.ok_or_else(|| Refusal::unauthorized("the request has no bearer token"))?;
        match &*self.0 {
            AuthMode::TokenFile(file) => by_file(file, token),
            AuthMode::Cluster { client, audience, answers } => {
                let question = Question::new(token, verb, path);
                let answers = || answers.lock().unwrap_or_else(PoisonError::into_inner);
                let known = answers().get(&question, Instant::now());
                if let Some(answer) = known {
                    return answer;
                }
                let answer = review::review(client, audience, token, verb, path).await;
                answers().insert(question, answer.clone(), Instant::now());
                answer
            }
        }
    }
}

fn by_file(file: &Path, token: &str) -> Result<Caller, Refusal> {
    let expected = files::read_token(file).map_err(|error| Refusal::internal(&error))?;
    // Comparing hashes: the time that it takes reveals nothing about the token.
    if Sha256::digest(expected.as_bytes()) == Sha256::digest(token.as_bytes()) {
        return Ok(Caller { name: "operator".to_owned(), node: None, is_operator: true });
    }
    Err(Refusal::unauthorized("the token is not the one in this service's token file"))
}

/// Passes on the requests of callers that have permission, with their [`Caller`] among the request's extensions.
pub async fn guard(State(access): State<Access>, mut request: Request, next: Next) -> Response {
    let token = request.headers().get(AUTHORIZATION).and_then(|value| value.to_str().ok());
    let token = token.and_then(bearer).map(str::to_owned);
    let verb = request.method().as_str().to_ascii_lowercase();
    match access.admit(token.as_deref(), &verb, request.uri().path()).await {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            next.run(request).await
        }
        Err(refusal) => refusal.into_response(),
    }
}

/// RFC 6750, section 2.1. The scheme's case does not matter (RFC 9110, section 11.1).
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}

#[cfg(test)]
mod tests {
    use std::fs;
    use std::sync::atomic::{AtomicUsize, Ordering};

    use axum::http::{Request as HttpRequest, Response as HttpResponse};
    use kube::client::Body;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn a_bearer_token_is_read_whatever_the_case_of_the_scheme() {
        for (header, token) in [
            ("Bearer abc", Some("abc")),
            ("bearer abc", Some("abc")),
            ("BEARER  abc ", Some("abc")),
            ("Bearer", None),
            ("Bearer ", None),
            ("Basic abc", None),
            ("abc", None),
            ("", None),
        ] {
            assert_eq!(bearer(header), token, "{header:?}");
        }
    }

    #[tokio::test]
    async fn the_token_of_the_file_is_the_only_one_that_is_accepted_and_is_read_each_time() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("token");
        let access = Access::by_token_file(file.clone());
        let status = async |token: Option<&str>| match access.admit(token, "get", "/v1/policies").await {
            Ok(caller) => {
                assert!(caller.is_operator, "{caller:?}");
                200
            }
            Err(refusal) => refusal.status.as_u16(),
        };
        assert_eq!(status(Some("first")).await, 500, "the file does not exist");
        fs::write(&file, "\n").unwrap();
        assert_eq!(status(Some("")).await, 500, "an empty token admits nobody");
        fs::write(&file, "first\n").unwrap();
        assert_eq!(status(None).await, 401);
        assert_eq!(status(Some("second")).await, 401);
        assert_eq!(status(Some("first")).await, 200);
        fs::write(&file, "second").unwrap();
        assert_eq!(status(Some("first")).await, 401);
        assert_eq!(status(Some("second")).await, 200);
    }

    /// A client of an API server that gives these answers in this order, and how many requests it got.
    fn api_server(answers: Vec<(u16, Value)>) -> (Client, Arc<AtomicUsize>) {
        let count = Arc::new(AtomicUsize::new(0));
        let counted = Arc::clone(&count);
        let service = tower::service_fn(move |_: HttpRequest<Body>| {
            let number = counted.fetch_add(1, Ordering::SeqCst);
            let (status, body) = answers[number].clone();
            let response = HttpResponse::builder().status(status).body(Body::from(body.to_string().into_bytes()));
            async move { Ok::<_, std::io::Error>(response.unwrap()) }
        });
        (Client::new(service, "default"), count)
    }

    fn token_of(name: &str) -> (u16, Value) {
        let user = json!({"username": name});
        (201, json!({"metadata": {}, "spec": {}, "status": {"authenticated": true, "audiences": ["it"], "user": user}}))
    }

    fn allowed(allowed: bool) -> (u16, Value) {
        (201, json!({"metadata": {}, "spec": {}, "status": {"allowed": allowed}}))
    }

    #[tokio::test]
    async fn an_answer_of_the_api_server_is_reused_for_the_same_token_verb_and_path_only() {
        let answers = vec![token_of("a"), allowed(true), token_of("a"), allowed(false), token_of("b"), allowed(true)];
        let (client, requests) = api_server(answers);
        let access = Access::by_cluster(client, "it");
        assert_eq!(access.admit(Some("a"), "get", "/x").await.unwrap().name, "a");
        assert_eq!(access.admit(Some("a"), "get", "/x").await.unwrap().name, "a");
        assert_eq!(requests.load(Ordering::SeqCst), 2);
        assert_eq!(access.admit(Some("a"), "post", "/x").await.unwrap_err().status.as_u16(), 403);
        assert_eq!(access.admit(Some("a"), "post", "/x").await.unwrap_err().status.as_u16(), 403);
        assert_eq!(requests.load(Ordering::SeqCst), 4);
        assert_eq!(access.admit(Some("b"), "get", "/x").await.unwrap().name, "b");
        assert_eq!(requests.load(Ordering::SeqCst), 6);
    }

    #[tokio::test]
    async fn an_api_server_that_fails_gives_503_and_is_called_again() {
        let failure = (500, json!({"kind": "Status", "status": "Failure", "message": "etcd", "code": 500}));
        let (client, requests) = api_server(vec![failure, token_of("a"), allowed(true)]);
        let access = Access::by_cluster(client, "it");
        assert_eq!(access.admit(Some("a"), "get", "/x").await.unwrap_err().status.as_u16(), 503);
        assert!(access.admit(Some("a"), "get", "/x").await.is_ok());
        assert_eq!(requests.load(Ordering::SeqCst), 3);
    }
}
