//! Errors as HTTP answers. Every error becomes an answer here and nowhere else.

use std::fmt::Display;

use axum::Json;
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use tracing::error;

/// An HTTP answer that reports an error.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refusal {
    /// HTTP status.
    pub status: StatusCode,
    /// What is wrong and how to fix it.
    pub message: String,
}

/// The JSON body of a [`Refusal`].
#[derive(Debug, Clone, Serialize, Deserialize)]
pub struct RefusalBody {
    /// What is wrong and how to fix it.
    pub error: String,
}

impl Refusal {
    /// 400: the request is not valid.
    pub fn bad_request(message: impl Display) -> Self {
        Self { status: StatusCode::BAD_REQUEST, message: message.to_string() }
    }

    /// 401: the caller is not authenticated.
    pub fn unauthorized(message: impl Display) -> Self {
        Self { status: StatusCode::UNAUTHORIZED, message: message.to_string() }
    }

    /// 403: the caller has no permission.
    pub fn forbidden(message: impl Display) -> Self {
        Self { status: StatusCode::FORBIDDEN, message: message.to_string() }
    }

    /// 404: there is no such object.
    pub fn not_found(message: impl Display) -> Self {
        Self { status: StatusCode::NOT_FOUND, message: message.to_string() }
    }

    /// 413: the body is larger than the limit.
    pub fn too_large(message: impl Display) -> Self {
        Self { status: StatusCode::PAYLOAD_TOO_LARGE, message: message.to_string() }
    }

    /// 503: the service cannot answer now; try again.
    pub fn unavailable(message: impl Display) -> Self {
        Self { status: StatusCode::SERVICE_UNAVAILABLE, message: message.to_string() }
    }

    /// 500: logs the error. The caller does not see it: it may name files or addresses.
    pub fn internal(error: &dyn Display) -> Self {
        error!(%error, "A request failed: {error}");
        Self {
            status: StatusCode::INTERNAL_SERVER_ERROR,
            message: "internal error; see the log of the service".to_owned(),
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_internal_error_does_not_reach_the_caller() {
        let refusal = Refusal::internal(&"/etc/foretell/token: permission denied");
        assert_eq!(refusal.status.as_u16(), 500);
        assert!(!refusal.message.contains("/etc"), "{}", refusal.message);
    }

    #[test]
    fn answers_say_how_to_authenticate_and_when_to_retry() {
        for (refusal, status, header) in [
            (Refusal::bad_request("x"), 400, None),
            (Refusal::unauthorized("x"), 401, Some(("www-authenticate", "Bearer"))),
            (Refusal::forbidden("x"), 403, None),
            (Refusal::not_found("x"), 404, None),
            (Refusal::too_large("x"), 413, None),
            (Refusal::unavailable("x"), 503, Some(("retry-after", "2"))),
        ] {
            let response = refusal.into_response();
            assert_eq!(response.status().as_u16(), status);
            let headers = response.headers();
            let found =
                ["www-authenticate", "retry-after"].into_iter().find_map(|name| Some((name, headers.get(name)?)));
            assert_eq!(found.map(|(name, value)| (name, value.to_str().unwrap())), header, "{status}");
        }
    }
}
