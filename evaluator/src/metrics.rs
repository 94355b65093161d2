//! What the evaluator counts.

use foretell_service::metrics::Metrics;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

/// Counters and gauges, below `foretell_evaluator_`.
#[derive(Debug, Clone, Default)]
pub struct EvaluatorMetrics {
    /// Batches that were counted.
    pub batches: Counter,
    /// Batches that came again, and were not.
    pub duplicate_batches: Counter,
    /// Batches that could not be read or kept.
    pub refused_batches: Counter,
    /// Flows that were counted.
    pub flows: Counter,
    /// Rows of the window.
    pub window_rows: Gauge,
    /// Times that all audit policies were judged.
    pub evaluations: Counter,
    /// How long the last time took.
    pub evaluation_milliseconds: Gauge,
    /// Denials in use that no exception covers, of all audit policies.
    pub unresolved_denials: Gauge,
    /// Objects that the engine refuses.
    pub unreadable_objects: Gauge,
}

impl EvaluatorMetrics {
    /// Registers them.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        let own = Self::default();
        metrics.register("evaluator", |to| {
            to.register("batches", "Batches of flows that were counted", own.batches.clone());
            to.register("duplicate_batches", "Batches that came again", own.duplicate_batches.clone());
            to.register("refused_batches", "Batches that could not be read or kept", own.refused_batches.clone());
            to.register("flows", "Flows that were counted", own.flows.clone());
            to.register("window_rows", "Sums of flows in the window", own.window_rows.clone());
            to.register("evaluations", "Times that all audit policies were judged", own.evaluations.clone());
            to.register("evaluation_milliseconds", "How long the last took", own.evaluation_milliseconds.clone());
            to.register("unresolved_denials", "Denials in use without exception", own.unresolved_denials.clone());
            to.register("unreadable_objects", "Objects that the engine refuses", own.unreadable_objects.clone());
        });
        own
    }
}
