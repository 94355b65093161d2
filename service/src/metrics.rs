//! Metrics in the text format of `OpenMetrics`.

use std::sync::{Arc, Mutex, PoisonError};

use axum::http::header::CONTENT_TYPE;
use axum::response::{IntoResponse, Response};
use prometheus_client::encoding::text::encode;
use prometheus_client::registry::Registry;

use crate::refusal::Refusal;

/// The metrics of a process. Each part registers its own under its own prefix.
#[derive(Debug, Clone, Default)]
pub struct Metrics(Arc<Mutex<Registry>>);

impl Metrics {
    /// Registers the metrics of a part under `foretell_PREFIX_`.
    pub fn register(&self, prefix: &str, register: impl FnOnce(&mut Registry)) {
        let mut registry = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        register(registry.sub_registry_with_prefix(format!("foretell_{prefix}")));
    }

    /// The answer to `/metrics`.
    pub fn render(&self) -> Response {
        let mut text = String::new();
        let encoded = encode(&mut text, &self.0.lock().unwrap_or_else(PoisonError::into_inner));
        match encoded {
            Ok(()) => {
                ([(CONTENT_TYPE, "application/openmetrics-text; version=1.0.0; charset=utf-8")], text).into_response()
            }
            Err(error) => Refusal::internal(&error).into_response(),
        }
    }
}
