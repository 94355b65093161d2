//! A cluster that changes while it is asked: pods, namespaces and policies come and go one at a time.
//!
//! What a change touches is brought up to date, and nothing else: of a pod its addresses, its identity and the Services
//! before it; of a policy its sets and the sections of those whom it selects. Nodes, Services and endpoint slices change
//! seldom; they want a new [`Live::build`].

use std::collections::HashMap;
use std::sync::Arc;

use crate::resource::kubernetes as core;

use crate::cluster::inventory::Cluster;
use crate::cluster::pod::PodId;
use crate::cluster::service::{Readiness, ServiceId};
use crate::cluster::workload::Owners;
use crate::engine::identities::{Identities, Identity, IdentityId};
use crate::engine::index::directory::Directory;
use crate::engine::index::terms::ResolvedDialect;
use crate::engine::index::view::View;
use crate::engine::index::{BatchVerdicts, FlowKey, Index, IndexSizes};
use crate::engine::tier::index::Tiers;
use crate::model::labels::Labels;
use crate::model::policy_id::PolicyId;
use crate::model::policy_ref::PolicyRef;
use crate::policy::admin_policy::AdminPolicy;
use crate::policy::network_policy::Policy;
use crate::resource::object::Object;
use crate::resource::reads;

/// The cluster.
#[derive(Clone, Debug, Default)]
pub struct Live {
    cluster: Cluster,
    identities: Identities,
    index: Index,
    tiers: Tiers,
    directory: Directory,
    owners: Owners,
    readiness: Readiness,
    /// Identities with the pods that share them.
    known: HashMap<Arc<Identity>, (IdentityId, u32)>,
    free: Vec<IdentityId>,
    policies: HashMap<PolicyRef, PolicyId>,
}

impl Live {
    /// Builds the index of objects, policies among them.
    #[must_use]
    pub fn build(objects: &[Object]) -> Self {
        let cluster = Cluster::build(objects);
        let owners = Owners::of(objects);
        let readiness = Readiness::of(objects);
        let identities = cluster.pods().map(|(_, pod)| Identity::of(pod));
        let identities = Identities::of(&cluster, cluster.namespaces().clone(), identities);
        let mut policies: Vec<Arc<Policy>> = objects.iter().filter_map(Policy::of).map(Arc::new).collect();
        policies.sort_by(|a, b| a.reference.order().cmp(&b.reference.order()));
        let index = Index::build(ResolvedDialect::default(), identities.namespaces(), identities.all(), &policies);
        let policies = index.policies().map(|(id, policy)| (policy.reference.clone(), id)).collect();
        let tiers = Tiers::new(&identities, objects.iter().filter_map(AdminPolicy::of).map(Arc::new).collect());
        let directory = Directory::of(&cluster, &identities);
        let mut known: HashMap<Arc<Identity>, (IdentityId, u32)> = HashMap::new();
        for (id, _) in cluster.pods() {
            let number = identities.identity_id(id);
            let identity = &identities.all()[number.index()];
            known.entry(Arc::clone(identity)).or_insert((number, 0)).1 += 1;
        }
        let free = Vec::new();
        Self { cluster, identities, index, tiers, directory, owners, readiness, known, free, policies }
    }

    /// The cluster as it stands.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        View { cluster: &self.cluster, identities: &self.identities, index: &self.index, tiers: &self.tiers }
    }

    /// How much it holds.
    #[must_use]
    pub fn sizes(&self) -> IndexSizes {
        IndexSizes { lives: self.directory.listed_lives(), ..self.index.sizes() }
    }

    /// What each policy that applies says of each of many flows.
    pub fn judge(&self, flows: &[FlowKey], said: &mut BatchVerdicts) {
        self.view().judge(&self.directory, flows, said);
    }

    /// Adds a namespace, or gives one other labels.
    pub fn set_namespace(&mut self, name: &str, labels: Labels) {
        let labels = reads::namespace::with_name(name, labels);
        self.index.set_namespace(name, &labels);
        self.index.settle();
        self.identities.set_namespace(name, labels.clone());
        self.cluster.set_namespace(name, labels);
        for id in self.identities.identity_ids() {
            if self.identities.all()[id.index()].namespace == name {
                self.tiers.set_identity(id, &self.identities);
            }
        }
    }

    /// Takes a namespace away. Of pods that are still there it keeps the label that every namespace has.
    pub fn remove_namespace(&mut self, name: &str) {
        self.set_namespace(name, Labels::new());
    }

    /// Adds a policy, or replaces the one of its name.
    pub fn set_policy(&mut self, policy: &Arc<Policy>) -> PolicyId {
        // First the new one: what both name need not be forgotten in between.
        let id = self.index.add_policy(policy);
        if let Some(former) = self.policies.insert(policy.reference.clone(), id) {
            self.index.remove_policy(former);
        }
        self.index.settle();
        id
    }

    /// Takes a policy away.
    pub fn remove_policy(&mut self, reference: &PolicyRef) {
        if let Some(id) = self.policies.remove(reference) {
            self.index.remove_policy(id);
            self.index.settle();
        }
    }

    /// Replaces all admin policies. There are few, and they concern everybody.
    pub fn set_tiers(&mut self, policies: Vec<Arc<AdminPolicy>>) {
        self.tiers = Tiers::new(&self.identities, policies);
    }

    /// Adds a pod, or replaces the one of its name and UID.
    pub fn set_pod(&mut self, pod: &core::Pod) -> PodId {
        let (mut pod, addresses) = self.cluster.read_pod(pod, &self.owners);
        if let Some(ready) = self.readiness.of_pod(&pod.namespace, &pod.name) {
            pod.ready = ready;
        }
        let former = self.cluster.namesake(&pod);
        if let Some(former) = former {
            self.withdraw(former);
        }
        let identity = Identity::of(&pod);
        let id = self.cluster.put_pod(pod);
        let number = self.acquire(identity);
        self.identities.set_identity(id, number);
        self.index.settle();
        // The addresses of its node too, of which it may be the first to tell.
        for ip in self.cluster.pod(id).addresses.clone().into_iter().chain(addresses) {
            self.directory.update(ip, &self.cluster, &self.identities);
        }
        self.regroup(id);
        id
    }

    /// Takes the pod of a namespace, a name and a UID away.
    pub fn remove_pod(&mut self, namespace: &str, name: &str, uid: Option<&str>) {
        let mut namesakes = self.cluster.pods_by_name(namespace, name).iter().copied();
        if let Some(id) = namesakes.find(|id| self.cluster.pod(*id).uid.as_deref() == uid) {
            self.withdraw(id);
        }
    }

    fn withdraw(&mut self, id: PodId) {
        let addresses = self.cluster.pod(id).addresses.clone();
        let services = self.services_before(id);
        self.cluster.remove_pod(id);
        for ip in addresses {
            self.directory.update(ip, &self.cluster, &self.identities);
        }
        for service in services {
            self.regroup_service(service);
        }
        self.release(self.identities.identity_id(id));
    }

    /// The number of an identity, with one pod more.
    fn acquire(&mut self, identity: Identity) -> IdentityId {
        let identity = Arc::new(identity);
        if let Some((number, pods)) = self.known.get_mut(&identity) {
            *pods += 1;
            return *number;
        }
        let number = self.free.pop().unwrap_or_else(|| self.identities.next_identity());
        self.identities.put_identity(number, Arc::clone(&identity));
        self.index.set_identity(number.number(), Arc::clone(&identity));
        self.tiers.set_identity(number, &self.identities);
        self.known.insert(identity, (number, 1));
        number
    }

    fn release(&mut self, number: IdentityId) {
        let identity = Arc::clone(&self.identities.all()[number.index()]);
        let Some((_, pods)) = self.known.get_mut(&identity) else { return };
        *pods -= 1;
        if *pods == 0 {
            self.known.remove(&identity);
            self.index.remove_identity(number.number());
            self.free.push(number);
        }
    }

    /// The Services whose selectors take a pod.
    fn services_before(&self, id: PodId) -> Vec<ServiceId> {
        let pod = self.cluster.pod(id);
        let services = self.cluster.services_of(&pod.namespace).iter().copied();
        let takes = |service: &ServiceId| {
            let selector = &self.cluster.service(*service).selector;
            !selector.is_empty() && selector.iter().all(|(key, value)| pod.labels.get(key) == Some(value))
        };
        services.filter(takes).collect()
    }

    fn regroup(&mut self, id: PodId) {
        for service in self.services_before(id) {
            self.regroup_service(service);
        }
    }

    fn regroup_service(&mut self, service: ServiceId) {
        self.identities.regroup(&self.cluster, service);
        self.directory.update_front(service, &self.cluster, &self.identities);
    }
}
