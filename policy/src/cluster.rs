//! The cluster as a snapshot tells it: pods over time, who owned which address, nodes, Services, namespaces.
//!
//! Plain data. It is built once from objects; agents' reports add what addresses their hosts have.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;

use crate::labels::{Labels, NAMESPACE_NAME_LABEL};
use crate::object::Object;

pub mod node;
pub mod ownership;
pub mod pod;
pub mod service;
pub mod workload;

use node::{NodeId, Nodes};
use pod::{Pod, PodId};
use service::{Service, ServiceId};
use workload::Owners;

/// The index.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    pods: Vec<Pod>,
    nodes: Nodes,
    services: Vec<Service>,
    namespaces: BTreeMap<String, Labels>,
    by_uid: HashMap<String, PodId>,
    by_name: HashMap<(String, String), Vec<PodId>>,
    by_address: HashMap<IpAddr, Vec<PodId>>,
    service_by_name: HashMap<(String, String), ServiceId>,
    services_by_address: HashMap<IpAddr, Vec<ServiceId>>,
    declared_pod_ranges: Vec<IpNet>,
    seen_pod_ranges: BTreeSet<IpNet>,
}

impl Cluster {
    /// Builds the index. Of objects of one identity the last counts, but pods of one name and different UIDs are different
    /// pods: a snapshot that keeps pods which have gone holds several.
    #[must_use]
    pub fn build<'a>(objects: impl IntoIterator<Item = &'a Object> + Clone) -> Self {
        let owners = Owners::of(objects.clone());
        let mut cluster = Self::default();
        let mut readiness = service::Readiness::default();
        for object in objects {
            match object {
                Object::Namespace(namespace) => {
                    let name = namespace.metadata.name.clone().unwrap_or_default();
                    let labels = namespace.metadata.labels.clone().unwrap_or_default();
                    cluster.namespaces.insert(name.clone(), namespace_labels(&name, labels));
                }
                Object::Node(node) => {
                    let ranges = cluster.nodes.add(node);
                    cluster.declared_pod_ranges.extend(ranges);
                }
                Object::Service(service) => cluster.add_service(Service::read(service)),
                Object::EndpointSlice(slice) => readiness.add(slice),
                Object::Pod(pod) => {
                    let pod = Pod::read(pod, &owners, &mut cluster.nodes);
                    cluster.add_pod(pod);
                }
                _ => {}
            }
        }
        for pod in &mut cluster.pods {
            if let Some(ready) = readiness.of_pod(&pod.namespace, &pod.name) {
                pod.ready = ready;
            }
        }
        for service in &mut cluster.services {
            service.listed = readiness.addresses_of(&service.namespace, &service.name);
        }
        cluster
    }

    fn add_pod(&mut self, pod: Pod) {
        let key = (pod.namespace.clone(), pod.name.clone());
        let same = self.by_name.get(&key).into_iter().flatten().copied().find(|id| {
            let known = self.pod(*id);
            known.uid == pod.uid
        });
        let id = if let Some(id) = same {
            let former = std::mem::replace(&mut self.pods[id.index()], pod);
            for ip in former.addresses {
                self.by_address.entry(ip).or_default().retain(|owner| *owner != id);
            }
            id
        } else {
            let id = PodId::new(self.pods.len());
            self.pods.push(pod);
            self.by_name.entry(key).or_default().push(id);
            id
        };
        let pod = &self.pods[id.index()];
        for uid in [&pod.uid, &pod.config_hash].into_iter().flatten() {
            self.by_uid.insert(uid.clone(), id);
        }
        if pod.host_network {
            return;
        }
        for ip in &pod.addresses {
            let owners = self.by_address.entry(*ip).or_default();
            if !owners.contains(&id) {
                owners.push(id);
            }
            self.seen_pod_ranges.insert(range_around(*ip));
        }
    }

    fn add_service(&mut self, service: Service) {
        let key = (service.namespace.clone(), service.name.clone());
        let id = *self.service_by_name.entry(key).or_insert(ServiceId::new(self.services.len()));
        for ip in self.services.get(id.index()).into_iter().flat_map(|former| &former.addresses) {
            self.services_by_address.entry(*ip).or_default().retain(|holder| *holder != id);
        }
        for ip in &service.addresses {
            self.services_by_address.entry(*ip).or_default().push(id);
        }
        if id.index() == self.services.len() {
            self.services.push(service);
        } else {
            self.services[id.index()] = service;
        }
    }

    /// Adds a range from which pods get their addresses.
    pub fn add_pod_range(&mut self, range: IpNet) {
        self.declared_pod_ranges.push(range);
    }

    /// Notes that these addresses are a node's own, as its agent reports.
    pub fn add_node_addresses(&mut self, node: &str, addresses: &[IpAddr]) {
        self.nodes.add_addresses(node, addresses);
    }

    /// A pod by its index.
    #[must_use]
    pub fn pod(&self, id: PodId) -> &Pod {
        &self.pods[id.index()]
    }

    /// All pods with their indexes: those that run and those that have gone.
    pub fn pods(&self) -> impl Iterator<Item = (PodId, &Pod)> {
        self.pods.iter().enumerate().map(|(index, pod)| (PodId::new(index), pod))
    }

    /// A Service by its index.
    #[must_use]
    pub fn service(&self, id: ServiceId) -> &Service {
        &self.services[id.index()]
    }

    /// All Services with their indexes.
    pub fn services(&self) -> impl Iterator<Item = (ServiceId, &Service)> {
        self.services.iter().enumerate().map(|(index, service)| (ServiceId::new(index), service))
    }

    /// The nodes.
    #[must_use]
    pub fn nodes(&self) -> &Nodes {
        &self.nodes
    }

    /// The labels of every namespace that the snapshot holds.
    #[must_use]
    pub fn namespaces(&self) -> &BTreeMap<String, Labels> {
        &self.namespaces
    }

    /// Whether an address is one that pods get. The neighbourhood of a pod that was seen serves as a hint where no declared
    /// range knows of it: many networks give pods other addresses than the nodes' `podCIDRs`.
    #[must_use]
    pub fn in_pod_range(&self, ip: IpAddr) -> bool {
        let around = range_around(ip);
        let declares = |range: &IpNet| range.contains(&around) || around.contains(range);
        self.declared_pod_ranges.iter().any(|range| range.contains(&ip))
            || (self.seen_pod_ranges.contains(&around) && !self.declared_pod_ranges.iter().any(declares))
    }

    /// The node's name.
    #[must_use]
    pub fn node_name(&self, id: NodeId) -> &str {
        self.nodes.name(id)
    }

    /// The pod of a UID or of a static pod's config hash.
    #[must_use]
    pub fn pod_by_uid(&self, uid: &str) -> Option<PodId> {
        self.by_uid.get(uid).copied()
    }

    /// The pods that have or had a name.
    #[must_use]
    pub fn pods_by_name(&self, namespace: &str, name: &str) -> &[PodId] {
        self.by_name.get(&(namespace.to_owned(), name.to_owned())).map_or(&[], Vec::as_slice)
    }

    /// The pods that have or had an address, hostNetwork pods left out.
    #[must_use]
    pub fn pods_by_address(&self, ip: IpAddr) -> &[PodId] {
        self.by_address.get(&ip).map_or(&[], Vec::as_slice)
    }

    /// The Services that have an address.
    #[must_use]
    pub fn services_by_address(&self, ip: IpAddr) -> &[ServiceId] {
        self.services_by_address.get(&ip).map_or(&[], Vec::as_slice)
    }

    /// Whether a pod lives at a time.
    #[must_use]
    pub fn is_alive(&self, id: PodId, at: Timestamp) -> bool {
        self.pod(id).life.contains(at)
    }
}

/// A namespace's labels with the one that the API server adds.
#[must_use]
pub fn namespace_labels(name: &str, mut labels: Labels) -> Labels {
    labels.insert(NAMESPACE_NAME_LABEL.to_owned(), name.to_owned());
    labels
}

fn range_around(ip: IpAddr) -> IpNet {
    let length = if ip.is_ipv4() { 24 } else { 64 };
    IpNet::new(ip, length).map_or_else(|_| IpNet::from(ip), |net| net.trunc())
}
