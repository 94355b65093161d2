//! The metrics with the prefix `foretell_webhook_`.

use std::time::Duration;

use foretell_objects::resource::object::Kind;
use prometheus_client::encoding::{EncodeLabelSet, EncodeLabelValue};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::registry::{Registry, Unit};

/// In seconds. Answers need no I/O, and the API server waits for at most three seconds.
const BUCKETS: [f64; 9] = [0.000_1, 0.000_3, 0.001, 0.003, 0.01, 0.03, 0.1, 1.0, 3.0];

/// The route of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "label values are the paths without the slash")]
pub enum Endpoint {
    /// `/validate`
    validate,
    /// `/mutate`
    mutate,
}

/// The answer to a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, EncodeLabelValue)]
#[expect(non_camel_case_types, reason = "label values are in lower case")]
pub enum Outcome {
    /// The object may be stored unchanged.
    allowed,
    /// The object may be stored with a patch.
    patched,
    /// The object must not be stored.
    refused,
    /// The request could not be read.
    unreadable,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct ReviewLabels {
    endpoint: Endpoint,
    kind: &'static str,
    answer: Outcome,
}

#[derive(Debug, Clone, PartialEq, Eq, Hash, EncodeLabelSet)]
struct DurationLabels {
    endpoint: Endpoint,
}

/// Counts and durations of admission reviews.
#[derive(Debug, Clone)]
pub struct Reviews {
    count: Family<ReviewLabels, Counter>,
    duration: Family<DurationLabels, Histogram, fn() -> Histogram>,
}

impl Default for Reviews {
    fn default() -> Self {
        Self { count: Family::default(), duration: Family::new_with_constructor(|| Histogram::new(BUCKETS)) }
    }
}

impl Reviews {
    /// Registers the metrics.
    pub fn register(&self, registry: &mut Registry) {
        registry.register("reviews", "Admission reviews, by endpoint, kind and answer", self.count.clone());
        let help = "Time to answer an admission review";
        registry.register_with_unit("review_duration", help, Unit::Seconds, self.duration.clone());
    }

    /// Counts a review. All unknown kinds count as `other`, because the client chooses their names.
    pub fn count(&self, endpoint: Endpoint, kind: Option<&str>, answer: Outcome, took: Duration) {
        let kind = match kind {
            None => "unknown",
            Some("Scale") => "Scale",
            Some(name) => Kind::ALL.into_iter().find(|kind| kind.name() == name).map_or("other", Kind::name),
        };
        self.count.get_or_create(&ReviewLabels { endpoint, kind, answer }).inc();
        self.duration.get_or_create(&DurationLabels { endpoint }).observe(took.as_secs_f64());
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kinds_are_counted_by_a_fixed_set_of_names() {
        let mut registry = Registry::default();
        let reviews = Reviews::default();
        reviews.register(&mut registry);
        for kind in [None, Some("Scale"), Some("NetworkPolicy"), Some("Widget"), Some("Gadget"), Some("")] {
            reviews.count(Endpoint::validate, kind, Outcome::allowed, Duration::ZERO);
        }
        let mut text = String::new();
        prometheus_client::encoding::text::encode(&mut text, &registry).unwrap();
        for (kind, count) in [("unknown", 1), ("Scale", 1), ("NetworkPolicy", 1), ("other", 3)] {
            let line = format!(r#"reviews_total{{endpoint="validate",kind="{kind}",answer="allowed"}} {count}"#);
            assert!(text.lines().any(|it| it == line), "{line}\n{text}");
        }
        assert!(text.contains(r#"review_duration_seconds_count{endpoint="validate"} 6"#), "{text}");
    }
}
