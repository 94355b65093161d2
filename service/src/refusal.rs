//! Errors as HTTP answers: the one place where they meet.

use std::fmt::Display;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tracing::error;

/// An answer that is no success.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: StatusCode,
    /// What is wrong and how to mend it.
    pub message: String,
}

/// Its body.
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RefusalBody {
    /// What is wrong and how to mend it.
    pub error: String,
}

impl Refusal {
    /// 400: what was asked makes no sense.
    pub fn bad_request(message: impl Display) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.to_string() }
    }

    /// 401: nobody knows who asks.
    pub fn unauthorized(message: impl Display) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, message: message.to_string() }
    }

    /// 403: whoever asks may not.
    pub fn forbidden(message: impl Display) -> Self {
        Self { status: StatusCode::FORBIDDEN, message: message.to_string() }
    }

    /// 404: there is no such thing.
    pub fn not_found(message: impl Display) -> Self {
        Self { status: StatusCode::NOT_FOUND, message: message.to_string() }
    }

    /// 413: more than is taken at once.
    pub fn too_large(message: impl Display) -> Self {
        Self { status: StatusCode::PAYLOAD_TOO_LARGE, message: message.to_string() }
    }

    /// 503: not now; ask again.
    pub fn unavailable(message: impl Display) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, message: message.to_string() }
    }

    /// 500: it is logged here, and whoever asked is told no more than that.
    pub fn internal(error: &dyn Display) -> Self {
        error!(%error, "A request failed: {error}");
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            message: "this failed here; the log of the service says why".to_owned(),
        }
    }
}

impl IntoResponse for Refusal {
    fn into_response(self) -> Response {
        let mut response = (self.status, Json(RefusalBody { error: self.message })).into_response();
        let headers = response.headers_mut();
        if self.status == StatusCode::UNAUTHORIZED {
            headers.insert("www-authenticate", axum::http::HeaderValue::from_static("Bearer"));
        } else if self.status == StatusCode::SERVICE_UNAVAILABLE {
            headers.insert("retry-after", axum::http::HeaderValue::from_static("2"));
        }
        response
    }
}
