//! A window that ends, and what was observed in it.

use std::time::Duration;

use foretell_objects::model::flow::Flow;

use crate::clock::Moment;
use crate::record::FlowKey;

/// A window that ends.
#[derive(Clone, Copy, Debug)]
pub struct Window<'a> {
    /// Its number.
    pub number: u32,
    /// When it began.
    pub began: Moment,
    /// When it ended.
    pub ended: Moment,
    /// An attempt younger than this may still be answered, and is written with a later window.
    pub settle: Duration,
    /// A flow without packets for this long is forgotten.
    pub keep: Duration,
    /// Whether no window follows. Then every attempt is written now.
    pub is_last: bool,
    /// Name of the node.
    pub node: &'a str,
}

/// What was observed in a window.
#[derive(Debug, Default)]
pub struct WindowResult {
    /// Its flows, ordered by the time of their first packet.
    pub flows: Vec<Flow>,
    /// Idle flows, which must be removed from the kernel's table.
    pub idle: Vec<FlowKey>,
    /// Number of entries that the kernel evicted from its full table, with their packets since the previous window.
    pub evicted: u64,
    /// Number of flows that did not fit into the aggregate.
    pub aggregate_full: u64,
    /// Number of flows whose cgroup was removed before it could be looked up.
    pub unattributed: u64,
}

/// The span in nanoseconds, as the kernel counts time.
pub(crate) fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
