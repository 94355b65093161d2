//! The client of GitHub's API: it authenticates as an App, limits the rate of writes, and repeats requests.
//!
//! octocrab signs the App's tokens and caches those of the installations. Its own retries are not enabled, because they ignore
//! `Retry-After` and repeat a request that may already have created a comment.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, SystemTime};

use clap::Args;
use foretell_service::errors::chain;
use foretell_service::files;
use http::Method;
use http_body_util::BodyExt as _;
use octocrab::Octocrab;
use octocrab::models::{AppId, InstallationId};
use serde::Serialize;
use serde::de::DeserializeOwned;
use tokio::time::Instant;

use self::error::{ApiMessage, GitHubError, from_octocrab, retry_after};
use crate::metrics::Metrics;

pub mod error;

/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How often a request is sent at most.
const MAX_ATTEMPTS: u32 = 4;
/// The pause after the first failure. It doubles after each further failure.
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// If a longer pause is necessary, the caller gets the error and can answer another pull request meanwhile.
const MAX_PAUSE: Duration = Duration::from_secs(20);

/// Options of the GitHub client.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "GitHub")]
pub struct GitHubArgs {
    /// URL of GitHub's API; for a GitHub Enterprise Server, the URL of its host with /api/v3
    #[arg(long, env = "FORETELL_GITHUB_URL", value_name = "URL", default_value = "https://api.github.com")]
    pub github_url: String,

    /// Id of the GitHub App.
    #[arg(long, env = "FORETELL_GITHUB_APP_ID", value_name = "ID")]
    pub github_app_id: u64,

    /// File with the App's private key in PEM; it is read again when it changes.
    #[arg(long, env = "FORETELL_GITHUB_KEY_FILE", value_name = "FILE")]
    pub github_key_file: PathBuf,

    /// Pause between two writes in milliseconds. GitHub requires at least one second.
    #[arg(
        long,
        env = "FORETELL_GITHUB_WRITE_PAUSE_MS",
        value_name = "MS",
        default_value_t = 1000,
        hide_short_help = true
    )]
    pub github_write_pause_ms: u64,
}

/// The credentials of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Credentials {
    /// The App itself.
    App,
    /// The App's installation with this id.
    Installation(u64),
}

/// Whether a request may be repeated.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Retry {
    Allowed,
    /// GitHub may have created a comment although there was no answer.
    Forbidden,
}

/// A client of GitHub's API.
#[derive(Debug)]
pub struct GitHub {
    args: GitHubArgs,
    metrics: Metrics,
    clients: Mutex<Option<Clients>>,
    next_write: tokio::sync::Mutex<Instant>,
}

/// The clients that use a private key.
#[derive(Debug)]
struct Clients {
    key: Vec<u8>,
    app: Arc<Octocrab>,
    installations: HashMap<u64, Arc<Octocrab>>,
}

impl GitHub {
    /// Makes a client. It sends no request yet.
    #[must_use]
    pub fn new(args: GitHubArgs, metrics: Metrics) -> Self {
        foretell_service::kubernetes::use_one_tls_provider();
        let next_write = tokio::sync::Mutex::new(Instant::now());
        Self { args, metrics, clients: Mutex::default(), next_write }
    }

    /// Id of the App.
    #[must_use]
    pub fn app_id(&self) -> u64 {
        self.args.github_app_id
    }

    pub(crate) async fn get<T: DeserializeOwned>(
        &self,
        credentials: Credentials,
        path: &str,
    ) -> Result<T, GitHubError> {
        self.call(credentials, Method::GET, path, None::<&()>, Retry::Allowed).await
    }

    /// Reads the pages of a list, up to `max` elements.
    pub(crate) async fn list<T: DeserializeOwned, P: DeserializeOwned + Into<Vec<T>>>(
        &self,
        credentials: Credentials,
        path: &str,
        max: usize,
    ) -> Result<Vec<T>, GitHubError> {
        const PAGE: usize = 100;
        let mut all = Vec::new();
        let separator = if path.contains('?') { '&' } else { '?' };
        for page in 1.. {
            let path = format!("{path}{separator}per_page={PAGE}&page={page}");
            let elements: Vec<T> = self.get::<P>(credentials, &path).await?.into();
            let is_last = elements.len() < PAGE;
            all.extend(elements);
            if is_last || all.len() >= max {
                break;
            }
        }
        all.truncate(max);
        Ok(all)
    }

    /// Sends a request that creates an object. It is sent only once.
    pub(crate) async fn create<T: DeserializeOwned>(
        &self,
        credentials: Credentials,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, GitHubError> {
        self.call(credentials, Method::POST, path, Some(body), Retry::Forbidden).await
    }

    /// Sends a request that has the same effect if it is repeated.
    pub(crate) async fn send_idempotent<T: DeserializeOwned>(
        &self,
        credentials: Credentials,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, GitHubError> {
        self.call(credentials, method, path, Some(body), Retry::Allowed).await
    }

    async fn call<T: DeserializeOwned, B: Serialize>(
        &self,
        credentials: Credentials,
        method: Method,
        path: &str,
        body: Option<&B>,
        retry: Retry,
    ) -> Result<T, GitHubError> {
        let mut pause = FIRST_PAUSE;
        let mut attempts = 0;
        loop {
            attempts += 1;
            if method != Method::GET {
                self.wait_to_write().await;
            }
            let error = match self.send(credentials, &method, path, body).await {
                Ok(body) => {
                    return serde_json::from_slice(&body).map_err(|error| GitHubError::Answer {
                        request: format!("{method} {path}"),
                        problem: error.to_string(),
                    });
                }
                Err(error) => error,
            };
            let wait = error.retry_after().unwrap_or(pause).max(pause);
            if retry == Retry::Forbidden || !error.is_transient() || attempts >= MAX_ATTEMPTS || wait > MAX_PAUSE {
                return Err(error);
            }
            tokio::time::sleep(wait).await;
            pause *= 2;
        }
    }

    /// Waits until the pause after the previous write is over.
    async fn wait_to_write(&self) {
        let mut next = self.next_write.lock().await;
        tokio::time::sleep_until(*next).await;
        *next = Instant::now() + Duration::from_millis(self.args.github_write_pause_ms);
    }

    async fn send<B: Serialize>(
        &self,
        credentials: Credentials,
        method: &Method,
        path: &str,
        body: Option<&B>,
    ) -> Result<Vec<u8>, GitHubError> {
        let named = method_name(method);
        let request = || format!("{method} {path}");
        let client = self.client(credentials)?;
        let exchange = async {
            let builder = http::Request::builder().method(method).uri(path);
            let response = client.execute(client.build_request(builder, body)?).await?;
            let (head, body) = response.into_parts();
            Ok::<_, octocrab::Error>((head, body.collect().await?.to_bytes()))
        };
        let exchange = tokio::time::timeout(TIMEOUT, exchange).await;
        let (head, body) = match exchange {
            Ok(Ok(exchange)) => exchange,
            Ok(Err(error)) => {
                let error = from_octocrab(request(), &error);
                self.metrics.request(named, "none");
                return Err(error);
            }
            Err(_) => {
                self.metrics.request(named, "none");
                let problem = format!("no answer within {} s", TIMEOUT.as_secs());
                return Err(GitHubError::Unreachable { request: request(), problem });
            }
        };
        let class = match head.status.as_u16() {
            200..=299 => "2xx",
            400..=499 => "4xx",
            500..=599 => "5xx",
            _ => "other",
        };
        self.metrics.request(named, class);
        if head.status.is_success() {
            return Ok(body.to_vec());
        }
        let message = serde_json::from_slice::<ApiMessage>(&body).map(|answer| answer.message);
        let message = message.unwrap_or_else(|_| String::from_utf8_lossy(&body).trim().chars().take(200).collect());
        let retry_after = retry_after(head.status, &head.headers, &message, SystemTime::now());
        Err(GitHubError::Refused { request: request(), status: head.status, message, retry_after })
    }

    fn client(&self, credentials: Credentials) -> Result<Arc<Octocrab>, GitHubError> {
        let key = files::read(&self.args.github_key_file)?;
        let mut clients = self.clients.lock().unwrap_or_else(PoisonError::into_inner);
        let clients = match &mut *clients {
            Some(clients) if clients.key == key => clients,
            other => {
                let app = Arc::new(self.app(&key)?);
                other.insert(Clients { key, app, installations: HashMap::new() })
            }
        };
        match credentials {
            Credentials::App => Ok(Arc::clone(&clients.app)),
            Credentials::Installation(id) => {
                if let Some(client) = clients.installations.get(&id) {
                    return Ok(Arc::clone(client));
                }
                let client = clients.app.installation(InstallationId(id));
                let client = Arc::new(client.map_err(|error| GitHubError::Client(chain(&error)))?);
                clients.installations.insert(id, Arc::clone(&client));
                Ok(client)
            }
        }
    }

    fn app(&self, key: &[u8]) -> Result<Octocrab, GitHubError> {
        let wrong = |error: octocrab::Error| GitHubError::Client(chain(&error));
        // The error must not contain the key.
        let key = jsonwebtoken::EncodingKey::from_rsa_pem(key).map_err(|error| {
            let file = self.args.github_key_file.display();
            GitHubError::Client(format!("{file}: not a private RSA key in PEM: {error}"))
        })?;
        Octocrab::builder()
            .set_connect_timeout(Some(Duration::from_secs(5)))
            .base_uri(self.args.github_url.trim_end_matches('/'))
            .map_err(wrong)?
            .app(AppId(self.args.github_app_id), key)
            .build()
            .map_err(wrong)
    }
}

fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PATCH => "PATCH",
        _ => "other",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client(key_file: &str) -> GitHub {
        let args = GitHubArgs {
            github_url: "http://127.0.0.1:1".to_owned(),
            github_app_id: 7,
            github_key_file: key_file.into(),
            github_write_pause_ms: 1000,
        };
        GitHub::new(args, Metrics::default())
    }

    #[tokio::test]
    async fn a_missing_key_and_a_file_that_is_no_key_are_named() {
        let missing = client("/nowhere/app.pem").get::<()>(Credentials::App, "/app").await.unwrap_err().to_string();
        assert!(missing.contains("/nowhere/app.pem"), "{missing}");
        let not_a_key = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.toml");
        let error = client(not_a_key).get::<()>(Credentials::App, "/app").await.unwrap_err().to_string();
        assert!(error.contains(not_a_key) && error.contains("not a private RSA key"), "{error}");
        assert!(!error.contains("[package]"), "the content of the file is not in the error: {error}");
    }

    #[tokio::test(start_paused = true)]
    async fn writes_have_a_pause_between_them() {
        let github = client("unused");
        let start = Instant::now();
        for seconds in [0, 1, 2] {
            github.wait_to_write().await;
            assert_eq!(start.elapsed().as_secs(), seconds);
        }
        tokio::time::sleep(Duration::from_mins(1)).await;
        github.wait_to_write().await;
        assert_eq!(start.elapsed().as_secs(), 62, "no pause after a long time without a write");
    }

    #[test]
    fn metrics_name_only_the_methods_in_use() {
        let names = [Method::GET, Method::POST, Method::PATCH, Method::DELETE].map(|method| method_name(&method));
        assert_eq!(names, ["GET", "POST", "PATCH", "other"]);
    }
}
