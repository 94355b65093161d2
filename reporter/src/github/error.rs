//! Errors of GitHub, and whether and when a request may be repeated.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use foretell_service::errors::chain;
use foretell_service::files::FileError;
use http::{HeaderMap, StatusCode};

/// The pause after a secondary rate limit without a `Retry-After` header, as GitHub's documentation requires.
const SECONDARY_PAUSE: Duration = Duration::from_mins(1);

/// A request to GitHub failed.
#[derive(Debug, thiserror::Error)]
pub enum GitHubError {
    /// The key cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The private key or the URL is invalid.
    #[error("cannot make a client for GitHub: {0}")]
    Client(String),
    /// There was no answer.
    #[error("GitHub, {request}: {problem}")]
    Unreachable {
        /// Method and path.
        request: String,
        /// The reason.
        problem: String,
    },
    /// GitHub answered with an error status.
    #[error("GitHub, {request}: {status}: {message}")]
    Refused {
        /// Method and path.
        request: String,
        /// HTTP status.
        status: StatusCode,
        /// GitHub's message.
        message: String,
        /// How long to wait before the next request, if GitHub limits the rate.
        retry_after: Option<Duration>,
    },
    /// The answer has an unexpected form.
    #[error("GitHub, {request}: unexpected answer: {problem}")]
    Answer {
        /// Method and path.
        request: String,
        /// What is wrong with it.
        problem: String,
    },
}

impl GitHubError {
    /// Whether the same request may succeed soon.
    #[must_use]
    pub fn is_transient(&self) -> bool {
        match self {
            Self::File(_) | Self::Unreachable { .. } => true,
            Self::Client(_) | Self::Answer { .. } => false,
            Self::Refused { status, retry_after, .. } => status.is_server_error() || retry_after.is_some(),
        }
    }

    /// Whether the object does not exist, or the App has no access to it.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { status: StatusCode::NOT_FOUND, .. })
    }

    /// How long to wait before the next request, if GitHub limits the rate.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// The body of an error answer of GitHub's API.
#[derive(serde::Deserialize)]
pub(super) struct ApiMessage {
    pub(super) message: String,
}

/// octocrab requests an installation token before the actual request. GitHub may refuse the token.
pub(super) fn from_octocrab(request: String, error: &octocrab::Error) -> GitHubError {
    if let octocrab::Error::GitHub { source, .. } = error {
        let (status, message) = (source.status_code, source.message.clone());
        let retry_after = retry_after(status, &HeaderMap::new(), &message, SystemTime::now());
        return GitHubError::Refused { request, status, message, retry_after };
    }
    GitHubError::Unreachable { request, problem: chain(error) }
}

/// How long to wait if GitHub refuses a request because of a rate limit.
pub(super) fn retry_after(status: StatusCode, headers: &HeaderMap, message: &str, now: SystemTime) -> Option<Duration> {
    let number = |name: &str| headers.get(name)?.to_str().ok()?.parse::<u64>().ok();
    if let Some(seconds) = number("retry-after") {
        return Some(Duration::from_secs(seconds));
    }
    if status != StatusCode::FORBIDDEN && status != StatusCode::TOO_MANY_REQUESTS {
        return None;
    }
    if number("x-ratelimit-remaining") == Some(0) {
        let reset = UNIX_EPOCH + Duration::from_secs(number("x-ratelimit-reset").unwrap_or_default());
        return Some(reset.duration_since(now).unwrap_or_default() + Duration::from_secs(1));
    }
    let is_limit = status == StatusCode::TOO_MANY_REQUESTS || message.to_ascii_lowercase().contains("rate limit");
    is_limit.then_some(SECONDARY_PAUSE)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(pairs: &[(&'static str, &str)]) -> HeaderMap {
        pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap())).collect()
    }

    #[test]
    fn a_rate_limit_determines_how_long_to_wait() {
        let now = UNIX_EPOCH + Duration::from_secs(1000);
        let wait = |status: u16, pairs: &[(&'static str, &str)], message: &str| {
            let wait = retry_after(StatusCode::from_u16(status).unwrap(), &headers(pairs), message, now);
            wait.map(|wait| wait.as_secs())
        };
        assert_eq!(wait(503, &[("retry-after", "7")], ""), Some(7));
        assert_eq!(wait(403, &[("x-ratelimit-remaining", "0"), ("x-ratelimit-reset", "1030")], ""), Some(31));
        assert_eq!(wait(403, &[], "You have exceeded a secondary rate limit."), Some(60));
        assert_eq!(wait(429, &[], ""), Some(60));
        assert_eq!(wait(403, &[("x-ratelimit-remaining", "12")], "Resource not accessible by integration"), None);
        assert_eq!(wait(502, &[], "rate limit"), None);
    }

    fn refused(status: u16, retry_after: Option<Duration>) -> GitHubError {
        let status = StatusCode::from_u16(status).unwrap();
        GitHubError::Refused { request: "GET /app".to_owned(), status, message: String::new(), retry_after }
    }

    #[test]
    fn only_failures_that_may_pass_are_transient() {
        let limit = Some(Duration::from_secs(1));
        let unreachable = GitHubError::Unreachable { request: "GET /app".to_owned(), problem: String::new() };
        let answer = GitHubError::Answer { request: "GET /app".to_owned(), problem: String::new() };
        for (error, is_transient) in [
            (unreachable, true),
            (answer, false),
            (GitHubError::Client(String::new()), false),
            (refused(500, None), true),
            (refused(404, None), false),
            (refused(403, None), false),
            (refused(403, limit), true),
            (refused(429, limit), true),
        ] {
            assert_eq!(error.is_transient(), is_transient, "{error:?}");
        }
    }

    #[test]
    fn only_status_404_means_missing() {
        assert!(refused(404, None).is_missing());
        assert!(!refused(403, None).is_missing() && !refused(500, None).is_missing());
        assert!(!GitHubError::Client(String::new()).is_missing());
    }
}
