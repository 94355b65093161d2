//! Real packets between two pods, seen by the built agent.
mod stage;

use foretell_policy::flow::{Direction, Flow, Outcome, Protocol};
use stage::{Record, Stage, actor, skipped};

const A: &str = "6f1c7b0e-0a52-4d1e-9d39-00000000000a";
const B: &str = "6f1c7b0e-0a52-4d1e-9d39-00000000000b";

/// Not a test: what a pod's process runs.
#[test]
fn actor() {
    if stage::is_actor() {
        actor::serve();
    }
}

fn seen<'a>(record: &'a Record, observed: Direction, protocol: Protocol, dst: &str, port: u16, uid: &str) -> &'a Flow {
    let what = format!("{observed} {protocol} to {dst}:{port} of {uid}");
    record.only(&what, |flow| {
        let local = if observed == Direction::Egress { &flow.src } else { &flow.dst };
        (flow.observed, flow.protocol, flow.dst.ip.to_string().as_str(), flow.port, local.pod_uid.as_deref())
            == (Some(observed), protocol, dst, port, Some(uid))
    })
}

#[test]
fn tcp_and_udp_are_seen_at_both_ends_v4_and_v6() {
    if skipped() {
        return;
    }
    let stage = Stage::new();
    let (mut a, mut b) = (stage.pod(A), stage.pod(B));
    let agent = stage.agent(&["--window", "60s"]);
    for (from, to, port) in [("10.244.0.1", "10.244.0.2", "10.244.0.2:8080"), ("fd00::1", "fd00::2", "[fd00::2]:8080")]
    {
        b.must(&format!("tcp-listen {port}"));
        b.must(&format!("udp-listen {port} answering"));
        a.must(&format!("tcp-send {from} {port} 1000"));
        a.must(&format!("tcp-send {from} {port} 1000"));
        let from = if from.contains(':') { format!("[{from}]") } else { from.to_owned() };
        a.must(&format!("udp-send {from}:0 {port} 5 answered"));
        let _ = to;
    }
    let record = agent.stop();
    for (src, dst, header) in [("10.244.0.1", "10.244.0.2", 28), ("fd00::1", "fd00::2", 48)] {
        for (observed, uid) in [(Direction::Egress, A), (Direction::Ingress, B)] {
            let tcp = seen(&record, observed, Protocol::Tcp, dst, 8080, uid);
            assert_eq!(tcp.src.ip.to_string(), src);
            assert_eq!((tcp.outcome, tcp.connections, tcp.guessed), (Some(Outcome::Established), 2, false));
            // At least SYN, SYN+ACK, ACK, data and FIN both ways, for each of two.
            assert!((14..=30).contains(&tcp.packets), "{tcp:?}");
            assert!((4_000..8_000).contains(&tcp.bytes), "{tcp:?}");

            let udp = seen(&record, observed, Protocol::Udp, dst, 8080, uid);
            assert_eq!(udp.src.ip.to_string(), src);
            assert_eq!((udp.outcome, udp.connections), (Some(Outcome::Established), 1));
            assert_eq!((udp.packets, udp.bytes), (10, 10 * (100 + header)));
            assert!(udp.start <= udp.end);
        }
    }
    assert_eq!(record.flows.len(), 8, "{:#?}", record.flows);
}
