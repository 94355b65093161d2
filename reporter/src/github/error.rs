//! How GitHub fails, and whether and when to ask again.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use foretell_service::errors::chain;
use foretell_service::files::FileError;
use http::{HeaderMap, StatusCode};

/// What GitHub asks for where a secondary limit is hit and it does not say how long to wait.
const SECONDARY_PAUSE: Duration = Duration::from_mins(1);

/// GitHub did not answer as it should.
#[derive(Debug, thiserror::Error)]
pub enum GitHubError {
    /// The key cannot be read.
    #[error(transparent)]
    File(#[from] FileError),
    /// The key, or the URL, cannot be used.
    #[error("no client of GitHub can be made: {0}")]
    Client(String),
    /// No answer.
    #[error("GitHub, {request}: {problem}")]
    Unreachable {
        /// Method and path.
        request: String,
        /// Why not.
        problem: String,
    },
    /// An answer that is no success.
    #[error("GitHub, {request}: {status}: {message}")]
    Refused {
        /// Method and path.
        request: String,
        /// HTTP status.
        status: StatusCode,
        /// What it says.
        message: String,
        /// How long it wants to be left alone.
        retry_after: Option<Duration>,
    },
    /// An answer of another form.
    #[error("GitHub, {request}: answers something else than expected: {problem}")]
    Answer {
        /// Method and path.
        request: String,
        /// What is wrong.
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

    /// Whether there is no such thing, or none that the App may see.
    #[must_use]
    pub fn is_missing(&self) -> bool {
        matches!(self, Self::Refused { status: StatusCode::NOT_FOUND, .. })
    }

    /// How long GitHub wants to be left alone.
    #[must_use]
    pub fn retry_after(&self) -> Option<Duration> {
        match self {
            Self::Refused { retry_after, .. } => *retry_after,
            _ => None,
        }
    }
}

/// What GitHub says of what it refuses.
#[derive(serde::Deserialize)]
pub(super) struct Told {
    pub(super) message: String,
}

/// A token of an installation is asked for beneath a request, and may be refused.
pub(super) fn of_octocrab(request: String, error: &octocrab::Error) -> GitHubError {
    if let octocrab::Error::GitHub { source, .. } = error {
        let (status, message) = (source.status_code, source.message.clone());
        let retry_after = retry_after(status, &HeaderMap::new(), &message, SystemTime::now());
        return GitHubError::Refused { request, status, message, retry_after };
    }
    GitHubError::Unreachable { request, problem: chain(error) }
}

/// How long GitHub wants to be left alone, where it says that it was asked too often.
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
    fn a_limit_says_how_long_to_wait() {
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
}
