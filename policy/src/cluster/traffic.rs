//! A window of traffic: flows summed by who, to whom and where. Everything that is asked of a window is asked of these sums.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::net::IpAddr;

use jiff::Timestamp;

use crate::cluster::inventory::Cluster;
use crate::cluster::ownership::{Destination, End, Ends};
use crate::cluster::pod::PodId;
use crate::cluster::service::ServiceId;
use foretell_objects::model::flow::{Direction, Flow, Outcome, Protocol};

/// What is summed together.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TrafficKey {
    /// Who opened the connections.
    pub src: End,
    /// To whom.
    pub dst: Destination,
    /// Transport protocol.
    pub protocol: Protocol,
    /// The port that was dialled.
    pub port: u16,
}

/// How far a flow shows that somebody relies on it.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Class {
    /// An established connection or an answered datagram.
    InUse,
    /// In use, but which end listens was guessed: it never blocks alone.
    Guessed,
    /// Refused by the other end.
    Refused,
    /// Never answered.
    Unanswered,
}

impl Class {
    /// The class of a flow.
    #[must_use]
    pub fn of(flow: &Flow) -> Self {
        match flow.outcome {
            Some(Outcome::Refused) => Self::Refused,
            Some(Outcome::Unanswered) => Self::Unanswered,
            None | Some(Outcome::Established) if flow.guessed => Self::Guessed,
            None | Some(Outcome::Established) => Self::InUse,
        }
    }
}

/// A sum of flows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Tally {
    /// Connections opened.
    pub connections: u64,
    /// Packets, both ways.
    pub packets: u64,
    /// Bytes of those packets.
    pub bytes: u64,
    /// First seen.
    pub first: Timestamp,
    /// Last seen.
    pub last: Timestamp,
}

impl Tally {
    fn of(flow: &Flow) -> Self {
        let Flow { connections, packets, bytes, start, end, .. } = *flow;
        Self { connections, packets, bytes, first: start, last: end }
    }

    /// Adds a sum of other flows.
    pub fn add(&mut self, other: &Self) {
        self.connections = self.connections.saturating_add(other.connections);
        self.packets = self.packets.saturating_add(other.packets);
        self.bytes = self.bytes.saturating_add(other.bytes);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }

    /// Unites with what another observer saw of the same flows: the larger of each.
    pub fn unite(&mut self, other: &Self) {
        self.connections = self.connections.max(other.connections);
        self.packets = self.packets.max(other.packets);
        self.bytes = self.bytes.max(other.bytes);
        self.first = self.first.min(other.first);
        self.last = self.last.max(other.last);
    }
}

/// What was seen of a key at one end, in one class.
#[derive(Clone, Copy, Debug)]
pub struct Sighting {
    /// The end at which it was seen.
    pub observed: Option<Direction>,
    /// How far it shows use.
    pub class: Class,
    /// The sum.
    pub tally: Tally,
}

/// The window. It grows with the number of distinct keys, not with the number of flows.
#[derive(Clone, Debug, Default)]
pub struct Traffic {
    rows: Vec<(TrafficKey, Vec<Sighting>)>,
    numbers: HashMap<TrafficKey, u32>,
    /// The rows of each pod, at either end.
    by_pod: HashMap<PodId, Vec<u32>>,
    /// The rows to each Service.
    by_service: HashMap<ServiceId, Vec<u32>>,
    flows: u64,
    outside_window: u64,
    /// From the start of the first flow outside the window to the end of the last.
    outside_span: Option<(Timestamp, Timestamp)>,
    /// Names of pods in flows in use that the snapshot does not hold, by their address.
    unknown_pods: HashMap<IpAddr, BTreeSet<(String, String)>>,
    /// The keys of flows on secondary networks, which no policy holds for.
    on_secondary_networks: HashSet<TrafficKey>,
    secondary_networks: BTreeSet<String>,
}

impl Traffic {
    /// Adds a flow whose ends the cluster resolves, unless it lies wholly outside `from..=to`.
    pub fn add(&mut self, flow: &Flow, cluster: &Cluster, from: Timestamp, to: Timestamp) {
        if flow.end < from || flow.start > to {
            self.outside_window += 1;
            let (first, last) = self.outside_span.unwrap_or((flow.start, flow.end));
            self.outside_span = Some((first.min(flow.start), last.max(flow.end)));
            return;
        }
        self.flows += 1;
        let ends = cluster.resolve(flow);
        let key = TrafficKey { src: ends.src, dst: ends.dst, protocol: flow.protocol, port: flow.port };
        if let Some(network) = cluster.secondary_network(&ends, flow) {
            self.on_secondary_networks.insert(key);
            if !self.secondary_networks.contains(network) {
                self.secondary_networks.insert(network.to_owned());
            }
            return;
        }
        let (class, tally) = (Class::of(flow), Tally::of(flow));
        if class == Class::InUse {
            self.note_unknown_pods(flow, &ends);
        }
        let number = self.number(key);
        let sightings = &mut self.rows[number as usize].1;
        match sightings.iter_mut().find(|seen| seen.observed == flow.observed && seen.class == class) {
            Some(seen) => seen.tally.add(&tally),
            None => sightings.push(Sighting { observed: flow.observed, class, tally }),
        }
    }

    fn note_unknown_pods(&mut self, flow: &Flow, ends: &Ends) {
        let dst = match ends.dst {
            Destination::Direct(end) => Some(end),
            Destination::Service { .. } => None,
        };
        for (end, endpoint) in [(Some(ends.src), &flow.src), (dst, &flow.dst)] {
            if let Some(End::UnknownPod { ip }) = end
                && let (Some(namespace), Some(pod)) = (&endpoint.namespace, &endpoint.pod)
            {
                self.unknown_pods.entry(ip).or_default().insert((namespace.clone(), pod.clone()));
            }
        }
    }

    /// The namespaces and names of pods in flows in use that the snapshot does not hold.
    pub fn unknown_pods(&self) -> impl Iterator<Item = (&str, &str)> {
        let names: BTreeSet<(&str, &str)> =
            self.unknown_pods.values().flatten().map(|(namespace, pod)| (namespace.as_str(), pod.as_str())).collect();
        names.into_iter()
    }

    /// The namespaces and names that flows in use give to an end that is an unknown pod; `None` if they name none.
    #[must_use]
    pub fn names_at(&self, end: &End) -> Option<&BTreeSet<(String, String)>> {
        match end {
            End::UnknownPod { ip } => self.unknown_pods.get(ip),
            _ => None,
        }
    }

    fn number(&mut self, key: TrafficKey) -> u32 {
        if let Some(number) = self.numbers.get(&key) {
            return *number;
        }
        let number = u32::try_from(self.rows.len()).unwrap_or(u32::MAX);
        self.numbers.insert(key, number);
        self.rows.push((key, Vec::new()));
        let dst = match key.dst {
            Destination::Direct(end) => end.pod(),
            Destination::Service { service, .. } => {
                self.by_service.entry(service).or_default().push(number);
                None
            }
        };
        let src = key.src.pod();
        for pod in src.into_iter().chain(dst.filter(|pod| Some(*pod) != src)) {
            self.by_pod.entry(pod).or_default().push(number);
        }
        number
    }

    /// The keys that a test takes with what was seen of them, in order: one window gives one report, to the letter.
    #[must_use]
    pub fn select(&self, test: impl Fn(&TrafficKey) -> bool) -> Vec<(&TrafficKey, &[Sighting])> {
        in_order(self.rows.iter().filter(|(key, _)| test(key)).collect())
    }

    /// The keys that have one of these pods at an end or go to one of these Services, in order. No others are touched.
    #[must_use]
    pub fn touching(&self, pods: &HashSet<PodId>, services: &HashSet<ServiceId>) -> Vec<(&TrafficKey, &[Sighting])> {
        let of_pods = pods.iter().filter_map(|pod| self.by_pod.get(pod)).flatten();
        let of_services = services.iter().filter_map(|service| self.by_service.get(service)).flatten();
        let mut numbers: Vec<u32> = of_pods.chain(of_services).copied().collect();
        numbers.sort_unstable();
        numbers.dedup();
        in_order(numbers.into_iter().map(|number| &self.rows[number as usize]).collect())
    }

    /// Every key, in the order in which they came.
    pub fn keys(&self) -> impl Iterator<Item = &TrafficKey> {
        self.rows.iter().map(|(key, _)| key)
    }

    /// Flows in the window.
    #[must_use]
    pub fn flows(&self) -> u64 {
        self.flows
    }

    /// Flows that were read and lie outside the window.
    #[must_use]
    pub fn outside_window(&self) -> u64 {
        self.outside_window
    }

    /// The time from the start of the first flow outside the window to the end of the last.
    #[must_use]
    pub fn outside_span(&self) -> Option<(Timestamp, Timestamp)> {
        self.outside_span
    }

    /// Distinct keys of the flows on secondary networks, which are not judged.
    #[must_use]
    pub fn on_secondary_networks(&self) -> usize {
        self.on_secondary_networks.len()
    }

    /// The names of these networks.
    #[must_use]
    pub fn secondary_networks(&self) -> &BTreeSet<String> {
        &self.secondary_networks
    }

    /// Distinct keys.
    #[must_use]
    pub fn distinct(&self) -> usize {
        self.rows.len()
    }
}

fn in_order(mut rows: Vec<&(TrafficKey, Vec<Sighting>)>) -> Vec<(&TrafficKey, &[Sighting])> {
    rows.sort_unstable_by_key(|(key, _)| *key);
    rows.into_iter().map(|(key, sightings)| (key, sightings.as_slice())).collect()
}
