//! Random scenes, in a space narrow enough that names, addresses, times and labels collide.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use foretell_objects::model::flow::{Endpoint, Flow, Protocol};
use jiff::Timestamp;
use proptest::collection::{SizeRange, vec};
use proptest::option;
use proptest::prelude::*;
use proptest::sample::{Index, select};

use super::admin_policies::admin_policies;
use super::resolve::BEGINNING;
use super::scene::{
    Container, ContainerPort, Fate, Minute, Node, Pod, Policy, Scene, Scope, Service, ServicePort, Slice,
    SliceEndpoint, Tags, Target,
};
use super::specs::{namespace_selector, spec};

pub(crate) const NAMESPACES: [&str; 3] = ["alpha", "beta", "gamma"];
pub(crate) const PORT_NAMES: [&str; 2] = ["web", "dns"];
pub(crate) const PROTOCOLS: [Option<&str>; 4] = [None, Some("TCP"), Some("UDP"), Some("SCTP")];

const NODES: [&str; 2] = ["n1", "n2"];
const UIDS: [&str; 6] = ["u0", "u1", "u2", "u3", "u4", "u5"];
const HASHES: [&str; 6] = ["h0", "h1", "h2", "h3", "h4", "h5"];
/// Of pods without a UID: two of one name would be one pod.
const OWN_NAMES: [&str; 6] = ["own-0", "own-1", "own-2", "own-3", "own-4", "own-5"];
const POD_NAMES: [&str; 5] = ["p", "q", "own-0", "own-1", "own-2"];
const SERVICES: [&str; 2] = ["front", "back"];
const POLICIES: [&str; 4] = ["one", "two", "three", "four"];

const fn v4(a: u8, b: u8, c: u8, d: u8) -> IpAddr {
    IpAddr::V4(Ipv4Addr::new(a, b, c, d))
}

const fn v6(a: u16, b: u16, last: u16) -> IpAddr {
    IpAddr::V6(Ipv6Addr::new(a, b, 0, 0, 0, 0, 0, last))
}

const OF_PODS: [IpAddr; 6] =
    [v4(10, 0, 0, 1), v4(10, 0, 0, 2), v4(10, 0, 0, 3), v4(10, 0, 9, 1), v6(0xfd00, 0, 1), v6(0xfd00, 0, 2)];
const OF_NODES: [IpAddr; 4] = [v4(192, 168, 0, 1), v4(192, 168, 0, 2), v4(10, 0, 0, 3), v6(0xfd00, 7, 1)];
const OF_SERVICES: [IpAddr; 4] = [v4(10, 96, 0, 1), v4(10, 96, 0, 2), v6(0xfd00, 9, 1), v4(192, 168, 0, 2)];
const OF_OTHERS: [IpAddr; 6] = [
    v4(203, 0, 113, 5),
    v4(203, 0, 113, 9),
    v6(0x2001, 0xdb8, 5),
    v4(127, 0, 0, 1),
    v4(10, 0, 0, 77),
    v6(0xfd00, 0, 0x77),
];
const RANGES: [&str; 4] = ["10.0.0.0/24", "10.0.0.0/30", "10.0.9.0/24", "fd00::/64"];

pub(crate) fn short(longest: usize) -> SizeRange {
    SizeRange::from(0..=longest)
}

pub(crate) fn scene() -> impl Strategy<Value = Scene> {
    let host_network = option::weighted(0.7, tags()).prop_map(|tags| tags.map(|tags| ("openshift-host-network", tags)));
    let namespaces = (vec((select(&NAMESPACES[..]), tags()), short(2)), host_network)
        .prop_map(|(namespaces, host_network)| namespaces.into_iter().chain(host_network).collect::<Vec<_>>());
    let services = vec(service(), SizeRange::from(0..=2));
    // Which pods the Services stand before.
    let fronts = proptest::array::uniform2(option::weighted(0.6, any::<Index>()));
    let ranges = option::weighted(0.2, select(&RANGES[..]));
    let pods = vec(pod(), SizeRange::from(2..=5));
    // Which pods are like the one before but for their names and addresses, as those of one ReplicaSet are.
    let twins = proptest::array::uniform5(chance(0.25));
    let policies = (vec(policy(), SizeRange::from(1..=4)), admin_policies());
    let drafts = vec(draft(), SizeRange::from(1..=4));
    (namespaces, nodes(), (pods, twins), (services, fronts), vec(slice(), short(2)), policies, ranges, drafts).prop_map(
        |(
            namespaces,
            nodes,
            (mut pods, twins),
            (mut services, fronts),
            slices,
            (mut policies, admin_policies),
            range,
            drafts,
        )| {
            for index in 1..pods.len() {
                if twins[index] {
                    let addresses = std::mem::take(&mut pods[index].addresses);
                    pods[index] = Pod { addresses, ..pods[index - 1].clone() };
                }
            }
            for (index, pod) in pods.iter_mut().enumerate() {
                match pod.uid {
                    Some(_) => pod.uid = Some(UIDS[index]),
                    None => pod.name = OWN_NAMES[index],
                }
                pod.config_hash = pod.config_hash.map(|_| HASHES[index]);
            }
            for (index, (service, like)) in services.iter_mut().zip(&fronts).enumerate() {
                service.name = SERVICES[index];
                if let Some(pod) = like.as_ref().map(|like| like.get(&pods)) {
                    service.namespace = pod.namespace;
                    service.selector =
                        pod.labels.iter().take(1).map(|(key, value)| (key.clone(), value.clone())).collect();
                }
            }
            for (index, policy) in policies.iter_mut().enumerate() {
                policy.name = POLICIES[index];
            }
            let namespaces: BTreeMap<_, _> = namespaces.into_iter().collect();
            let flows = drafts.into_iter().map(|draft| draft.flow(&pods, &services)).collect();
            let pod_ranges = Vec::from_iter(range);
            Scene { namespaces, nodes, pods, services, slices, policies, admin_policies, pod_ranges, flows }
        },
    )
}

pub(crate) fn tags() -> impl Strategy<Value = Tags> {
    let value = || option::weighted(0.7, select(&["x", "y"][..]));
    (value(), value()).prop_map(|(a, b)| {
        let pairs = [("a", a), ("b", b)];
        pairs.into_iter().filter_map(|(key, value)| Some((key.to_owned(), value?.to_owned()))).collect()
    })
}

fn nodes() -> impl Strategy<Value = Vec<Node>> {
    let range = option::weighted(0.2, select(&RANGES[..]));
    vec((vec(select(&OF_NODES[..]), short(2)), vec(select(&OF_NODES[..]), short(1)), range, tags()), short(2)).prop_map(
        |nodes| {
            let named = nodes.into_iter().zip(NODES);
            named
                .map(|((addresses, reported, range, labels), name)| Node {
                    name,
                    labels,
                    addresses,
                    reported,
                    pod_ranges: Vec::from_iter(range),
                })
                .collect()
        },
    )
}

fn pod() -> impl Strategy<Value = Pod> {
    let address = prop_oneof![9 => select(&OF_PODS[..]), 1 => select(&OF_SERVICES[..])];
    let addresses = prop_oneof![1 => Just(Vec::new()), 12 => vec(address, SizeRange::from(1..=2))];
    let names = (select(&NAMESPACES[..2]), select(&["p", "q"][..]), option::weighted(0.7, Just("")), chance(0.1));
    let place = (chance(0.15), option::weighted(0.7, select(&NODES[..])), chance(0.2), select(&OF_NODES[..]));
    let life = (option::weighted(0.4, 0..6_i64), fate(), option::weighted(0.3, any::<bool>()));
    let set = option::weighted(0.6, select(&["set-1", "set-2"][..]));
    (names, tags(), vec(container_port(), short(2)), place, addresses, set, life).prop_map(
        |(names, labels, mut ports, place, addresses, replica_set, (start, fate, ready))| {
            let (namespace, name, uid, is_static) = names;
            let (host_network, node, knows_host_ip, host_ip) = place;
            // Two ports of one name and protocol: which of them it means is nowhere said.
            if ports.len() == 2 && ports[0].name == ports[1].name {
                ports.pop();
            }
            let config_hash = is_static.then_some("");
            let host_ip = (knows_host_ip && node.is_some()).then_some(host_ip);
            Pod {
                namespace,
                name,
                uid,
                config_hash,
                labels,
                ports,
                host_network,
                node,
                host_ip,
                addresses,
                replica_set,
                start,
                fate,
                ready,
            }
        },
    )
}

fn chance(probability: f64) -> impl Strategy<Value = bool> {
    proptest::bool::weighted(probability)
}

fn fate() -> impl Strategy<Value = Fate> {
    prop_oneof![
        6 => Just(Fate::Running),
        1 => (1..7_i64).prop_map(Fate::Finished),
        1 => Just(Fate::FinishedSometime),
        1 => (1..7_i64).prop_map(Fate::Gone),
        1 => (1..7_i64, 1..7_i64).prop_map(|(finished, gone)| Fate::FinishedAndGone(finished, gone)),
    ]
}

fn container_port() -> impl Strategy<Value = ContainerPort> {
    let of = select(&[Container::Ordinary, Container::Ordinary, Container::Sidecar, Container::Init][..]);
    (select(&PORT_NAMES[..]), select(&PROTOCOLS[..]), 80..83_u16, of)
        .prop_map(|(name, protocol, number, of)| ContainerPort { name, protocol, number, of })
}

fn service() -> impl Strategy<Value = Service> {
    let addresses = || vec(select(&OF_SERVICES[..]), short(1));
    let port = (
        select(&["", "main"][..]),
        select(&PROTOCOLS[..]),
        80..82_u16,
        prop_oneof![
            Just(Target::Default),
            (80..83_u16).prop_map(Target::Number),
            select(&PORT_NAMES[..]).prop_map(Target::Named)
        ],
        option::weighted(0.5, 80..83_u16),
    )
        .prop_map(|(name, protocol, number, target, node_port)| ServicePort {
            name,
            protocol,
            number,
            target,
            node_port,
        });
    let cluster_ips = vec(select(&OF_SERVICES[..]), SizeRange::from(1..=2));
    let selector = prop_oneof![
        1 => Just(Tags::new()),
        3 => select(&["x", "y"][..]).prop_map(|value| Tags::from([("a".to_owned(), value.to_owned())])),
        1 => tags(),
    ];
    (select(&NAMESPACES[..2]), cluster_ips, addresses(), addresses(), selector, vec(port, SizeRange::from(1..=2)))
        .prop_map(|(namespace, cluster_ips, external_ips, balancer_ips, selector, ports)| Service {
            namespace,
            name: "",
            cluster_ips,
            external_ips,
            balancer_ips,
            selector,
            ports,
        })
}

fn slice() -> impl Strategy<Value = Slice> {
    let address = prop_oneof![3 => select(&OF_PODS[..]), 1 => select(&OF_OTHERS[..3]), 1 => select(&OF_NODES[..])];
    let pod = option::weighted(0.5, select(&POD_NAMES[..]));
    let endpoint = (vec(address, short(2)), option::weighted(0.5, any::<bool>()), pod)
        .prop_map(|(addresses, ready, pod)| SliceEndpoint { addresses, ready, pod });
    let ports = vec((select(&[None, Some(""), Some("main")][..]), 80..83_u16), short(2));
    let service = option::weighted(0.9, select(&SERVICES[..]));
    (select(&NAMESPACES[..2]), service, ports, vec(endpoint, short(2)))
        .prop_map(|(namespace, service, ports, endpoints)| Slice { namespace, service, ports, endpoints })
}

fn policy() -> impl Strategy<Value = Policy> {
    let scope = prop_oneof![
        2 => select(&NAMESPACES[..2]).prop_map(Scope::Audit),
        1 => select(&NAMESPACES[..2]).prop_map(Scope::Enforced),
        2 => option::weighted(0.7, namespace_selector()).prop_map(Scope::Cluster),
    ];
    (scope, spec()).prop_map(|(scope, spec)| Policy { scope, name: "", spec })
}

/// A flow before it is known which pods and Services there are.
#[derive(Clone, Debug)]
struct Draft {
    src: DraftEnd,
    dst: DraftEnd,
    protocol: Protocol,
    port: u16,
    start: Minute,
    length: Minute,
}

#[derive(Clone, Debug)]
struct DraftEnd {
    spot: Spot,
    uid: Option<Whose>,
    name: Option<(Whose, bool)>,
}

/// At which address.
#[derive(Clone, Debug)]
enum Spot {
    OfPod(Index),
    OfService(Index),
    At(IpAddr),
}

/// Whose UID or name.
#[derive(Clone, Debug)]
enum Whose {
    Pod(Index),
    Nobody,
}

fn draft() -> impl Strategy<Value = Draft> {
    let protocol = prop_oneof![4 => Just(Protocol::Tcp), 2 => Just(Protocol::Udp), 1 => Just(Protocol::Sctp)];
    (draft_end(0), draft_end(8), protocol, 80..84_u16, 0..8_i64, 0..3_i64)
        .prop_map(|(src, dst, protocol, port, start, length)| Draft { src, dst, protocol, port, start, length })
}

fn draft_end(weight_of_services: u32) -> impl Strategy<Value = DraftEnd> {
    let index = any::<Index>;
    let elsewhere = [&OF_PODS[..], &OF_NODES, &OF_NODES, &OF_SERVICES, &OF_OTHERS].concat();
    let spot = prop_oneof![
        14 => index().prop_map(Spot::OfPod),
        weight_of_services => index().prop_map(Spot::OfService),
        6 => select(elsewhere).prop_map(Spot::At),
    ];
    let whose = || prop_oneof![6 => index().prop_map(Whose::Pod), 1 => Just(Whose::Nobody)];
    let name = option::weighted(0.15, (whose(), chance(0.9)));
    (spot, option::weighted(0.15, whose()), name).prop_map(|(spot, uid, name)| DraftEnd { spot, uid, name })
}

impl Draft {
    fn flow(self, pods: &[Pod], services: &[Service]) -> Flow {
        let (mut protocol, mut port) = (self.protocol, self.port);
        let ports = || services.iter().flat_map(|service| &service.ports);
        // Nearly every flow to a Service goes to a port that some Service has.
        if let Spot::OfService(index) = &self.dst.spot
            && self.port != 83
            && ports().next().is_some()
        {
            let chosen = index.get(&ports().collect::<Vec<_>>()).to_owned();
            (protocol, port) = (super::scene::protocol(chosen.protocol), chosen.number);
        }
        Flow {
            start: time(self.start),
            end: time(self.start + self.length),
            node: None,
            observed: None,
            src: self.src.endpoint(pods, services),
            dst: self.dst.endpoint(pods, services),
            protocol,
            port,
            outcome: None,
            guessed: false,
            connections: 1,
            packets: 0,
            bytes: 0,
        }
    }
}

impl DraftEnd {
    fn endpoint(self, pods: &[Pod], services: &[Service]) -> Endpoint {
        let of_pods: Vec<IpAddr> = pods.iter().flat_map(|pod| &pod.addresses).copied().collect();
        let of_services: Vec<IpAddr> = services
            .iter()
            .flat_map(|service| service.cluster_ips.iter().chain(&service.external_ips))
            .copied()
            .collect();
        let ip = match self.spot {
            Spot::OfPod(index) if !of_pods.is_empty() => *index.get(&of_pods),
            Spot::OfPod(_) => OF_PODS[0],
            Spot::OfService(index) if !of_services.is_empty() => *index.get(&of_services),
            Spot::OfService(_) => OF_SERVICES[0],
            Spot::At(ip) => ip,
        };
        let uid = self.uid.map(|whose| match whose {
            Whose::Pod(index) => {
                let pod = index.get(pods);
                pod.config_hash.or(pod.uid).unwrap_or("u9")
            }
            Whose::Nobody => "u9",
        });
        let (namespace, pod) = match self.name {
            None => (None, None),
            Some((whose, with_namespace)) => {
                let (namespace, name) = match whose {
                    Whose::Pod(index) => (index.get(pods).namespace, index.get(pods).name),
                    Whose::Nobody => (NAMESPACES[0], "nobody"),
                };
                (with_namespace.then(|| namespace.to_owned()), Some(name.to_owned()))
            }
        };
        Endpoint { ip, pod_uid: uid.map(str::to_owned), namespace, pod }
    }
}

pub(crate) fn time(at: Minute) -> Timestamp {
    Timestamp::from_second(BEGINNING + 60 * at).unwrap()
}
