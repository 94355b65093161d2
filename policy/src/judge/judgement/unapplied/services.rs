//! Fields of Services that the worlds do not contain, and how kube-proxy treats them.
//!
//! | field | what kube-proxy does (pkg/proxy), and what a change of it does here |
//! |---|---|
//! | `type: ExternalName`, `externalName` | It is a name in DNS and nothing else: its addresses are unknown. Undecided if a policy restricts egress |
//! | `clusterIP: None` | A headless Service has no address: clients connect to its pods, to the port that they know. The same pods at other ports if `port` and `targetPort` differ: undecided then, otherwise it cannot matter |
//! | another `clusterIP` | Clients find it by DNS and reach the same backends: it cannot matter |
//! | `externalIPs` | Packets to them are redirected to the backends; packets to other addresses are not. Undecided if the address is in use |
//! | `externalTrafficPolicy` | With `Cluster` the source of external traffic is replaced by a node's address, with `Local` it stays the client's. Undecided |
//! | `internalTrafficPolicy` | With `Local` only backends on the client's node are used. From `Cluster` to `Local` the backends are fewer, which denies nothing; the other way is undecided |
//! | `publishNotReadyAddresses` | Pods that are not ready become backends: undecided. The other way the backends are fewer |
//! | `status.loadBalancer` | A server writes it. Of its addresses, those of `ipMode: Proxy` are not redirected (KEP-1860); the cluster's are read |
//! | EndpointSlices of a Service with a selector | They add to the endpoints that the selector finds: undecided |

use std::collections::{BTreeSet, HashSet};
use std::net::IpAddr;

use crate::cluster::ownership::{Destination, End};
use crate::cluster::service::ServiceId;
use crate::judge::judgement::Judgement;
use crate::judge::judgement::unapplied::{direct, is_in_use};
use crate::report::undecided::UndecidedPart;
use foretell_objects::model::flow::Direction;
use foretell_objects::resource::object::id::ObjectId;
use foretell_objects::resource::object::{Kind, Object};
use foretell_objects::resource::reads::endpoint_slice::SliceFields;
use foretell_objects::resource::reads::service::{ServiceFields, ServicePort, TargetPort, TrafficPolicy};

impl Judgement<'_> {
    pub(super) fn unapplied_services(&self) -> Vec<UndecidedPart> {
        let change = self.inputs.change;
        let mut parts = Vec::new();
        for after in &change.after {
            let id = after.object.id();
            if !matches!(id.kind, Kind::Service | Kind::EndpointSlice | Kind::Endpoints) {
                continue;
            }
            let before = change.before.iter().find(|before| before.object.id() == id).map(|before| &before.object);
            if before.is_some_and(|before| before.relevant_fields() == after.object.relevant_fields()) {
                continue;
            }
            let what = match (&after.object, before) {
                (Object::Service(is), Some(Object::Service(was))) => {
                    self.unapplied_fields_of_service(&id, &ServiceFields::of(was), &ServiceFields::of(is))
                }
                (Object::EndpointSlice(slice), _) => {
                    SliceFields::of(slice).service.and_then(|service| self.joins_selected(&id, &service))
                }
                (Object::Endpoints(_), _) => self.joins_selected(&id, &id.name),
                _ => None,
            };
            parts.extend(what.map(|what| UndecidedPart {
                places: vec![after.place.to_string()],
                what: format!("the change touches {id}: {what}"),
                fix: "review the connections of the Service and merge it manually".to_owned(),
            }));
        }
        parts
    }

    fn unapplied_fields_of_service(&self, id: &ObjectId, was: &ServiceFields, is: &ServiceFields) -> Option<String> {
        if was.external_name != is.external_name {
            let mut identities = self.after.identities().identity_ids();
            let restricts_egress = identities.any(|id| {
                self.after.index().restricting(id.number(), Direction::Egress).next().is_some()
                    || !self.after.tiers().selecting(id).is_empty()
            });
            return restricts_egress.then(|| {
                "its externalName decides to which addresses clients connect, which no recorded traffic shows"
                    .to_owned()
            });
        }
        let service = self.service(id)?;
        let is_headless = |fields: &ServiceFields| fields.cluster_ips.contains("None");
        let keeps_ports = |port: &ServicePort| port.target == TargetPort::Number(port.port);
        let changed_ips: HashSet<IpAddr> =
            was.external_ips.symmetric_difference(&is.external_ips).filter_map(|ip| ip.parse().ok()).collect();
        let field = if is_headless(was) != is_headless(is) && !was.ports.iter().chain(&is.ports).all(keeps_ports) {
            "clients of a headless Service connect to its pods, to the port of the Service and not to the targetPort"
        } else if self.is_dialled(&changed_ips) {
            "packets to its externalIPs lead to its pods, and packets to other addresses do not"
        } else if was.external_traffic != is.external_traffic {
            "with externalTrafficPolicy Cluster its pods see the addresses of nodes, with Local those of the clients"
        } else if (was.internal_traffic, is.internal_traffic) == (TrafficPolicy::Local, TrafficPolicy::Cluster) {
            "without internalTrafficPolicy Local its clients reach backends on other nodes"
        } else if !was.publishes_not_ready && is.publishes_not_ready {
            "with publishNotReadyAddresses its clients reach pods that are not ready"
        } else {
            return None;
        };
        self.is_used_and_restricted(service, &changed_ips).then(|| field.to_owned())
    }

    /// Endpoints beside those that a selector finds.
    fn joins_selected(&self, id: &ObjectId, service: &str) -> Option<String> {
        let service = self.service(&ObjectId { name: service.to_owned(), ..id.clone() })?;
        let has_selected = self.after.identities().targets(service).pods().next().is_some();
        (has_selected && self.is_used_and_restricted(service, &HashSet::new())).then(|| {
            "its Service has a selector, and leads to these addresses as well as to the pods that it selects".to_owned()
        })
    }

    fn service(&self, id: &ObjectId) -> Option<ServiceId> {
        let mut services = self.inputs.cluster.services();
        services.find(|(_, it)| it.namespace == id.namespace && it.name == id.name).map(|(id, _)| id)
    }

    fn is_dialled(&self, addresses: &HashSet<IpAddr>) -> bool {
        let is_to = |dst: &Destination| match dst {
            Destination::Direct(end) => addresses.contains(&end.ip()),
            Destination::Service { ip, .. } => addresses.contains(ip),
        };
        !addresses.is_empty()
            && self.inputs.traffic.select(|key| is_to(&key.dst)).iter().any(|(_, sightings)| is_in_use(sightings))
    }

    /// Whether a connection in use to a Service, to its pods or to one of these addresses is restricted at either end.
    fn is_used_and_restricted(&self, service: ServiceId, addresses: &HashSet<IpAddr>) -> bool {
        let worlds = [self.before, self.after].into_iter();
        let pods: HashSet<_> = worlds.flat_map(|world| world.identities().targets(service).pods()).collect();
        let restricted: BTreeSet<_> = pods.iter().filter(|pod| self.restricting(**pod).is_some()).collect();
        let is_to = |dst: &Destination| match dst {
            Destination::Direct(end) => {
                end.pod().is_some_and(|pod| pods.contains(&pod)) || addresses.contains(&end.ip())
            }
            Destination::Service { service: called, .. } => *called == service,
        };
        let is_restricted = |end: &End| end.pod().is_some_and(|pod| self.restricting(pod).is_some());
        self.inputs.traffic.select(|key| is_to(&key.dst)).iter().any(|(key, sightings)| {
            let backend = matches!(key.dst, Destination::Direct(end) if is_restricted(&direct(key, end).dst));
            is_in_use(sightings) && (backend || !restricted.is_empty() || is_restricted(&key.src))
        })
    }
}
