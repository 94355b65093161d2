//! Whether a service is ready, and what it is waiting for if not.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::{Arc, Mutex, PoisonError};

use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use tracing::{info, warn};

/// The parts that a service needs before it is ready, each with the reason why it is missing. `None`: the part is there.
#[derive(Debug, Clone, Default)]
pub struct Health(Arc<Mutex<BTreeMap<&'static str, Option<String>>>>);

impl Health {
    /// A part is needed and is missing. It is logged once, and again whenever the reason changes.
    pub fn set_waiting(&self, part: &'static str, reason: impl Into<String>) {
        let reason = reason.into();
        let mut parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if parts.get(part).and_then(Option::as_ref) != Some(&reason) {
            warn!(health.part = part, "Waiting for {part}: {reason}");
            parts.insert(part, Some(reason));
        }
    }

    /// A part is there.
    pub fn set_ready(&self, part: &'static str) {
        let mut parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if parts.insert(part, None) != Some(None) {
            info!(health.part = part, "No longer waiting for {part}");
        }
    }

    /// The missing parts, each as a clause. Empty if the service is ready.
    #[must_use]
    pub fn waiting(&self) -> Vec<String> {
        let parts = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        let missing = parts.iter().filter_map(|(part, reason)| Some((part, reason.as_ref()?)));
        missing.map(|(part, reason)| format!("waiting for {part}: {reason}")).collect()
    }

    /// The answer to `/readyz`: 200, or 503 with the missing parts.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_service_is_ready_once_every_part_is_there() {
        let health = Health::default();
        assert_eq!(health.readyz().status(), 200, "no part is needed");
        health.set_waiting("pods", "not listed yet");
        health.set_waiting("Postgres", "connection refused");
        assert_eq!(health.readyz().status(), 503);
        assert_eq!(health.waiting(), ["waiting for Postgres: connection refused", "waiting for pods: not listed yet"]);
        health.set_waiting("pods", "forbidden");
        health.set_ready("Postgres");
        assert_eq!(health.waiting(), ["waiting for pods: forbidden"]);
        health.set_ready("pods");
        assert_eq!(health.readyz().status(), 200);
        health.set_waiting("pods", "forbidden");
        assert_eq!(health.readyz().status(), 503, "a part can go missing again");
    }
}
