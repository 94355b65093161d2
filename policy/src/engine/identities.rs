//! What policies can see of a world: the identity of every pod, the labels of namespaces, the backends of each Service.
//!
//! A cluster is what was recorded; identities are what selectors see of it in one world. The worlds before and after a change share
//! the cluster and differ in their identities.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::sync::Arc;

use crate::cluster::inventory::Cluster;
use crate::cluster::node::NodeId;
use crate::cluster::ownership::End;
use crate::cluster::pod::{Pod, PodId};
use crate::cluster::service::{ListedEndpoint, Service, ServiceId};
use crate::cluster::workload::Workload;
use crate::engine::overlay::{Overlay, replaced};
use foretell_objects::model::labels::Labels;
use foretell_objects::model::port::NamedPort;
use foretell_objects::resource::reads;
use foretell_objects::resource::reads::service::ServicePort;

mod overlaid;

/// What selectors can see of a pod. Many pods share one identity.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Identity {
    /// Namespace.
    pub namespace: String,
    /// Labels.
    pub labels: Labels,
    /// Named ports, sorted.
    pub ports: Vec<NamedPort>,
    /// Whether the pod is a hostNetwork pod: policies see its node's address, and none selects it.
    pub host_network: bool,
}

impl Identity {
    /// The identity of a pod as it was recorded.
    #[must_use]
    pub fn of(pod: &Pod) -> Self {
        Self {
            namespace: pod.namespace.clone(),
            labels: pod.labels.clone(),
            ports: pod.ports.clone(),
            host_network: pod.host_network,
        }
    }
}

/// The id of an identity in one [`Identities`].
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct IdentityId(u32);

impl IdentityId {
    /// Its place in lists with one entry for each identity.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }

    /// Its number in an index of policies.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0
    }
}

/// The identities of all pods, the labels of namespaces and the backends of Services.
#[derive(Clone, Debug, Default)]
pub struct Identities {
    namespaces: BTreeMap<String, Labels>,
    all: Vec<Arc<Identity>>,
    identity_of: Vec<IdentityId>,
    /// Whether some pod moves to its node's network in this world, which is rare.
    moves_pods: bool,
    /// By Service.
    targets: Vec<ServiceTargets>,
}

/// The backends of a Service, running or gone.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceTargets {
    /// The labels that it selects pods by; empty if somebody else keeps its endpoints.
    pub(crate) selector: Labels,
    pub(crate) ports: Vec<ServicePort>,
    /// The pods that its selector matches, in groups whose members no policy can distinguish.
    pub(crate) groups: Vec<Vec<PodId>>,
    pub(crate) listed: Vec<ListedEndpoint>,
}

impl ServiceTargets {
    /// The pods that the Service selects, running or gone.
    pub fn pods(&self) -> impl Iterator<Item = PodId> {
        self.groups.iter().flatten().copied()
    }
}

/// The unspecified address of the same family, in place of an unknown address.
pub(crate) fn unspecified(ip: IpAddr) -> IpAddr {
    if ip.is_ipv4() { Ipv4Addr::UNSPECIFIED.into() } else { Ipv6Addr::UNSPECIFIED.into() }
}

/// The endpoints of a Service in the cluster, with those that Git's old state lists replaced by those of its new state.
fn listed(
    service: &Service,
    base: Option<&BTreeSet<ListedEndpoint>>,
    head: Option<&BTreeSet<ListedEndpoint>>,
) -> Vec<ListedEndpoint> {
    if base == head {
        return service.listed.clone();
    }
    let kept = service.listed.iter().filter(|endpoint| base.is_none_or(|base| !base.contains(endpoint)));
    let listed: BTreeSet<&ListedEndpoint> = kept.chain(head.into_iter().flatten()).collect();
    listed.into_iter().cloned().collect()
}

impl Identities {
    /// The pods of a cluster with these identities, which are in the order of the pods.
    #[must_use]
    pub fn of(
        cluster: &Cluster,
        mut namespaces: BTreeMap<String, Labels>,
        identities_by_pod: impl Iterator<Item = Identity>,
    ) -> Self {
        let mut known: HashMap<Arc<Identity>, IdentityId> = HashMap::new();
        let mut identities = Vec::new();
        let identity_of: Vec<IdentityId> = identities_by_pod
            .map(|identity| {
                *known.entry(Arc::new(identity)).or_insert_with_key(|identity| {
                    identities.push(Arc::clone(identity));
                    IdentityId(u32::try_from(identities.len() - 1).unwrap_or(u32::MAX))
                })
            })
            .collect();
        for identity in &identities {
            let name = &identity.namespace;
            // A snapshot may lack the Namespace object, but every namespace has its name as a label.
            namespaces.entry(name.clone()).or_insert_with(|| reads::namespace::with_name(name, Labels::new()));
        }
        let mut all = Self { namespaces, all: identities, identity_of, moves_pods: false, targets: Vec::new() };
        all.moves_pods = cluster.pods().any(|(id, pod)| !pod.host_network && all.identity(id).host_network);
        let nothing = Overlay::default();
        all.replace_services(cluster, &nothing, &nothing);
        all
    }

    /// Finds the backends of each Service, with the Services of the revision `base` replaced by those of `head`.
    pub fn replace_services(&mut self, cluster: &Cluster, base: &Overlay, head: &Overlay) {
        let targets = cluster.services().map(|(_, service)| self.targets_of(cluster, service, base, head));
        self.targets = targets.collect();
    }

    fn targets_of(&self, cluster: &Cluster, service: &Service, base: &Overlay, head: &Overlay) -> ServiceTargets {
        let key = (service.namespace.clone(), service.name.clone());
        let listed = listed(service, base.endpoints.get(&key), head.endpoints.get(&key));
        let (base, head) = (base.services.get(&key), head.services.get(&key));
        let selector = replaced(&service.selector, base.map(|s| &s.selector), head.map(|s| &s.selector));
        let ports = match (base, head) {
            (Some(base), Some(head)) if base.ports == head.ports => service.ports.clone(),
            (_, Some(head)) => head.ports.clone(),
            (_, None) => service.ports.clone(),
        };
        let groups = self.group(cluster, cluster.pods_of(&service.namespace), &selector);
        ServiceTargets { selector, ports, groups, listed }
    }

    /// Finds the backends of one Service again.
    pub(crate) fn regroup(&mut self, cluster: &Cluster, service: ServiceId) {
        let nothing = Overlay::default();
        self.targets[service.index()] = self.targets_of(cluster, cluster.service(service), &nothing, &nothing);
    }

    pub(crate) fn set_namespace(&mut self, name: &str, labels: Labels) {
        self.namespaces.insert(name.to_owned(), labels);
    }

    /// The next id, for a new identity if no id is free.
    pub(crate) fn next_identity(&self) -> IdentityId {
        IdentityId(u32::try_from(self.all.len()).unwrap_or(u32::MAX))
    }

    /// Stores an identity under an id.
    pub(crate) fn put_identity(&mut self, number: IdentityId, identity: Arc<Identity>) {
        let name = &identity.namespace;
        if !self.namespaces.contains_key(name) {
            let labels = reads::namespace::with_name(name, Labels::new());
            self.namespaces.insert(name.clone(), labels);
        }
        if number.index() == self.all.len() {
            self.all.push(identity);
        } else {
            self.all[number.index()] = identity;
        }
    }

    /// Gives a pod an identity.
    pub(crate) fn set_identity(&mut self, pod: PodId, number: IdentityId) {
        if pod.index() >= self.identity_of.len() {
            self.identity_of.resize(pod.index() + 1, number);
        }
        self.identity_of[pod.index()] = number;
    }

    fn group(&self, cluster: &Cluster, candidates: &[PodId], selector: &Labels) -> Vec<Vec<PodId>> {
        let mut groups: BTreeMap<(IdentityId, Option<NodeId>, &Workload), Vec<PodId>> = BTreeMap::new();
        if selector.is_empty() {
            return Vec::new();
        }
        for id in candidates.iter().copied() {
            let labels = &self.identity(id).labels;
            if selector.iter().all(|(key, value)| labels.get(key) == Some(value)) {
                let pod = cluster.pod(id);
                groups.entry((self.identity_of[id.index()], pod.node, &pod.workload)).or_default().push(id);
            }
        }
        groups.into_values().collect()
    }

    /// The identity of a pod in this world.
    #[must_use]
    pub fn identity(&self, pod: PodId) -> &Identity {
        &self.all[self.identity_of[pod.index()].index()]
    }

    /// An end as it is in this world. A pod that has an address of its own in the recorded traffic and is a hostNetwork pod in this
    /// world is its node's address to policies (kubernetes.io, Network Policies, "NetworkPolicy and hostNetwork pods": most plugins
    /// treat its traffic as that of its node). The node is the one that it ran on; a node without a known address has the
    /// unspecified one, which only blocks of all addresses contain.
    #[inline]
    #[must_use]
    pub fn placed(&self, cluster: &Cluster, end: &End) -> End {
        if self.moves_pods { self.moved(cluster, end) } else { *end }
    }

    #[cold]
    fn moved(&self, cluster: &Cluster, end: &End) -> End {
        let End::Pod { pod, ip } = *end else { return *end };
        if !self.identity(pod).host_network {
            return *end;
        }
        let node = cluster.pod(pod).node;
        let own = node.and_then(|node| cluster.nodes().address(node, ip.is_ipv4()));
        End::Host { node, ip: own.unwrap_or_else(|| unspecified(ip)) }
    }

    /// Whether some pod moves to its node's network in this world.
    pub(crate) fn moves_pods(&self) -> bool {
        self.moves_pods
    }

    /// The id of a pod's identity in this world.
    #[must_use]
    pub fn identity_id(&self, pod: PodId) -> IdentityId {
        self.identity_of[pod.index()]
    }

    /// All identities, in the order of their ids.
    #[must_use]
    pub fn all(&self) -> &[Arc<Identity>] {
        &self.all
    }

    /// The ids of all identities.
    pub fn identity_ids(&self) -> impl Iterator<Item = IdentityId> + use<> {
        (0..self.next_identity().0).map(IdentityId)
    }

    /// The labels of all namespaces that have pods or that a revision defines.
    #[must_use]
    pub fn namespaces(&self) -> &BTreeMap<String, Labels> {
        &self.namespaces
    }

    /// The labels of a namespace; none if it has no pods and no revision defines it.
    #[must_use]
    pub fn namespace_labels(&self, namespace: &str) -> &Labels {
        static NONE: Labels = Labels::new();
        self.namespaces.get(namespace).unwrap_or(&NONE)
    }

    /// The backends of a Service, running or gone.
    #[must_use]
    pub fn targets(&self, service: ServiceId) -> &ServiceTargets {
        &self.targets[service.index()]
    }
}
