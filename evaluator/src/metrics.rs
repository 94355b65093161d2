//! The evaluator's metrics.

use foretell_service::metrics::Metrics;
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::gauge::Gauge;

/// Counters and gauges under `foretell_evaluator_`.
#[derive(Debug, Clone, Default)]
pub struct EvaluatorMetrics {
    /// Batches of agents that were counted.
    pub batches: Counter,
    /// Batches that were sent again and not counted.
    pub duplicate_batches: Counter,
    /// Batches that were refused.
    pub refused_batches: Counter,
    /// Flows of the counted batches.
    pub flows: Counter,
    /// Rows of the window: sums of flows by the hour.
    pub window_rows: Gauge,
    /// How many times all audit policies were judged.
    pub evaluations: Counter,
    /// Duration of the last of these.
    pub evaluation_milliseconds: Gauge,
    /// Denials in use of all audit policies that no exception covers.
    pub unresolved_denials: Gauge,
    /// Objects that the engine cannot read.
    pub unreadable_objects: Gauge,
}

impl EvaluatorMetrics {
    /// Creates and registers them.
    #[must_use]
    pub fn new(metrics: &Metrics) -> Self {
        let own = Self::default();
        metrics.register("evaluator", |to| {
            to.register("batches", "Batches of agents that were counted", own.batches.clone());
            to.register(
                "duplicate_batches",
                "Batches that were sent again and not counted",
                own.duplicate_batches.clone(),
            );
            to.register("refused_batches", "Batches that were refused", own.refused_batches.clone());
            to.register("flows", "Flows of the counted batches", own.flows.clone());
            to.register("window_rows", "Rows of the window: sums of flows by the hour", own.window_rows.clone());
            to.register("evaluations", "How many times all audit policies were judged", own.evaluations.clone());
            to.register(
                "evaluation_milliseconds",
                "Duration of the last evaluation",
                own.evaluation_milliseconds.clone(),
            );
            to.register(
                "unresolved_denials",
                "Denials in use of audit policies that no exception covers",
                own.unresolved_denials.clone(),
            );
            to.register("unreadable_objects", "Objects that the engine cannot read", own.unreadable_objects.clone());
        });
        own
    }
}
