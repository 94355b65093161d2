//! A double of GitHub: what the reporter asks of it, with a state that tests set up and read.
//!
//! It holds who asks to the contract. Bodies and query parameters are checked against GitHub's own description of its API
//! (`tests/github-api`); by hand what that does not say: the App's and its installations' tokens, the lengths of a status and of
//! a comment. What breaks the contract is answered as GitHub would and remembered: [`GitHub::assert_clean`] fails then.

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

/// Number of the App.
pub const APP_ID: u64 = 4711;
/// Number of its one installation.
pub const INSTALLATION: u64 = 99;
/// The account that it writes by.
pub const LOGIN: &str = "foretell-double[bot]";
/// What it signs its deliveries by.
pub const WEBHOOK_SECRET: &str = "It's a Secret to Everybody";

/// The double. Its server ends with the test's runtime.
pub struct GitHub {
    /// Its API.
    pub url: String,
    private_key: String,
    state: Arc<Shared>,
}

/// What the server and the test both see.
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

/// A request that is to fail.
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
    /// The tips of base and head that were merged for a test, and what came of it.
    merged: Option<(String, String, Option<String>)>,
}

/// A comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Comment {
    /// Its number.
    pub id: u64,
    /// Who wrote it.
    pub login: String,
    /// Its text.
    pub body: String,
    /// How often it was edited.
    pub edits: u64,
}

/// A commit status.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Status {
    /// State.
    pub state: String,
    /// Name.
    pub context: String,
    /// The line beside it.
    pub description: String,
}

/// A repository of the double's.
pub struct RepositoryHandle {
    owner: String,
    name: String,
    state: Arc<Shared>,
}

impl GitHub {
    /// Starts one, at a port of its own.
    pub async fn start() -> Self {
        Self::start_at("127.0.0.1:0").await
    }

    /// Starts one at an address, in the network of the runtime's threads.
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

    /// The App's private key, PEM.
    #[must_use]
    pub fn private_key(&self) -> &str {
        &self.private_key
    }

    /// Makes an empty repository, in which the App is installed.
    #[must_use]
    pub fn repository(&self, owner: &str, name: &str) -> RepositoryHandle {
        let (owner, name) = (owner.to_owned(), name.to_owned());
        self.state.lock().repositories.insert((owner.clone(), name.clone()), Repository::default());
        RepositoryHandle { owner, name, state: Arc::clone(&self.state) }
    }

    /// Lets the next request of an operation, such as `POST /repos/{owner}/{repo}/statuses/{sha}`, fail.
    pub fn fail_next(&self, operation: &str, status: u16, headers: &[(&'static str, &str)]) {
        let status = StatusCode::from_u16(status).unwrap();
        let headers = headers.iter().map(|(name, value)| (*name, (*value).to_owned())).collect();
        self.state.lock().failures.push_back(Failure { operation: operation.to_owned(), status, headers });
    }

    /// Lets all tokens of installations end now.
    pub fn expire_tokens(&self) {
        self.state.lock().tokens.clear();
    }

    /// How many requests of an operation came.
    #[must_use]
    pub fn requests(&self, operation: &str) -> usize {
        self.state.lock().requests.iter().filter(|asked| *asked == operation).count()
    }

    /// What broke the contract so far.
    #[must_use]
    pub fn breaches(&self) -> Vec<String> {
        self.state.lock().breaches.clone()
    }

    /// Fails the test if anything broke the contract.
    pub fn assert_clean(&self) {
        let breaches = self.breaches();
        assert!(breaches.is_empty(), "what was sent breaks GitHub's contract:\n{}", breaches.join("\n"));
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
    /// Commits onto a branch: files with their new text, or `None` where they go. A branch that is not there yet begins at
    /// `from`, or from nothing.
    pub fn commit(&self, branch: &str, from: Option<&str>, files: &[(&str, Option<&str>)]) {
        self.with(|repository| repository.history.commit(branch, from, files));
    }

    /// Opens a pull request.
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

    /// From now on trees are listed in part only, as those of very large repositories are.
    pub fn hide_files(&self) {
        self.with(|repository| repository.hides_files = true);
    }

    /// Where a branch stands.
    #[must_use]
    pub fn tip(&self, branch: &str) -> String {
        self.with(|repository| repository.history.tip(branch))
    }

    /// Writes a comment as somebody.
    pub fn write_comment(&self, number: u64, login: &str, body: &str) {
        let id = self.state.lock().new_id();
        let comment = Comment { id, login: login.to_owned(), body: body.to_owned(), edits: 0 };
        self.with(|repository| repository.comments.push((number, comment)));
    }

    /// The comments of a pull request, the oldest first.
    #[must_use]
    pub fn comments(&self, number: u64) -> Vec<Comment> {
        self.with(|repository| {
            let own = repository.comments.iter().filter(|(of, _)| *of == number);
            own.map(|(_, comment)| comment.clone()).collect()
        })
    }

    /// The statuses of a commit, the oldest first.
    #[must_use]
    pub fn statuses(&self, sha: &str) -> Vec<Status> {
        self.with(|repository| {
            let own = repository.statuses.iter().filter(|(of, _)| of == sha);
            own.map(|(_, status)| status.clone()).collect()
        })
    }

    /// A `pull_request` delivery's body.
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
