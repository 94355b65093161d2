//! The cluster as a snapshot tells it: pods over time, who owned which address, nodes, Services, namespaces.
//!
//! Plain data. It is built once from objects; agents' reports add what addresses their hosts have.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;

use crate::cluster::node::{NodeId, Nodes};
use crate::cluster::pod::{Pod, PodId};
use crate::cluster::ranges::PodRanges;
use crate::cluster::service::{Readiness, Service, ServiceId};
use crate::cluster::workload::Owners;
use foretell_objects::model::labels::Labels;
use foretell_objects::resource::object::Object;
use foretell_objects::resource::other_policy::OtherPolicy;
use foretell_objects::resource::{kubernetes as core, reads};

/// The index.
#[derive(Clone, Debug, Default)]
pub struct Cluster {
    pods: Vec<Pod>,
    /// Places in that list that nobody has any more.
    vacant: BTreeSet<PodId>,
    nodes: Nodes,
    services: Vec<Service>,
    namespaces: BTreeMap<String, Labels>,
    by_uid: HashMap<String, PodId>,
    by_name: HashMap<(String, String), Vec<PodId>>,
    by_address: HashMap<IpAddr, Vec<PodId>>,
    pods_of: HashMap<String, Vec<PodId>>,
    service_by_name: HashMap<(String, String), ServiceId>,
    services_of: HashMap<String, Vec<ServiceId>>,
    services_by_address: HashMap<IpAddr, Vec<ServiceId>>,
    pod_ranges: PodRanges,
    other_policies: Vec<OtherPolicy>,
}

impl Cluster {
    /// Builds the index. Of objects of one identity the last counts, but pods of one name and different UIDs are different
    /// pods: a snapshot that keeps pods which have gone holds several.
    #[must_use]
    pub fn build<'a>(objects: impl IntoIterator<Item = &'a Object> + Clone) -> Self {
        let owners = Owners::of(objects.clone());
        let mut cluster = Self::default();
        let readiness = Readiness::of(objects.clone());
        for object in objects {
            match object {
                Object::Namespace(namespace) => {
                    let (name, labels) = reads::namespace::labels(namespace);
                    cluster.namespaces.insert(name, labels);
                }
                Object::Node(node) => {
                    for range in cluster.nodes.add(node) {
                        cluster.pod_ranges.declare(range);
                    }
                }
                Object::Service(service) => cluster.add_service(Service::read(service)),
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
        if let Some(former) = self.namesake(&pod) {
            self.remove_pod(former);
        }
        self.put_pod(pod);
    }

    /// Reads a pod, and notes what it tells of its node: gives back that node's addresses.
    pub(crate) fn read_pod(&mut self, pod: &core::Pod, owners: &Owners) -> (Pod, Vec<IpAddr>) {
        let pod = Pod::read(pod, owners, &mut self.nodes);
        let addresses = pod.node.map_or_else(Vec::new, |node| self.nodes.addresses_of(node).collect());
        (pod, addresses)
    }

    /// The pod of the same name and UID.
    pub(crate) fn namesake(&self, pod: &Pod) -> Option<PodId> {
        let mut namesakes = self.pods_by_name(&pod.namespace, &pod.name).iter().copied();
        namesakes.find(|id| self.pod(*id).uid == pod.uid)
    }

    /// Adds a pod that is not there.
    pub(crate) fn put_pod(&mut self, pod: Pod) -> PodId {
        let id = self.vacant.pop_first().unwrap_or(PodId::new(self.pods.len()));
        self.by_name.entry((pod.namespace.clone(), pod.name.clone())).or_default().push(id);
        self.pods_of.entry(pod.namespace.clone()).or_default().push(id);
        for uid in [&pod.uid, &pod.config_hash].into_iter().flatten() {
            self.by_uid.insert(uid.clone(), id);
        }
        for ip in pod.addresses.iter().filter(|_| !pod.host_network) {
            self.by_address.entry(*ip).or_default().push(id);
            self.pod_ranges.see(*ip);
        }
        if id.index() == self.pods.len() {
            self.pods.push(pod);
        } else {
            self.pods[id.index()] = pod;
        }
        id
    }

    /// Takes a pod away. Its index may be another's from then on.
    pub(crate) fn remove_pod(&mut self, id: PodId) {
        let pod = &self.pods[id.index()];
        let name = (pod.namespace.clone(), pod.name.clone());
        if let Some(namesakes) = self.by_name.get_mut(&name) {
            namesakes.retain(|other| *other != id);
            if namesakes.is_empty() {
                self.by_name.remove(&name);
            }
        }
        if let Some(pods) = self.pods_of.get_mut(&pod.namespace) {
            pods.retain(|other| *other != id);
        }
        for uid in [&pod.uid, &pod.config_hash].into_iter().flatten() {
            if self.by_uid.get(uid) == Some(&id) {
                self.by_uid.remove(uid);
            }
        }
        for ip in pod.addresses.iter().filter(|_| !pod.host_network) {
            if let Some(owners) = self.by_address.get_mut(ip) {
                owners.retain(|other| *other != id);
                if owners.is_empty() {
                    self.by_address.remove(ip);
                }
            }
            self.pod_ranges.unsee(*ip);
        }
        self.vacant.insert(id);
    }

    /// Gives a namespace labels.
    pub(crate) fn set_namespace(&mut self, name: &str, labels: Labels) {
        self.namespaces.insert(name.to_owned(), labels);
    }

    fn add_service(&mut self, service: Service) {
        let key = (service.namespace.clone(), service.name.clone());
        let id = *self.service_by_name.entry(key).or_insert(ServiceId::new(self.services.len()));
        if id.index() == self.services.len() {
            self.services_of.entry(service.namespace.clone()).or_default().push(id);
        }
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
        self.pod_ranges.declare(range);
    }

    /// Notes that these addresses are a node's own, as its agent reports.
    pub fn add_node_addresses(&mut self, node: &str, addresses: &[IpAddr]) {
        self.nodes.add_addresses(node, addresses);
    }

    /// Notes policies of CNIs' and meshes' own kinds. They are not evaluated. Those that are not enforced are left out.
    pub fn add_other_policies(&mut self, policies: impl IntoIterator<Item = OtherPolicy>) {
        self.other_policies.extend(policies.into_iter().filter(OtherPolicy::is_enforced));
    }

    /// The enforced policies of CNIs' and meshes' own kinds.
    #[must_use]
    pub fn other_policies(&self) -> &[OtherPolicy] {
        &self.other_policies
    }

    /// A pod by its index.
    #[must_use]
    pub fn pod(&self, id: PodId) -> &Pod {
        &self.pods[id.index()]
    }

    /// All pods with their indexes: those that run and those that have gone.
    pub fn pods(&self) -> impl Iterator<Item = (PodId, &Pod)> {
        let all = self.pods.iter().enumerate().map(|(index, pod)| (PodId::new(index), pod));
        all.filter(|(id, _)| !self.vacant.contains(id))
    }

    /// The pods of a namespace: those that run and those that have gone.
    #[must_use]
    pub fn pods_of(&self, namespace: &str) -> &[PodId] {
        self.pods_of.get(namespace).map_or(&[], Vec::as_slice)
    }

    /// A Service by its index.
    #[must_use]
    pub fn service(&self, id: ServiceId) -> &Service {
        &self.services[id.index()]
    }

    /// The Services of a namespace.
    pub(crate) fn services_of(&self, namespace: &str) -> &[ServiceId] {
        self.services_of.get(namespace).map_or(&[], Vec::as_slice)
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

    /// Whether an address is one that pods get.
    #[must_use]
    pub fn in_pod_range(&self, ip: IpAddr) -> bool {
        self.pod_ranges.contain(ip)
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

    /// Every address that a pod, a node or a Service has or had, some of them more than once.
    pub(crate) fn addresses(&self) -> impl Iterator<Item = IpAddr> {
        let (pods, services) = (self.by_address.keys(), self.services_by_address.keys());
        pods.chain(services).copied().chain(self.nodes.addresses())
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
