//! Turns the kernel's sums into flows: the packets since the previous window, and the outcomes of connection attempts.

use std::collections::HashMap;
use std::collections::hash_map;

use crate::record::{Event, FlowKey, Sums};
use crate::registry::Owner;
use crate::tracked_flow::TrackedFlow;
use crate::window::{Window, WindowResult, nanoseconds};

/// All known flows of the kernel's table.
#[derive(Debug)]
pub struct Aggregate {
    max_flows: usize,
    tracked: HashMap<FlowKey, TrackedFlow>,
    /// Flows that did not fit since the previous window.
    rejected: u64,
}

impl Aggregate {
    /// An empty aggregate for at most `max_flows` flows.
    #[must_use]
    pub fn new(max_flows: usize) -> Self {
        Self { max_flows, tracked: HashMap::new(), rejected: 0 }
    }

    /// Records an announced flow. Its sums are read at the end of the window, but its pod is looked up now.
    pub fn announce(&mut self, event: &Event, window: u32, owner: impl FnOnce(u64) -> Owner) {
        let full = self.tracked.len() >= self.max_flows;
        match self.tracked.entry(event.key) {
            hash_map::Entry::Occupied(mut tracked) => tracked.get_mut().window = window,
            hash_map::Entry::Vacant(_) if full => self.rejected += 1,
            hash_map::Entry::Vacant(entry) => {
                let reported = Sums::zero(event.time, event.local);
                let mut tracked = TrackedFlow::new(owner(event.key.cgroup), reported, window);
                tracked.event = Some(*event);
                entry.insert(tracked);
            }
        }
    }

    /// Records an entry of the kernel's table at the end of a window.
    pub fn read(
        &mut self,
        key: FlowKey,
        sums: Sums,
        window: &Window<'_>,
        out: &mut WindowResult,
        owner: impl FnOnce(u64) -> Owner,
    ) {
        let full = self.tracked.len() >= self.max_flows;
        let tracked = match self.tracked.entry(key) {
            hash_map::Entry::Occupied(tracked) => tracked.into_mut(),
            hash_map::Entry::Vacant(_) if full => {
                self.rejected += 1;
                return;
            }
            hash_map::Entry::Vacant(entry) => {
                let reported = Sums::zero(sums.created, sums.local);
                entry.insert(TrackedFlow::new(owner(key.cgroup), reported, window.number))
            }
        };
        if let Some(latest) = tracked.latest
            && latest.created != sums.created
        {
            // The kernel evicted the entry and created it again. The pending attempts of the old entry are written now.
            out.evicted += 1;
            let last = Window { is_last: true, ..*window };
            tracked.write(&key, &last, out);
            tracked.reported = Sums::zero(sums.created, sums.local);
            tracked.unanswered = 0;
            tracked.waiting = 0;
            tracked.first = None;
        }
        tracked.window = window.number;
        tracked.read = Some(window.number);
        tracked.event = None;
        if sums.packets()
            > tracked.latest.filter(|latest| latest.created == sums.created).map_or(0, |latest| latest.packets())
            && tracked.first.is_none()
        {
            tracked.first = Some(first_packet(&sums, window));
        }
        tracked.latest = Some(sums);
    }

    /// Ends the window, after every entry was read.
    pub fn end_window(&mut self, window: &Window<'_>, mut out: WindowResult) -> WindowResult {
        let keep = nanoseconds(window.keep);
        self.tracked.retain(|key, tracked| {
            // A flow that was announced while the table was read belongs to the next window.
            let should_be_there = window.number.wrapping_sub(tracked.window).cast_signed() >= 0;
            if should_be_there && tracked.read != Some(window.number) {
                out.evicted += 1;
                tracked.write(key, &Window { is_last: true, ..*window }, &mut out);
                return false;
            }
            tracked.write(key, window, &mut out);
            let idle = tracked.latest.is_some_and(|latest| {
                latest == tracked.reported && window.ended.monotonic.saturating_sub(latest.last) > keep
            });
            if idle {
                out.idle.push(*key);
            }
            !idle
        });
        out.flows.sort_by_key(|flow| flow.start);
        out.aggregate_full += std::mem::take(&mut self.rejected);
        out
    }
}

/// The time of the first packet in the window that ends. The kernel keeps this time for the newest even and odd windows.
fn first_packet(sums: &Sums, window: &Window<'_>) -> u64 {
    let [even, odd] = sums.window_first;
    let (this, next) = if window.number.is_multiple_of(2) { (even, odd) } else { (odd, even) };
    if sums.window == window.number || this >= window.began.monotonic { this } else { next.max(sums.created) }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use foretell_objects::model::flow::{Direction, Outcome, Protocol};

    use super::*;
    use crate::clock::Moment;

    const SECOND: u64 = 1_000_000_000;
    const START: u64 = 1_000 * SECOND;

    fn moment(monotonic: u64) -> Moment {
        let wall = "2026-11-21T01:40:00Z".parse::<jiff::Timestamp>().unwrap();
        let since = jiff::SignedDuration::from_nanos(monotonic.cast_signed() - START.cast_signed());
        Moment { monotonic, wall: wall.checked_add(since).unwrap() }
    }

    /// Windows of ten seconds.
    fn window(number: u32) -> Window<'static> {
        let began = START + u64::from(number) * 10 * SECOND;
        Window {
            number,
            began: moment(began),
            ended: moment(began + 10 * SECOND),
            settle: Duration::from_secs(3),
            keep: Duration::from_mins(5),
            is_last: false,
            node: "n1",
        }
    }

    fn key(protocol: Protocol) -> FlowKey {
        let remote = "10.0.0.9".parse().unwrap();
        FlowKey { cgroup: 7, remote, port: 80, protocol, observed: Direction::Egress }
    }

    fn sums(at: u64) -> Sums {
        let mut sums = Sums::zero(START + at, "10.0.0.1".parse().unwrap());
        sums.client_packets = 1;
        sums.bytes = 60;
        sums.window = u32::try_from(at / (10 * SECOND)).unwrap();
        sums.window_first[sums.window as usize % 2] = START + at;
        sums
    }

    fn event(key: FlowKey, at: u64) -> Event {
        Event { key, local: "10.0.0.1".parse().unwrap(), time: START + at, bytes: 60 }
    }

    fn end(aggregate: &mut Aggregate, window: &Window<'_>, entries: &[(FlowKey, Sums)]) -> WindowResult {
        let mut result = WindowResult::default();
        for (key, sums) in entries {
            aggregate.read(*key, *sums, window, &mut result, |_| Owner::Pod("uid".into()));
        }
        aggregate.end_window(window, result)
    }

    fn rows(result: &WindowResult) -> Vec<(Option<Outcome>, u64, u64)> {
        result.flows.iter().map(|flow| (flow.outcome, flow.connections, flow.packets)).collect()
    }

    #[test]
    fn an_attempt_at_the_end_of_a_window_waits_for_its_answer() {
        let mut aggregate = Aggregate::new(10);
        let mut tcp = sums(9 * SECOND);
        tcp.opened = 1;
        assert_eq!(rows(&end(&mut aggregate, &window(0), &[(key(Protocol::Tcp), tcp)])), []);
        tcp.established = 1;
        tcp.client_packets = 5;
        tcp.window = 1;
        tcp.last = START + 11 * SECOND;
        tcp.window_first[1] = START + 10 * SECOND;
        let result = end(&mut aggregate, &window(1), &[(key(Protocol::Tcp), tcp)]);
        assert_eq!(rows(&result), [(Some(Outcome::Established), 1, 5)]);
        assert_eq!(
            result.flows[0].start.to_string(),
            "2026-11-21T01:40:09Z",
            "the time of its first packet, in the previous window"
        );
        assert_eq!(result.flows[0].end.to_string(), "2026-11-21T01:40:11Z");
        assert_eq!(result.flows[0].src.pod_uid.as_deref(), Some("uid"));
        assert_eq!(rows(&end(&mut aggregate, &window(2), &[(key(Protocol::Tcp), tcp)])), []);
    }

    #[test]
    fn an_attempt_without_an_answer_is_reported_once() {
        let mut aggregate = Aggregate::new(10);
        let mut tcp = sums(SECOND);
        tcp.opened = 2;
        let entry = |sums| [(key(Protocol::Tcp), sums)];
        assert_eq!(rows(&end(&mut aggregate, &window(0), &entry(tcp))), [(Some(Outcome::Unanswered), 2, 1)]);
        assert_eq!(rows(&end(&mut aggregate, &window(1), &entry(tcp))), []);
        tcp.client_packets += 1;
        tcp.last = START + 21 * SECOND;
        let repeated = end(&mut aggregate, &window(2), &entry(tcp));
        assert_eq!(rows(&repeated), [(Some(Outcome::Unanswered), 0, 1)], "a retransmission is not an attempt");
    }

    #[test]
    fn an_unanswered_attempt_on_a_busy_flow_is_reported() {
        let mut aggregate = Aggregate::new(10);
        let mut tcp = sums(9 * SECOND);
        (tcp.opened, tcp.established) = (2, 1);
        let first = end(&mut aggregate, &window(0), &[(key(Protocol::Tcp), tcp)]);
        assert_eq!(rows(&first), [(Some(Outcome::Established), 1, 1)]);
        tcp.last = START + 19 * SECOND;
        tcp.client_packets += 100;
        let second = end(&mut aggregate, &window(1), &[(key(Protocol::Tcp), tcp)]);
        assert_eq!(rows(&second), [(Some(Outcome::Established), 0, 100), (Some(Outcome::Unanswered), 1, 0)]);
    }

    #[test]
    fn each_outcome_of_a_flow_has_a_row_and_its_packets_are_counted_once() {
        let mut aggregate = Aggregate::new(10);
        let mut tcp = sums(SECOND);
        (tcp.opened, tcp.established, tcp.refused, tcp.client_packets) = (6, 3, 2, 30);
        let result = end(&mut aggregate, &window(0), &[(key(Protocol::Tcp), tcp)]);
        let expected =
            [(Some(Outcome::Established), 3, 30), (Some(Outcome::Refused), 2, 0), (Some(Outcome::Unanswered), 1, 0)];
        assert_eq!(rows(&result), expected);
    }

    #[test]
    fn a_datagram_flow_is_one_connection_per_window_and_established_after_any_answer() {
        let mut aggregate = Aggregate::new(10);
        let mut udp = sums(SECOND);
        let entry = |sums| [(key(Protocol::Udp), sums)];
        assert_eq!(rows(&end(&mut aggregate, &window(0), &entry(udp))), [(Some(Outcome::Unanswered), 1, 1)]);
        udp.server_packets = 1;
        assert_eq!(rows(&end(&mut aggregate, &window(1), &entry(udp))), [(Some(Outcome::Established), 1, 1)]);
        udp.client_packets += 3;
        assert_eq!(rows(&end(&mut aggregate, &window(2), &entry(udp))), [(Some(Outcome::Established), 1, 3)]);
        assert_eq!(rows(&end(&mut aggregate, &window(3), &entry(udp))), []);
    }

    #[test]
    fn the_last_window_writes_every_attempt() {
        let mut aggregate = Aggregate::new(10);
        let mut tcp = sums(9 * SECOND);
        tcp.opened = 1;
        let last = Window { is_last: true, ..window(0) };
        assert_eq!(
            rows(&end(&mut aggregate, &last, &[(key(Protocol::Tcp), tcp)])),
            [(Some(Outcome::Unanswered), 1, 1)]
        );
    }

    #[test]
    fn a_connection_whose_entry_was_evicted_is_in_use_and_not_counted_again() {
        let mut aggregate = Aggregate::new(10);
        let mut tcp = sums(SECOND);
        tcp.resumed = true;
        let result = end(&mut aggregate, &window(0), &[(key(Protocol::Tcp), tcp)]);
        assert_eq!(rows(&result), [(Some(Outcome::Established), 0, 1)]);
    }

    #[test]
    fn an_evicted_entry_is_counted_and_written_as_far_as_known() {
        let mut aggregate = Aggregate::new(10);
        let announced = key(Protocol::Tcp);
        aggregate.announce(&event(announced, SECOND), 0, |_| Owner::Host);
        let result = end(&mut aggregate, &window(0), &[]);
        assert_eq!(rows(&result), [(None, 1, 1)], "its outcome is unknown");
        assert_eq!((result.evicted, result.flows[0].bytes), (1, 60));

        let pending = sums(19 * SECOND);
        assert_eq!(rows(&end(&mut aggregate, &window(1), &[(key(Protocol::Udp), pending)])), []);
        let result = end(&mut aggregate, &window(2), &[(key(Protocol::Udp), sums(21 * SECOND))]);
        assert_eq!(result.evicted, 1);
        assert_eq!(rows(&result), [(Some(Outcome::Unanswered), 1, 1), (Some(Outcome::Unanswered), 1, 1)]);
    }

    #[test]
    fn a_flow_announced_while_the_table_is_read_does_not_count_as_evicted() {
        let mut aggregate = Aggregate::new(10);
        aggregate.announce(&event(key(Protocol::Udp), 10 * SECOND), 1, |_| Owner::Host);
        let result = end(&mut aggregate, &window(0), &[]);
        assert_eq!((result.evicted, result.flows.len()), (0, 0));
    }

    #[test]
    fn a_flow_that_does_not_fit_is_counted() {
        let mut aggregate = Aggregate::new(1);
        let entries = [(key(Protocol::Udp), sums(SECOND)), (key(Protocol::Sctp), sums(SECOND))];
        assert_eq!(end(&mut aggregate, &window(0), &entries).aggregate_full, 1);
        assert_eq!(end(&mut aggregate, &window(1), &entries[..1]).aggregate_full, 0);
    }

    #[test]
    fn an_idle_flow_is_forgotten_after_it_is_written() {
        let mut aggregate = Aggregate::new(10);
        let entries = [(key(Protocol::Udp), sums(SECOND))];
        for number in 0..30 {
            assert!(end(&mut aggregate, &window(number), &entries).idle.is_empty(), "{number}");
        }
        assert_eq!(end(&mut aggregate, &window(30), &entries).idle, [key(Protocol::Udp)]);
        assert!(aggregate.tracked.is_empty());
    }
}
