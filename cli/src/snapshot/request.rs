//! One request to an API server, and what can come of it.

use std::error::Error as StdError;
use std::time::Duration;

use http::header::{ACCEPT, DATE};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use kube::client::Body;
use serde_json::Value;

use super::connection::{Connection, credentials_problem};

/// A request that was not answered as it should be.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// No answer, or half of one.
    #[error("{server}: cannot be reached: {problem}; see that the cluster runs and that this machine may reach it")]
    Unreachable {
        /// Which API server.
        server: String,
        /// What the system says.
        problem: String,
    },
    /// Its certificate is not the expected one.
    #[error(
        "{server}: its certificate is not trusted: {problem}; see certificate-authority and tls-server-name in the kubeconfig"
    )]
    Untrusted {
        /// Which API server.
        server: String,
        /// What is wrong with it.
        problem: String,
    },
    /// No whole answer in time.
    #[error("{server}: no answer to GET {path} in {} s; try again, or give it longer with --request-timeout", after.as_secs())]
    Timeout {
        /// Which API server.
        server: String,
        /// What was asked for.
        path: String,
        /// How long it was waited for.
        after: Duration,
    },
    /// The credentials could not be renewed.
    #[error("{server}: {problem}")]
    Credentials {
        /// For which API server.
        server: String,
        /// Why not.
        problem: String,
    },
    /// 401
    #[error(
        "{server}: it does not accept these credentials (401): they have expired or are another cluster's; log in again"
    )]
    Unauthorized {
        /// Which API server.
        server: String,
    },
    /// 403
    #[error("{server}: forbidden (403): {message}")]
    Forbidden {
        /// Which API server.
        server: String,
        /// What it says.
        message: String,
    },
    /// 404
    #[error("{server}: GET {path}: there is no such thing (404); is this the URL of an API server?")]
    NotFound {
        /// Which API server.
        server: String,
        /// What was asked for.
        path: String,
    },
    /// 410: the list changed too much since its first page.
    #[error("{server}: GET {path}: the list expired while it was read (410)")]
    Expired {
        /// Which API server.
        server: String,
        /// What was asked for.
        path: String,
    },
    /// Any other status.
    #[error("{server}: GET {path}: {status}: {message}; try again")]
    Refused {
        /// Which API server.
        server: String,
        /// What was asked for.
        path: String,
        /// The status.
        status: StatusCode,
        /// What it says.
        message: String,
    },
    /// The answer is no JSON.
    #[error("{server}: GET {path}: the answer is not what an API server answers: {problem}")]
    NotJson {
        /// Which API server.
        server: String,
        /// What was asked for.
        path: String,
        /// What is wrong.
        problem: String,
    },
}

/// An answer.
pub(super) struct Answer {
    /// When it was given, by the server's clock.
    pub(super) date: Option<Timestamp>,
    /// What it says.
    pub(super) body: Value,
}

/// Asks for `path`. What a server refuses for the moment (429, 503, 504) the client has tried again by itself.
pub(super) async fn get(
    connection: &Connection,
    path: &str,
    accept: &str,
    timeout: Duration,
) -> Result<Answer, RequestError> {
    // What follows the `?` is a token that says nothing to anybody.
    let shown = || path.split('?').next().unwrap_or_default().to_owned();
    let answered = tokio::time::timeout(timeout, send(connection, path, accept)).await;
    let Ok(answered) = answered else {
        return Err(RequestError::Timeout { server: connection.server.clone(), path: shown(), after: timeout });
    };
    let (status, date, bytes) = answered?;
    let (server, path) = (connection.server.clone(), shown());
    if !status.is_success() {
        return Err(refusal(status, &bytes, server, path));
    }
    let body = serde_json::from_slice(&bytes).map_err(|error| RequestError::NotJson {
        server,
        path,
        problem: error.to_string(),
    })?;
    Ok(Answer { date, body })
}

async fn send(
    connection: &Connection,
    path: &str,
    accept: &str,
) -> Result<(StatusCode, Option<Timestamp>, Vec<u8>), RequestError> {
    let server = &connection.server;
    let unusable =
        |error: &dyn StdError| RequestError::Unreachable { server: server.clone(), problem: one_line(error) };
    let request = Request::get(path).header(ACCEPT, accept).body(Body::empty()).map_err(|error| unusable(&error))?;
    let response = connection.client.send(request).await.map_err(|error| unsent(connection, &error))?;
    let status = response.status();
    let date = response.headers().get(DATE).and_then(|date| date.to_str().ok());
    let date = date.and_then(|date| rfc2822::parse(date).ok()).map(|date| date.timestamp());
    let body = response.into_body().collect().await.map_err(|error| unusable(&error))?;
    Ok((status, date, body.to_bytes().into()))
}

fn unsent(connection: &Connection, error: &kube::Error) -> RequestError {
    let server = connection.server.clone();
    if matches!(error, kube::Error::Auth(_)) {
        return RequestError::Credentials { server, problem: credentials_problem(error, connection.plugin.as_deref()) };
    }
    let problem = one_line(error);
    // The TLS library's errors come through three layers that do not show their types.
    if problem.contains("certificate") && !problem.contains("received fatal alert") {
        return RequestError::Untrusted { server, problem };
    }
    RequestError::Unreachable { server, problem }
}

fn refusal(status: StatusCode, body: &[u8], server: String, path: String) -> RequestError {
    let said: Value = serde_json::from_slice(body).unwrap_or_default();
    let message = said["message"].as_str().unwrap_or("it does not say why").replace('\n', " ");
    match status {
        StatusCode::UNAUTHORIZED => RequestError::Unauthorized { server },
        StatusCode::FORBIDDEN => RequestError::Forbidden { server, message },
        StatusCode::NOT_FOUND => RequestError::NotFound { server, path },
        StatusCode::GONE => RequestError::Expired { server, path },
        _ => RequestError::Refused { server, path, status, message },
    }
}

/// What lies at the root of an error, on one line: the layers above say only that something is wrong.
pub(super) fn one_line(error: &dyn StdError) -> String {
    let mut root = error;
    while let Some(source) = root.source() {
        root = source;
    }
    root.to_string().replace('\n', " ")
}
