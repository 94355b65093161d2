//! One flow over its windows: what has been written of it, what is held back, and what each window adds.

use std::net::IpAddr;

use foretell_policy::model::flow::{Direction, Endpoint, Flow, Outcome, Protocol};

use crate::aggregate::{Closed, Closing, nanoseconds};
use crate::record::{Event, FlowKey, Sums};
use crate::registry::Owner;

/// A flow that the kernel's table holds, or held when it was announced.
#[derive(Debug)]
pub(crate) struct Tracked {
    pub(crate) owner: Owner,
    /// As read last; `None` while there was only an event.
    pub(crate) latest: Option<Sums>,
    /// What flows have been written for.
    pub(crate) reported: Sums,
    /// Attempts written as unanswered, of which the kernel knows nothing.
    pub(crate) unanswered: u64,
    /// Attempts that were waiting for their answer at the end of the window before.
    pub(crate) waiting: u64,
    /// First packet that no flow has been written for.
    pub(crate) first: Option<u64>,
    pub(crate) event: Option<Event>,
    /// Window in which it was announced or read last.
    pub(crate) window: u32,
    /// Window at whose end it was in the table last.
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

impl Tracked {
    pub(crate) fn new(owner: Owner, reported: Sums, window: u32) -> Self {
        Self { owner, latest: None, reported, unanswered: 0, waiting: 0, first: None, event: None, window, read: None }
    }

    /// Writes what was added since the last time, unless it may still become something else.
    pub(crate) fn write(&mut self, key: &FlowKey, closing: &Closing<'_>, out: &mut Closed) {
        let Some(latest) = self.latest else {
            // Announced, and thrown out before its sums were read. What became of it nobody knows: taken as in use.
            if let Some(event) = self.event.take_if(|_| closing.last) {
                let row = Row { outcome: None, connections: 1, packets: 1, bytes: event.bytes };
                out.flows.push(self.flow(key, row, event.local, (event.time, event.time), closing));
            }
            return;
        };
        let rows = match key.protocol {
            Protocol::Udp => self.datagrams(&latest, closing),
            Protocol::Tcp | Protocol::Sctp => self.connections(&latest, closing),
        };
        if rows.is_empty() {
            return;
        }
        let first = self.first.take().unwrap_or(latest.last).min(latest.last);
        for row in rows {
            out.flows.push(self.flow(key, row, latest.local, (first, latest.last), closing));
        }
        if self.owner == Owner::Gone {
            out.unattributed += 1;
        }
        self.reported = latest;
    }

    /// One a window, answered once anything ever came back.
    fn datagrams(&self, latest: &Sums, closing: &Closing<'_>) -> Vec<Row> {
        let packets = latest.packets().saturating_sub(self.reported.packets());
        let bytes = latest.bytes.saturating_sub(self.reported.bytes);
        let outcome = if latest.server_packets > 0 { Outcome::Established } else { Outcome::Unanswered };
        if packets == 0 || (outcome == Outcome::Unanswered && may_be_answered(latest.made, closing)) {
            return Vec::new();
        }
        vec![Row { outcome: Some(outcome), connections: 1, packets, bytes }]
    }

    /// A row for each outcome. Packets are not told apart by outcome in the kernel: the first row has them all.
    fn connections(&mut self, latest: &Sums, closing: &Closing<'_>) -> Vec<Row> {
        let packets = latest.packets().saturating_sub(self.reported.packets());
        let bytes = latest.bytes.saturating_sub(self.reported.bytes);
        let established = latest.established.saturating_sub(self.reported.established);
        let refused = latest.refused.saturating_sub(self.reported.refused);
        let answered = latest.established.saturating_add(latest.refused);
        let pending = latest.opened.saturating_sub(answered).saturating_sub(self.unanswered);
        // On a busy flow there is always a fresh packet: what has waited for a whole window waits no longer.
        let unanswered = if may_be_answered(latest.last, closing) { pending.min(self.waiting) } else { pending };
        self.waiting = pending - unanswered;

        let mut rows = Vec::new();
        let mut row = |outcome, connections| {
            let (packets, bytes) = if rows.is_empty() { (packets, bytes) } else { (0, 0) };
            rows.push(Row { outcome: Some(outcome), connections, packets, bytes });
        };
        // Connections of earlier windows that go on open none, and are in use all the same.
        let of_attempts = refused.saturating_mul(2).saturating_add(pending.saturating_mul(7));
        let goes_on = latest.resumed || latest.established > 0;
        if established > 0 || (goes_on && packets > of_attempts) {
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
            // Late packets of attempts already written.
            let outcome = if latest.refused > 0 { Outcome::Refused } else { Outcome::Unanswered };
            rows.push(Row { outcome: Some(outcome), connections: 0, packets, bytes });
        }
        rows
    }

    fn flow(&self, key: &FlowKey, row: Row, local: IpAddr, span: (u64, u64), closing: &Closing<'_>) -> Flow {
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
            start: closing.ended.wall_of(span.0),
            end: closing.ended.wall_of(span.1),
            node: Some(closing.node.to_owned()),
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

fn may_be_answered(since: u64, closing: &Closing<'_>) -> bool {
    !closing.last && closing.ended.monotonic.saturating_sub(since) < nanoseconds(closing.settle)
}
