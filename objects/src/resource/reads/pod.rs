//! The fields of a pod that the engine reads, from a Pod or from the pod template of a workload.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::{Deserialize, Serialize};

use crate::model::labels::Labels;
use crate::model::port::{NamedPort, protocol_or_tcp};
use crate::resource::kubernetes::{Container, Pod, PodSpec, PodTemplateSpec};
use crate::resource::object::Object;

/// The fields of a pod that selectors and ports of policies see.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct PodFields {
    /// `metadata.labels`.
    pub labels: Labels,
    /// The named ports of containers and of restartable init containers, sorted.
    pub ports: Vec<NamedPort>,
    /// Whether the pod is a hostNetwork pod.
    pub host_network: bool,
}

impl PodFields {
    /// Reads a Pod.
    #[must_use]
    pub fn of_pod(pod: &Pod) -> Self {
        Self::of(Some(&pod.metadata), pod.spec.as_ref())
    }

    /// Reads a pod template.
    #[must_use]
    pub fn of_template(template: Option<&PodTemplateSpec>) -> Self {
        Self::of(
            template.and_then(|template| template.metadata.as_ref()),
            template.and_then(|template| template.spec.as_ref()),
        )
    }

    fn of(metadata: Option<&ObjectMeta>, spec: Option<&PodSpec>) -> Self {
        Self {
            labels: metadata.and_then(|metadata| metadata.labels.clone()).unwrap_or_default(),
            ports: spec.map(named_ports).unwrap_or_default(),
            host_network: spec.and_then(|spec| spec.host_network).unwrap_or_default(),
        }
    }
}

/// The pod template of a workload. `None` for another kind, or for a workload without a template.
#[must_use]
pub fn template(object: &Object) -> Option<&PodTemplateSpec> {
    match object {
        Object::Deployment(it)
        | Object::StatefulSet(it)
        | Object::DaemonSet(it)
        | Object::ReplicaSet(it)
        | Object::ReplicationController(it)
        | Object::Job(it) => it.spec.as_ref()?.template.as_ref(),
        Object::CronJob(it) => it.spec.as_ref()?.job_template.as_ref()?.spec.as_ref()?.template.as_ref(),
        _ => None,
    }
}

/// The named ports of containers and of restartable init containers, which run alongside them.
fn named_ports(spec: &PodSpec) -> Vec<NamedPort> {
    let sidecars = spec.init_containers.iter().flatten().filter(|container| is_restartable(container));
    let ports = spec.containers.iter().chain(sidecars).flat_map(|container| container.ports.iter().flatten());
    let mut named: Vec<NamedPort> = ports
        .filter_map(|port| {
            Some(NamedPort {
                name: port.name.clone()?,
                protocol: protocol_or_tcp(port.protocol.as_deref()),
                number: u16::try_from(port.container_port).ok()?,
            })
        })
        .collect();
    named.sort();
    named.dedup();
    named
}

/// Whether an init container keeps running alongside the others.
fn is_restartable(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}
