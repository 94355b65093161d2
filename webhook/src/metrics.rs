//! What is counted: questions by what was asked and answered, and how long answers took.

use std::time::Duration;

use foretell_policy::resource::object::Kind;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// Seconds: answers come from memory, and the API server waits for three seconds at most.
const BUCKETS: [f64; 9] = [0.000_1, 0.000_3, 0.001, 0.003, 0.01, 0.03, 0.1, 1.0, 3.0];

/// Where the API server asks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "labels are written as the paths are")]
pub enum Endpoint {
    /// `/validate`
    validate,
    /// `/mutate`
    mutate,
}

/// How it was answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "labels are written in lower case")]
pub enum Outcome {
    /// As it is.
    allowed,
    /// With a change.
    patched,
    /// Refused.
    refused,
    /// What was asked could not be read.
    unreadable,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Labels {
    endpoint: Endpoint,
    kind: &'static str,
    answer: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct Asked {
    endpoint: Endpoint,
}

/// The reviews so far.
#[derive(Debug, Clone)]
pub struct Reviews {
    count: Family<Labels, Counter>,
    duration: Family<Asked, Histogram, fn() -> Histogram>,
}

impl Default for Reviews {
    fn default() -> Self {
        Self { count: Family::default(), duration: Family::new_with_constructor(|| Histogram::new(BUCKETS)) }
    }
}

impl Reviews {
    /// Puts them into the registry.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("reviews", "Questions of the API server, by kind and answer", self.count.clone());
        let help = "How long answers to the API server took";
        registry.register_with_unit("review_duration", help, Unit::Seconds, self.duration.clone());
    }

    /// Counts one. Kinds that the webhook knows nothing of count as one kind: whoever asks chooses their names.
    pub fn count(&self, endpoint: Endpoint, kind: Option<&str>, answer: Outcome, took: Duration) {
        let kind = match kind {
            None => "unknown",
            Some("Scale") => "Scale",
            Some(name) => Kind::ALL.into_iter().find(|kind| kind.name() == name).map_or("other", Kind::name),
        };
        self.count.get_or_create(&Labels { endpoint, kind, answer }).inc();
        self.duration.get_or_create(&Asked { endpoint }).observe(took.as_secs_f64());
    }
}
