//! Who asks, and whether they may.
//!
//! In a cluster: a bearer token of a service account (or of a person), told by `TokenReview` for our audience, and then a
//! `SubjectAccessReview` for the path, as the API server itself guards `/metrics`: who may is said in RBAC, by
//! `nonResourceURLs`. Outside of one: whoever has the token that a file holds.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::extract::{Request, State};
use axum::http::header::AUTHORIZATION;
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};
use k8s_openapi::api::authentication::v1::{TokenReview, TokenReviewSpec, UserInfo};
use k8s_openapi::api::authorization::v1::{NonResourceAttributes, SubjectAccessReview, SubjectAccessReviewSpec};
use kube::Client;
use kube::api::{Api, PostParams};
use sha2::{Digest as _, Sha256};

use crate::files;
use crate::refusal::Refusal;

/// How long an answer of the API server holds. A token that is revoked is let in for this long.
const HOLDS: Duration = Duration::from_secs(30);
/// Answers kept at once; tokens come in by whoever wants to send some.
const KEPT: usize = 4096;
/// The node of the pod that a token was made for (KEP-4193).
const NODE_NAME: &str = "authentication.kubernetes.io/node-name";

/// Who asks.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Caller {
    /// `system:serviceaccount:foretell:foretell-capture`
    pub name: String,
    /// The node on which its pod runs, where its token says so.
    pub node: Option<String>,
    /// Whether it is known by a token file: an operator outside of any cluster, who may speak for all.
    pub is_operator: bool,
}

/// How callers are told.
#[derive(Clone)]
pub struct Access(Arc<Way>);

/// Answers of the API server, each with the time at which it was given.
type Answers = Mutex<HashMap<Question, (Instant, Result<Caller, Refusal>)>>;

enum Way {
    Cluster { client: Client, audience: String, kept: Answers },
    TokenFile(PathBuf),
}

/// A token is kept by its hash.
#[derive(Clone, PartialEq, Eq, Hash)]
struct Question {
    token: [u8; 32],
    verb: String,
    path: String,
}

impl Access {
    /// By the API server, for tokens of this audience.
    #[must_use]
    pub fn by_cluster(client: Client, audience: &str) -> Self {
        Self(Arc::new(Way::Cluster { client, audience: audience.to_owned(), kept: Mutex::default() }))
    }

    /// By a file with one token, which is read each time.
    #[must_use]
    pub fn by_token_file(path: PathBuf) -> Self {
        Self(Arc::new(Way::TokenFile(path)))
    }

    /// Who asks with this token, if they may do this to this path.
    ///
    /// # Errors
    /// [`Refusal`]: 401 nobody knows them, 403 they may not, 503 it cannot be told now.
    pub async fn admit(&self, token: Option<&str>, verb: &str, path: &str) -> Result<Caller, Refusal> {
        let token = token.ok_or_else(|| Refusal::unauthorized("no bearer token was sent"))?;
        match &*self.0 {
            Way::TokenFile(file) => by_file(file, token),
            Way::Cluster { client, audience, kept } => {
                let hash = Sha256::digest(token.as_bytes()).into();
                let question = Question { token: hash, verb: verb.to_owned(), path: path.to_owned() };
                if let Some(answer) = remembered(kept, &question) {
                    return answer;
                }
                let answer = ask(client, audience, token, verb, path).await;
                let is_final = !matches!(&answer, Err(refusal) if refusal.status.is_server_error());
                if is_final {
                    remember(kept, question, answer.clone());
                }
                answer
            }
        }
    }
}

fn remembered(kept: &Answers, question: &Question) -> Option<Result<Caller, Refusal>> {
    let kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    let (since, answer) = kept.get(question)?;
    (since.elapsed() < HOLDS).then(|| answer.clone())
}

fn remember(kept: &Answers, question: Question, answer: Result<Caller, Refusal>) {
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    if kept.len() >= KEPT {
        kept.retain(|_, (since, _)| since.elapsed() < HOLDS);
    }
    if kept.len() >= KEPT {
        kept.clear();
    }
    kept.insert(question, (Instant::now(), answer));
}

fn by_file(file: &std::path::Path, token: &str) -> Result<Caller, Refusal> {
    let expected = files::read_token(file).map_err(|error| Refusal::internal(&error))?;
    // Of hashes nobody learns anything by how long comparing them takes.
    if Sha256::digest(expected.as_bytes()) == Sha256::digest(token.as_bytes()) {
        return Ok(Caller { name: "operator".to_owned(), node: None, is_operator: true });
    }
    Err(Refusal::unauthorized("the token is not the one that is expected here"))
}

async fn ask(client: &Client, audience: &str, token: &str, verb: &str, path: &str) -> Result<Caller, Refusal> {
    let cannot_tell =
        |error: kube::Error| Refusal::unavailable(format!("the API server cannot tell who you are: {error}"));
    let review = TokenReview {
        spec: TokenReviewSpec { audiences: Some(vec![audience.to_owned()]), token: token.to_owned() },
        ..TokenReview::default()
    };
    let reviews: Api<TokenReview> = Api::all(client.clone());
    let status = reviews.create(&PostParams::default(), &review).await.map_err(cannot_tell)?.status.unwrap_or_default();
    let audiences = status.audiences.unwrap_or_default();
    // An authenticator that knows nothing of audiences leaves them out, and would let any token in.
    if status.authenticated != Some(true) || !audiences.iter().any(|known| known == audience) {
        return Err(Refusal::unauthorized(format!("the token is not valid for audience {audience}")));
    }
    let UserInfo { username, groups, uid, extra } = status.user.unwrap_or_default();
    let name = username.clone().unwrap_or_default();
    let node = extra.as_ref().and_then(|extra| extra.get(NODE_NAME)?.first().cloned());
    let review = SubjectAccessReview {
        spec: SubjectAccessReviewSpec {
            extra,
            groups,
            uid,
            user: username,
            non_resource_attributes: Some(NonResourceAttributes {
                path: Some(path.to_owned()),
                verb: Some(verb.to_owned()),
            }),
            ..SubjectAccessReviewSpec::default()
        },
        ..SubjectAccessReview::default()
    };
    let reviews: Api<SubjectAccessReview> = Api::all(client.clone());
    let answer = reviews.create(&PostParams::default(), &review).await.map_err(cannot_tell)?;
    if answer.status.is_some_and(|status| status.allowed) {
        return Ok(Caller { name, node, is_operator: false });
    }
    Err(Refusal::forbidden(format!(
        "{name} may not {verb} {path}: no ClusterRole with this nonResourceURL is bound to it"
    )))
}

/// Lets in who may, with a [`Caller`] among the request's extensions.
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

/// RFC 6750: the scheme is read in any case.
fn bearer(header: &str) -> Option<&str> {
    let (scheme, token) = header.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim()).filter(|token| !token.is_empty())
}
