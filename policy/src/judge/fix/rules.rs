//! Where in a list of rules peers and ports are added, so that as little as can be is written and nothing else is let in.

use k8s_openapi::api::networking::v1::{
    NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::judge::fix::PortsToOpen;
use crate::model::flow::Protocol;
use crate::model::port::protocol_or_tcp;

/// Peers that are to reach all of these ports.
pub(super) struct Opening {
    pub(super) peers: Vec<NetworkPolicyPeer>,
    pub(super) ports: PortsToOpen,
}

/// A rule of either direction.
pub(super) trait RuleOfDirection {
    fn new(peers: Vec<NetworkPolicyPeer>, ports: Vec<NetworkPolicyPort>) -> Self;
    fn peers(&mut self) -> &mut Option<Vec<NetworkPolicyPeer>>;
    fn ports(&mut self) -> &mut Option<Vec<NetworkPolicyPort>>;
}

impl RuleOfDirection for NetworkPolicyIngressRule {
    fn new(peers: Vec<NetworkPolicyPeer>, ports: Vec<NetworkPolicyPort>) -> Self {
        Self { from: Some(peers), ports: Some(ports) }
    }
    fn peers(&mut self) -> &mut Option<Vec<NetworkPolicyPeer>> {
        &mut self.from
    }
    fn ports(&mut self) -> &mut Option<Vec<NetworkPolicyPort>> {
        &mut self.ports
    }
}

impl RuleOfDirection for NetworkPolicyEgressRule {
    fn new(peers: Vec<NetworkPolicyPeer>, ports: Vec<NetworkPolicyPort>) -> Self {
        Self { to: Some(peers), ports: Some(ports) }
    }
    fn peers(&mut self) -> &mut Option<Vec<NetworkPolicyPeer>> {
        &mut self.to
    }
    fn ports(&mut self) -> &mut Option<Vec<NetworkPolicyPort>> {
        &mut self.ports
    }
}

/// Adds the peers to a rule that allows just these ports, or the ports to one that allows just these peers; else a rule.
pub(super) fn open<R: RuleOfDirection>(rules: &mut Vec<R>, opening: Opening) {
    let Opening { peers, ports } = opening;
    for rule in &mut *rules {
        let is_of_ports = rule.ports().as_deref().is_some_and(|given| numbers(given).as_ref() == Some(&ports));
        if let (true, Some(given)) = (is_of_ports, rule.peers().as_mut().filter(|given| !given.is_empty())) {
            let new = peers.into_iter().filter(|peer| !given.contains(peer)).collect::<Vec<_>>();
            given.extend(new);
            return;
        }
    }
    for rule in &mut *rules {
        let given = rule.peers().as_deref().unwrap_or_default();
        let is_of_peers = given.len() == peers.len() && peers.iter().all(|peer| given.contains(peer));
        if let (true, Some(given)) = (is_of_peers, rule.ports().as_mut().filter(|given| !given.is_empty())) {
            given.extend(written(&ports));
            return;
        }
    }
    rules.push(R::new(peers, written(&ports)));
}

/// The ports by number, if each is just one.
fn numbers(ports: &[NetworkPolicyPort]) -> Option<PortsToOpen> {
    let number = |port: &NetworkPolicyPort| match (&port.port, port.end_port) {
        (Some(IntOrString::Int(number)), None) => {
            Some((protocol_or_tcp(port.protocol.as_deref()), u16::try_from(*number).ok()?))
        }
        _ => None,
    };
    ports.iter().map(number).collect::<Option<PortsToOpen>>().filter(|ports| !ports.is_empty())
}

fn written(ports: &PortsToOpen) -> Vec<NetworkPolicyPort> {
    let port = |(protocol, number): &(Protocol, u16)| NetworkPolicyPort {
        protocol: Some(protocol.to_string()),
        port: Some(IntOrString::Int(i32::from(*number))),
        end_port: None,
    };
    ports.iter().map(port).collect()
}
