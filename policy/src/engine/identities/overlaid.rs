//! The identities of a world: as they were recorded, or as Git defines them.
//!
//! The cluster is what was recorded. A world may differ from it by the workloads, namespaces and Services that Git defines. Both
//! ends of a flow are judged with the identity that their workload has in that world.

use std::collections::HashMap;

use jiff::Timestamp;

use crate::cluster::inventory::Cluster;
use crate::cluster::pod::{Pod, PodId};
use crate::cluster::workload::Workload;
use crate::engine::identities::{Identities, Identity};
use crate::engine::overlay::{Overlay, Template, replaced};

impl Identities {
    /// The recorded cluster: every pod has the identity that it had.
    #[must_use]
    pub fn as_recorded(cluster: &Cluster) -> Self {
        let by_pod = cluster.pods().map(|(_, pod)| Identity::of(pod));
        Self::of(cluster, cluster.namespaces().clone(), by_pod)
    }

    /// The cluster at time `at`, with the state that the revision `base` defines replaced by that of `head`. If `base` and `head`
    /// are the same, the result is the world before a change.
    ///
    /// A pod that is gone gets the identity that its workload has at `at`. If the workload is gone too, the pod keeps its own.
    #[must_use]
    pub fn overlaid(cluster: &Cluster, at: Timestamp, base: &Overlay, head: &Overlay) -> Self {
        let mut namespaces = cluster.namespaces().clone();
        for (name, labels) in &mut namespaces {
            *labels = replaced(labels, base.namespaces.get(name), head.namespaces.get(name));
        }
        for (name, labels) in &head.namespaces {
            namespaces.entry(name.clone()).or_insert_with(|| labels.clone());
        }
        let successors = successors(cluster, at);
        let by_pod = cluster.pods().map(|(id, pod)| {
            let model = cluster.pod(successors.get(&id).copied().unwrap_or(id));
            let (base, head) = (template(base, pod, model), template(head, pod, model));
            let labels = replaced(&model.labels, base.map(|t| &t.labels), head.map(|t| &t.labels));
            let mut ports = model.ports.clone();
            if let Some(head) = head {
                let old = base.map_or(&[][..], |base| &base.ports);
                ports.retain(|port| !old.iter().chain(&head.ports).any(|given| given.name == port.name));
                ports.extend(head.ports.iter().cloned());
                ports.sort();
            }
            let host_network = match (base, head) {
                // What Git says before and after alike changes nothing about the pod.
                (Some(base), Some(head)) if base.host_network == head.host_network => pod.host_network,
                (_, Some(head)) => head.host_network,
                (_, None) => pod.host_network,
            };
            Identity { namespace: pod.namespace.clone(), labels, ports, host_network }
        });
        let mut identities = Self::of(cluster, namespaces, by_pod);
        identities.replace_services(cluster, base, head);
        identities
    }
}

/// The template that defines a pod. The owners of a pod that is gone may be unknown, and those of its successor known.
fn template<'o>(overlay: &'o Overlay, pod: &Pod, successor: &Pod) -> Option<&'o Template> {
    overlay.template_of(pod).or_else(|| overlay.template_of(successor))
}

/// For each pod that is gone, the pod that represents its workload at `at`: one of the same name (in a `StatefulSet`), or else the
/// newest.
fn successors(cluster: &Cluster, at: Timestamp) -> HashMap<PodId, PodId> {
    // Of two pods that started at the same time, the last by name.
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
