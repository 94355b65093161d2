//! Real packets between two pods, seen by the built agent.
mod stage;

use std::net::{Ipv4Addr, Ipv6Addr};

use foretell_policy::model::flow::{Direction, Flow, Outcome, Protocol};
use stage::packet::{destination_options, hex, ipv4, ipv6, syn, udp};
use stage::{Record, Stage, actor, skipped, wait_for};

const A: &str = "6f1c7b0e-0a52-4d1e-9d39-00000000000a";
const B: &str = "6f1c7b0e-0a52-4d1e-9d39-00000000000b";
const C: &str = "6f1c7b0e-0a52-4d1e-9d39-00000000000c";
const ONE_WINDOW: [&str; 2] = ["--window", "10m"];

/// Not a test: what a pod's process runs.
#[test]
fn actor() {
    if stage::is_actor() {
        actor::serve();
    }
}

fn local(flow: &Flow) -> Option<&str> {
    let end = if flow.observed == Some(Direction::Egress) { &flow.src } else { &flow.dst };
    end.pod_uid.as_deref()
}

/// The only flow seen at this end.
fn seen<'a>(record: &'a Record, observed: Direction, protocol: Protocol, dst: &str, port: u16, uid: &str) -> &'a Flow {
    record.only(&format!("{observed} {protocol} to {dst}:{port} of {uid}"), |flow| {
        (flow.observed, flow.protocol, flow.dst.ip.to_string().as_str(), flow.port, local(flow))
            == (Some(observed), protocol, dst, port, Some(uid))
    })
}

#[test]
fn tcp_and_udp_are_seen_once_at_each_end_with_their_packets_v4_and_v6() {
    if skipped() {
        return;
    }
    let stage = Stage::new();
    let (mut a, mut b) = (stage.pod(A), stage.pod(B));
    let agent = stage.agent(&ONE_WINDOW);
    for (from, to) in [("10.244.0.1", "10.244.0.2"), ("fd00::1", "fd00::2")] {
        let bracket = |ip: &str| if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
        let to = bracket(to);
        b.must(&format!("tcp-listen {to}:8080"));
        b.must(&format!("udp-listen {to}:8080 answering"));
        for _ in 0..2 {
            a.must(&format!("tcp-send {from} {to}:8080 1000"));
            a.must(&format!("udp-send {}:0 {to}:8080 5 answered", bracket(from)));
        }
    }
    let record = agent.stop();
    for (src, dst, headers) in [("10.244.0.1", "10.244.0.2", 28), ("fd00::1", "fd00::2", 48)] {
        for (observed, uid) in [(Direction::Egress, A), (Direction::Ingress, B)] {
            let tcp = seen(&record, observed, Protocol::Tcp, dst, 8080, uid);
            assert_eq!(tcp.src.ip.to_string(), src);
            assert_eq!((tcp.outcome, tcp.connections, tcp.guessed), (Some(Outcome::Established), 2, false));
            // At least SYN, SYN+ACK, ACK, data and FIN both ways, for each of two.
            assert!((14..=30).contains(&tcp.packets), "{tcp:?}");
            assert!((4_000..8_000).contains(&tcp.bytes), "{tcp:?}");
            assert!(tcp.start < tcp.end, "{tcp:?}");

            let udp = seen(&record, observed, Protocol::Udp, dst, 8080, uid);
            assert_eq!(udp.src.ip.to_string(), src);
            assert_eq!((udp.outcome, udp.connections), (Some(Outcome::Established), 1));
            assert_eq!((udp.packets, udp.bytes), (20, 20 * (100 + headers)));
            assert_eq!(udp.node.as_deref(), Some("test-node"));
            let report = &record.reports[1];
            assert!(report.start <= udp.start && udp.start < udp.end && udp.end <= report.end, "{udp:?} {report:?}");
        }
    }
    assert_eq!(record.flows.len(), 8, "{:#?}", record.flows);
}

#[test]
fn a_listener_that_never_answers_is_seen_on_ingress_too() {
    if skipped() {
        return;
    }
    let stage = Stage::new();
    let (mut a, mut b) = (stage.pod(A), stage.pod(B));
    let agent = stage.agent(&ONE_WINDOW);
    b.must("udp-listen 10.244.0.2:8125 silent");
    a.must("udp-send 10.244.0.1:0 10.244.0.2:8125 3 unanswered");
    let record = agent.stop();
    for (observed, uid) in [(Direction::Egress, A), (Direction::Ingress, B)] {
        let flow = seen(&record, observed, Protocol::Udp, "10.244.0.2", 8125, uid);
        assert_eq!((flow.outcome, flow.connections, flow.packets), (Some(Outcome::Unanswered), 1, 3));
    }
}

#[test]
fn a_refused_connection_is_seen_by_its_client_alone() {
    if skipped() {
        return;
    }
    let stage = Stage::new();
    let mut a = stage.pod(A);
    let agent = stage.agent(&ONE_WINDOW);
    for target in ["10.244.0.2:81", "[fd00::2]:81"] {
        let from = if target.starts_with('[') { "fd00::1" } else { "10.244.0.1" };
        a.tell(&format!("tcp-send {from} {target} 1")).expect_err("nobody listens");
        a.tell(&format!("tcp-send {from} {target} 1")).expect_err("nobody listens");
    }
    let record = agent.stop();
    for dst in ["10.244.0.2", "fd00::2"] {
        let flow = seen(&record, Direction::Egress, Protocol::Tcp, dst, 81, A);
        assert_eq!((flow.outcome, flow.connections, flow.packets), (Some(Outcome::Refused), 2, 4));
        assert!(!flow.in_use());
    }
    assert_eq!(record.flows.len(), 2);
}

#[test]
fn a_half_open_scan_is_no_connection() {
    if skipped() {
        return;
    }
    let stage = Stage::new();
    let (mut a, mut b) = (stage.pod(A), stage.pod(B));
    let agent = stage.agent(&ONE_WINDOW);
    b.must("tcp-listen 10.244.0.2:22");
    let (from, to) = (Ipv4Addr::new(10, 244, 0, 1), Ipv4Addr::new(10, 244, 0, 2));
    let packet = ipv4(from, to, 6, 0, &syn(from, to, [40_000, 22]));
    a.must(&format!("raw-send {to} {}", hex(&packet)));
    let record = agent.stop();
    for (observed, uid) in [(Direction::Egress, A), (Direction::Ingress, B)] {
        let flow = seen(&record, observed, Protocol::Tcp, "10.244.0.2", 22, uid);
        assert_eq!((flow.outcome, flow.connections), (Some(Outcome::Unanswered), 1));
    }
}

#[test]
fn sctp_is_told_by_its_first_chunk() {
    const INIT: u8 = 1;
    const INIT_ACK: u8 = 2;
    const ABORT: u8 = 6;
    if skipped() {
        return;
    }
    let stage = Stage::new();
    let (mut a, mut b) = (stage.pod(A), stage.pod(B));
    let agent = stage.agent(&ONE_WINDOW);
    for (server, client) in [("10.244.0.2", "10.244.0.1"), ("fd00::2", "fd00::1")] {
        a.must(&format!("sctp-listen {client}"));
        b.must(&format!("sctp-listen {server}"));
        for (port, answer) in [(36_412, None), (36_413, Some(INIT_ACK)), (36_414, Some(ABORT))] {
            a.must(&format!("sctp-send {client} {server} 5000 {port} {INIT}"));
            // Sent again by a timer: still one attempt.
            a.must(&format!("sctp-send {client} {server} 5000 {port} {INIT}"));
            if let Some(chunk) = answer {
                b.must(&format!("sctp-send {server} {client} {port} 5000 {chunk}"));
            }
        }
    }
    let record = agent.stop();
    for dst in ["10.244.0.2", "fd00::2"] {
        for (observed, uid) in [(Direction::Egress, A), (Direction::Ingress, B)] {
            for (port, outcome, packets) in
                [(36_412, Outcome::Unanswered, 2), (36_413, Outcome::Established, 3), (36_414, Outcome::Refused, 3)]
            {
                let flow = seen(&record, observed, Protocol::Sctp, dst, port, uid);
                assert_eq!((flow.outcome, flow.connections, flow.packets), (Some(outcome), 1, packets), "{flow:?}");
            }
        }
    }
    assert_eq!(record.flows.len(), 12, "{:#?}", record.flows);
}

#[test]
fn two_pods_with_the_same_port_are_told_apart() {
    if skipped() {
        return;
    }
    let stage = Stage::new();
    let (mut a, mut b, mut c) = (stage.pod(A), stage.pod(B), stage.pod(C));
    let agent = stage.agent(&ONE_WINDOW);
    b.must("tcp-listen 10.244.0.2:8080");
    c.must("tcp-listen 10.244.0.3:8080");
    a.must("tcp-send 10.244.0.1 10.244.0.2:8080 10");
    c.must("tcp-send 10.244.0.1 10.244.0.2:8080 10");
    a.must("tcp-send 10.244.0.1 10.244.0.3:8080 10");
    let record = agent.stop();
    for (observed, dst, uid, connections) in [
        (Direction::Egress, "10.244.0.2", A, 1),
        (Direction::Egress, "10.244.0.2", C, 1),
        (Direction::Ingress, "10.244.0.2", B, 2),
        (Direction::Egress, "10.244.0.3", A, 1),
        (Direction::Ingress, "10.244.0.3", C, 1),
    ] {
        assert_eq!(seen(&record, observed, Protocol::Tcp, dst, 8080, uid).connections, connections);
    }
    assert_eq!(record.flows.len(), 5);
}

#[test]
fn a_connection_that_lasts_is_opened_once_and_in_use_in_every_window_with_packets() {
    if skipped() {
        return;
    }
    let stage = Stage::new();
    let (mut a, mut b) = (stage.pod(A), stage.pod(B));
    let agent = stage.agent(&["--window", "100ms"]);
    b.must("tcp-listen 10.244.0.2:5432");
    a.must("tcp-open 10.244.0.1 10.244.0.2:5432");
    let ends = |agent: &stage::Agent| Record::of(agent.lines()).flows.len();
    for _ in 0..3 {
        let before = ends(&agent);
        a.must("tcp-exchange 10");
        wait_for("a line at each end", || (ends(&agent) >= before + 2).then_some(()));
    }
    let record = agent.stop();
    for observed in Direction::BOTH {
        let flows: Vec<_> = record.flows.iter().filter(|flow| flow.observed == Some(observed)).collect();
        assert!(flows.len() >= 3, "{flows:#?}");
        assert!(flows.iter().all(|flow| flow.outcome == Some(Outcome::Established) && !flow.guessed), "{flows:#?}");
        assert_eq!(flows.iter().map(|flow| flow.connections).sum::<u64>(), 1, "{flows:#?}");
        assert!(flows.windows(2).all(|pair| pair[0].end <= pair[1].start), "{flows:#?}");
    }
}

#[test]
fn a_connection_older_than_the_agent_is_in_use_and_its_server_is_told_by_the_listener() {
    if skipped() {
        return;
    }
    let stage = Stage::new();
    let (mut a, mut b) = (stage.pod(A), stage.pod(B));
    b.must("tcp-listen 10.244.0.2:5432");
    a.must("tcp-open 10.244.0.1 10.244.0.2:5432");
    b.must("udp-listen 10.244.0.2:53 answering");
    let agent = stage.agent(&ONE_WINDOW);
    a.must("tcp-exchange 10");
    a.must("tcp-exchange 10");
    let record = agent.stop();
    for (observed, uid) in [(Direction::Egress, A), (Direction::Ingress, B)] {
        let flow = seen(&record, observed, Protocol::Tcp, "10.244.0.2", 5432, uid);
        assert_eq!((flow.outcome, flow.connections, flow.guessed), (Some(Outcome::Established), 1, false));
        assert!(flow.packets >= 4, "{flow:?}");
    }
    assert_eq!(record.flows.len(), 2);
}

#[test]
fn datagrams_between_two_unknown_ports_are_a_guess_just_after_the_start() {
    if skipped() {
        return;
    }
    let stage = Stage::new();
    let (mut a, mut b) = (stage.pod(A), stage.pod(B));
    let agent = stage.agent(&ONE_WINDOW);
    b.must("udp-listen 10.244.0.2:7946 silent");
    a.must("udp-send 10.244.0.1:7946 10.244.0.2:7946 1 unanswered");
    // As an answer to a question asked before the agent came.
    b.must("udp-listen 10.244.0.2:50000 silent");
    a.must("udp-send 10.244.0.1:53 10.244.0.2:50000 1 unanswered");
    let record = agent.stop();
    assert!(seen(&record, Direction::Egress, Protocol::Udp, "10.244.0.2", 7946, A).guessed);
    for (observed, uid) in [(Direction::Egress, B), (Direction::Ingress, A)] {
        let answer = seen(&record, observed, Protocol::Udp, "10.244.0.1", 53, uid);
        assert!(answer.guessed, "{answer:?}");
        assert_eq!(answer.src.ip.to_string(), "10.244.0.2");
    }
}

#[test]
fn a_connected_datagram_socket_is_a_client_even_if_its_question_was_not_seen() {
    if skipped() {
        return;
    }
    let stage = Stage::new();
    let (mut a, mut b) = (stage.pod(A), stage.pod(B));
    let agent = stage.agent(&ONE_WINDOW);
    a.must("udp-open 10.244.0.1:7000 10.244.0.2:6000");
    b.must("udp-send 10.244.0.2:6000 10.244.0.1:7000 1 unanswered");
    let record = agent.stop();
    let answer = seen(&record, Direction::Egress, Protocol::Udp, "10.244.0.2", 6000, A);
    assert_eq!((answer.outcome, answer.guessed), (Some(Outcome::Established), false));
}

#[test]
fn a_connection_thrown_out_of_the_table_comes_back_as_in_use() {
    if skipped() {
        return;
    }
    let stage = Stage::new();
    let (mut a, mut b) = (stage.pod(A), stage.pod(B));
    let agent = stage.agent(&["--window", "10m", "--max-flows", "64"]);
    b.must("tcp-listen 10.244.0.2:5432");
    a.must("tcp-open 10.244.0.1 10.244.0.2:5432");
    a.must("udp-flood 10.244.0.1:0 10.244.0.3:10000 1000 1000");
    a.must("tcp-exchange 10");
    let record = agent.stop();
    let tcp: Vec<_> = record.flows.iter().filter(|flow| flow.port == 5432).collect();
    assert!(!tcp.is_empty() && tcp.iter().all(|flow| flow.in_use()), "{tcp:#?}");
    assert!(record.lost("evicted") + record.lost("aggregate_full") > 0, "{:?}", record.reports);
}

#[test]
fn extension_headers_are_skipped_and_what_cannot_be_read_is_counted() {
    if skipped() {
        return;
    }
    let stage = Stage::new();
    let (mut a, mut b) = (stage.pod(A), stage.pod(B));
    let agent = stage.agent(&ONE_WINDOW);
    b.must("udp-listen [fd00::2]:9000 silent");
    let (from, to) = (Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1), Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2));
    let datagram = udp(from, to, [40_000, 9000], &[7; 10]);
    let optioned = [&destination_options(60)[..], &destination_options(17)[..], &datagram].concat();
    a.must(&format!("raw-send {to} {}", hex(&ipv6(from, to, 60, &optioned))));

    let endless = [destination_options(60).repeat(10), destination_options(59).to_vec()].concat();
    a.must(&format!("raw-send {to} {}", hex(&ipv6(from, to, 60, &endless))));
    let (from, to) = (Ipv4Addr::new(10, 244, 0, 1), Ipv4Addr::new(10, 244, 0, 2));
    a.must(&format!("raw-send {to} {}", hex(&ipv4(from, to, 17, 0, &[1, 2]))));
    a.must(&format!("raw-send {to} {}", hex(&ipv4(from, to, 17, 100, &[7; 24]))));

    let record = agent.stop();
    for (observed, uid) in [(Direction::Egress, A), (Direction::Ingress, B)] {
        let flow = seen(&record, observed, Protocol::Udp, "fd00::2", 9000, uid);
        assert_eq!((flow.packets, flow.bytes), (1, 40 + 16 + 18));
    }
    assert_eq!(record.flows.len(), 2);
    assert_eq!((record.lost("unparsable"), record.lost("fragments")), (2, 1), "{:?}", record.reports);
}

#[test]
fn talk_over_loopback_is_passed_over() {
    if skipped() {
        return;
    }
    let stage = Stage::new();
    let mut a = stage.pod(A);
    let agent = stage.agent(&ONE_WINDOW);
    for (from, to) in [("127.0.0.1", "127.0.0.1:8080"), ("::1", "[::1]:8080")] {
        a.must(&format!("tcp-listen {to}"));
        a.must(&format!("tcp-send {from} {to} 10"));
    }
    let record = agent.stop();
    assert!(record.flows.is_empty(), "{:#?}", record.flows);
}
