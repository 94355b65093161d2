//! The traffic.

use std::collections::HashSet;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use foretell_objects::model::flow::{Endpoint, Flow, Protocol};
use jiff::Timestamp;

use super::landscape::{Addresses, DNS, INGRESS, Landscape, MONITORING, node_address};
use super::numbers::Numbers;

type Seen = (IpAddr, IpAddr, Protocol, u16);

pub(super) fn of(landscape: &Landscape, count: usize, numbers: &mut Numbers) -> Vec<Flow> {
    let pods = landscape.all_pods();
    let mut seen = HashSet::new();
    let mut flows = Vec::with_capacity(count);
    let at: Timestamp = "2026-11-21T12:00:00Z".parse().unwrap();
    while flows.len() < count {
        let (app, pod) = *numbers.pick(&pods);
        let (src, dst, protocol, port) = draw(landscape, &pods, app, pod, numbers);
        if seen.insert((src, dst, protocol, port)) {
            flows.push(Flow {
                start: at,
                end: at,
                node: None,
                observed: None,
                src: Endpoint::address(src),
                dst: Endpoint::address(dst),
                protocol,
                port,
                outcome: None,
                guessed: false,
                connections: 1,
                packets: 10,
                bytes: 1000,
            });
        }
    }
    flows
}

/// A flow from or to the given pod.
fn draw(landscape: &Landscape, pods: &[(usize, usize)], app: usize, pod: usize, numbers: &mut Numbers) -> Seen {
    let of = &landscape.apps[app];
    let own = of.pods[pod].addresses;
    let first_of = |namespace: usize| &landscape.apps[landscape.namespaces[namespace].apps[0]];
    match numbers.below(100) {
        0..53 => {
            let Some(callee) = (!of.calls.is_empty()).then(|| &landscape.apps[*numbers.pick(&of.calls)]) else {
                return stranger(landscape, pods, own, numbers);
            };
            let to = numbers.pick(&callee.pods).addresses;
            let (src, dst) = pair(own, to, numbers);
            (src, dst, Protocol::Tcp, callee.port.1)
        }
        53..61 => {
            let callee = of.calls.first().map_or(of, |index| &landscape.apps[*index]);
            let (src, dst) = pair(own, callee.service, numbers);
            (src, dst, Protocol::Tcp, 80)
        }
        61..73 => {
            let (src, dst) = pair(own, numbers.pick(&first_of(DNS).pods).addresses, numbers);
            (src, dst, Protocol::Udp, 53)
        }
        73..79 => {
            let (src, dst) = pair(numbers.pick(&first_of(MONITORING).pods).addresses, own, numbers);
            (src, dst, Protocol::Tcp, of.metrics)
        }
        79..84 => {
            let (src, dst) = pair(numbers.pick(&first_of(INGRESS).pods).addresses, own, numbers);
            (src, dst, Protocol::Tcp, of.port.1)
        }
        84..88 => {
            let (src, dst) = pair(node_address(of.pods[pod].node), own, numbers);
            (src, dst, Protocol::Tcp, of.port.1)
        }
        88..93 => {
            let (src, dst) = pair(own, outside(numbers), numbers);
            (src, dst, Protocol::Tcp, 443)
        }
        93..96 => {
            let (src, dst) = pair(outside(numbers), own, numbers);
            (src, dst, Protocol::Tcp, of.port.1)
        }
        _ => stranger(landscape, pods, own, numbers),
    }
}

fn stranger(landscape: &Landscape, pods: &[(usize, usize)], own: Addresses, numbers: &mut Numbers) -> Seen {
    let (app, pod) = *numbers.pick(pods);
    let other = &landscape.apps[app];
    let (src, dst) = pair(own, other.pods[pod].addresses, numbers);
    (src, dst, Protocol::Tcp, *numbers.pick(&[other.port.1, other.metrics, 5432, 6379]))
}

/// Both of one family, in IPv6 half of the times that it can be.
fn pair(src: Addresses, dst: Addresses, numbers: &mut Numbers) -> (IpAddr, IpAddr) {
    match (src.v6, dst.v6) {
        (Some(src), Some(dst)) if numbers.percent(50) => (src, dst),
        _ => (src.v4, dst.v4),
    }
}

fn outside(numbers: &mut Numbers) -> Addresses {
    let last = numbers.below(60_000);
    let (high, low) = (u8::try_from(last / 256).unwrap(), u8::try_from(last % 256).unwrap());
    let [a, b] = *numbers.pick(&[[203, 0], [198, 51], [192, 0], [8, 8]]);
    let third = if numbers.percent(60) { [113, 100, 2, 8][numbers.below(4)] } else { high };
    let v6 = Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, u16::try_from(last).unwrap());
    Addresses { v4: IpAddr::V4(Ipv4Addr::new(a, b, third, low)), v6: Some(IpAddr::V6(v6)) }
}
