//! Adds peers and ports to a list of rules, with as few lines as possible and without allowing anything else.

use k8s_openapi::api::networking::v1::{
    NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::judge::fix::AllowedPorts;
use foretell_objects::model::flow::Protocol;
use foretell_objects::model::port::protocol_or_tcp;

/// Peers, and the ports that all of them are to be allowed.
pub(super) struct Addition {
    pub(super) peers: Vec<NetworkPolicyPeer>,
    pub(super) ports: AllowedPorts,
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

/// Adds the peers to a rule that allows exactly these ports, or the ports to a rule that allows exactly these peers. If there is
/// no such rule, adds one.
pub(super) fn add<R: RuleOfDirection>(rules: &mut Vec<R>, addition: Addition) {
    let Addition { peers, ports } = addition;
    for rule in &mut *rules {
        let has_these_ports = rule.ports().as_deref().is_some_and(|given| numbers(given).as_ref() == Some(&ports));
        if let (true, Some(given)) = (has_these_ports, rule.peers().as_mut().filter(|given| !given.is_empty())) {
            let new = peers.into_iter().filter(|peer| !given.contains(peer)).collect::<Vec<_>>();
            given.extend(new);
            return;
        }
    }
    for rule in &mut *rules {
        let given = rule.peers().as_deref().unwrap_or_default();
        let has_these_peers = given.len() == peers.len() && peers.iter().all(|peer| given.contains(peer));
        if let (true, Some(given)) = (has_these_peers, rule.ports().as_mut().filter(|given| !given.is_empty())) {
            given.extend(policy_ports(&ports));
            return;
        }
    }
    rules.push(R::new(peers, policy_ports(&ports)));
}

/// The ports, if each is a single number.
fn numbers(ports: &[NetworkPolicyPort]) -> Option<AllowedPorts> {
    let number = |port: &NetworkPolicyPort| match (&port.port, port.end_port) {
        (Some(IntOrString::Int(number)), None) => {
            Some((protocol_or_tcp(port.protocol.as_deref()), u16::try_from(*number).ok()?))
        }
        _ => None,
    };
    ports.iter().map(number).collect::<Option<AllowedPorts>>().filter(|ports| !ports.is_empty())
}

fn policy_ports(ports: &AllowedPorts) -> Vec<NetworkPolicyPort> {
    let port = |(protocol, number): &(Protocol, u16)| NetworkPolicyPort {
        protocol: Some(protocol.to_string()),
        port: Some(IntOrString::Int(i32::from(*number))),
        end_port: None,
    };
    ports.iter().map(port).collect()
}
