//! GitHub's API as it wants to be spoken to: as an App, not too fast, and again where that may help.
//!
//! octocrab signs the App's tokens and keeps those of its installations. Its own way to repeat requests is left out of the
//! build: it sends a comment again that may have been written, at once and without heed to `Retry-After`.

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

use self::error::{GitHubError, Told, of_octocrab, retry_after};
use crate::metrics::Metrics;

pub mod error;

/// How long a request may take.
const TIMEOUT: Duration = Duration::from_secs(30);
/// How often a request is sent at most, and how long after the first failure it is sent again.
const TRIES: u32 = 4;
const FIRST_PAUSE: Duration = Duration::from_millis(500);
/// Longer pauses are left to whoever asks: another pull request may be answered meanwhile.
const LONGEST_PAUSE: Duration = Duration::from_secs(20);

/// Which GitHub, and as which App.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "GitHub")]
pub struct GitHubArgs {
    /// URL of GitHub's API; of a GitHub Enterprise Server it is that of its host with /api/v3
    #[arg(long, env = "FORETELL_GITHUB_URL", value_name = "URL", default_value = "https://api.github.com")]
    pub github_url: String,

    /// Number of the GitHub App.
    #[arg(long, env = "FORETELL_GITHUB_APP_ID", value_name = "ID")]
    pub github_app_id: u64,

    /// File with the App's private key, PEM; it is read again when it changes.
    #[arg(long, env = "FORETELL_GITHUB_KEY_FILE", value_name = "FILE")]
    pub github_key_file: PathBuf,

    /// Pause between two writes, as GitHub asks for.
    #[arg(
        long,
        env = "FORETELL_GITHUB_WRITE_PAUSE_MS",
        value_name = "MS",
        default_value_t = 1000,
        hide_short_help = true
    )]
    pub github_write_pause_ms: u64,
}

/// As whom a request is sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Speaker {
    /// The App itself.
    App,
    /// One of its installations.
    Installation(u64),
}

/// Whether a request may be sent twice.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Repeat {
    May,
    /// A comment may have been written although no answer came.
    MustNot,
}

/// The client.
#[derive(Debug)]
pub struct GitHub {
    args: GitHubArgs,
    metrics: Metrics,
    connected: Mutex<Option<Connected>>,
    next_write: tokio::sync::Mutex<Instant>,
}

/// Clients by the key that they were made with.
#[derive(Debug)]
struct Connected {
    key: Vec<u8>,
    app: Arc<Octocrab>,
    installations: HashMap<u64, Arc<Octocrab>>,
}

impl GitHub {
    /// It does not ask anything yet.
    #[must_use]
    pub fn new(args: GitHubArgs, metrics: Metrics) -> Self {
        foretell_service::kubernetes::use_one_tls_provider();
        let next_write = tokio::sync::Mutex::new(Instant::now());
        Self { args, metrics, connected: Mutex::default(), next_write }
    }

    /// Number of the App.
    #[must_use]
    pub fn app_id(&self) -> u64 {
        self.args.github_app_id
    }

    pub(crate) async fn get<T: DeserializeOwned>(&self, speaker: Speaker, path: &str) -> Result<T, GitHubError> {
        self.call(speaker, Method::GET, path, None::<&()>, Repeat::May).await
    }

    /// All pages of a list, up to `most` of its elements.
    pub(crate) async fn list<T: DeserializeOwned, P: DeserializeOwned + Into<Vec<T>>>(
        &self,
        speaker: Speaker,
        path: &str,
        most: usize,
    ) -> Result<Vec<T>, GitHubError> {
        const PAGE: usize = 100;
        let mut all = Vec::new();
        let mark = if path.contains('?') { '&' } else { '?' };
        for page in 1.. {
            let path = format!("{path}{mark}per_page={PAGE}&page={page}");
            let elements: Vec<T> = self.get::<P>(speaker, &path).await?.into();
            let is_last = elements.len() < PAGE;
            all.extend(elements);
            if is_last || all.len() >= most {
                break;
            }
        }
        all.truncate(most);
        Ok(all)
    }

    /// A request that makes something new: it is sent once.
    pub(crate) async fn create<T: DeserializeOwned>(
        &self,
        speaker: Speaker,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, GitHubError> {
        self.call(speaker, Method::POST, path, Some(body), Repeat::MustNot).await
    }

    /// A request that has the same end however often it is sent.
    pub(crate) async fn put_in_place<T: DeserializeOwned>(
        &self,
        speaker: Speaker,
        method: Method,
        path: &str,
        body: &impl Serialize,
    ) -> Result<T, GitHubError> {
        self.call(speaker, method, path, Some(body), Repeat::May).await
    }

    async fn call<T: DeserializeOwned, B: Serialize>(
        &self,
        speaker: Speaker,
        method: Method,
        path: &str,
        body: Option<&B>,
        repeat: Repeat,
    ) -> Result<T, GitHubError> {
        let request = format!("{method} {path}");
        let mut pause = FIRST_PAUSE;
        for tries in 1.. {
            if method != Method::GET {
                self.wait_to_write().await;
            }
            let error = match self.send(speaker, &method, path, body).await {
                Ok(body) => {
                    let answer = serde_json::from_slice(&body);
                    return answer
                        .map_err(|error| GitHubError::Answer { request: request.clone(), problem: error.to_string() });
                }
                Err(error) => error,
            };
            let wait = error.retry_after().unwrap_or(pause).max(pause);
            if repeat == Repeat::MustNot || !error.is_transient() || tries >= TRIES || wait > LONGEST_PAUSE {
                return Err(error);
            }
            tokio::time::sleep(wait).await;
            pause *= 2;
        }
        unreachable_end(request)
    }

    /// Writes are sent one after another, with pauses.
    async fn wait_to_write(&self) {
        let mut next = self.next_write.lock().await;
        tokio::time::sleep_until(*next).await;
        *next = Instant::now() + Duration::from_millis(self.args.github_write_pause_ms);
    }

    async fn send<B: Serialize>(
        &self,
        speaker: Speaker,
        method: &Method,
        path: &str,
        body: Option<&B>,
    ) -> Result<Vec<u8>, GitHubError> {
        let named = method_name(method);
        let request = || format!("{method} {path}");
        let client = self.client(speaker)?;
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
                let error = of_octocrab(request(), &error);
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
        let message = serde_json::from_slice::<Told>(&body).map(|told| told.message);
        let message = message.unwrap_or_else(|_| String::from_utf8_lossy(&body).trim().chars().take(200).collect());
        let retry_after = retry_after(head.status, &head.headers, &message, SystemTime::now());
        Err(GitHubError::Refused { request: request(), status: head.status, message, retry_after })
    }

    fn client(&self, speaker: Speaker) -> Result<Arc<Octocrab>, GitHubError> {
        let key = files::read(&self.args.github_key_file)?;
        let mut connected = self.connected.lock().unwrap_or_else(PoisonError::into_inner);
        let connected = match &mut *connected {
            Some(connected) if connected.key == key => connected,
            other => {
                let app = Arc::new(self.app(&key)?);
                other.insert(Connected { key, app, installations: HashMap::new() })
            }
        };
        match speaker {
            Speaker::App => Ok(Arc::clone(&connected.app)),
            Speaker::Installation(id) => {
                if let Some(client) = connected.installations.get(&id) {
                    return Ok(Arc::clone(client));
                }
                let client = connected.app.installation(InstallationId(id));
                let client = Arc::new(client.map_err(|error| GitHubError::Client(chain(&error)))?);
                connected.installations.insert(id, Arc::clone(&client));
                Ok(client)
            }
        }
    }

    fn app(&self, key: &[u8]) -> Result<Octocrab, GitHubError> {
        let wrong = |error: octocrab::Error| GitHubError::Client(chain(&error));
        // What is wrong with a key is said without the key.
        let key = jsonwebtoken::EncodingKey::from_rsa_pem(key).map_err(|error| {
            let file = self.args.github_key_file.display();
            GitHubError::Client(format!("{file}: no private RSA key in PEM: {error}"))
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

/// The loop before it ends by returning alone.
fn unreachable_end<T>(request: String) -> Result<T, GitHubError> {
    Err(GitHubError::Unreachable { request, problem: "no try was left".to_owned() })
}

fn method_name(method: &Method) -> &'static str {
    match *method {
        Method::GET => "GET",
        Method::POST => "POST",
        Method::PATCH => "PATCH",
        _ => "other",
    }
}
