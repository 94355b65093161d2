//! Turns the kernel's sums into flows: what was added since the last window, and what became of the attempts.

use std::collections::HashMap;
use std::collections::hash_map;
use std::net::IpAddr;
use std::time::Duration;

use foretell_policy::flow::{Direction, Endpoint, Flow, Outcome, Protocol};

use crate::clock::Moment;
use crate::record::{Event, FlowKey, Sums};
use crate::registry::Owner;

/// The end of a window.
#[derive(Clone, Copy, Debug)]
pub struct Closing<'a> {
    /// Number of the window.
    pub window: u32,
    /// When it began and ended.
    pub began: Moment,
    /// When it ended.
    pub ended: Moment,
    /// An attempt younger than this may still be answered, and is held back.
    pub settle: Duration,
    /// A flow without packets for this long is forgotten.
    pub keep: Duration,
    /// No window follows: nothing is held back.
    pub last: bool,
    /// Name of the node.
    pub node: &'a str,
}

/// What a window came to.
#[derive(Debug, Default)]
pub struct Closed {
    /// Its flows, in no order.
    pub flows: Vec<Flow>,
    /// Idle flows, to be removed from the kernel's table too.
    pub idle: Vec<FlowKey>,
    /// Entries that the kernel threw out of its full table, with the packets since the last window.
    pub evicted: u64,
    /// Flows for which there was no room here.
    pub aggregate_full: u64,
    /// Flows of cgroups that were gone before they could be looked up.
    pub unattributed: u64,
}

/// All flows that the kernel's table is known to hold.
#[derive(Debug)]
pub struct Aggregate {
    most: usize,
    tracked: HashMap<FlowKey, Tracked>,
    aggregate_full: u64,
}

#[derive(Debug)]
struct Tracked {
    owner: Owner,
    /// As read last; `None` while there was only an event.
    latest: Option<Sums>,
    /// What flows have been written for.
    reported: Sums,
    /// Attempts written as unanswered, of which the kernel knows nothing.
    unanswered: u64,
    /// First packet that no flow has been written for.
    first: Option<u64>,
    event: Option<Event>,
    /// Last window at whose end it was in the table, or was announced.
    window: u32,
}

/// One line of a flow: the attempts of one outcome.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Row {
    outcome: Option<Outcome>,
    connections: u64,
    packets: u64,
    bytes: u64,
}

impl Aggregate {
    /// With room for so many flows.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most, tracked: HashMap::new(), aggregate_full: 0 }
    }

    /// A flow was announced. Its sums are read at the window's end, but its pod is looked up now.
    pub fn announce(&mut self, event: &Event, window: u32, owner: impl FnOnce(u64) -> Owner) {
        let full = self.tracked.len() >= self.most;
        match self.tracked.entry(event.key) {
            hash_map::Entry::Occupied(mut tracked) => tracked.get_mut().window = window,
            hash_map::Entry::Vacant(_) if full => self.aggregate_full += 1,
            hash_map::Entry::Vacant(place) => {
                let reported = Sums::none(event.time, event.local);
                let mut tracked = Tracked::new(owner(event.key.cgroup), reported, window);
                tracked.event = Some(*event);
                place.insert(tracked);
            }
        }
    }

    /// An entry of the kernel's table at the end of a window.
    pub fn read(
        &mut self,
        key: FlowKey,
        sums: Sums,
        closing: &Closing<'_>,
        out: &mut Closed,
        owner: impl FnOnce(u64) -> Owner,
    ) {
        let full = self.tracked.len() >= self.most;
        let tracked = match self.tracked.entry(key) {
            hash_map::Entry::Occupied(tracked) => tracked.into_mut(),
            hash_map::Entry::Vacant(_) if full => {
                self.aggregate_full += 1;
                return;
            }
            hash_map::Entry::Vacant(place) => {
                let reported = Sums::none(sums.made, sums.local);
                place.insert(Tracked::new(owner(key.cgroup), reported, closing.window))
            }
        };
        if let Some(latest) = tracked.latest
            && latest.made != sums.made
        {
            // Thrown out and made anew since: what was held back of the old entry is written now.
            out.evicted += 1;
            let ending = Closing { last: true, ..*closing };
            tracked.write(&key, &ending, out);
            tracked.reported = Sums::none(sums.made, sums.local);
            tracked.unanswered = 0;
            tracked.first = None;
        }
        tracked.window = closing.window;
        tracked.event = None;
        if sums.packets()
            > tracked.latest.filter(|latest| latest.made == sums.made).map_or(0, |latest| latest.packets())
            && tracked.first.is_none()
        {
            tracked.first = Some(first_packet(&sums, closing));
        }
        tracked.latest = Some(sums);
    }

    /// Ends the window, after every entry was read.
    pub fn close(&mut self, closing: &Closing<'_>, mut out: Closed) -> Closed {
        let keep = nanoseconds(closing.keep);
        self.tracked.retain(|key, tracked| {
            if closing.window.wrapping_sub(tracked.window).cast_signed() > 0 {
                out.evicted += 1;
                tracked.write(key, &Closing { last: true, ..*closing }, &mut out);
                return false;
            }
            tracked.write(key, closing, &mut out);
            let idle = tracked.latest.is_some_and(|latest| {
                latest == tracked.reported && closing.ended.monotonic.saturating_sub(latest.last) > keep
            });
            if idle {
                out.idle.push(*key);
            }
            !idle
        });
        out.aggregate_full += std::mem::take(&mut self.aggregate_full);
        out
    }
}

impl Tracked {
    fn new(owner: Owner, reported: Sums, window: u32) -> Self {
        Self { owner, latest: None, reported, unanswered: 0, first: None, event: None, window }
    }

    fn write(&mut self, key: &FlowKey, closing: &Closing<'_>, out: &mut Closed) {
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
        let unanswered = if may_be_answered(latest.last, closing) { 0 } else { pending };

        let mut rows = Vec::new();
        let mut row = |outcome, connections| {
            let (packets, bytes) = if rows.is_empty() { (packets, bytes) } else { (0, 0) };
            rows.push(Row { outcome: Some(outcome), connections, packets, bytes });
        };
        // Connections of earlier windows that go on open none, and are in use all the same.
        let of_attempts = refused.saturating_mul(2).saturating_add(pending.saturating_mul(7));
        if established > 0 || (latest.established > 0 && packets > of_attempts) {
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

/// The first packet in the window that ends: the kernel keeps it for this window and the next, by turns.
fn first_packet(sums: &Sums, closing: &Closing<'_>) -> u64 {
    let [even, odd] = sums.window_first;
    let (this, next) = if closing.window.is_multiple_of(2) { (even, odd) } else { (odd, even) };
    if sums.window == closing.window || this >= closing.began.monotonic { this } else { next.max(sums.made) }
}

fn may_be_answered(since: u64, closing: &Closing<'_>) -> bool {
    !closing.last && closing.ended.monotonic.saturating_sub(since) < nanoseconds(closing.settle)
}

fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}
