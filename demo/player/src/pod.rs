//! The pods of a snapshot, as far as the play needs them.

use std::net::IpAddr;

use k8s_openapi::api::core::v1 as core;
use serde_json::Value;

use crate::scenario::WorkloadName;

/// Labels by which a workload's pods are told, the likelier first.
const NAME_LABELS: [&str; 2] = ["app.kubernetes.io/name", "k8s-app"];

/// A pod that can be played.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pod {
    /// Namespace and name.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// What the scenario calls it: the value of a label of its, or its own name.
    pub workload: WorkloadName,
    /// `metadata.uid`.
    pub uid: String,
    /// Id of its container, without the runtime's name.
    pub container: String,
    /// Its addresses, the primary first.
    pub addresses: Vec<IpAddr>,
}

/// A snapshot whose pods cannot be played.
#[derive(Debug, thiserror::Error)]
pub enum PodError {
    /// It is no YAML.
    #[error("{0}")]
    Syntax(#[from] serde_saphyr::Error),
    /// A pod has a field of the wrong type.
    #[error("{pod}: {problem}")]
    Form {
        /// Which, as far as it is known.
        pod: String,
        /// What is wrong.
        problem: serde_json::Error,
    },
    /// A pod lacks what makes it a process with an address.
    #[error("pod {pod}: has no {field}")]
    Missing {
        /// Which.
        pod: String,
        /// What it lacks.
        field: &'static str,
    },
}

/// The pods of a snapshot, in its order.
///
/// # Errors
/// [`PodError`] where the snapshot cannot be read or a pod cannot be played.
pub fn read(snapshot: &str) -> Result<Vec<Pod>, PodError> {
    let documents: Vec<Value> = serde_saphyr::from_multiple(snapshot)?;
    documents.into_iter().filter(|document| document["kind"] == "Pod").map(Pod::read).collect()
}

impl Pod {
    fn read(document: Value) -> Result<Self, PodError> {
        let said = document["metadata"]["name"].as_str().unwrap_or("pod without a name").to_owned();
        let pod: core::Pod =
            serde_json::from_value(document).map_err(|problem| PodError::Form { pod: said.clone(), problem })?;
        let missing = |field| PodError::Missing { pod: said.clone(), field };
        let namespace = pod.metadata.namespace.ok_or_else(|| missing("metadata.namespace"))?;
        let name = pod.metadata.name.ok_or_else(|| missing("metadata.name"))?;
        let uid = pod.metadata.uid.ok_or_else(|| missing("metadata.uid"))?;
        let labels = pod.metadata.labels.unwrap_or_default();
        let label = NAME_LABELS.iter().find_map(|label| labels.get(*label)).unwrap_or(&name);
        let workload = WorkloadName { namespace: namespace.clone(), name: label.clone() };
        let status = pod.status.ok_or_else(|| missing("status"))?;
        let addresses: Vec<IpAddr> =
            status.pod_ips.iter().flatten().filter_map(|address| address.ip.parse().ok()).collect();
        if addresses.is_empty() {
            return Err(missing("status.podIPs"));
        }
        let container =
            status.container_statuses.unwrap_or_default().into_iter().find_map(|status| status.container_id);
        let container = container.ok_or_else(|| missing("status.containerStatuses[0].containerID"))?;
        let container = container.split_once("://").map_or(container.as_str(), |(_runtime, id)| id).to_owned();
        Ok(Self { namespace, name, workload, uid, container, addresses })
    }

    /// The pod's cgroup below kubelet's, as its driver `cgroupfs` names that of a burstable pod.
    #[must_use]
    pub fn cgroup(&self) -> String {
        format!("kubepods/burstable/pod{}", self.uid)
    }

    /// The cgroup of the pod's container.
    #[must_use]
    pub fn container_cgroup(&self) -> String {
        format!("{}/{}", self.cgroup(), self.container)
    }

    /// Its address of the same family as a peer's.
    #[must_use]
    pub fn address_like(&self, peer: IpAddr) -> Option<IpAddr> {
        self.addresses.iter().copied().find(|ip| ip.is_ipv4() == peer.is_ipv4())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const POD: &str = "
kind: Pod
metadata: {namespace: a, name: web-1, uid: 6f1c7b0e, labels: {k8s-app: web}}
status:
  podIPs: [{ip: 10.244.0.9}, {ip: 'fd00::9'}]
  containerStatuses: [{name: web, containerID: 'containerd://b194', image: '', imageID: '', ready: true, restartCount: 0}]
";

    #[test]
    fn a_pod_is_known_by_its_label_and_lives_where_kubelet_would_put_it() {
        let pods = read(&format!("kind: Namespace\n---{POD}")).unwrap();
        assert_eq!(pods.len(), 1);
        assert_eq!(pods[0].workload.to_string(), "a/web");
        assert_eq!(pods[0].container_cgroup(), "kubepods/burstable/pod6f1c7b0e/b194");
        assert_eq!(pods[0].address_like("2001:db8::1".parse().unwrap()), "fd00::9".parse().ok());
        let unlabelled = POD.replace("k8s-app", "other");
        assert_eq!(read(&unlabelled).unwrap()[0].workload.to_string(), "a/web-1");
    }

    #[test]
    fn a_pod_that_cannot_be_played_is_named() {
        for (from, to, says) in [
            ("uid: 6f1c7b0e, ", "", "metadata.uid"),
            ("podIPs", "pods", "status.podIPs"),
            ("containerID", "id", "containerID"),
            ("name: web-1", "name: 7", "invalid type"),
        ] {
            let error = read(&POD.replace(from, to)).unwrap_err().to_string();
            assert!(error.contains(says), "{error}");
        }
    }
}
