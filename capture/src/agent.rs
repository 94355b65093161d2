//! One window after another: drain what is announced, read the sums, write flows and a report.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use foretell_policy::model::flow::{Line, NodeReport};
use tracing::{debug, info, trace, warn};

use crate::aggregate::{Aggregate, Closed, Closing};
use crate::clock::Moment;
use crate::host;
use crate::output::Writer;
use crate::probe::{Counts, Probe};
use crate::registry::Registry;

/// How often announced flows are read: a pod that lives for a second must be found while it lives.
const POLL: Duration = Duration::from_millis(10);
/// A flow without packets for this long is forgotten, as connection tracking would have by then.
const KEEP: Duration = Duration::from_mins(5);
/// An attempt this young may still be answered.
const SETTLE: Duration = Duration::from_secs(3);

/// Everything that outlives a window.
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

/// What an agent is made of.
pub struct Parts {
    /// Name of the node.
    pub node: String,
    /// The attached programs.
    pub probe: Probe,
    /// Who owns which cgroup.
    pub registry: Registry,
    /// Where lines go.
    pub writer: Writer,
    /// Span of a window.
    pub window: Duration,
    /// Flows kept at once.
    pub max_flows: u32,
    /// Monotonic time from which first datagrams decide.
    pub settled: u64,
}

impl Agent {
    /// Begins the first window and writes a report without a span, so that a reader knows the host's addresses at once.
    ///
    /// # Errors
    /// Where the addresses cannot be read or the report cannot be written.
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

    /// Runs window after window until told to stop, then writes the last, cut short.
    ///
    /// # Errors
    /// Where the kernel's maps cannot be read or lines cannot be written.
    pub fn watch(&mut self, mut stop: impl FnMut() -> bool) -> anyhow::Result<()> {
        let mut ends = Instant::now() + self.span;
        while !stop() {
            let rest = ends.saturating_duration_since(Instant::now());
            if rest.is_zero() {
                self.end_window(false)?;
                // Not drifting; and after a pause of the machine, not catching up either.
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
        // First the turn in the kernel, then the events: whatever is announced before it is in the table by now.
        let turned = Moment::now().monotonic;
        self.probe.begin_window(self.window.wrapping_add(1), self.settled)?;
        self.drain();
        self.registry.sweep();
        let closing = Closing {
            window: self.window,
            began: self.began,
            ended: Moment::now(),
            settle: SETTLE.min(self.span),
            keep: KEEP,
            last: is_last,
            node: &self.node,
        };
        let mut closed = Closed::default();
        self.probe.read_flows(|key, sums| {
            self.aggregate.read(key, sums, &closing, &mut closed, |cgroup| self.registry.owner(cgroup));
        })?;
        let closed = self.aggregate.close(&closing, closed);
        for key in &closed.idle {
            self.probe.remove_flow(key)?;
        }
        let ended = closing.ended;
        let lost = self.lost(&closed)?;
        let report = self.report(ended, lost)?;
        let mut lines: Vec<Line> = closed.flows.into_iter().map(|flow| Line::Flow(Box::new(flow))).collect();
        let flows = lines.len();
        lines.push(report);
        self.writer.write(&lines)?;
        let took = Moment::now().monotonic.saturating_sub(turned) / 1_000_000;
        debug!(flows.written = flows, took.milliseconds = took, "Wrote a window of {flows} flows in {took} ms");
        self.began = ended;
        self.window = self.window.wrapping_add(1);
        Ok(())
    }

    fn lost(&mut self, closed: &Closed) -> anyhow::Result<BTreeMap<String, u64>> {
        let before = std::mem::replace(&mut self.counts, self.probe.counts()?);
        let now = self.counts;
        let multicast = now.multicast.saturating_sub(before.multicast);
        if multicast > 0 {
            debug!(packets.multicast = multicast, "Passed over {multicast} multicast and broadcast packets");
        }
        let unsent = self.writer.take_lost();
        let lost: BTreeMap<String, u64> = [
            ("ring_full", now.ring_full.saturating_sub(before.ring_full)),
            ("table_full", now.table_full.saturating_sub(before.table_full)),
            ("unparsable", now.unparsable.saturating_sub(before.unparsable)),
            ("fragments", now.fragments.saturating_sub(before.fragments)),
            ("evicted", closed.evicted),
            ("aggregate_full", closed.aggregate_full),
            ("unattributed", closed.unattributed),
        ]
        .into_iter()
        .chain(unsent)
        .filter(|(_, n)| *n > 0)
        .map(|(cause, n)| (cause.to_owned(), n))
        .collect();
        if !lost.is_empty() {
            warn!(?lost, "Lost something in this window: {lost:?}");
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
        info!(node.name = %self.node, "No longer watching");
    }
}
