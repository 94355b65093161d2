//! The evaluator's client.

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

/// Where the evaluator is, and how it is spoken to. A command that can do without one makes `url` and `token_file` optional
/// with `mut_arg`, and flattens an `Option`.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Evaluator")]
pub struct EvaluatorArgs {
    /// URL of the evaluator, such as <https://foretell-evaluator.foretell.svc>
    #[arg(long = "evaluator", env = "FORETELL_EVALUATOR", value_name = "URL", requires = "token_file")]
    pub url: Url,

    /// File with the token that is sent; it is read each time.
    #[arg(long = "token-file", env = "FORETELL_TOKEN_FILE", value_name = "FILE", requires = "url")]
    pub token_file: PathBuf,

    /// File with the authorities that the evaluator's certificate must be of [default: the machine's]
    #[arg(long = "ca-file", env = "FORETELL_CA_FILE", value_name = "FILE", requires = "url")]
    pub ca_file: Option<PathBuf>,
}

/// The evaluator did not answer as it should.
#[derive(Debug, thiserror::Error)]
pub enum EvaluatorError {
    /// A file that is needed to ask cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The authorities are none.
    #[error("{}: no certificates in PEM: {problem}", path.display())]
    Authorities {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        problem: String,
    },
    /// No answer.
    #[error("evaluator {url}: {problem}")]
    Unreachable {
        /// Which.
        url: Url,
        /// Why not.
        problem: String,
    },
    /// An answer that is no success.
    #[error("evaluator {url}: {status}: {message}")]
    Refused {
        /// Which.
        url: Url,
        /// HTTP status.
        status: StatusCode,
        /// What it says.
        message: String,
    },
    /// An answer of another form.
    #[error("evaluator {url}: answers something else than expected: {problem}; is it of another version?")]
    Answer {
        /// Which.
        url: Url,
        /// What is wrong.
        problem: String,
    },
}

impl EvaluatorError {
    /// Whether asking again later may help.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::File(_) | Self::Authorities { .. } | Self::Unreachable { .. } => true,
            // A token that was renewed, or rights that are granted yet, change these.
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

/// A batch of an agent's lines.
#[derive(Debug, Clone)]
pub struct Batch {
    /// The node.
    pub agent: String,
    /// Which run of the agent.
    pub boot: String,
    /// Its number, from 1.
    pub sequence: u64,
    /// NDJSON.
    pub lines: Vec<u8>,
}

/// The client.
#[derive(Debug)]
pub struct Evaluator {
    args: EvaluatorArgs,
    /// With the bytes of the authorities that it trusts: another bundle needs another client.
    connected: ArcSwapOption<(Option<Vec<u8>>, Client)>,
}

impl Evaluator {
    /// It does not ask anything yet: the evaluator need not be there.
    #[must_use]
    pub fn new(args: EvaluatorArgs) -> Self {
        crate::kubernetes::use_one_tls_provider();
        Self { args, connected: ArcSwapOption::empty() }
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> &Url {
        &self.args.url
    }

    /// What a change would do.
    ///
    /// # Errors
    /// [`EvaluatorError`].
    pub async fn preview(&self, preview: &Preview) -> Result<Report, EvaluatorError> {
        let request = self.client()?.post(self.path("v1/preview")?).json(preview);
        self.ask(request).await
    }

    /// Hands over a batch. It is counted once, however often it is sent.
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
        self.ask(request).await
    }

    /// Every audit policy.
    ///
    /// # Errors
    /// [`EvaluatorError`].
    pub async fn policies(&self) -> Result<Vec<PolicySummary>, EvaluatorError> {
        self.ask(self.client()?.get(self.path("v1/policies")?)).await
    }

    /// A page of denials: `query` holds filters and the cursor.
    ///
    /// # Errors
    /// [`EvaluatorError`].
    pub async fn denials(&self, query: &[(&str, String)]) -> Result<DenialPage, EvaluatorError> {
        self.ask(self.client()?.get(self.path("v1/denials")?).query(query)).await
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
                return Err(wrong("there is none yet".to_owned()));
            }
            // A private authority is spoken to directly, and nobody else's certificate will do.
            builder = builder.tls_certs_only(certificates).no_proxy();
        }
        let client = builder.build().map_err(|error| self.unreachable(chain(&error)))?;
        self.connected.store(Some(Arc::new((authorities, client.clone()))));
        Ok(client)
    }

    async fn ask<T: DeserializeOwned>(&self, request: RequestBuilder) -> Result<T, EvaluatorError> {
        let token = files::read_token(&self.args.token_file)?;
        let answer = request.bearer_auth(token).send().await.map_err(|error| self.unreachable(chain(&error)))?;
        let status = answer.status();
        let body = answer.bytes().await.map_err(|error| self.unreachable(chain(&error)))?;
        let url = self.args.url.clone();
        if !status.is_success() {
            let told = serde_json::from_slice::<RefusalBody>(&body).map(|body| body.error);
            let message = told.unwrap_or_else(|_| String::from_utf8_lossy(&body).trim().chars().take(200).collect());
            return Err(EvaluatorError::Refused { url, status, message });
        }
        serde_json::from_slice(&body).map_err(|error| EvaluatorError::Answer { url, problem: error.to_string() })
    }

    fn unreachable(&self, problem: String) -> EvaluatorError {
        EvaluatorError::Unreachable { url: self.args.url.clone(), problem }
    }
}
