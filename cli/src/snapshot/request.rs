//! One request to an API server, and how it can fail.

use std::error::Error as StdError;
use std::time::Duration;

use foretell_service::errors;
use http::header::{ACCEPT, DATE};
use http::{Request, StatusCode};
use http_body_util::BodyExt as _;
use jiff::Timestamp;
use jiff::fmt::rfc2822;
use kube::client::Body;
use serde_json::Value;

use super::connection::{Connection, credentials_problem};

/// Why a request failed.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    /// No answer, or a part of one.
    #[error("{server}: cannot be reached: {problem}; check that the cluster runs and that this machine can reach it")]
    Unreachable {
        /// URL of the API server.
        server: String,
        /// Root of the error.
        problem: String,
    },
    /// Its certificate is not the expected one.
    #[error(
        "{server}: its certificate is not trusted: {problem}; check certificate-authority and tls-server-name in the kubeconfig"
    )]
    Untrusted {
        /// URL of the API server.
        server: String,
        /// Problem with the certificate.
        problem: String,
    },
    /// No whole answer in time.
    #[error("{server}: no answer to GET {path} in {} s; try again, or raise --request-timeout", after.as_secs())]
    Timeout {
        /// URL of the API server.
        server: String,
        /// Path of the request.
        path: String,
        /// The timeout.
        after: Duration,
    },
    /// The credentials could not be renewed.
    #[error("{server}: {problem}")]
    Credentials {
        /// URL of the API server.
        server: String,
        /// Problem with them.
        problem: String,
    },
    /// Status 401.
    #[error(
        "{server}: the credentials were not accepted (401): they have expired or are for another cluster; log in again"
    )]
    Unauthorized {
        /// URL of the API server.
        server: String,
    },
    /// Status 403.
    #[error("{server}: forbidden (403): {message}")]
    Forbidden {
        /// URL of the API server.
        server: String,
        /// The server's message.
        message: String,
    },
    /// Status 404.
    #[error("{server}: GET {path}: not found (404); check that this is the URL of an API server")]
    NotFound {
        /// URL of the API server.
        server: String,
        /// Path of the request.
        path: String,
    },
    /// Status 410: the list changed too much since its first page.
    #[error("{server}: GET {path}: the list expired while it was read (410)")]
    Expired {
        /// URL of the API server.
        server: String,
        /// Path of the request.
        path: String,
    },
    /// Any other status.
    #[error("{server}: GET {path}: {status}: {message}; try again")]
    Refused {
        /// URL of the API server.
        server: String,
        /// Path of the request.
        path: String,
        /// The status.
        status: StatusCode,
        /// The server's message.
        message: String,
    },
    /// The answer is not JSON.
    #[error("{server}: GET {path}: the answer is not JSON: {problem}; check that this is the URL of an API server")]
    NotJson {
        /// URL of the API server.
        server: String,
        /// Path of the request.
        path: String,
        /// Problem with the answer.
        problem: String,
    },
}

/// An answer.
pub(super) struct Answer {
    /// Time of the answer, by the server's clock.
    pub(super) date: Option<Timestamp>,
    /// The body.
    pub(super) body: Value,
}

/// Requests `path`. The client has repeated the request already if the server was busy (429, 503, 504).
pub(super) async fn get(
    connection: &Connection,
    path: &str,
    accept: &str,
    timeout: Duration,
) -> Result<Answer, RequestError> {
    // The query has nothing but limits and an opaque token.
    let shown = || path.split('?').next().unwrap_or_default().to_owned();
    let sent = tokio::time::timeout(timeout, send(connection, path, accept)).await;
    let Ok(sent) = sent else {
        return Err(RequestError::Timeout { server: connection.server.clone(), path: shown(), after: timeout });
    };
    let (status, date, bytes) = sent?;
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
        |error: &dyn StdError| RequestError::Unreachable { server: server.clone(), problem: errors::root(error) };
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
    let problem = errors::root(error);
    // The error of the TLS library is wrapped in three layers that do not show its type.
    if problem.contains("certificate") && !problem.contains("received fatal alert") {
        return RequestError::Untrusted { server, problem };
    }
    RequestError::Unreachable { server, problem }
}

fn refusal(status: StatusCode, body: &[u8], server: String, path: String) -> RequestError {
    let status_object: Value = serde_json::from_slice(body).unwrap_or_default();
    let message = status_object["message"].as_str().unwrap_or("no reason given").replace('\n', " ");
    match status {
        StatusCode::UNAUTHORIZED => RequestError::Unauthorized { server },
        StatusCode::FORBIDDEN => RequestError::Forbidden { server, message },
        StatusCode::NOT_FOUND => RequestError::NotFound { server, path },
        StatusCode::GONE => RequestError::Expired { server, path },
        _ => RequestError::Refused { server, path, status, message },
    }
}
