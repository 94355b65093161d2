//! The metrics with the prefix `foretell_reporter_`.

use foretell_service::metrics::Metrics as ProcessMetrics;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

type OneLabel = Family<[(&'static str, &'static str); 1], Counter>;
type TwoLabels = Family<[(&'static str, &'static str); 2], Counter>;

/// The reporter's metrics.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    deliveries: OneLabel,
    answers: OneLabel,
    failures: OneLabel,
    requests: TwoLabels,
    /// Number of pull requests that wait for an answer.
    pub waiting: Gauge,
}

impl Metrics {
    /// Makes the metrics and registers them.
    #[must_use]
    pub fn register(metrics: &ProcessMetrics) -> Self {
        let own = Self::default();
        metrics.register("reporter", |registry| {
            registry.register("deliveries", "Webhook deliveries from GitHub, by outcome", own.deliveries.clone());
            registry.register("answers", "Answers to pull requests, by posted state", own.answers.clone());
            registry.register(
                "failures",
                "Failed attempts to answer a pull request, by the part that failed",
                own.failures.clone(),
            );
            registry.register(
                "github_requests",
                "Requests to the GitHub API, by method and status class",
                own.requests.clone(),
            );
            registry.register("waiting", "Pull requests that wait for an answer", own.waiting.clone());
        });
        own
    }

    /// Counts a delivery as `queued`, `ignored`, `duplicate`, `refused`, `unreadable` or `full`.
    pub fn delivery(&self, outcome: &'static str) {
        self.deliveries.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// Counts an answer with this state.
    pub fn answer(&self, state: &'static str) {
        self.answers.get_or_create(&[("state", state)]).inc();
    }

    /// Counts a failure of `github`, `evaluator` or `merge`, or a `panic`.
    pub fn failure(&self, part: &'static str) {
        self.failures.get_or_create(&[("part", part)]).inc();
    }

    /// Counts a request that was answered with `2xx`, `4xx`, `5xx` or `other`, or had no answer (`none`).
    pub fn request(&self, method: &'static str, answer: &'static str) {
        self.requests.get_or_create(&[("method", method), ("answer", answer)]).inc();
    }
}
