//! Flows that an enforcer sees otherwise than the index does: by a Service's address, by a namespace of the host network, or by the
//! backend of a node port. Few dialects have such flows, and only these flows are read here, rule by rule.

use crate::cluster::ownership::{Destination, End, Ends};
use crate::cluster::service::ServiceId;
use crate::engine::index::packed_verdict::PackedVerdict;
use crate::engine::index::view::View;
use crate::engine::pair::{Dial, Dialled, Pair};
use crate::engine::verdict::Verdict;
use crate::policy::end_kind::EndKind;
use crate::policy::host_network::HostNamespace;
use crate::policy::network_policy::{Policy, Rule};
use crate::policy::port::Port;
use crate::policy::service_address::ServiceAddress;
use foretell_objects::model::dialect::{HostNetwork, OwnNodePorts, ServicesSeen};
use foretell_objects::model::flow::{Direction, Protocol};
use foretell_objects::model::port::NamedPort;

/// A flow at one end, as an enforcer sees it.
#[derive(Clone, Debug)]
pub(super) enum ByEnforcer<'a> {
    /// To a Service, by its address.
    Service { address: ServiceAddress<'a>, subject_namespace: &'a str },
    /// With the host network.
    HostNetwork { namespace: HostNamespace<'a>, port: Port<'a> },
}

impl<'a> View<'a> {
    /// Where a connection between these ends leads. Under most enforcers that is where it is addressed.
    #[must_use]
    pub fn dial(&self, ends: &Ends, protocol: Protocol, port: u16) -> Dial {
        let addressed = Dial { destination: ends.dst, port, dialled: Dialled::at(&ends.dst, port) };
        if self.dialect().own_node_ports == OwnNodePorts::AsTheNode {
            return addressed;
        }
        // A pod on the host network that an observer names at the destination is the one that accepts the connection.
        let (Some(client), Destination::Direct(node @ End::Address { .. })) = (ends.src.pod(), ends.dst) else {
            return addressed;
        };
        if !self.is_own_node(client, &node) {
            return addressed;
        }
        let Some((service, number)) = self.behind_node_port(protocol, port) else { return addressed };
        let destination = Destination::Service { service, ip: node.ip() };
        Dial { destination, port: number, dialled: Dialled::OwnNodePort { port } }
    }

    /// The Service that has this node port, and its own port.
    fn behind_node_port(&self, protocol: Protocol, port: u16) -> Option<(ServiceId, u16)> {
        self.cluster.services().find_map(|(id, _)| {
            let mut ports = self.identities.targets(id).ports.iter();
            let found = ports.find(|given| given.protocol == protocol && given.node_port == Some(port))?;
            Some((id, found.port))
        })
    }

    /// How the enforcer sees a flow at one end; `None`: as the index does.
    pub(super) fn by_enforcer(&self, pair: &Pair, direction: Direction) -> Option<ByEnforcer<'a>> {
        let dialect = self.dialect();
        let subject_namespace =
            |pair: &Pair| Some(self.identities.identity(pair.subject_pod(direction)?).namespace.as_str());
        if dialect.services == ServicesSeen::ByAddress
            && direction == Direction::Egress
            && let Dialled::Service { service: id, ip, port } = pair.dialled
        {
            let (service, targets) = (self.cluster.service(id), self.identities.targets(id));
            let address = ServiceAddress {
                namespace: &service.namespace,
                namespace_labels: self.identities.namespace_labels(&service.namespace),
                selector: &targets.selector,
                ports: &targets.ports,
                named: targets
                    .pods()
                    .flat_map(|pod| -> &'a [NamedPort] { &self.identities.identity(pod).ports })
                    .collect(),
                is_cluster_ip: service.cluster_ip == Some(ip),
                ip,
                protocol: pair.protocol,
                port,
            };
            return Some(ByEnforcer::Service { address, subject_namespace: subject_namespace(pair)? });
        }
        if dialect.host_network == HostNetwork::OfItsNamespace && self.kind(pair.peer(direction)) == EndKind::Node {
            let namespace = HostNamespace::of(self.identities.namespaces());
            return Some(ByEnforcer::HostNetwork { namespace, port: self.question(pair, direction).port });
        }
        None
    }

    /// Whether flows between a client and a node can be read otherwise than by the index.
    #[inline]
    pub(super) fn reads_nodes_apart(&self) -> bool {
        let dialect = &self.index.resolved_dialect().dialect;
        dialect.host_network == HostNetwork::OfItsNamespace || dialect.own_node_ports == OwnNodePorts::AsBackends
    }

    /// Whether flows to Services are read otherwise than by the index.
    #[inline]
    pub(super) fn reads_services_apart(&self) -> bool {
        self.index.resolved_dialect().dialect.services == ServicesSeen::ByAddress
    }
}

impl ByEnforcer<'_> {
    /// The verdict of a policy that restricts the subject, in place of the index's.
    pub(super) fn verdict(&self, policy: &Policy, direction: Direction, of_index: PackedVerdict) -> PackedVerdict {
        let rules = (0..).zip(policy.rules(direction));
        match self {
            Self::Service { address, subject_namespace } => {
                let verdicts = rules.map(|(number, rule)| {
                    let kind = match address.matches(rule, subject_namespace) {
                        (true, true) => PackedVerdict::ALLOW,
                        (true, false) => PackedVerdict::PORT_MISMATCH,
                        (false, true) => PackedVerdict::PEER_MISMATCH,
                        (false, false) => PackedVerdict::BOTH_MISMATCH,
                    };
                    PackedVerdict::new(kind, number)
                });
                verdicts.reduce(PackedVerdict::or_later).unwrap_or(PackedVerdict::new(PackedVerdict::WITHOUT_RULES, 0))
            }
            Self::HostNetwork { namespace, port } => {
                if matches!(of_index.verdict(), Verdict::Exempt(_) | Verdict::Allow { by_block_alone: false, .. }) {
                    return of_index;
                }
                let mut rules = rules;
                let matches =
                    |(_, rule): &(u32, &Rule)| namespace.is_matched_by(&rule.peers) && rule.ports.contains(port);
                rules.find(matches).map_or(of_index, |(number, _)| PackedVerdict::new(PackedVerdict::ALLOW, number))
            }
        }
    }
}
