//! Namespaces, apps, pods and calls, before they are written as objects.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::Size;
use super::numbers::Numbers;

pub(super) const TEAMS: usize = 20;
pub(super) const ENVIRONMENTS: [&str; 3] = ["prod", "staging", "dev"];
pub(super) const TIERS: [&str; 4] = ["frontend", "backend", "data", "jobs"];

/// The namespaces of the cluster itself.
pub(super) const DNS: usize = 0;
pub(super) const MONITORING: usize = 1;
pub(super) const INGRESS: usize = 2;

pub(super) struct Landscape {
    pub(super) nodes: usize,
    pub(super) namespaces: Vec<Namespace>,
    pub(super) apps: Vec<App>,
}

pub(super) struct Namespace {
    pub(super) name: String,
    pub(super) team: usize,
    pub(super) environment: &'static str,
    pub(super) dual_stack: bool,
    /// Its apps, by index.
    pub(super) apps: Vec<usize>,
}

pub(super) struct App {
    pub(super) namespace: usize,
    pub(super) name: String,
    pub(super) tier: &'static str,
    pub(super) stateful: bool,
    /// Name and number of the port on which it serves.
    pub(super) port: (&'static str, u16),
    pub(super) metrics: u16,
    pub(super) pods: Vec<Site>,
    /// Apps that it calls, by index.
    pub(super) calls: Vec<usize>,
    pub(super) service: Addresses,
}

/// The place of a pod.
pub(super) struct Site {
    pub(super) node: usize,
    pub(super) addresses: Addresses,
}

#[derive(Clone, Copy)]
pub(super) struct Addresses {
    pub(super) v4: IpAddr,
    pub(super) v6: Option<IpAddr>,
}

impl Landscape {
    pub(super) fn new(size: &Size, numbers: &mut Numbers) -> Self {
        let nodes = size.pods.div_ceil(100);
        let mut landscape = Self { nodes, namespaces: Vec::new(), apps: Vec::new() };
        let mut pods_of_node = vec![0; nodes];
        for index in 0..size.namespaces {
            let name = match index {
                DNS => "kube-system".to_owned(),
                MONITORING => "monitoring".to_owned(),
                INGRESS => "ingress".to_owned(),
                _ => format!("team-{}-{index}", index % TEAMS),
            };
            landscape.namespaces.push(Namespace {
                name,
                team: index % TEAMS,
                environment: ENVIRONMENTS[index % 7 % 3],
                dual_stack: index % 5 == 0,
                apps: Vec::new(),
            });
            let mut left = size.pods * (index + 1) / size.namespaces - size.pods * index / size.namespaces;
            while left > 0 {
                // Many small workloads and a few large ones.
                let most = *numbers.pick(&[2, 5, 10, 40]);
                let count = (1 + numbers.below(most)).min(left);
                left -= count;
                landscape.add_app(index, count, &mut pods_of_node, numbers);
            }
        }
        for app in 0..landscape.apps.len() {
            let own = &landscape.namespaces[landscape.apps[app].namespace].apps;
            let count = numbers.below(5);
            let calls: Vec<usize> = (0..count)
                .map(|_| if numbers.percent(70) { *numbers.pick(own) } else { numbers.below(landscape.apps.len()) })
                .filter(|other| *other != app)
                .collect();
            landscape.apps[app].calls = calls;
        }
        landscape
    }

    fn add_app(&mut self, namespace: usize, count: usize, pods_of_node: &mut [usize], numbers: &mut Numbers) {
        let index = self.apps.len();
        let dual_stack = self.namespaces[namespace].dual_stack;
        let number = self.namespaces[namespace].apps.len();
        let name = match (namespace, number) {
            (DNS, 0) => "kube-dns".to_owned(),
            (MONITORING, 0) => "prometheus".to_owned(),
            (INGRESS, 0) => "controller".to_owned(),
            _ => format!("{}-{number}", numbers.pick(&["api", "web", "worker", "store", "cache", "auth"])),
        };
        let pods = (0..count).map(|_| {
            let mut node = numbers.below(self.nodes);
            while pods_of_node[node] >= 200 {
                node = (node + 1) % self.nodes;
            }
            pods_of_node[node] += 1;
            Site { node, addresses: pod_address(node, pods_of_node[node], dual_stack) }
        });
        let pods = pods.collect();
        self.namespaces[namespace].apps.push(index);
        self.apps.push(App {
            namespace,
            name,
            tier: numbers.pick::<&'static str>(&TIERS),
            stateful: index % 10 == 9,
            port: *numbers.pick(&[("http", 8080), ("http", 8080), ("http", 3000), ("grpc", 9000)]),
            metrics: *numbers.pick(&[9090, 9100]),
            pods,
            calls: Vec::new(),
            service: service_address(index, dual_stack),
        });
    }

    pub(super) fn all_pods(&self) -> Vec<(usize, usize)> {
        let apps = self.apps.iter().enumerate();
        apps.flat_map(|(app, it)| (0..it.pods.len()).map(move |pod| (app, pod))).collect()
    }
}

fn octet(number: usize) -> u8 {
    u8::try_from(number).unwrap()
}

fn group(number: usize) -> u16 {
    u16::try_from(number).unwrap()
}

pub(super) fn node_address(node: usize) -> Addresses {
    let v4 = IpAddr::V4(Ipv4Addr::new(192, 168, octet(node / 250), octet(node % 250 + 1)));
    Addresses { v4, v6: Some(IpAddr::V6(Ipv6Addr::new(0xfd00, 0, 0, 1, 0, 0, 0, group(node + 1)))) }
}

fn pod_address(node: usize, number: usize, dual_stack: bool) -> Addresses {
    let v6 = IpAddr::V6(Ipv6Addr::new(0xfd00, 0x10, 0, group(node), 0, 0, 0, group(number)));
    let v4 = IpAddr::V4(Ipv4Addr::new(10, octet(1 + node / 256), octet(node % 256), octet(number)));
    Addresses { v4, v6: dual_stack.then_some(v6) }
}

fn service_address(app: usize, dual_stack: bool) -> Addresses {
    let v6 = IpAddr::V6(Ipv6Addr::new(0xfd00, 0x96, 0, 0, 0, 0, 0, group(app + 1)));
    let v4 = IpAddr::V4(Ipv4Addr::new(10, 96, octet(app / 250), octet(app % 250 + 1)));
    Addresses { v4, v6: dual_stack.then_some(v6) }
}
