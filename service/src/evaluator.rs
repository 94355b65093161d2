//! Client of the evaluator's HTTP API.

use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use clap::Args;
use foretell_policy::report::data::Report;
use foretell_policy::report::preview::Preview;
use reqwest::{Certificate, Client, RequestBuilder, StatusCode, Url};
use serde::de::DeserializeOwned;

use crate::contract::{AGENT, Accepted, BOOT, DenialPage, PolicySummary, SEQUENCE};
use crate::errors::chain;
use crate::files::{self, FileError};
use crate::refusal::RefusalBody;

/// How long the evaluator may take to answer.
const TIMEOUT: Duration = Duration::from_mins(1);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// Address of the evaluator and credentials for it. A command for which the evaluator is optional flattens an `Option` and makes
/// `url` and `token_file` optional with `mut_arg`.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Evaluator")]
pub struct EvaluatorArgs {
    /// URL of the evaluator, such as <https://foretell-evaluator.foretell.svc>
    #[arg(long = "evaluator", env = "FORETELL_EVALUATOR", value_name = "URL", requires = "token_file")]
    pub url: Url,

    /// File with the bearer token; it is read for each request.
    #[arg(long = "token-file", env = "FORETELL_TOKEN_FILE", value_name = "FILE", requires = "url")]
    pub token_file: PathBuf,

    /// File with the CA certificates that the evaluator's certificate must be signed by [default: the system's]
    #[arg(long = "ca-file", env = "FORETELL_CA_FILE", value_name = "FILE", requires = "url")]
    pub ca_file: Option<PathBuf>,
}

/// A request to the evaluator failed.
#[derive(Debug, thiserror::Error)]
pub enum EvaluatorError {
    /// The token file or the CA file cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The CA file contains no certificates.
    #[error("{}: no certificates in PEM: {problem}", path.display())]
    Authorities {
        /// The CA file.
        path: PathBuf,
        /// Cause.
        problem: String,
    },
    /// No connection, or no answer.
    #[error("evaluator {url}: {problem}")]
    Unreachable {
        /// The evaluator's URL.
        url: Url,
        /// Cause.
        problem: String,
    },
    /// An error status.
    #[error("evaluator {url}: {status}: {message}")]
    Refused {
        /// The evaluator's URL.
        url: Url,
        /// HTTP status.
        status: StatusCode,
        /// The evaluator's error message.
        message: String,
    },
    /// The body is not the expected JSON.
    #[error("evaluator {url}: unexpected answer: {problem}; does it run another version?")]
    Answer {
        /// The evaluator's URL.
        url: Url,
        /// Cause.
        problem: String,
    },
}

impl EvaluatorError {
    /// Whether the same request may succeed later.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::File(_) | Self::Authorities { .. } | Self::Unreachable { .. } => true,
            // A renewed token or a new role binding changes these.
            Self::Refused { status, .. } => {
                status.is_server_error()
                    || matches!(
                        *status,
                        StatusCode::UNAUTHORIZED | StatusCode::FORBIDDEN | StatusCode::TOO_MANY_REQUESTS
                    )
            }
            Self::Answer { .. } => false,
        }
    }
}

/// A batch of an agent's flows and reports.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The agent, by its node's name.
    pub agent: String,
    /// The run of the agent.
    pub boot: String,
    /// The batch's number in this run, from 1.
    pub sequence: u64,
    /// NDJSON.
    pub lines: Vec<u8>,
}

/// The client.
#[derive(Debug)]
pub struct Evaluator {
    args: EvaluatorArgs,
    /// The client, with the CA bundle that it was made with: a changed bundle needs a new client.
    connected: ArcSwapOption<(Option<Vec<u8>>, Client)>,
}

impl Evaluator {
    /// It does not connect yet: the evaluator need not be reachable.
    #[must_use]
    pub fn new(args: EvaluatorArgs) -> Self {
        crate::kubernetes::use_one_tls_provider();
        Self { args, connected: ArcSwapOption::empty() }
    }

    /// The evaluator's URL.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.args.url
    }

    /// Judges a change.
    ///
    /// # Errors
    /// [`EvaluatorError`].
    pub async fn preview(&self, preview: &Preview) -> Result<Report, EvaluatorError> {
        let request = self.client()?.post(self.path("v1/preview")?).json(preview);
        self.send_request(request).await
    }

    /// Sends a batch. The evaluator counts it once, however often it is sent.
    ///
    /// # Errors
    /// [`EvaluatorError`].
    pub async fn send(&self, batch: &Batch) -> Result<Accepted, EvaluatorError> {
        let request = self
            .client()?
            .post(self.path("v1/flows")?)
            .header("content-type", "application/x-ndjson")
            .header(AGENT, &batch.agent)
            .header(BOOT, &batch.boot)
            .header(SEQUENCE, batch.sequence)
            .body(batch.lines.clone());
        self.send_request(request).await
    }

    /// All audit policies.
    ///
    /// # Errors
    /// [`EvaluatorError`].
    pub async fn policies(&self) -> Result<Vec<PolicySummary>, EvaluatorError> {
        self.send_request(self.client()?.get(self.path("v1/policies")?)).await
    }

    /// A page of denials. `query` holds the filters and the cursor.
    ///
    /// # Errors
    /// [`EvaluatorError`].
    pub async fn denials(&self, query: &[(&str, String)]) -> Result<DenialPage, EvaluatorError> {
        self.send_request(self.client()?.get(self.path("v1/denials")?).query(query)).await
    }

    fn path(&self, path: &str) -> Result<Url, EvaluatorError> {
        let mut base = self.args.url.clone();
        if !base.path().ends_with('/') {
            base.set_path(&format!("{}/", base.path()));
        }
        base.join(path).map_err(|error| self.unreachable(error.to_string()))
    }

    fn client(&self) -> Result<Client, EvaluatorError> {
        let authorities = self.args.ca_file.as_deref().map(files::read).transpose()?;
        if let Some(connected) = &*self.connected.load()
            && connected.0 == authorities
        {
            return Ok(connected.1.clone());
        }
        let mut builder = Client::builder().timeout(TIMEOUT).connect_timeout(CONNECT_TIMEOUT).https_only(true);
        if let (Some(bytes), Some(path)) = (&authorities, &self.args.ca_file) {
            let wrong = |problem: String| EvaluatorError::Authorities { path: path.clone(), problem };
            let certificates = Certificate::from_pem_bundle(bytes).map_err(|error| wrong(chain(&error)))?;
            if certificates.is_empty() {
                return Err(wrong("the file has none yet".to_owned()));
            }
            // With a private CA only its certificates are accepted, and no proxy is used.
            builder = builder.tls_certs_only(certificates).no_proxy();
        }
        let client = builder.build().map_err(|error| self.unreachable(chain(&error)))?;
        self.connected.store(Some(Arc::new((authorities, client.clone()))));
        Ok(client)
    }

    async fn send_request<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, EvaluatorError> {
        let token = files::read_token(&self.args.token_file)?;
        let answer = request.bearer_auth(token).send().await.map_err(|error| self.unreachable(chain(&error)))?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(|error| self.unreachable(chain(&error)))?;
        let url = self.args.url.clone();
        if !status.is_success() {
            let error = serde_json::from_slice::<RefusalBody>(&body).map(|body| body.error);
            let message = error.unwrap_or_else(|_| String::from_utf8_lossy(&body).trim().chars().take(200).collect());
            return Err(EvaluatorError::Refused { url, status, message });
        }
        serde_json::from_slice(&body).map_err(|error| EvaluatorError::Answer { url, problem: error.to_string() })
    }

    fn unreachable(&self, problem: String) -> EvaluatorError {
        EvaluatorError::Unreachable { url: self.args.url.clone(), problem }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn evaluator(url: &str) -> Evaluator {
        let url = url.parse().unwrap();
        Evaluator::new(EvaluatorArgs { url, token_file: PathBuf::from("token"), ca_file: None })
    }

    #[test]
    fn paths_are_joined_to_the_url_with_or_without_a_trailing_slash() {
        for (base, url) in [
            ("https://e.example", "https://e.example/v1/flows"),
            ("https://e.example/", "https://e.example/v1/flows"),
            ("https://e.example/foretell", "https://e.example/foretell/v1/flows"),
            ("https://e.example/foretell/", "https://e.example/foretell/v1/flows"),
        ] {
            assert_eq!(evaluator(base).path("v1/flows").unwrap().as_str(), url, "{base}");
        }
    }

    #[test]
    fn only_errors_that_can_pass_are_retried() {
        let url: Url = "https://e.example".parse().unwrap();
        for (status, is_transient) in
            [(400, false), (401, true), (403, true), (404, false), (413, false), (429, true), (500, true), (503, true)]
        {
            let status = StatusCode::from_u16(status).unwrap();
            let error = EvaluatorError::Refused { url: url.clone(), status, message: String::new() };
            assert_eq!(error.is_transient(), is_transient, "{error}");
        }
        let problem = String::new();
        assert!(EvaluatorError::Unreachable { url: url.clone(), problem: problem.clone() }.is_transient());
        assert!(!EvaluatorError::Answer { url, problem }.is_transient());
    }

    #[test]
    fn a_ca_file_without_certificates_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        let ca = folder.path().join("ca.crt");
        std::fs::write(&ca, "").unwrap();
        let mut args = evaluator("https://e.example").args;
        args.ca_file = Some(ca.clone());
        let error = Evaluator::new(args).client().unwrap_err().to_string();
        assert_eq!(error, format!("{}: no certificates in PEM: the file has none yet", ca.display()));
    }
}
