//! A cluster that changes between queries: pods, namespaces and policies are added and removed one at a time.
//!
//! A change updates only what depends on it: for a pod its addresses, its identity and the Services that select it; for a policy
//! its sets and the sections of the pods that it selects. A change of Nodes, Services or EndpointSlices, which is rare, needs a
//! new [`Live::build`].

use std::collections::HashMap;
use std::sync::Arc;

use crate::cluster::inventory::Cluster;
use crate::cluster::pod::PodId;
use crate::cluster::service::{Readiness, ServiceId};
use crate::cluster::workload::Owners;
use crate::engine::identities::{Identities, Identity, IdentityId};
use crate::engine::index::Index;
use crate::engine::index::batch::{BatchVerdicts, FlowKey};
use crate::engine::index::directory::Directory;
use crate::engine::index::resolved_dialect::ResolvedDialect;
use crate::engine::index::sizes::IndexSizes;
use crate::engine::index::view::View;
use crate::engine::policy_id::PolicyId;
use crate::engine::tier::admin_index::AdminPolicyIndex;
use crate::policy::admin_policy::AdminPolicy;
use crate::policy::network_policy::Policy;
use foretell_objects::model::labels::Labels;
use foretell_objects::model::policy_ref::PolicyRef;
use foretell_objects::resource::object::Object;
use foretell_objects::resource::{kubernetes as core, reads};

/// A cluster with its policies, which can be changed and queried in turn.
///
/// ```
/// use std::sync::Arc;
///
/// use foretell_policy::engine::index::batch::{BatchVerdicts, FlowKey};
/// use foretell_policy::engine::live::Live;
/// use foretell_objects::model::flow::{Direction, Line};
/// use foretell_policy::policy::network_policy::Policy;
/// use foretell_objects::resource::object::origin::Origin;
/// use foretell_objects::resource::read::read;
/// use serde_json::json;
///
/// # fn main() -> Result<(), Box<dyn std::error::Error>> {
/// let mut live = Live::build(&[]);
/// let pod = json!({
///     "metadata": {"name": "db", "namespace": "data", "labels": {"app": "db"}},
///     "spec": {"nodeName": "n1", "containers": [{"name": "db"}]},
///     "status": {"phase": "Running", "podIP": "10.1.1.1"},
/// });
/// live.set_pod(&serde_json::from_value(pod)?);
///
/// let policy = json!({
///     "apiVersion": "networking.k8s.io/v1", "kind": "NetworkPolicy",
///     "metadata": {"name": "deny-all", "namespace": "data"},
///     "spec": {"podSelector": {}, "policyTypes": ["Ingress"]},
/// });
/// let policy = read(policy, &Origin::Cluster)?.as_ref().and_then(Policy::of).ok_or("not a policy")?;
/// live.set_policy(&Arc::new(policy));
///
/// let line = r#"{"start": "2026-01-01T12:00:00Z", "end": "2026-01-01T12:00:01Z", "src": {"ip": "203.0.113.9"},
///     "dst": {"ip": "10.1.1.1"}, "protocol": "TCP", "port": 5432}"#;
/// let Line::Flow(flow) = Line::parse(line.as_bytes())? else { return Err("not a flow".into()) };
/// let mut verdicts = BatchVerdicts::default();
/// live.judge(&[FlowKey::of(&flow).ok_or("names a pod")?], &mut verdicts);
/// let (_, verdict) = verdicts.of(0, Direction::Ingress)[0];
/// assert!(verdict.denies());
/// # Ok(())
/// # }
/// ```
#[derive(Clone, Debug, Default)]
pub struct Live {
    cluster: Cluster,
    identities: Identities,
    index: Index,
    tiers: AdminPolicyIndex,
    directory: Directory,
    owners: Owners,
    readiness: Readiness,
    /// Identities, with the number of pods that share them.
    known: HashMap<Arc<Identity>, (IdentityId, u32)>,
    free: Vec<IdentityId>,
    policies: HashMap<PolicyRef, PolicyId>,
}

impl Live {
    /// Builds the index of a cluster's objects, which include its policies.
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
        let tiers =
            AdminPolicyIndex::new(&identities, objects.iter().filter_map(AdminPolicy::of).map(Arc::new).collect());
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

    /// The current state, for queries.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        View { cluster: &self.cluster, identities: &self.identities, index: &self.index, tiers: &self.tiers }
    }

    /// The sizes of the index.
    #[must_use]
    pub fn sizes(&self) -> IndexSizes {
        IndexSizes { lifetimes: self.directory.listed_lifetimes(), ..self.index.sizes() }
    }

    /// Judges many flows and appends the verdict of each policy that applies to `verdicts`.
    pub fn judge(&self, flows: &[FlowKey], verdicts: &mut BatchVerdicts) {
        self.view().judge(&self.directory, flows, verdicts);
    }

    /// Adds a namespace, or replaces the labels of one.
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

    /// Removes a namespace. For pods that are still in it, it keeps the label that every namespace has.
    pub fn remove_namespace(&mut self, name: &str) {
        self.set_namespace(name, Labels::new());
    }

    /// Adds a policy, or replaces the one with the same reference.
    pub fn set_policy(&mut self, policy: &Arc<Policy>) -> PolicyId {
        // The new one is added first, so that what both of them name is not removed in between.
        let id = self.index.add_policy(policy);
        if let Some(former) = self.policies.insert(policy.reference.clone(), id) {
            self.index.remove_policy(former);
        }
        self.index.settle();
        id
    }

    /// Removes a policy; nothing happens if there is none of this reference.
    pub fn remove_policy(&mut self, reference: &PolicyRef) {
        if let Some(id) = self.policies.remove(reference) {
            self.index.remove_policy(id);
            self.index.settle();
        }
    }

    /// Replaces all admin policies. There are few of them, and each may apply to every pod.
    pub fn set_tiers(&mut self, policies: Vec<Arc<AdminPolicy>>) {
        self.tiers = AdminPolicyIndex::new(&self.identities, policies);
    }

    /// Adds a pod, or replaces the one with the same name and UID. It may be one that has finished.
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
        // The pod may be the first object that states an address of its node.
        for ip in self.cluster.pod(id).addresses.clone().into_iter().chain(addresses) {
            self.directory.update(ip, &self.cluster, &self.identities);
        }
        self.regroup(id);
        id
    }

    /// Removes the pod with this namespace, name and UID; nothing happens if there is none.
    pub fn remove_pod(&mut self, namespace: &str, name: &str, uid: Option<&str>) {
        let mut namesakes = self.cluster.pods_by_name(namespace, name).iter().copied();
        if let Some(id) = namesakes.find(|id| self.cluster.pod(*id).uid.as_deref() == uid) {
            self.withdraw(id);
        }
    }

    fn withdraw(&mut self, id: PodId) {
        let addresses = self.cluster.pod(id).addresses.clone();
        let services = self.services_selecting(id);
        self.cluster.remove_pod(id);
        for ip in addresses {
            self.directory.update(ip, &self.cluster, &self.identities);
        }
        for service in services {
            self.regroup_service(service);
        }
        self.release(self.identities.identity_id(id));
    }

    /// Adds a pod to an identity and returns the number of the identity.
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

    /// The Services that select a pod.
    fn services_selecting(&self, id: PodId) -> Vec<ServiceId> {
        let pod = self.cluster.pod(id);
        let services = self.cluster.services_of(&pod.namespace).iter().copied();
        let selects = |service: &ServiceId| {
            let selector = &self.cluster.service(*service).selector;
            !selector.is_empty() && selector.iter().all(|(key, value)| pod.labels.get(key) == Some(value))
        };
        services.filter(selects).collect()
    }

    fn regroup(&mut self, id: PodId) {
        for service in self.services_selecting(id) {
            self.regroup_service(service);
        }
    }

    fn regroup_service(&mut self, service: ServiceId) {
        self.identities.regroup(&self.cluster, service);
        self.directory.update_service(service, &self.cluster, &self.identities);
    }
}
