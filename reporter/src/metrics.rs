//! What is counted, below `foretell_reporter_`.

use foretell_service::metrics::Metrics as Registered;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;

type ByOne = Family<[(&'static str, &'static str); 1], Counter>;
type ByTwo = Family<[(&'static str, &'static str); 2], Counter>;

/// What the reporter counts.
#[derive(Debug, Clone, Default)]
pub struct Metrics {
    deliveries: ByOne,
    answers: ByOne,
    failures: ByOne,
    requests: ByTwo,
    /// Pull requests that wait for an answer.
    pub waiting: Gauge,
}

impl Metrics {
    /// Registers all of them.
    #[must_use]
    pub fn registered(metrics: &Registered) -> Self {
        let own = Self::default();
        metrics.register("reporter", |registry| {
            registry.register("deliveries", "Deliveries of GitHub, by what became of them", own.deliveries.clone());
            registry.register("answers", "Answered pull requests, by the state that was posted", own.answers.clone());
            registry.register("failures", "Answers that failed for now, by what failed", own.failures.clone());
            registry.register("github_requests", "Requests to GitHub", own.requests.clone());
            registry.register("waiting", "Pull requests that wait for an answer", own.waiting.clone());
        });
        own
    }

    /// A delivery became `queued`, `ignored`, `duplicate`, `refused`, `unreadable` or `full`.
    pub fn delivery(&self, outcome: &'static str) {
        self.deliveries.get_or_create(&[("outcome", outcome)]).inc();
    }

    /// A pull request was answered by this state.
    pub fn answer(&self, state: &'static str) {
        self.answers.get_or_create(&[("state", state)]).inc();
    }

    /// `github` or `evaluator` failed.
    pub fn failure(&self, part: &'static str) {
        self.failures.get_or_create(&[("part", part)]).inc();
    }

    /// GitHub answered by `2xx`, `4xx`, `5xx`, or there was no answer.
    pub fn request(&self, method: &'static str, answer: &'static str) {
        self.requests.get_or_create(&[("method", method), ("answer", answer)]).inc();
    }
}
