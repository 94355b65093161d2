//! Who lives in a world: every pod's identity, the namespaces' labels, what stands behind each Service.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use crate::cluster::inventory::Cluster;
use crate::cluster::node::NodeId;
use crate::cluster::pod::{Pod, PodId};
use crate::cluster::service::{ListedEndpoint, Service, ServiceId, ServicePort};
use crate::cluster::workload::Workload;
use crate::engine::overlay::{Overlay, replaced};
use crate::model::labels::Labels;
use crate::model::port::NamedPort;

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

impl Identity {
    /// The identity that a pod has by itself.
    #[must_use]
    pub fn of(pod: &Pod) -> Self {
        Self { namespace: pod.namespace.clone(), labels: pod.labels.clone(), ports: pod.ports.clone() }
    }
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

    /// Its number in an index of policies.
    #[must_use]
    pub fn number(self) -> u32 {
        self.0
    }
}

/// The inhabitants.
#[derive(Clone, Debug, Default)]
pub struct Inhabitants {
    namespaces: BTreeMap<String, Labels>,
    identities: Vec<Arc<Identity>>,
    identity_of: Vec<IdentityId>,
    behind: Vec<Behind>,
}

/// What stands behind a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Behind {
    pub(crate) ports: Vec<ServicePort>,
    /// The pods that its selector takes, in groups whose members no policy can tell apart.
    pub(crate) groups: Vec<Vec<PodId>>,
    pub(crate) listed: Vec<ListedEndpoint>,
}

impl Behind {
    /// The pods that the Service selects, running or gone.
    pub fn pods(&self) -> impl Iterator<Item = PodId> {
        self.groups.iter().flatten().copied()
    }
}

impl Inhabitants {
    /// The pods of a cluster with these identities, given in the pods' order.
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
            // A snapshot may lack the Namespace object; its name label is there all the same.
            namespaces
                .entry(name.clone())
                .or_insert_with(|| crate::cluster::inventory::namespace_labels(name, Labels::new()));
        }
        let mut inhabitants = Self { namespaces, identities, identity_of, behind: Vec::new() };
        let nothing = Overlay::default();
        inhabitants.replace_services(cluster, &nothing, &nothing);
        inhabitants
    }

    /// Finds what stands behind each Service, with what the revision `base` says of Services replaced by what `head` says.
    pub fn replace_services(&mut self, cluster: &Cluster, base: &Overlay, head: &Overlay) {
        let behind = cluster.services().map(|(_, service)| self.behind_service(cluster, service, base, head));
        self.behind = behind.collect();
    }

    fn behind_service(&self, cluster: &Cluster, service: &Service, base: &Overlay, head: &Overlay) -> Behind {
        let key = (service.namespace.clone(), service.name.clone());
        let (base, head) = (base.services.get(&key), head.services.get(&key));
        let selector = replaced(&service.selector, base.map(|s| &s.selector), head.map(|s| &s.selector));
        let ports = match (base, head) {
            (Some(base), Some(head)) if base.ports == head.ports => service.ports.clone(),
            (_, Some(head)) => head.ports.clone(),
            (_, None) => service.ports.clone(),
        };
        let groups = self.group(cluster, cluster.pods_of(&service.namespace), &selector);
        Behind { ports, groups, listed: service.listed.clone() }
    }

    /// Finds anew what stands behind one Service.
    pub(crate) fn regroup(&mut self, cluster: &Cluster, service: ServiceId) {
        let nothing = Overlay::default();
        self.behind[service.index()] = self.behind_service(cluster, cluster.service(service), &nothing, &nothing);
    }

    pub(crate) fn set_namespace(&mut self, name: &str, labels: Labels) {
        self.namespaces.insert(name.to_owned(), labels);
    }

    /// The number that a new identity gets where none is free.
    pub(crate) fn next_identity(&self) -> IdentityId {
        IdentityId(u32::try_from(self.identities.len()).unwrap_or(u32::MAX))
    }

    /// Gives an identity a number.
    pub(crate) fn put_identity(&mut self, number: IdentityId, identity: Arc<Identity>) {
        let name = &identity.namespace;
        if !self.namespaces.contains_key(name) {
            let labels = crate::cluster::inventory::namespace_labels(name, Labels::new());
            self.namespaces.insert(name.clone(), labels);
        }
        if number.index() == self.identities.len() {
            self.identities.push(identity);
        } else {
            self.identities[number.index()] = identity;
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
    pub fn identities(&self) -> &[Arc<Identity>] {
        &self.identities
    }

    /// The indices of all identities.
    pub fn identity_ids(&self) -> impl Iterator<Item = IdentityId> + use<> {
        (0..self.next_identity().0).map(IdentityId)
    }

    /// The labels of every namespace of some pod, or that a revision defines.
    #[must_use]
    pub fn namespaces(&self) -> &BTreeMap<String, Labels> {
        &self.namespaces
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
}
