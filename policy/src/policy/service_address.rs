//! A connection to a Service, for an enforcer that sees the Service's address and not its backends: the network policy agent of the
//! Amazon VPC CNI. Its controller opens, for each entry with selectors in an egress rule, the cluster IPs of the Services whose own
//! selector the entry's `podSelector` matches (`getMatchingServiceClusterIPs` in `pkg/resolvers/endpoints.go`).

use std::net::IpAddr;

use crate::policy::network_policy::Rule;
use crate::policy::peer::{Namespaces, PeerMatcher, PeerSet};
use crate::policy::port::{PortMatcher, PortSet, Ports};
use foretell_objects::model::flow::Protocol;
use foretell_objects::model::labels::Labels;
use foretell_objects::model::port::NamedPort;
use foretell_objects::resource::reads::service::{ServicePort, TargetPort};

/// A connection to an address of a Service.
#[derive(Clone, Debug)]
pub struct ServiceAddress<'a> {
    /// Namespace of the Service.
    pub namespace: &'a str,
    /// Labels of the namespace.
    pub namespace_labels: &'a Labels,
    /// The Service's own selector.
    pub selector: &'a Labels,
    /// Its ports.
    pub ports: &'a [ServicePort],
    /// The named ports of the pods behind it.
    pub named: Vec<&'a NamedPort>,
    /// Whether the address is its `spec.clusterIP`. Selectors open no other address.
    pub is_cluster_ip: bool,
    /// The address.
    pub ip: IpAddr,
    /// Transport protocol.
    pub protocol: Protocol,
    /// The port at this address.
    pub port: u16,
}

impl ServiceAddress<'_> {
    /// Whether an egress rule matches the address, and whether it matches the port there. It allows the connection if both are
    /// true.
    #[must_use]
    pub fn matches(&self, rule: &Rule, subject_namespace: &str) -> (bool, bool) {
        let PeerSet::AnyOf(entries) = &rule.peers else { return (true, self.is_port_as_written(&rule.ports)) };
        let entries: Vec<(bool, bool)> = entries
            .iter()
            .map(|entry| match entry {
                PeerMatcher::Block { net, except } => {
                    let is_in = net.contains(&self.ip) && !except.iter().any(|except| except.contains(&self.ip));
                    (is_in, self.is_port_as_written(&rule.ports))
                }
                PeerMatcher::Pods { namespaces, pods, .. } => {
                    let in_namespace = match namespaces {
                        Namespaces::Own => self.namespace == subject_namespace,
                        Namespaces::Matching(selector) => selector.matches(self.namespace_labels),
                    };
                    let is_opened = self.is_cluster_ip && in_namespace && pods.matches(self.selector);
                    (is_opened, self.is_port_of_targets(&rule.ports))
                }
            })
            .collect();
        let any = |test: fn(&(bool, bool)) -> bool| entries.iter().any(test);
        match (any(|(peer, port)| *peer && *port), any(|(peer, _)| *peer), any(|(_, port)| *port)) {
            (true, ..) => (true, true),
            (false, true, _) => (true, false),
            (false, false, port) => (false, port),
        }
    }

    /// Blocks, and rules for every peer: the port at the Service, by number. Names mean no port there.
    fn is_port_as_written(&self, ports: &PortSet) -> bool {
        let PortSet::AnyOf(matchers) = ports else { return true };
        matchers.iter().any(|matcher| {
            matcher.protocol == self.protocol
                && match matcher.ports {
                    Ports::All => true,
                    Ports::Range(first, last) => (first..=last).contains(&self.port),
                    Ports::Named(_) => false,
                }
        })
    }

    /// Selectors: the Service's port for the target port that the rule states.
    fn is_port_of_targets(&self, ports: &PortSet) -> bool {
        let PortSet::AnyOf(matchers) = ports else { return true };
        matchers.iter().filter(|matcher| matcher.protocol == self.protocol).any(|matcher| match &matcher.ports {
            Ports::All => true,
            // The end of a range stays as it is written.
            Ports::Range(first, last) => self.port_for(matcher).is_some_and(|port| {
                if first == last { port == self.port } else { (port..=*last).contains(&self.port) }
            }),
            Ports::Named(_) => self.port_for(matcher) == Some(self.port),
        })
    }

    /// The first port of the Service with this target; else the first whose target is the port that a pod behind it gives this
    /// number or name.
    fn port_for(&self, matcher: &PortMatcher) -> Option<u16> {
        let target = match &matcher.ports {
            Ports::All => return None,
            Ports::Range(first, _) => TargetPort::Number(*first),
            Ports::Named(name) => TargetPort::Named(name.clone()),
        };
        let with_target = |target: &TargetPort| {
            let mut ports = self.ports.iter().filter(|port| port.protocol == self.protocol);
            ports.find(|port| port.target == *target).map(|port| port.port)
        };
        let of_pods = || {
            let declared = self.named.iter().filter(|named| named.protocol == self.protocol);
            let others = declared.filter_map(|named| match &target {
                TargetPort::Number(number) => (named.number == *number).then(|| TargetPort::Named(named.name.clone())),
                TargetPort::Named(name) => (named.name == *name).then_some(TargetPort::Number(named.number)),
            });
            // The controller uses the first pod that it is notified of. If pods differ, the lowest port counts here.
            others.filter_map(|target| with_target(&target)).min()
        };
        with_target(&target).or_else(of_pods)
    }
}
