//! Who lives in a world: every pod's identity, the namespaces' labels, what stands behind each Service.
//!
//! The cluster is what was; a world may differ from it by what Git says of workloads, namespaces and Services. A flow's ends
//! are judged as their workload is in that world.

use std::collections::{BTreeMap, HashMap};
use std::net::IpAddr;

use ipnet::IpNet;
use jiff::Timestamp;

use crate::cluster::Cluster;
use crate::cluster::node::NodeId;
use crate::cluster::ownership::{Destination, End};
use crate::cluster::pod::PodId;
use crate::cluster::service::{Listed, ServiceId, ServicePort};
use crate::cluster::workload::Workload;
use crate::flow::Protocol;
use crate::labels::Labels;
use crate::overlay::{Overlay, replaced};
use crate::port::NamedPort;

/// What selectors can see of a pod. Many pods share one.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Namespace.
    pub namespace: String,
    /// Labels.
    pub labels: Labels,
    /// Named ports, sorted.
    pub ports: Vec<NamedPort>,
}

/// Index of an identity.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdentityId(u32);

impl IdentityId {
    /// Its place in a list with one entry an identity.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// The inhabitants of a world.
#[derive(Clone, Debug)]
pub struct Population<'c> {
    cluster: &'c Cluster,
    namespaces: BTreeMap<String, Labels>,
    identities: Vec<Identity>,
    identity_of: Vec<IdentityId>,
    behind: Vec<Behind>,
}

/// What stands behind a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Behind {
    ports: Vec<ServicePort>,
    /// The pods that its selector takes, in groups whose members no policy can tell apart.
    groups: Vec<Vec<PodId>>,
    listed: Vec<Listed>,
}

impl Behind {
    /// The pods that the Service selects, running or gone.
    pub fn pods(&self) -> impl Iterator<Item = PodId> {
        self.groups.iter().flatten().copied()
    }
}

/// One that answers at a destination, and at which port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Listener {
    /// Who.
    pub end: End,
    /// The port there.
    pub port: u16,
}

impl<'c> Population<'c> {
    /// The cluster as it was: every pod has the identity that it had.
    #[must_use]
    pub fn as_recorded(cluster: &'c Cluster) -> Self {
        let identities = cluster.pods().map(|(_, pod)| Identity {
            namespace: pod.namespace.clone(),
            labels: pod.labels.clone(),
            ports: pod.ports.clone(),
        });
        Self::new(cluster, cluster.namespaces().clone(), identities, &Overlay::default(), &Overlay::default())
    }

    /// The cluster as it stands at `at`, with what the revision `base` says put over it, and then `base` replaced by `head`.
    /// With `base` and `head` the same it is the world before a change.
    ///
    /// A pod that has gone is judged as its workload is now; where the workload has gone too, as the pod was then.
    #[must_use]
    pub fn overlaid(cluster: &'c Cluster, at: Timestamp, base: &Overlay, head: &Overlay) -> Self {
        let mut namespaces = cluster.namespaces().clone();
        for (name, labels) in &mut namespaces {
            *labels = replaced(labels, base.namespaces.get(name), head.namespaces.get(name));
        }
        for (name, labels) in &head.namespaces {
            namespaces.entry(name.clone()).or_insert_with(|| labels.clone());
        }
        let successors = successors(cluster, at);
        let identities = cluster.pods().map(|(id, pod)| {
            let model = cluster.pod(successors.get(&id).copied().unwrap_or(id));
            let (base, head) = (base.templates.get(&pod.workload), head.templates.get(&pod.workload));
            let labels = replaced(&model.labels, base.map(|t| &t.labels), head.map(|t| &t.labels));
            let mut ports = model.ports.clone();
            if let Some(head) = head {
                let old = base.map_or(&[][..], |base| &base.ports);
                ports.retain(|port| !old.iter().chain(&head.ports).any(|given| given.name == port.name));
                ports.extend(head.ports.iter().cloned());
                ports.sort();
            }
            Identity { namespace: pod.namespace.clone(), labels, ports }
        });
        Self::new(cluster, namespaces, identities, base, head)
    }

    fn new(
        cluster: &'c Cluster,
        namespaces: BTreeMap<String, Labels>,
        identities_by_pod: impl Iterator<Item = Identity>,
        base: &Overlay,
        head: &Overlay,
    ) -> Self {
        let mut known: HashMap<Identity, IdentityId> = HashMap::new();
        let mut identities = Vec::new();
        let identity_of: Vec<IdentityId> = identities_by_pod
            .map(|identity| {
                *known.entry(identity).or_insert_with_key(|identity| {
                    identities.push(identity.clone());
                    IdentityId(u32::try_from(identities.len() - 1).unwrap_or(u32::MAX))
                })
            })
            .collect();
        let mut namespaces = namespaces;
        for identity in &identities {
            let name = &identity.namespace;
            // A snapshot may lack the Namespace object; its name label is there all the same.
            namespaces.entry(name.clone()).or_insert_with(|| crate::cluster::namespace_labels(name, Labels::new()));
        }
        let mut population = Self { cluster, namespaces, identities, identity_of, behind: Vec::new() };
        population.behind = population.behind_services(base, head);
        population
    }

    fn behind_services(&self, base: &Overlay, head: &Overlay) -> Vec<Behind> {
        let mut by_namespace: HashMap<&str, Vec<PodId>> = HashMap::new();
        for (id, pod) in self.cluster.pods() {
            by_namespace.entry(&pod.namespace).or_default().push(id);
        }
        let services = self.cluster.services();
        services
            .map(|(_, service)| {
                let key = (service.namespace.clone(), service.name.clone());
                let (base, head) = (base.services.get(&key), head.services.get(&key));
                let selector = replaced(&service.selector, base.map(|s| &s.selector), head.map(|s| &s.selector));
                let ports = match (base, head) {
                    (Some(base), Some(head)) if base.ports == head.ports => service.ports.clone(),
                    (_, Some(head)) => head.ports.clone(),
                    (_, None) => service.ports.clone(),
                };
                let candidates = by_namespace.get(service.namespace.as_str()).map_or(&[][..], Vec::as_slice);
                Behind { ports, groups: self.group(candidates, &selector), listed: service.listed.clone() }
            })
            .collect()
    }

    fn group(&self, candidates: &[PodId], selector: &Labels) -> Vec<Vec<PodId>> {
        let mut groups: BTreeMap<(IdentityId, Option<NodeId>, &Workload), Vec<PodId>> = BTreeMap::new();
        if selector.is_empty() {
            return Vec::new();
        }
        for id in candidates.iter().copied() {
            let labels = &self.identity(id).labels;
            if selector.iter().all(|(key, value)| labels.get(key) == Some(value)) {
                let pod = self.cluster.pod(id);
                groups.entry((self.identity_of[id.index()], pod.node, &pod.workload)).or_default().push(id);
            }
        }
        groups.into_values().collect()
    }

    /// The cluster beneath.
    #[must_use]
    pub fn cluster(&self) -> &'c Cluster {
        self.cluster
    }

    /// A pod's identity in this world.
    #[must_use]
    pub fn identity(&self, pod: PodId) -> &Identity {
        &self.identities[self.identity_of[pod.index()].index()]
    }

    /// The index of a pod's identity in this world.
    #[must_use]
    pub fn identity_id(&self, pod: PodId) -> IdentityId {
        self.identity_of[pod.index()]
    }

    /// All identities, by index.
    #[must_use]
    pub fn identities(&self) -> &[Identity] {
        &self.identities
    }

    /// The labels of a namespace of some pod, or one that a revision defines.
    #[must_use]
    pub fn namespace_labels(&self, namespace: &str) -> &Labels {
        static NONE: Labels = Labels::new();
        self.namespaces.get(namespace).unwrap_or(&NONE)
    }

    /// What stands behind a Service.
    #[must_use]
    pub fn behind(&self, service: ServiceId) -> &Behind {
        &self.behind[service.index()]
    }

    /// Whether a pod stands behind a Service's port at a time and is ready.
    fn serves(&self, pod: PodId, at: Timestamp) -> bool {
        let pod = self.cluster.pod(pod);
        pod.ready && pod.life.contains(at)
    }

    /// Who may answer at a destination. Of the pods behind a Service, one of each kind that policies can tell apart, and the
    /// client itself if it is among them; `blocks` are the blocks by which policies tell addresses apart. Without a ready
    /// backend, or with one outside the cluster, it is the address.
    #[must_use]
    pub fn listeners(
        &self,
        client: &End,
        destination: &Destination,
        protocol: Protocol,
        port: u16,
        at: Timestamp,
        blocks: &[IpNet],
    ) -> Vec<Listener> {
        let (service, ip) = match *destination {
            Destination::Direct(end) => return vec![Listener { end, port }],
            Destination::Service { service, ip } => (service, ip),
        };
        let behind = self.behind(service);
        let found = behind.ports.iter().find(|given| given.protocol == protocol && given.port == port);
        let mut listeners = match found {
            Some(port) if behind.groups.is_empty() => self.listed_backends(behind, port, ip, at),
            Some(port) => self.selected_backends(client, behind, port, ip, at, blocks),
            None => Vec::new(),
        };
        if listeners.is_empty() {
            listeners.push(Listener { end: End::Address { ip }, port });
        }
        listeners
    }

    fn selected_backends(
        &self,
        client: &End,
        behind: &Behind,
        port: &ServicePort,
        dialled: IpAddr,
        at: Timestamp,
        blocks: &[IpNet],
    ) -> Vec<Listener> {
        let mut listeners = Vec::new();
        for group in &behind.groups {
            let is_client = |id: PodId| client.pod() == Some(id);
            let is_apart = |id: PodId| is_client(id) || self.cluster.pod(id).host_network;
            let alike = blocks.is_empty() && !group.iter().any(|id| is_apart(*id));
            let mut kinds: Vec<(bool, Option<IpAddr>, Vec<bool>)> = Vec::new();
            for id in group.iter().copied().filter(|id| self.serves(*id, at)) {
                let pod = self.cluster.pod(id);
                // A Service's IPv6 address leads to its pods' IPv6 addresses.
                let Some(ip) = pod.addresses.iter().copied().find(|own| own.is_ipv4() == dialled.is_ipv4()) else {
                    continue;
                };
                let Some(port) = port.target.on(port.protocol, &self.identity(id).ports) else { continue };
                // All that is seen of a hostNetwork pod is its address, which may be the client's own node's.
                let host = pod.host_network.then_some(ip);
                let kind = (is_client(id), host, blocks.iter().map(|block| block.contains(&ip)).collect());
                if kinds.contains(&kind) {
                    continue;
                }
                kinds.push(kind);
                let end = if pod.host_network { End::Host { node: pod.node, ip } } else { End::Pod { pod: id, ip } };
                listeners.push(Listener { end, port });
                if alike {
                    break;
                }
            }
        }
        listeners
    }

    fn listed_backends(&self, behind: &Behind, port: &ServicePort, dialled: IpAddr, at: Timestamp) -> Vec<Listener> {
        let listed = behind.listed.iter().filter(|listed| listed.port_name == port.name);
        let listed = listed.filter(|listed| listed.ip.is_ipv4() == dialled.is_ipv4());
        listed.map(|listed| Listener { end: self.end_at(listed, at), port: listed.port }).collect()
    }

    fn end_at(&self, listed: &Listed, at: Timestamp) -> End {
        let owners = self.cluster.pods_by_address(listed.ip).iter().copied();
        let living = owners.filter(|id| self.cluster.pod(*id).life.contains(at));
        let owner = living.max_by_key(|id| self.cluster.pod(*id).life.start.unwrap_or(Timestamp::MIN));
        owner.map_or(End::Address { ip: listed.ip }, |pod| End::Pod { pod, ip: listed.ip })
    }
}

/// For each pod that has gone, the one that stands for its workload now: of the same name (a `StatefulSet`'s), else the
/// newest.
fn successors(cluster: &Cluster, at: Timestamp) -> HashMap<PodId, PodId> {
    let mut newest: HashMap<&Workload, PodId> = HashMap::new();
    for (id, pod) in cluster.pods().filter(|(_, pod)| pod.life.contains(at)) {
        let standing = newest.entry(&pod.workload).or_insert(id);
        if cluster.pod(*standing).life.start < pod.life.start {
            *standing = id;
        }
    }
    let mut successors = HashMap::new();
    for (id, pod) in cluster.pods().filter(|(_, pod)| !pod.life.contains(at)) {
        let mut namesakes = cluster.pods_by_name(&pod.namespace, &pod.name).iter().copied();
        let namesake = namesakes.find(|id| cluster.is_alive(*id, at) && cluster.pod(*id).workload == pod.workload);
        if let Some(successor) = namesake.or_else(|| newest.get(&pod.workload).copied()) {
            successors.insert(id, successor);
        }
    }
    successors
}
