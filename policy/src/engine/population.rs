//! The inhabitants of a world over a cluster: as they were, or as Git says that they are.
//!
//! The cluster is what was; a world may differ from it by what Git says of workloads, namespaces and Services. A flow's ends
//! are judged as their workload is in that world.

use std::collections::HashMap;
use std::sync::Arc;

use ipnet::IpNet;
use jiff::Timestamp;

use crate::cluster::inventory::Cluster;
use crate::cluster::ownership::{Destination, End};
use crate::cluster::pod::PodId;
use crate::cluster::service::ServiceId;
use crate::cluster::workload::Workload;
use crate::engine::backends::Listener;
use crate::engine::inhabitants::{Behind, Identity, IdentityId, Inhabitants};
use crate::engine::overlay::{Overlay, replaced};
use crate::model::flow::Protocol;
use crate::model::labels::Labels;

/// The inhabitants of a world.
#[derive(Clone, Debug)]
pub struct Population<'c> {
    cluster: &'c Cluster,
    inhabitants: Inhabitants,
}

impl<'c> Population<'c> {
    /// The cluster as it was: every pod has the identity that it had.
    #[must_use]
    pub fn as_recorded(cluster: &'c Cluster) -> Self {
        let identities = cluster.pods().map(|(_, pod)| Identity::of(pod));
        let inhabitants = Inhabitants::of(cluster, cluster.namespaces().clone(), identities);
        Self { cluster, inhabitants }
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
        let mut inhabitants = Inhabitants::of(cluster, namespaces, identities);
        inhabitants.replace_services(cluster, base, head);
        Self { cluster, inhabitants }
    }

    /// The cluster beneath.
    #[must_use]
    pub fn cluster(&self) -> &'c Cluster {
        self.cluster
    }

    /// Who lives there.
    #[must_use]
    pub fn inhabitants(&self) -> &Inhabitants {
        &self.inhabitants
    }

    /// A pod's identity in this world.
    #[must_use]
    pub fn identity(&self, pod: PodId) -> &Identity {
        self.inhabitants.identity(pod)
    }

    /// The index of a pod's identity in this world.
    #[must_use]
    pub fn identity_id(&self, pod: PodId) -> IdentityId {
        self.inhabitants.identity_id(pod)
    }

    /// All identities, by index.
    #[must_use]
    pub fn identities(&self) -> &[Arc<Identity>] {
        self.inhabitants.identities()
    }

    /// The labels of a namespace of some pod, or one that a revision defines.
    #[must_use]
    pub fn namespace_labels(&self, namespace: &str) -> &Labels {
        self.inhabitants.namespace_labels(namespace)
    }

    /// What stands behind a Service.
    #[must_use]
    pub fn behind(&self, service: ServiceId) -> &Behind {
        self.inhabitants.behind(service)
    }

    /// Who may answer at a destination; see [`Inhabitants::listeners`].
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
        self.inhabitants.listeners(self.cluster, client, destination, protocol, port, at, blocks)
    }
}

/// For each pod that has gone, the one that stands for its workload now: of the same name (a `StatefulSet`'s), else the
/// newest.
fn successors(cluster: &Cluster, at: Timestamp) -> HashMap<PodId, PodId> {
    // Of two that started together the last by name.
    let mut newest: HashMap<&Workload, (Option<Timestamp>, &str, PodId)> = HashMap::new();
    for (id, pod) in cluster.pods().filter(|(_, pod)| pod.life.contains(at)) {
        let age = (pod.life.start, pod.name.as_str(), id);
        newest.entry(&pod.workload).and_modify(|newest| *newest = (*newest).max(age)).or_insert(age);
    }
    let mut successors = HashMap::new();
    for (id, pod) in cluster.pods().filter(|(_, pod)| !pod.life.contains(at)) {
        let mut namesakes = cluster.pods_by_name(&pod.namespace, &pod.name).iter().copied();
        let namesake = namesakes.find(|id| cluster.is_alive(*id, at) && cluster.pod(*id).workload == pod.workload);
        if let Some(successor) = namesake.or_else(|| newest.get(&pod.workload).map(|(_, _, id)| *id)) {
            successors.insert(id, successor);
        }
    }
    successors
}
