//! Whether a service is ready, and what it waits for where it is not.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tracing::{info, warn};

/// What a service needs before it can do its work, each by name with what is missing of it.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Mutex<BTreeMap<&'static str, Option<String>>>>);

impl Health {
    /// A part is needed and is not there yet. Said once, and again when the reason changes.
    pub fn waits_for(&self, part: &'static str, reason: impl Into<String>) {
        let reason = reason.into();
        let mut parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if parts.get(part).and_then(Option::as_ref) != Some(&reason) {
            warn!(health.part = part, "Waits for {part}: {reason}");
            parts.insert(part, Some(reason));
        }
    }

    /// A part is there.
    pub fn has(&self, part: &'static str) {
        let mut parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if parts.insert(part, None) != Some(None) {
            info!(health.part = part, "Has {part}");
        }
    }

    /// What it waits for, as sentences. Empty: it is ready.
    #[must_use]
    pub fn waiting(&self) -> Vec<String> {
        let parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = parts.iter().filter_map(|(part, reason)| Some((part, reason.as_ref()?)));
        missing.map(|(part, reason)| format!("waits for {part}: {reason}")).collect()
    }

    /// `/readyz`: 200 or 503, with the reasons.
    #[must_use]
    pub fn readyz(&self) -> Response {
        let waiting = self.waiting();
        if waiting.is_empty() {
            return "ok\n".into_response();
        }
        let mut text = String::new();
        for reason in waiting {
            let _ = writeln!(text, "{reason}");
        }
        (StatusCode::SERVICE_UNAVAILABLE, text).into_response()
    }
}
