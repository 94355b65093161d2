//! Evaluates the spec of a policy directly on the Kubernetes types.

use foretell_objects::model::flow::{Direction, Protocol};
use k8s_openapi::api::networking::v1::{NetworkPolicyPeer, NetworkPolicyPort, NetworkPolicySpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::address::holds;
use super::deviations::{Deviations, Opening, most_specific_takes, namespace_calls_it, selects_host_network};
use super::resolve::{Who, named_ports, namespace_tags};
use super::scene::{Scene, Tags, protocol};

/// A rule without its direction: `from` or `to`, and `ports`.
pub(crate) struct Rule<'a> {
    peers: &'a [NetworkPolicyPeer],
    ports: &'a [NetworkPolicyPort],
}

/// How a rule matches a peer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Matches {
    Nothing,
    /// A pod or a node, by its address.
    Address,
    Peer,
}

pub(crate) fn selects(selector: Option<&LabelSelector>, tags: &Tags) -> bool {
    let Some(selector) = selector else { return true };
    for (key, value) in selector.match_labels.iter().flatten() {
        if tags.get(key) != Some(value) {
            return false;
        }
    }
    for expression in selector.match_expressions.iter().flatten() {
        let value = tags.get(&expression.key);
        let listed = value.is_some_and(|value| expression.values.iter().flatten().any(|one| one == value));
        let met = match expression.operator.as_str() {
            "In" => listed,
            "NotIn" => !listed,
            "Exists" => value.is_some(),
            "DoesNotExist" => value.is_none(),
            other => panic!("{other} is no operator"),
        };
        if !met {
            return false;
        }
    }
    true
}

/// The rules of a direction; `None` if the policy does not restrict it.
pub(crate) fn rules(spec: &NetworkPolicySpec, direction: Direction) -> Option<Vec<Rule<'_>>> {
    let given = spec.policy_types.as_deref().unwrap_or_default();
    let has_egress = spec.egress.as_ref().is_some_and(|rules| !rules.is_empty());
    let in_force = match direction {
        Direction::Ingress => given.is_empty() || given.iter().any(|kind| kind == "Ingress"),
        Direction::Egress => (given.is_empty() && has_egress) || given.iter().any(|kind| kind == "Egress"),
    };
    if !in_force {
        return None;
    }
    let mut rules = Vec::new();
    match direction {
        Direction::Ingress => {
            for rule in spec.ingress.iter().flatten() {
                let (peers, ports) = (rule.from.as_deref(), rule.ports.as_deref());
                rules.push(Rule { peers: peers.unwrap_or_default(), ports: ports.unwrap_or_default() });
            }
        }
        Direction::Egress => {
            for rule in spec.egress.iter().flatten() {
                let (peers, ports) = (rule.to.as_deref(), rule.ports.as_deref());
                rules.push(Rule { peers: peers.unwrap_or_default(), ports: ports.unwrap_or_default() });
            }
        }
    }
    Some(rules)
}

impl Rule<'_> {
    pub(crate) fn opening(&self) -> Opening<'_> {
        Opening { peers: self.peers, ports: self.ports }
    }

    /// `names_of` is the namespace whose pods define named ports.
    pub(crate) fn matches_peer(
        &self,
        scene: &Scene,
        subject_namespace: &str,
        peer: &Who,
        deviations: Deviations,
        names_of: Option<&str>,
    ) -> Matches {
        if self.peers.is_empty() {
            return Matches::Peer;
        }
        let is_host = peer.is_pod_or_node(scene) && !matches!(peer, Who::Pod { .. });
        if deviations.host_namespace && is_host && selects_host_network(scene, self.peers) {
            return Matches::Peer;
        }
        let mut takes = Matches::Nothing;
        let all_named = !self.ports.is_empty() && self.ports.iter().all(is_named);
        let no_blocks = names_of.is_some() && all_named && self.peers.iter().any(|entry| entry.ip_block.is_none());
        let most_specific = !deviations.most_specific || most_specific_takes(self.peers, peer.ip());
        for entry in self.peers {
            if entry.ip_block.is_some() {
                let leaves = (peer.is_pod_or_node(scene) && deviations.leave(peer))
                    || (peer.is_unresolved(scene) && deviations.blocks_leave_pods);
                if no_blocks || leaves || !most_specific {
                    continue;
                }
                if deviations.sure_of_blocks && matches_peer(scene, subject_namespace, entry, peer) != Matches::Nothing
                {
                    return Matches::Peer;
                }
            }
            match matches_peer(scene, subject_namespace, entry, peer) {
                Matches::Peer => return Matches::Peer,
                Matches::Address => takes = Matches::Address,
                Matches::Nothing => {}
            }
        }
        takes
    }

    /// `names_of` is the namespace whose pods define named ports.
    pub(crate) fn matches_port(
        &self,
        scene: &Scene,
        destination: &Who,
        proto: Protocol,
        number: u16,
        names_of: Option<&str>,
    ) -> bool {
        let by_numbers = || {
            let mut numbers = self.ports.iter().filter(|entry| !is_named(entry));
            numbers.any(|entry| matches_port(scene, entry, destination, proto, number))
        };
        if let Some(namespace) = names_of.filter(|_| self.ports.iter().any(is_named)) {
            if self.peers.is_empty() {
                return by_numbers() || namespace_calls_it(scene, namespace, self.ports, proto, number);
            }
            if self.peers.iter().all(|entry| entry.ip_block.is_some()) {
                return by_numbers();
            }
        }
        self.ports.is_empty() || self.ports.iter().any(|entry| matches_port(scene, entry, destination, proto, number))
    }
}

fn is_named(entry: &NetworkPolicyPort) -> bool {
    matches!(entry.port, Some(IntOrString::String(_)))
}

fn matches_peer(scene: &Scene, subject_namespace: &str, entry: &NetworkPolicyPeer, peer: &Who) -> Matches {
    if let Some(block) = &entry.ip_block {
        if !holds(&block.cidr, peer.ip()) || block.except.iter().flatten().any(|except| holds(except, peer.ip())) {
            return Matches::Nothing;
        }
        return if peer.is_pod_or_node(scene) { Matches::Address } else { Matches::Peer };
    }
    let Who::Pod { pod, .. } = *peer else { return Matches::Nothing };
    let pod = &scene.pods[pod];
    let in_namespace = match &entry.namespace_selector {
        None => pod.namespace == subject_namespace,
        Some(selector) => selects(Some(selector), &namespace_tags(scene, pod.namespace)),
    };
    if in_namespace && selects(entry.pod_selector.as_ref(), &pod.labels) { Matches::Peer } else { Matches::Nothing }
}

fn matches_port(scene: &Scene, entry: &NetworkPolicyPort, destination: &Who, proto: Protocol, number: u16) -> bool {
    if protocol(entry.protocol.as_deref()) != proto {
        return false;
    }
    match &entry.port {
        None => true,
        Some(IntOrString::Int(first)) => {
            let last = entry.end_port.unwrap_or(*first);
            *first <= i32::from(number) && i32::from(number) <= last
        }
        Some(IntOrString::String(name)) => {
            let Who::Pod { pod, .. } = *destination else { return false };
            named_ports(&scene.pods[pod])
                .any(|port| port.name == name && protocol(port.protocol) == proto && port.number == number)
        }
    }
}
