//! The labels that distinguish a workload's pods from all others, today and after the next rollout.

use jiff::Timestamp;

use crate::cluster::party::Party;
use crate::cluster::pod::PodId;
use crate::cluster::workload::Workload;
use crate::engine::world::World;
use foretell_objects::model::labels::Labels;

/// Keys whose values change with each pod, rollout or release.
const UNSTABLE: [&str; 16] = [
    "app.kubernetes.io/version",
    "apps.kubernetes.io/pod-index",
    "batch.kubernetes.io/controller-uid",
    "batch.kubernetes.io/job-completion-index",
    "batch.kubernetes.io/job-name",
    "chart",
    "controller-revision-hash",
    "controller-uid",
    "helm.sh/chart",
    "job-name",
    "pod-template-generation",
    "pod-template-hash",
    "rollouts-pod-template-hash",
    "service.istio.io/canonical-revision",
    "statefulset.kubernetes.io/pod-name",
    "version",
];

/// Keys that usually name a workload, the most common first.
const NAMING: [&str; 8] = [
    "app.kubernetes.io/name",
    "app.kubernetes.io/instance",
    "app.kubernetes.io/component",
    "app",
    "k8s-app",
    "name",
    "component",
    "app.kubernetes.io/part-of",
];

/// The most labels that are combined.
const MOST_TOGETHER: usize = 3;

/// The fewest labels that all pods of a workload have and no other pod of its namespace has. If no combination distinguishes them,
/// all stable labels. `None` if the pods have no stable label, or the party is not a workload.
#[must_use]
pub fn selecting(party: &Party, world: &World<'_>, at: Timestamp) -> Option<Labels> {
    let Party::Workload { namespace, kind, name } = party.clone() else { return None };
    let workload = Workload { namespace, kind, name };
    let (identities, cluster) = (world.identities(), world.cluster());
    let labels = |pod: PodId| &identities.identity(pod).labels;
    let runs = |id: &PodId| cluster.is_alive(*id, at);
    let is_own = |id: &PodId| cluster.pod(*id).workload == workload;
    let (mut members, others): (Vec<PodId>, Vec<PodId>) =
        cluster.pods_of(&workload.namespace).iter().copied().partition(is_own);
    // Running pods count. If none runs, as of a CronJob between two runs, the last known pods do.
    if members.iter().any(runs) {
        members.retain(runs);
    }
    let others: Vec<&Labels> = others.into_iter().filter(runs).map(labels).collect();

    let (first, rest) = members.split_first()?;
    let mut stable = labels(*first).clone();
    stable.retain(|key, value| {
        !UNSTABLE.contains(&key.as_str()) && rest.iter().all(|pod| labels(*pod).get(key) == Some(value))
    });
    if stable.is_empty() {
        return None;
    }
    let mut keys: Vec<&String> = stable.keys().collect();
    keys.sort_by_key(|key| (NAMING.iter().position(|naming| naming == key).unwrap_or(NAMING.len()), key.as_str()));
    let chosen = (1..=MOST_TOGETHER.min(keys.len())).flat_map(|size| subsets(keys.len(), size)).find_map(|indexes| {
        let chosen: Labels = indexes.iter().map(|index| (keys[*index].clone(), stable[keys[*index]].clone())).collect();
        let matches = |other: &&Labels| chosen.iter().all(|(key, value)| other.get(key) == Some(value));
        (!others.iter().any(matches)).then_some(chosen)
    });
    Some(chosen.unwrap_or(stable))
}

/// The subsets with `size` elements of the first `count` numbers, in lexical order.
fn subsets(count: usize, size: usize) -> Vec<Vec<usize>> {
    if size == 0 {
        return vec![Vec::new()];
    }
    let found = (0..count).flat_map(|first| {
        let rest = subsets(count - first - 1, size - 1).into_iter();
        rest.map(move |rest| std::iter::once(first).chain(rest.into_iter().map(|other| first + 1 + other)).collect())
    });
    found.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn subsets_come_in_order_and_each_once() {
        assert_eq!(subsets(3, 2), [vec![0, 1], vec![0, 2], vec![1, 2]]);
        assert_eq!(subsets(2, 1), [vec![0], vec![1]]);
        assert!(subsets(1, 2).is_empty());
    }
}
