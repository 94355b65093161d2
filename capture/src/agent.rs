//! The main loop. Each window: read the announced flows, read the sums, write flows and a report.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use foretell_objects::model::flow::{Line, NodeReport};
use tracing::{debug, info, trace, warn};

use crate::aggregate::Aggregate;
use crate::clock::Moment;
use crate::host;
use crate::output::Writer;
use crate::probe::{Counts, Probe};
use crate::registry::Registry;
use crate::window::{Window, WindowResult};

/// How often announced flows are read. A pod that exists for only a second must be looked up while it exists.
const POLL: Duration = Duration::from_millis(10);
/// A flow without packets for this long is forgotten, as in connection tracking.
const KEEP: Duration = Duration::from_mins(5);
/// An attempt younger than this may still be answered.
const SETTLE: Duration = Duration::from_secs(3);

/// The state that is kept from window to window.
pub struct Agent {
    node: String,
    probe: Probe,
    registry: Registry,
    aggregate: Aggregate,
    writer: Writer,
    span: Duration,
    settled: u64,
    window: u32,
    began: Moment,
    counts: Counts,
}

/// The parts of an agent.
pub struct Parts {
    /// Name of the node.
    pub node: String,
    /// The attached programs.
    pub probe: Probe,
    /// The owners of the cgroups.
    pub registry: Registry,
    /// Writes the lines.
    pub writer: Writer,
    /// Length of a window.
    pub window: Duration,
    /// Maximum number of flows at a time.
    pub max_flows: u32,
    /// Monotonic time in nanoseconds from which the first datagram of a flow decides which end is the client.
    pub settled: u64,
}

impl Agent {
    /// Begins the first window and writes a report of zero length, so that a reader knows the host's addresses at once.
    ///
    /// # Errors
    /// If the addresses cannot be read or the report cannot be written.
    pub fn begin(parts: Parts) -> anyhow::Result<Self> {
        let Parts { node, probe, registry, writer, window, max_flows, settled } = parts;
        let began = Moment::now();
        let aggregate = Aggregate::new(max_flows as usize);
        let counts = probe.counts()?;
        let mut agent =
            Self { node, probe, registry, aggregate, writer, span: window, settled, window: 0, began, counts };
        let report = agent.report(began, BTreeMap::new())?;
        agent.writer.write(&[report])?;
        Ok(agent)
    }

    /// Runs one window after another until `stop` returns true, then writes the last, shortened window.
    ///
    /// # Errors
    /// If the kernel's maps cannot be read or lines cannot be written.
    pub fn watch(&mut self, mut stop: impl FnMut() -> bool) -> anyhow::Result<()> {
        let mut ends = Instant::now() + self.span;
        while !stop() {
            let rest = ends.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                self.end_window(false)?;
                // Windows do not drift, and windows that passed while the machine was suspended are not caught up.
                ends = (ends + self.span).max(Instant::now());
                continue;
            }
            self.probe.wait(POLL.min(rest)).context("cannot wait for the kernel's events")?;
            self.drain();
        }
        self.end_window(true)?;
        self.writer.finish();
        Ok(())
    }

    fn drain(&mut self) {
        while let Some(event) = self.probe.next_event() {
            trace!(flow.key = ?event.key, "A new flow was announced: {:?}", event.key);
            self.aggregate.announce(&event, self.window, |cgroup| self.registry.owner(cgroup));
        }
    }

    fn end_window(&mut self, is_last: bool) -> anyhow::Result<()> {
        // The kernel begins the next window before the events are read: every flow announced earlier is in the table by now.
        let started = Moment::now().monotonic;
        self.probe.begin_window(self.window.wrapping_add(1), self.settled)?;
        self.drain();
        self.registry.sweep();
        let window = Window {
            number: self.window,
            began: self.began,
            ended: Moment::now(),
            settle: SETTLE.min(self.span),
            keep: KEEP,
            is_last,
            node: &self.node,
        };
        let mut result = WindowResult::default();
        self.probe.read_flows(|key, sums| {
            self.aggregate.read(key, sums, &window, &mut result, |cgroup| self.registry.owner(cgroup));
        })?;
        let result = self.aggregate.end_window(&window, result);
        for key in &result.idle {
            self.probe.remove_flow(key)?;
        }
        let ended = window.ended;
        let lost = self.lost(&result)?;
        let report = self.report(ended, lost)?;
        let mut lines: Vec<Line> = result.flows.into_iter().map(|flow| Line::Flow(Box::new(flow))).collect();
        let flows = lines.len();
        lines.push(report);
        self.writer.write(&lines)?;
        let took = Moment::now().monotonic.saturating_sub(started) / 1_000_000;
        debug!(flows.written = flows, took.milliseconds = took, "Wrote a window with {flows} flows in {took} ms");
        self.began = ended;
        self.window = self.window.wrapping_add(1);
        Ok(())
    }

    fn lost(&mut self, result: &WindowResult) -> anyhow::Result<BTreeMap<String, u64>> {
        let before = std::mem::replace(&mut self.counts, self.probe.counts()?);
        let now = self.counts;
        let multicast = now.multicast.saturating_sub(before.multicast);
        if multicast > 0 {
            debug!(packets.multicast = multicast, "Skipped {multicast} multicast and broadcast packets");
        }
        let unsent = self.writer.take_lost();
        let lost: BTreeMap<String, u64> = [
            ("ring_full", now.ring_full.saturating_sub(before.ring_full)),
            ("table_full", now.table_full.saturating_sub(before.table_full)),
            ("unparsable", now.unparsable.saturating_sub(before.unparsable)),
            ("fragments", now.fragments.saturating_sub(before.fragments)),
            ("evicted", result.evicted),
            ("aggregate_full", result.aggregate_full),
            ("unattributed", result.unattributed),
        ]
        .into_iter()
        .chain(unsent)
        .filter(|(_, n)| *n > 0)
        .map(|(cause, n)| (cause.to_owned(), n))
        .collect();
        if !lost.is_empty() {
            warn!(?lost, "This window is incomplete: {lost:?}");
        }
        Ok(lost)
    }

    fn report(&self, end: Moment, lost: BTreeMap<String, u64>) -> anyhow::Result<Line> {
        let addresses = host::addresses().context("cannot list the host's addresses")?;
        let (start, end) = (self.began.wall.min(end.wall), end.wall);
        Ok(Line::Report(NodeReport { node: self.node.clone(), start, end, addresses, lost }))
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        info!(node.name = %self.node, "The agent on node {} has stopped", self.node);
    }
}
