//! Turns the kernel's sums into flows: what was added since the last window, and what became of the attempts.

use std::collections::HashMap;
use std::collections::hash_map;
use std::time::Duration;

use foretell_policy::model::flow::Flow;

use crate::clock::Moment;
use crate::record::{Event, FlowKey, Sums};
use crate::registry::Owner;
use crate::tracked::Tracked;

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
    /// Its flows, by the time of their first packet.
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
    /// Flows for which there was none, since the last window.
    no_room: u64,
}

impl Aggregate {
    /// With room for so many flows.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most, tracked: HashMap::new(), no_room: 0 }
    }

    /// A flow was announced. Its sums are read at the window's end, but its pod is looked up now.
    pub fn announce(&mut self, event: &Event, window: u32, owner: impl FnOnce(u64) -> Owner) {
        let full = self.tracked.len() >= self.most;
        match self.tracked.entry(event.key) {
            hash_map::Entry::Occupied(mut tracked) => tracked.get_mut().window = window,
            hash_map::Entry::Vacant(_) if full => self.no_room += 1,
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
                self.no_room += 1;
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
            tracked.waiting = 0;
            tracked.first = None;
        }
        tracked.window = closing.window;
        tracked.read = Some(closing.window);
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
            // One announced while the table was read belongs to the next window.
            let should_be_there = closing.window.wrapping_sub(tracked.window).cast_signed() >= 0;
            if should_be_there && tracked.read != Some(closing.window) {
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
        out.flows.sort_by_key(|flow| flow.start);
        out.aggregate_full += std::mem::take(&mut self.no_room);
        out
    }
}

/// The first packet in the window that ends: the kernel keeps it for this window and the next, by turns.
fn first_packet(sums: &Sums, closing: &Closing<'_>) -> u64 {
    let [even, odd] = sums.window_first;
    let (this, next) = if closing.window.is_multiple_of(2) { (even, odd) } else { (odd, even) };
    if sums.window == closing.window || this >= closing.began.monotonic { this } else { next.max(sums.made) }
}

pub(crate) fn nanoseconds(span: Duration) -> u64 {
    u64::try_from(span.as_nanos()).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use foretell_policy::model::flow::{Direction, Outcome, Protocol};

    use super::*;

    const SECOND: u64 = 1_000_000_000;
    const START: u64 = 1_000 * SECOND;

    fn moment(monotonic: u64) -> Moment {
        let wall = "2026-11-21T01:40:00Z".parse::<jiff::Timestamp>().unwrap();
        let since = jiff::SignedDuration::from_nanos(monotonic.cast_signed() - START.cast_signed());
        Moment { monotonic, wall: wall.checked_add(since).unwrap() }
    }

    /// Windows of ten seconds.
    fn closing(window: u32) -> Closing<'static> {
        let began = START + u64::from(window) * 10 * SECOND;
        Closing {
            window,
            began: moment(began),
            ended: moment(began + 10 * SECOND),
            settle: Duration::from_secs(3),
            keep: Duration::from_mins(5),
            last: false,
            node: "n1",
        }
    }

    fn key(protocol: Protocol) -> FlowKey {
        let remote = "10.0.0.9".parse().unwrap();
        FlowKey { cgroup: 7, remote, port: 80, protocol, observed: Direction::Egress }
    }

    fn sums(at: u64) -> Sums {
        let mut sums = Sums::none(START + at, "10.0.0.1".parse().unwrap());
        sums.client_packets = 1;
        sums.bytes = 60;
        sums.window = u32::try_from(at / (10 * SECOND)).unwrap();
        sums.window_first[sums.window as usize % 2] = START + at;
        sums
    }

    fn event(key: FlowKey, at: u64) -> Event {
        Event { key, local: "10.0.0.1".parse().unwrap(), time: START + at, bytes: 60 }
    }

    fn end(aggregate: &mut Aggregate, closing: &Closing<'_>, entries: &[(FlowKey, Sums)]) -> Closed {
        let mut closed = Closed::default();
        for (key, sums) in entries {
            aggregate.read(*key, *sums, closing, &mut closed, |_| Owner::Pod("uid".into()));
        }
        aggregate.close(closing, closed)
    }

    fn rows(closed: &Closed) -> Vec<(Option<Outcome>, u64, u64)> {
        closed.flows.iter().map(|flow| (flow.outcome, flow.connections, flow.packets)).collect()
    }

    #[test]
    fn an_attempt_at_the_windows_end_is_held_back_until_its_answer_had_time() {
        let mut aggregate = Aggregate::new(10);
        let mut tcp = sums(9 * SECOND);
        tcp.opened = 1;
        assert_eq!(rows(&end(&mut aggregate, &closing(0), &[(key(Protocol::Tcp), tcp)])), []);
        tcp.established = 1;
        tcp.client_packets = 5;
        tcp.window = 1;
        tcp.last = START + 11 * SECOND;
        tcp.window_first[1] = START + 10 * SECOND;
        let closed = end(&mut aggregate, &closing(1), &[(key(Protocol::Tcp), tcp)]);
        assert_eq!(rows(&closed), [(Some(Outcome::Established), 1, 5)]);
        assert_eq!(
            closed.flows[0].start.to_string(),
            "2026-11-21T01:40:09Z",
            "of its first packet, in the window before"
        );
        assert_eq!(closed.flows[0].end.to_string(), "2026-11-21T01:40:11Z");
        assert_eq!(closed.flows[0].src.pod_uid.as_deref(), Some("uid"));
        assert_eq!(rows(&end(&mut aggregate, &closing(2), &[(key(Protocol::Tcp), tcp)])), []);
    }

    #[test]
    fn an_attempt_without_answer_is_unanswered_once() {
        let mut aggregate = Aggregate::new(10);
        let mut tcp = sums(SECOND);
        tcp.opened = 2;
        let entry = |sums| [(key(Protocol::Tcp), sums)];
        assert_eq!(rows(&end(&mut aggregate, &closing(0), &entry(tcp))), [(Some(Outcome::Unanswered), 2, 1)]);
        assert_eq!(rows(&end(&mut aggregate, &closing(1), &entry(tcp))), []);
        tcp.client_packets += 1;
        tcp.last = START + 21 * SECOND;
        let repeated = end(&mut aggregate, &closing(2), &entry(tcp));
        assert_eq!(rows(&repeated), [(Some(Outcome::Unanswered), 0, 1)], "its repetition is no attempt");
    }

    #[test]
    fn an_unanswered_attempt_shows_on_a_busy_flow_too() {
        let mut aggregate = Aggregate::new(10);
        let mut tcp = sums(9 * SECOND);
        (tcp.opened, tcp.established) = (2, 1);
        let first = end(&mut aggregate, &closing(0), &[(key(Protocol::Tcp), tcp)]);
        assert_eq!(rows(&first), [(Some(Outcome::Established), 1, 1)]);
        tcp.last = START + 19 * SECOND;
        tcp.client_packets += 100;
        let second = end(&mut aggregate, &closing(1), &[(key(Protocol::Tcp), tcp)]);
        assert_eq!(rows(&second), [(Some(Outcome::Established), 0, 100), (Some(Outcome::Unanswered), 1, 0)]);
    }

    #[test]
    fn outcomes_of_one_flow_are_told_apart_and_packets_counted_once() {
        let mut aggregate = Aggregate::new(10);
        let mut tcp = sums(SECOND);
        (tcp.opened, tcp.established, tcp.refused, tcp.client_packets) = (6, 3, 2, 30);
        let closed = end(&mut aggregate, &closing(0), &[(key(Protocol::Tcp), tcp)]);
        let expected =
            [(Some(Outcome::Established), 3, 30), (Some(Outcome::Refused), 2, 0), (Some(Outcome::Unanswered), 1, 0)];
        assert_eq!(rows(&closed), expected);
    }

    #[test]
    fn a_datagram_is_one_connection_a_window_and_answered_once_anything_came_back() {
        let mut aggregate = Aggregate::new(10);
        let mut udp = sums(SECOND);
        let entry = |sums| [(key(Protocol::Udp), sums)];
        assert_eq!(rows(&end(&mut aggregate, &closing(0), &entry(udp))), [(Some(Outcome::Unanswered), 1, 1)]);
        udp.server_packets = 1;
        assert_eq!(rows(&end(&mut aggregate, &closing(1), &entry(udp))), [(Some(Outcome::Established), 1, 1)]);
        udp.client_packets += 3;
        assert_eq!(rows(&end(&mut aggregate, &closing(2), &entry(udp))), [(Some(Outcome::Established), 1, 3)]);
        assert_eq!(rows(&end(&mut aggregate, &closing(3), &entry(udp))), []);
    }

    #[test]
    fn the_last_window_holds_nothing_back() {
        let mut aggregate = Aggregate::new(10);
        let mut tcp = sums(9 * SECOND);
        tcp.opened = 1;
        let last = Closing { last: true, ..closing(0) };
        assert_eq!(
            rows(&end(&mut aggregate, &last, &[(key(Protocol::Tcp), tcp)])),
            [(Some(Outcome::Unanswered), 1, 1)]
        );
    }

    #[test]
    fn a_connection_that_outlived_its_entry_is_in_use_and_not_opened_again() {
        let mut aggregate = Aggregate::new(10);
        let mut tcp = sums(SECOND);
        tcp.resumed = true;
        let closed = end(&mut aggregate, &closing(0), &[(key(Protocol::Tcp), tcp)]);
        assert_eq!(rows(&closed), [(Some(Outcome::Established), 0, 1)]);
    }

    #[test]
    fn an_entry_that_the_kernel_threw_out_is_written_as_far_as_known_and_counted() {
        let mut aggregate = Aggregate::new(10);
        let announced = key(Protocol::Tcp);
        aggregate.announce(&event(announced, SECOND), 0, |_| Owner::Host);
        let closed = end(&mut aggregate, &closing(0), &[]);
        assert_eq!(rows(&closed), [(None, 1, 1)], "what became of it nobody knows");
        assert_eq!((closed.evicted, closed.flows[0].bytes), (1, 60));

        let held = sums(19 * SECOND);
        assert_eq!(rows(&end(&mut aggregate, &closing(1), &[(key(Protocol::Udp), held)])), []);
        let closed = end(&mut aggregate, &closing(2), &[(key(Protocol::Udp), sums(21 * SECOND))]);
        assert_eq!(closed.evicted, 1);
        assert_eq!(rows(&closed), [(Some(Outcome::Unanswered), 1, 1), (Some(Outcome::Unanswered), 1, 1)]);
    }

    #[test]
    fn a_flow_announced_while_the_table_is_read_is_not_taken_for_thrown_out() {
        let mut aggregate = Aggregate::new(10);
        aggregate.announce(&event(key(Protocol::Udp), 10 * SECOND), 1, |_| Owner::Host);
        let closed = end(&mut aggregate, &closing(0), &[]);
        assert_eq!((closed.evicted, closed.flows.len()), (0, 0));
    }

    #[test]
    fn what_has_no_room_is_counted() {
        let mut aggregate = Aggregate::new(1);
        let entries = [(key(Protocol::Udp), sums(SECOND)), (key(Protocol::Sctp), sums(SECOND))];
        assert_eq!(end(&mut aggregate, &closing(0), &entries).aggregate_full, 1);
        assert_eq!(end(&mut aggregate, &closing(1), &entries[..1]).aggregate_full, 0);
    }

    #[test]
    fn an_idle_flow_is_forgotten_after_it_was_written() {
        let mut aggregate = Aggregate::new(10);
        let entries = [(key(Protocol::Udp), sums(SECOND))];
        for window in 0..30 {
            assert!(end(&mut aggregate, &closing(window), &entries).idle.is_empty(), "{window}");
        }
        assert_eq!(end(&mut aggregate, &closing(30), &entries).idle, [key(Protocol::Udp)]);
        assert!(aggregate.tracked.is_empty());
    }
}
