//! How far the absence of denials can be trusted: which nodes were watched, for how long, and what was lost.

use std::collections::{BTreeMap, BTreeSet};

use jiff::{SignedDuration, Timestamp};

use foretell_objects::model::flow::{Flow, NodeReport};

/// What is known of the watching.
#[derive(Clone, Debug, Default)]
pub struct Watch {
    nodes: BTreeMap<String, NodeWatch>,
}

/// What is known of one node.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct NodeWatch {
    /// Watched spans: sorted, apart from one another.
    spans: Vec<(Timestamp, Timestamp)>,
    /// What was lost, by cause.
    pub lost: BTreeMap<String, u64>,
}

/// The watching that one file of flows tells of. Where it holds no report, the nodes that its flows name count as having
/// reported over the file's span.
#[derive(Clone, Debug, Default)]
pub struct FileWatch {
    reported: Watch,
    named: BTreeSet<String>,
    span: Option<(Timestamp, Timestamp)>,
}

impl FileWatch {
    /// Notes a report. One from after `until` tells that the node reports, and of nothing that was watched.
    pub fn add_report(&mut self, report: &NodeReport, from: Timestamp, until: Timestamp) {
        let node = self.reported.nodes.entry(report.node.clone()).or_default();
        if report.start > until {
            return;
        }
        node.add_span(report.start, report.end.min(until));
        if report.end >= from {
            for (cause, count) in report.lost.iter().filter(|(_, count)| **count > 0) {
                let lost = node.lost.entry(cause.clone()).or_default();
                *lost = lost.saturating_add(*count);
            }
        }
    }

    /// Notes who saw a flow, and when.
    pub fn add_flow(&mut self, flow: &Flow, until: Timestamp) {
        if flow.start > until {
            return;
        }
        let end = flow.end.min(until);
        self.span = Some(match self.span {
            None => (flow.start, end),
            Some((first, last)) => (first.min(flow.start), last.max(end)),
        });
        if let Some(node) = flow.node.as_ref().filter(|node| !self.named.contains(*node)) {
            self.named.insert(node.clone());
        }
    }
}

impl Watch {
    /// Adds what a file told.
    pub fn add_file(&mut self, file: FileWatch) {
        let FileWatch { reported, named, span } = file;
        if reported.nodes.is_empty() {
            let Some((first, last)) = span else { return };
            for node in named {
                self.nodes.entry(node).or_default().add_span(first, last);
            }
            return;
        }
        for (name, watch) in reported.nodes {
            let node = self.nodes.entry(name).or_default();
            for (start, end) in watch.spans {
                node.add_span(start, end);
            }
            for (cause, count) in watch.lost {
                let lost = node.lost.entry(cause).or_default();
                *lost = lost.saturating_add(count);
            }
        }
    }

    /// Whether nothing is known at all.
    #[must_use]
    pub fn is_unknown(&self) -> bool {
        self.nodes.is_empty()
    }

    /// Every node that was watched at some time, by name.
    #[must_use]
    pub fn nodes(&self) -> &BTreeMap<String, NodeWatch> {
        &self.nodes
    }

    /// Whether a node was watched at some time of `from..`.
    #[must_use]
    pub fn watched_since(&self, node: &str, from: Timestamp) -> bool {
        self.nodes.get(node).is_some_and(|node| node.spans.last().is_some_and(|(_, end)| *end >= from))
    }
}

impl NodeWatch {
    fn add_span(&mut self, start: Timestamp, end: Timestamp) {
        // Reports come in order, nearly always: the new span continues the last one.
        let at = self.spans.partition_point(|(_, known_end)| *known_end < start);
        let mut span = (start, end);
        let touching = self.spans[at..].iter().take_while(|(known_start, _)| *known_start <= end).count();
        for (known_start, known_end) in self.spans.drain(at..at + touching) {
            span = (span.0.min(known_start), span.1.max(known_end));
        }
        self.spans.insert(at, span);
    }

    /// First watched.
    #[must_use]
    pub fn since(&self) -> Option<Timestamp> {
        self.spans.first().map(|(start, _)| *start)
    }

    /// Last watched.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        self.spans.last().map(|(_, end)| *end)
    }

    /// How long it was watched, gaps left out. What was watched before a window counts: it is as long ago as it says.
    #[must_use]
    pub fn watched(&self) -> SignedDuration {
        self.spans.iter().map(|(start, end)| end.duration_since(*start)).sum()
    }

    /// How many times the watching was interrupted.
    #[must_use]
    pub fn gaps(&self) -> usize {
        self.spans.len().saturating_sub(1)
    }
}
