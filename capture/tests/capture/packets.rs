//! Real packets between two pods, observed by the built agent.

use std::net::{Ipv4Addr, Ipv6Addr};

use foretell_objects::model::flow::{Direction, Flow, Outcome, Protocol};

use crate::node::packet::{destination_options, hex, ipv4, ipv6, syn, udp};
use crate::node::{Agent, AgentOutput, TestNode, wait_for};

const A: &str = "6f1c7b0e-0a52-4d1e-9d39-00000000000a";
const B: &str = "6f1c7b0e-0a52-4d1e-9d39-00000000000b";
const C: &str = "6f1c7b0e-0a52-4d1e-9d39-00000000000c";
const ONE_WINDOW: [&str; 2] = ["--window", "10m"];

/// The UID of the pod at the local end.
fn local_uid(flow: &Flow) -> Option<&str> {
    let end = if flow.observed == Some(Direction::Egress) { &flow.src } else { &flow.dst };
    end.pod_uid.as_deref()
}

/// The only flow that was observed at this end.
fn observed_flow<'a>(
    output: &'a AgentOutput,
    observed: Direction,
    protocol: Protocol,
    dst: &str,
    port: u16,
    uid: &str,
) -> &'a Flow {
    output.only(&format!("{observed} {protocol} to {dst}:{port} of {uid}"), |flow| {
        (flow.observed, flow.protocol, flow.dst.ip.to_string().as_str(), flow.port, local_uid(flow))
            == (Some(observed), protocol, dst, port, Some(uid))
    })
}

#[test]
fn tcp_and_udp_flows_are_observed_once_at_each_end_in_ipv4_and_ipv6() {
    let Some(node) = TestNode::start() else { return };
    let (mut a, mut b) = (node.pod(A), node.pod(B));
    let agent = node.agent(&ONE_WINDOW);
    for (from, to) in [("10.244.0.1", "10.244.0.2"), ("fd00::1", "fd00::2")] {
        let bracket = |ip: &str| if ip.contains(':') { format!("[{ip}]") } else { ip.to_owned() };
        let to = bracket(to);
        b.run(&format!("tcp-listen {to}:8080"));
        b.run(&format!("udp-listen {to}:8080 answering"));
        for _ in 0..2 {
            a.run(&format!("tcp-send {from} {to}:8080 1000"));
            a.run(&format!("udp-send {}:0 {to}:8080 5 answered", bracket(from)));
        }
    }
    let output = agent.stop();
    for (src, dst, headers) in [("10.244.0.1", "10.244.0.2", 28), ("fd00::1", "fd00::2", 48)] {
        for (observed, uid) in [(Direction::Egress, A), (Direction::Ingress, B)] {
            let tcp = observed_flow(&output, observed, Protocol::Tcp, dst, 8080, uid);
            assert_eq!(tcp.src.ip.to_string(), src);
            assert_eq!((tcp.outcome, tcp.connections, tcp.guessed), (Some(Outcome::Established), 2, false));
            // Two connections, each with at least SYN, SYN+ACK, ACK, and data and FIN in both directions.
            assert!((14..=30).contains(&tcp.packets), "{tcp:?}");
            assert!((4_000..8_000).contains(&tcp.bytes), "{tcp:?}");
            assert!(tcp.start < tcp.end, "{tcp:?}");

            let udp = observed_flow(&output, observed, Protocol::Udp, dst, 8080, uid);
            assert_eq!(udp.src.ip.to_string(), src);
            assert_eq!((udp.outcome, udp.connections), (Some(Outcome::Established), 1));
            assert_eq!((udp.packets, udp.bytes), (20, 20 * (100 + headers)));
            assert_eq!(udp.node.as_deref(), Some("test-node"));
            let report = &output.reports[1];
            assert!(report.start <= udp.start && udp.start < udp.end && udp.end <= report.end, "{udp:?} {report:?}");
        }
    }
    assert_eq!(output.flows.len(), 8, "{:#?}", output.flows);
}

#[test]
fn a_flow_to_a_listener_that_never_answers_is_observed_at_both_ends() {
    let Some(node) = TestNode::start() else { return };
    let (mut a, mut b) = (node.pod(A), node.pod(B));
    let agent = node.agent(&ONE_WINDOW);
    b.run("udp-listen 10.244.0.2:8125 silent");
    a.run("udp-send 10.244.0.1:0 10.244.0.2:8125 3 unanswered");
    let output = agent.stop();
    for (observed, uid) in [(Direction::Egress, A), (Direction::Ingress, B)] {
        let flow = observed_flow(&output, observed, Protocol::Udp, "10.244.0.2", 8125, uid);
        assert_eq!((flow.outcome, flow.connections, flow.packets), (Some(Outcome::Unanswered), 1, 3));
    }
}

#[test]
fn a_refused_connection_is_observed_at_the_client_only() {
    let Some(node) = TestNode::start() else { return };
    let mut a = node.pod(A);
    let agent = node.agent(&ONE_WINDOW);
    for target in ["10.244.0.2:81", "[fd00::2]:81"] {
        let from = if target.starts_with('[') { "fd00::1" } else { "10.244.0.1" };
        a.try_run(&format!("tcp-send {from} {target} 1")).expect_err("no listener");
        a.try_run(&format!("tcp-send {from} {target} 1")).expect_err("no listener");
    }
    let output = agent.stop();
    for dst in ["10.244.0.2", "fd00::2"] {
        let flow = observed_flow(&output, Direction::Egress, Protocol::Tcp, dst, 81, A);
        assert_eq!((flow.outcome, flow.connections, flow.packets), (Some(Outcome::Refused), 2, 4));
        assert!(!flow.in_use());
    }
    assert_eq!(output.flows.len(), 2);
}

#[test]
fn a_half_open_scan_is_unanswered() {
    let Some(node) = TestNode::start() else { return };
    let (mut a, mut b) = (node.pod(A), node.pod(B));
    let agent = node.agent(&ONE_WINDOW);
    b.run("tcp-listen 10.244.0.2:22");
    let (from, to) = (Ipv4Addr::new(10, 244, 0, 1), Ipv4Addr::new(10, 244, 0, 2));
    let packet = ipv4(from, to, 6, 0, &syn(from, to, [40_000, 22]));
    a.run(&format!("raw-send {to} {}", hex(&packet)));
    let output = agent.stop();
    for (observed, uid) in [(Direction::Egress, A), (Direction::Ingress, B)] {
        let flow = observed_flow(&output, observed, Protocol::Tcp, "10.244.0.2", 22, uid);
        assert_eq!((flow.outcome, flow.connections), (Some(Outcome::Unanswered), 1));
    }
}

#[test]
fn the_first_sctp_chunk_decides_the_outcome() {
    const INIT: u8 = 1;
    const INIT_ACK: u8 = 2;
    const ABORT: u8 = 6;
    let Some(node) = TestNode::start() else { return };
    let (mut a, mut b) = (node.pod(A), node.pod(B));
    let agent = node.agent(&ONE_WINDOW);
    for (server, client) in [("10.244.0.2", "10.244.0.1"), ("fd00::2", "fd00::1")] {
        a.run(&format!("sctp-listen {client}"));
        b.run(&format!("sctp-listen {server}"));
        for (port, answer) in [(36_412, None), (36_413, Some(INIT_ACK)), (36_414, Some(ABORT))] {
            a.run(&format!("sctp-send {client} {server} 5000 {port} {INIT}"));
            // A retransmission is not another attempt.
            a.run(&format!("sctp-send {client} {server} 5000 {port} {INIT}"));
            if let Some(chunk) = answer {
                b.run(&format!("sctp-send {server} {client} {port} 5000 {chunk}"));
            }
        }
    }
    let output = agent.stop();
    for dst in ["10.244.0.2", "fd00::2"] {
        for (observed, uid) in [(Direction::Egress, A), (Direction::Ingress, B)] {
            for (port, outcome, packets) in
                [(36_412, Outcome::Unanswered, 2), (36_413, Outcome::Established, 3), (36_414, Outcome::Refused, 3)]
            {
                let flow = observed_flow(&output, observed, Protocol::Sctp, dst, port, uid);
                assert_eq!((flow.outcome, flow.connections, flow.packets), (Some(outcome), 1, packets), "{flow:?}");
            }
        }
    }
    assert_eq!(output.flows.len(), 12, "{:#?}", output.flows);
}

#[test]
fn two_pods_with_the_same_port_have_separate_flows() {
    let Some(node) = TestNode::start() else { return };
    let (mut a, mut b, mut c) = (node.pod(A), node.pod(B), node.pod(C));
    let agent = node.agent(&ONE_WINDOW);
    b.run("tcp-listen 10.244.0.2:8080");
    c.run("tcp-listen 10.244.0.3:8080");
    a.run("tcp-send 10.244.0.1 10.244.0.2:8080 10");
    c.run("tcp-send 10.244.0.1 10.244.0.2:8080 10");
    a.run("tcp-send 10.244.0.1 10.244.0.3:8080 10");
    let output = agent.stop();
    for (observed, dst, uid, connections) in [
        (Direction::Egress, "10.244.0.2", A, 1),
        (Direction::Egress, "10.244.0.2", C, 1),
        (Direction::Ingress, "10.244.0.2", B, 2),
        (Direction::Egress, "10.244.0.3", A, 1),
        (Direction::Ingress, "10.244.0.3", C, 1),
    ] {
        assert_eq!(observed_flow(&output, observed, Protocol::Tcp, dst, 8080, uid).connections, connections);
    }
    assert_eq!(output.flows.len(), 5);
}

#[test]
fn a_long_connection_is_counted_once_and_in_use_in_every_window_with_packets() {
    let Some(node) = TestNode::start() else { return };
    let (mut a, mut b) = (node.pod(A), node.pod(B));
    let agent = node.agent(&["--window", "100ms"]);
    b.run("tcp-listen 10.244.0.2:5432");
    a.run("tcp-open 10.244.0.1 10.244.0.2:5432");
    let flows = |agent: &Agent| AgentOutput::of(agent.lines()).flows.len();
    for _ in 0..3 {
        let before = flows(&agent);
        a.run("tcp-exchange 10");
        wait_for("a line at each end", || (flows(&agent) >= before + 2).then_some(()));
    }
    let output = agent.stop();
    for observed in Direction::BOTH {
        let flows: Vec<_> = output.flows.iter().filter(|flow| flow.observed == Some(observed)).collect();
        assert!(flows.len() >= 3, "{flows:#?}");
        assert!(flows.iter().all(|flow| flow.outcome == Some(Outcome::Established) && !flow.guessed), "{flows:#?}");
        assert_eq!(flows.iter().map(|flow| flow.connections).sum::<u64>(), 1, "{flows:#?}");
        assert!(flows.windows(2).all(|pair| pair[0].end <= pair[1].start), "{flows:#?}");
    }
}

#[test]
fn a_connection_older_than_the_agent_is_in_use_and_its_listener_is_the_server() {
    let Some(node) = TestNode::start() else { return };
    let (mut a, mut b) = (node.pod(A), node.pod(B));
    b.run("tcp-listen 10.244.0.2:5432");
    a.run("tcp-open 10.244.0.1 10.244.0.2:5432");
    b.run("udp-listen 10.244.0.2:53 answering");
    let agent = node.agent(&ONE_WINDOW);
    a.run("tcp-exchange 10");
    a.run("tcp-exchange 10");
    let output = agent.stop();
    for (observed, uid) in [(Direction::Egress, A), (Direction::Ingress, B)] {
        let flow = observed_flow(&output, observed, Protocol::Tcp, "10.244.0.2", 5432, uid);
        assert_eq!((flow.outcome, flow.connections, flow.guessed), (Some(Outcome::Established), 1, false));
        assert!(flow.packets >= 4, "{flow:?}");
    }
    assert_eq!(output.flows.len(), 2);
}

#[test]
fn the_role_between_two_unknown_ports_is_a_guess_just_after_the_start() {
    let Some(node) = TestNode::start() else { return };
    let (mut a, mut b) = (node.pod(A), node.pod(B));
    let agent = node.agent(&ONE_WINDOW);
    b.run("udp-listen 10.244.0.2:7946 silent");
    a.run("udp-send 10.244.0.1:7946 10.244.0.2:7946 1 unanswered");
    // Like the answer to a request that was sent before the agent started.
    b.run("udp-listen 10.244.0.2:50000 silent");
    a.run("udp-send 10.244.0.1:53 10.244.0.2:50000 1 unanswered");
    let output = agent.stop();
    assert!(observed_flow(&output, Direction::Egress, Protocol::Udp, "10.244.0.2", 7946, A).guessed);
    for (observed, uid) in [(Direction::Egress, B), (Direction::Ingress, A)] {
        let answer = observed_flow(&output, observed, Protocol::Udp, "10.244.0.1", 53, uid);
        assert!(answer.guessed, "{answer:?}");
        assert_eq!(answer.src.ip.to_string(), "10.244.0.2");
    }
}

#[test]
fn a_connected_datagram_socket_is_a_client_even_if_its_request_was_not_observed() {
    let Some(node) = TestNode::start() else { return };
    let (mut a, mut b) = (node.pod(A), node.pod(B));
    let agent = node.agent(&ONE_WINDOW);
    a.run("udp-open 10.244.0.1:7000 10.244.0.2:6000");
    b.run("udp-send 10.244.0.2:6000 10.244.0.1:7000 1 unanswered");
    let output = agent.stop();
    let answer = observed_flow(&output, Direction::Egress, Protocol::Udp, "10.244.0.2", 6000, A);
    assert_eq!((answer.outcome, answer.guessed), (Some(Outcome::Established), false));
}

#[test]
fn an_evicted_connection_is_in_use_again_after_its_next_packet() {
    let Some(node) = TestNode::start() else { return };
    let (mut a, mut b) = (node.pod(A), node.pod(B));
    let agent = node.agent(&["--window", "10m", "--max-flows", "64"]);
    b.run("tcp-listen 10.244.0.2:5432");
    a.run("tcp-open 10.244.0.1 10.244.0.2:5432");
    a.run("udp-flood 10.244.0.1:0 10.244.0.3:10000 1000 1000");
    a.run("tcp-exchange 10");
    let output = agent.stop();
    let tcp: Vec<_> = output.flows.iter().filter(|flow| flow.port == 5432).collect();
    assert!(!tcp.is_empty() && tcp.iter().all(|flow| flow.in_use()), "{tcp:#?}");
    assert!(output.lost("evicted") + output.lost("aggregate_full") > 0, "{:?}", output.reports);
}

#[test]
fn extension_headers_are_skipped_and_unreadable_packets_are_counted() {
    let Some(node) = TestNode::start() else { return };
    let (mut a, mut b) = (node.pod(A), node.pod(B));
    let agent = node.agent(&ONE_WINDOW);
    b.run("udp-listen [fd00::2]:9000 silent");
    let (from, to) = (Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 1), Ipv6Addr::new(0xfd00, 0, 0, 0, 0, 0, 0, 2));
    let datagram = udp(from, to, [40_000, 9000], &[7; 10]);
    let optioned = [&destination_options(60)[..], &destination_options(17)[..], &datagram].concat();
    a.run(&format!("raw-send {to} {}", hex(&ipv6(from, to, 60, &optioned))));

    let endless = [destination_options(60).repeat(10), destination_options(59).to_vec()].concat();
    a.run(&format!("raw-send {to} {}", hex(&ipv6(from, to, 60, &endless))));
    let (from, to) = (Ipv4Addr::new(10, 244, 0, 1), Ipv4Addr::new(10, 244, 0, 2));
    a.run(&format!("raw-send {to} {}", hex(&ipv4(from, to, 17, 0, &[1, 2]))));
    a.run(&format!("raw-send {to} {}", hex(&ipv4(from, to, 17, 100, &[7; 24]))));

    let output = agent.stop();
    for (observed, uid) in [(Direction::Egress, A), (Direction::Ingress, B)] {
        let flow = observed_flow(&output, observed, Protocol::Udp, "fd00::2", 9000, uid);
        assert_eq!((flow.packets, flow.bytes), (1, 40 + 16 + 18));
    }
    assert_eq!(output.flows.len(), 2);
    assert_eq!((output.lost("unparsable"), output.lost("fragments")), (2, 1), "{:?}", output.reports);
}

#[test]
fn loopback_traffic_is_skipped() {
    let Some(node) = TestNode::start() else { return };
    let mut a = node.pod(A);
    let agent = node.agent(&ONE_WINDOW);
    for (from, to) in [("127.0.0.1", "127.0.0.1:8080"), ("::1", "[::1]:8080")] {
        a.run(&format!("tcp-listen {to}"));
        a.run(&format!("tcp-send {from} {to} 10"));
    }
    let output = agent.stop();
    assert!(output.flows.is_empty(), "{:#?}", output.flows);
}
