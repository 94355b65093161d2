//! A mock GitHub server with the part of the API that the reporter uses. Tests set up its state and read it.
//!
//! It checks every request. Bodies and query parameters are compared with GitHub's description of its API (`tests/github-api`).
//! Rules that are not in that description are written here: tokens of the App and its installations, lengths of a status and of a
//! comment. An invalid request gets GitHub's error and is recorded; [`GitHub::assert_clean`] fails then.

mod contract;
mod deliver;
mod history;
mod routes;

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use axum::http::StatusCode;
use jiff::Timestamp;
use serde_json::{Value, json};

use contract::Contract;
use history::History;

pub use deliver::{Delivery, Signature};

/// The number of the App.
pub const APP_ID: u64 = 4711;
/// The number of its only installation.
pub const INSTALLATION: u64 = 99;
/// The account that writes its comments.
pub const LOGIN: &str = "foretell-double[bot]";
/// The secret that signs webhook deliveries.
pub const WEBHOOK_SECRET: &str = "It's a Secret to Everybody";

/// The mock server. It ends with the runtime of the test.
pub struct GitHub {
    /// The URL of its API.
    pub url: String,
    private_key: String,
    state: Arc<Shared>,
}

/// State that the server and the test share.
pub(crate) struct Shared {
    contract: Contract,
    public_key: jsonwebtoken::DecodingKey,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    repositories: BTreeMap<(String, String), Repository>,
    tokens: BTreeMap<String, Timestamp>,
    requests: Vec<String>,
    breaches: Vec<String>,
    failures: VecDeque<Failure>,
    deliveries: Vec<Value>,
    next_id: u64,
}

/// A failure for the next request of an operation.
struct Failure {
    operation: String,
    status: StatusCode,
    headers: Vec<(&'static str, String)>,
}

#[derive(Default)]
struct Repository {
    history: History,
    pulls: BTreeMap<u64, Pull>,
    comments: Vec<(u64, Comment)>,
    statuses: Vec<(String, Status)>,
    hides_files: bool,
}

struct Pull {
    head: String,
    base: String,
    is_open: bool,
    /// The tips of base and head of the last test merge, and the merge commit; no commit if they conflict.
    merged: Option<(String, String, Option<String>)>,
}

/// A comment of a pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// The number of the comment.
    pub id: u64,
    /// The account that wrote it.
    pub login: String,
    /// The text.
    pub body: String,
    /// The number of edits.
    pub edits: u64,
}

/// A commit status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// The state, such as `success`.
    pub state: String,
    /// The name of the status.
    pub context: String,
    /// The line that GitHub shows beside the name.
    pub description: String,
}

/// A repository of the mock server.
pub struct RepositoryHandle {
    owner: String,
    name: String,
    state: Arc<Shared>,
}

impl GitHub {
    /// Starts a server on a free port.
    pub async fn start() -> Self {
        Self::start_at("127.0.0.1:0").await
    }

    /// Starts a server at an address, in the network of the runtime's threads.
    pub async fn start_at(address: &str) -> Self {
        let key = rcgen::KeyPair::generate_for(&rcgen::PKCS_RSA_SHA256).unwrap();
        let public_key = jsonwebtoken::DecodingKey::from_rsa_pem(key.public_key_pem().as_bytes()).unwrap();
        let state = Arc::new(Shared { contract: Contract::read(), public_key, state: Mutex::default() });
        let listener = tokio::net::TcpListener::bind(address).await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = routes::router(Arc::clone(&state));
        tokio::spawn(async move { axum::serve(listener, router).await });
        Self { url, private_key: key.serialize_pem(), state }
    }

    /// The App's private key, as PEM.
    #[must_use]
    pub fn private_key(&self) -> &str {
        &self.private_key
    }

    /// Creates an empty repository with the App installed.
    #[must_use]
    pub fn repository(&self, owner: &str, name: &str) -> RepositoryHandle {
        let (owner, name) = (owner.to_owned(), name.to_owned());
        self.state.lock().repositories.insert((owner.clone(), name.clone()), Repository::default());
        RepositoryHandle { owner, name, state: Arc::clone(&self.state) }
    }

    /// Makes the next request of an operation fail, for example of `POST /repos/{owner}/{repo}/statuses/{sha}`.
    pub fn fail_next(&self, operation: &str, status: u16, headers: &[(&'static str, &str)]) {
        let status = StatusCode::from_u16(status).unwrap();
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        self.state.lock().failures.push_back(Failure { operation: operation.to_owned(), status, headers });
    }

    /// Expires all tokens of installations.
    pub fn expire_tokens(&self) {
        self.state.lock().tokens.clear();
    }

    /// The number of requests of an operation.
    #[must_use]
    pub fn requests(&self, operation: &str) -> usize {
        self.state.lock().requests.iter().filter(|request| *request == operation).count()
    }

    /// Invalid requests so far.
    #[must_use]
    pub fn breaches(&self) -> Vec<String> {
        self.state.lock().breaches.clone()
    }

    /// Fails the test if a request was invalid.
    pub fn assert_clean(&self) {
        let breaches = self.breaches();
        assert!(breaches.is_empty(), "requests that GitHub does not accept:\n{}", breaches.join("\n"));
    }
}

impl Shared {
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn new_id(&mut self) -> u64 {
        self.next_id += 1;
        1000 + self.next_id
    }
}

impl RepositoryHandle {
    /// Commits files to a branch, with their new text or `None` to delete them. A new branch starts at `from`, or empty.
    pub fn commit(&self, branch: &str, from: Option<&str>, files: &[(&str, Option<&str>)]) {
        self.with(|repository| repository.history.commit(branch, from, files));
    }

    /// Opens a pull request and returns its number.
    #[must_use]
    pub fn open(&self, head: &str, base: &str) -> u64 {
        self.with(|repository| {
            let number = repository.pulls.len() as u64 + 1;
            let pull = Pull { head: head.to_owned(), base: base.to_owned(), is_open: true, merged: None };
            repository.pulls.insert(number, pull);
            number
        })
    }

    /// Closes a pull request.
    pub fn close(&self, number: u64) {
        self.with(|repository| repository.pulls.get_mut(&number).unwrap().is_open = false);
    }

    /// Merges a pull request into its base.
    pub fn merge(&self, number: u64) {
        self.with(|repository| {
            let Repository { history, pulls, .. } = repository;
            let pull = pulls.get_mut(&number).unwrap();
            let (base, head) = (history.tip(&pull.base), history.tip(&pull.head));
            let merged = history.merge(&base, &head).expect("a pull request that can be merged");
            history.branches.insert(pull.base.clone(), merged);
            pull.is_open = false;
        });
    }

    /// From now on trees are truncated, as GitHub does for very large repositories.
    pub fn hide_files(&self) {
        self.with(|repository| repository.hides_files = true);
    }

    /// The commit of a branch.
    #[must_use]
    pub fn tip(&self, branch: &str) -> String {
        self.with(|repository| repository.history.tip(branch))
    }

    /// Writes a comment as another account.
    pub fn write_comment(&self, number: u64, login: &str, body: &str) {
        let id = self.state.lock().new_id();
        let comment = Comment { id, login: login.to_owned(), body: body.to_owned(), edits: 0 };
        self.with(|repository| repository.comments.push((number, comment)));
    }

    /// The comments of a pull request, oldest first.
    #[must_use]
    pub fn comments(&self, number: u64) -> Vec<Comment> {
        self.with(|repository| {
            let own = repository.comments.iter().filter(|(of, _)| *of == number);
            own.map(|(_, comment)| comment.clone()).collect()
        })
    }

    /// The statuses of a commit, oldest first.
    #[must_use]
    pub fn statuses(&self, sha: &str) -> Vec<Status> {
        self.with(|repository| {
            let own = repository.statuses.iter().filter(|(of, _)| of == sha);
            own.map(|(_, status)| status.clone()).collect()
        })
    }

    /// The body of a `pull_request` delivery.
    #[must_use]
    pub fn payload(&self, number: u64, action: &str) -> Value {
        json!({
            "action": action,
            "number": number,
            "pull_request": self.with(|repository| routes::pull(repository, number)),
            "repository": {"name": self.name, "full_name": format!("{}/{}", self.owner, self.name), "owner": {"login": self.owner}},
            "installation": {"id": INSTALLATION},
            "sender": {"login": "somebody"},
        })
    }

    fn with<T>(&self, act: impl FnOnce(&mut Repository) -> T) -> T {
        let mut state = self.state.lock();
        act(state.repositories.get_mut(&(self.owner.clone(), self.name.clone())).unwrap())
    }
}
