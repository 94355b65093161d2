//! One flow over several windows: what was written of it, what waits for an answer, and what each window adds.

use std::net::IpAddr;

use foretell_objects::model::flow::{Direction, Endpoint, Flow, Outcome, Protocol};

use crate::record::{Event, FlowKey, Sums};
use crate::registry::Owner;
use crate::window::{Window, WindowResult, nanoseconds};

/// A flow that is in the kernel's table, or was in it when it was announced.
#[derive(Debug)]
pub(crate) struct TrackedFlow {
    pub(crate) owner: Owner,
    /// The latest sums; `None` if only its event was read so far.
    pub(crate) latest: Option<Sums>,
    /// The sums up to which flows were written.
    pub(crate) reported: Sums,
    /// Attempts that were written as unanswered. The kernel does not count them.
    pub(crate) unanswered: u64,
    /// Attempts that waited for their answer at the end of the previous window.
    pub(crate) waiting: u64,
    /// Time of the first packet that is not written yet.
    pub(crate) first: Option<u64>,
    pub(crate) event: Option<Event>,
    /// The latest window in which it was announced or read.
    pub(crate) window: u32,
    /// The latest window at whose end it was in the table.
    pub(crate) read: Option<u32>,
}

/// One line of a flow: the attempts of one outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    outcome: Option<Outcome>,
    connections: u64,
    packets: u64,
    bytes: u64,
}

impl TrackedFlow {
    pub(crate) fn new(owner: Owner, reported: Sums, window: u32) -> Self {
        Self { owner, latest: None, reported, unanswered: 0, waiting: 0, first: None, event: None, window, read: None }
    }

    /// Writes what was added since the previous window, except attempts that may still be answered.
    pub(crate) fn write(&mut self, key: &FlowKey, window: &Window<'_>, out: &mut WindowResult) {
        let Some(latest) = self.latest else {
            // It was announced, and evicted before its sums were read. Its outcome is unknown, so it counts as in use.
            if let Some(event) = self.event.take_if(|_| window.is_last) {
                let row = Row { outcome: None, connections: 1, packets: 1, bytes: event.bytes };
                out.flows.push(self.flow(key, row, event.local, (event.time, event.time), window));
            }
            return;
        };
        let rows = match key.protocol {
            Protocol::Udp => self.datagrams(&latest, window),
            Protocol::Tcp | Protocol::Sctp => self.connections(&latest, window),
        };
        if rows.is_empty() {
            return;
        }
        let first = self.first.take().unwrap_or(latest.last).min(latest.last);
        for row in rows {
            out.flows.push(self.flow(key, row, latest.local, (first, latest.last), window));
        }
        if self.owner == Owner::Gone {
            out.unattributed += 1;
        }
        self.reported = latest;
    }

    /// One row per window; established if the server ever sent a packet.
    fn datagrams(&self, latest: &Sums, window: &Window<'_>) -> Vec<Row> {
        let packets = latest.packets().saturating_sub(self.reported.packets());
        let bytes = latest.bytes.saturating_sub(self.reported.bytes);
        let outcome = if latest.server_packets > 0 { Outcome::Established } else { Outcome::Unanswered };
        if packets == 0 || (outcome == Outcome::Unanswered && may_be_answered(latest.created, window)) {
            return Vec::new();
        }
        vec![Row { outcome: Some(outcome), connections: 1, packets, bytes }]
    }

    /// A row for each outcome. The kernel does not count packets by outcome, so the first row has them all.
    fn connections(&mut self, latest: &Sums, window: &Window<'_>) -> Vec<Row> {
        let packets = latest.packets().saturating_sub(self.reported.packets());
        let bytes = latest.bytes.saturating_sub(self.reported.bytes);
        let established = latest.established.saturating_sub(self.reported.established);
        let refused = latest.refused.saturating_sub(self.reported.refused);
        let answered = latest.established.saturating_add(latest.refused);
        let pending = latest.opened.saturating_sub(answered).saturating_sub(self.unanswered);
        // A busy flow always has a recent packet, so an attempt waits at most for one whole window.
        let unanswered = if may_be_answered(latest.last, window) { pending.min(self.waiting) } else { pending };
        self.waiting = pending - unanswered;

        let mut rows = Vec::new();
        let mut row = |outcome, connections| {
            let (packets, bytes) = if rows.is_empty() { (packets, bytes) } else { (0, 0) };
            rows.push(Row { outcome: Some(outcome), connections, packets, bytes });
        };
        // A connection of an earlier window is still in use, although no attempt is counted in this one.
        let of_attempts = refused.saturating_mul(2).saturating_add(pending.saturating_mul(7));
        let continues = latest.resumed || latest.established > 0;
        if established > 0 || (continues && packets > of_attempts) {
            row(Outcome::Established, established);
        }
        if refused > 0 {
            row(Outcome::Refused, refused);
        }
        if unanswered > 0 {
            row(Outcome::Unanswered, unanswered);
            self.unanswered += unanswered;
        }
        if rows.is_empty() && packets > 0 && pending == 0 {
            // Late packets of attempts that are already written.
            let outcome = if latest.refused > 0 { Outcome::Refused } else { Outcome::Unanswered };
            rows.push(Row { outcome: Some(outcome), connections: 0, packets, bytes });
        }
        rows
    }

    fn flow(&self, key: &FlowKey, row: Row, local: IpAddr, span: (u64, u64), window: &Window<'_>) -> Flow {
        let mut local = Endpoint::address(local);
        if let Owner::Pod(uid) = &self.owner {
            local.pod_uid = Some(uid.to_string());
        }
        let remote = Endpoint::address(key.remote);
        let (src, dst) = match key.observed {
            Direction::Egress => (local, remote),
            Direction::Ingress => (remote, local),
        };
        Flow {
            start: window.ended.wall_of(span.0),
            end: window.ended.wall_of(span.1),
            node: Some(window.node.to_owned()),
            observed: Some(key.observed),
            src,
            dst,
            protocol: key.protocol,
            port: key.port,
            outcome: row.outcome,
            guessed: self.latest.is_some_and(|latest| latest.guessed),
            connections: row.connections,
            packets: row.packets,
            bytes: row.bytes,
        }
    }
}

fn may_be_answered(since: u64, window: &Window<'_>) -> bool {
    !window.is_last && window.ended.monotonic.saturating_sub(since) < nanoseconds(window.settle)
}
