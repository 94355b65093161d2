//! Kubernetes objects, cut down to the fields that the engine reads.
//!
//! The names are those of `k8s-openapi`, and a null or missing field is the zero value, as there. The full types are not used,
//! because reading and writing them took more than half of this crate's machine code.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ObjectMeta, Time};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::{Deserialize, Deserializer, Serialize};

use crate::model::labels::Labels;

/// Declares structs whose fields are those of the API, in camel case.
macro_rules! objects {
    ($($(#[$doc:meta])* $name:ident { $($(#[$field_doc:meta])* $field:ident: $type:ty,)* })*) => {
        $(
            $(#[$doc])*
            #[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
            #[serde(rename_all = "camelCase")]
            #[expect(missing_docs, reason = "each field is the API's of its name")]
            pub struct $name {
                $(
                    $(#[$field_doc])*
                    #[serde(default, deserialize_with = "or_default", skip_serializing_if = "is_default")]
                    pub $field: $type,
                )*
            }
        )*
    };
}

fn or_default<'de, D: Deserializer<'de>, T: Deserialize<'de> + Default>(deserializer: D) -> Result<T, D::Error> {
    Option::<T>::deserialize(deserializer).map(Option::unwrap_or_default)
}

fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

objects! {
    /// `v1` Namespace.
    Namespace { metadata: ObjectMeta, }

    /// `v1` Node.
    Node { metadata: ObjectMeta, spec: Option<NodeSpec>, status: Option<NodeStatus>, }
    /// The spec of a Node.
    NodeSpec {
        #[serde(rename = "podCIDR")]
        pod_cidr: Option<String>,
        #[serde(rename = "podCIDRs")]
        pod_cidrs: Option<Vec<String>>,
    }
    /// The status of a Node.
    NodeStatus { addresses: Option<Vec<NodeAddress>>, node_info: Option<NodeSystemInfo>, }
    /// The software of a Node.
    NodeSystemInfo { kubelet_version: Option<String>, }
    /// An address of a Node.
    NodeAddress {
        address: String,
        #[serde(rename = "type")]
        type_: String,
    }

    /// `v1` Pod.
    Pod { metadata: ObjectMeta, spec: Option<PodSpec>, status: Option<PodStatus>, }
    /// The spec of a Pod.
    PodSpec {
        containers: Vec<Container>,
        init_containers: Option<Vec<Container>>,
        host_network: Option<bool>,
        node_name: Option<String>,
    }
    /// A container.
    Container { ports: Option<Vec<ContainerPort>>, restart_policy: Option<String>, }
    /// A port of a container.
    ContainerPort { name: Option<String>, protocol: Option<String>, container_port: i32, }
    /// The status of a Pod.
    PodStatus {
        phase: Option<String>,
        start_time: Option<Time>,
        #[serde(rename = "podIP")]
        pod_ip: Option<String>,
        #[serde(rename = "podIPs")]
        pod_ips: Option<Vec<StatusAddress>>,
        #[serde(rename = "hostIP")]
        host_ip: Option<String>,
        #[serde(rename = "hostIPs")]
        host_ips: Option<Vec<StatusAddress>>,
        conditions: Option<Vec<PodCondition>>,
        container_statuses: Option<Vec<ContainerStatus>>,
        init_container_statuses: Option<Vec<ContainerStatus>>,
    }
    /// An address of a Pod or of its host.
    StatusAddress { ip: String, }
    /// A condition of a Pod.
    PodCondition {
        #[serde(rename = "type")]
        type_: String,
        status: String,
    }
    /// The status of a container.
    ContainerStatus { state: Option<ContainerState>, }
    /// The state of a container.
    ContainerState { terminated: Option<ContainerStateTerminated>, }
    /// How a container ended.
    ContainerStateTerminated { finished_at: Option<Time>, }

    /// `v1` Service.
    Service { metadata: ObjectMeta, spec: Option<ServiceSpec>, status: Option<ServiceStatus>, }
    /// The spec of a Service.
    ServiceSpec {
        #[serde(rename = "type")]
        type_: Option<String>,
        selector: Option<Labels>,
        ports: Option<Vec<ServicePort>>,
        #[serde(rename = "clusterIP")]
        cluster_ip: Option<String>,
        #[serde(rename = "clusterIPs")]
        cluster_ips: Option<Vec<String>>,
        #[serde(rename = "externalIPs")]
        external_ips: Option<Vec<String>>,
        external_name: Option<String>,
        external_traffic_policy: Option<String>,
        internal_traffic_policy: Option<String>,
        publish_not_ready_addresses: Option<bool>,
    }
    /// A port of a Service.
    ServicePort {
        name: Option<String>,
        protocol: Option<String>,
        port: i32,
        target_port: Option<IntOrString>,
        node_port: Option<i32>,
    }
    /// The status of a Service.
    ServiceStatus { load_balancer: Option<LoadBalancerStatus>, }
    /// The addresses of a load balancer.
    LoadBalancerStatus { ingress: Option<Vec<LoadBalancerIngress>>, }
    /// An address of a load balancer.
    LoadBalancerIngress { ip: Option<String>, ip_mode: Option<String>, }

    /// `discovery.k8s.io/v1` EndpointSlice.
    EndpointSlice {
        metadata: ObjectMeta,
        address_type: String,
        endpoints: Option<Vec<Endpoint>>,
        ports: Option<Vec<EndpointPort>>,
    }
    /// An endpoint.
    Endpoint {
        addresses: Vec<String>,
        conditions: Option<EndpointConditions>,
        target_ref: Option<ObjectReference>,
    }
    /// The conditions of an endpoint.
    EndpointConditions { ready: Option<bool>, }
    /// The object behind an endpoint.
    ObjectReference { kind: Option<String>, namespace: Option<String>, name: Option<String>, }
    /// A port of a slice.
    EndpointPort { name: Option<String>, protocol: Option<String>, port: Option<i32>, }

    /// `v1` Endpoints.
    Endpoints { metadata: ObjectMeta, subsets: Option<Vec<EndpointSubset>>, }
    /// Addresses with the same ports.
    EndpointSubset {
        addresses: Option<Vec<EndpointAddress>>,
        ports: Option<Vec<EndpointPort>>,
    }
    /// An address of Endpoints.
    EndpointAddress { ip: String, }

    /// A controller of pods: Deployment, `StatefulSet`, `DaemonSet`, ReplicaSet, `ReplicationController` or Job.
    Controller { metadata: ObjectMeta, spec: Option<ControllerSpec>, }
    /// The spec of a controller.
    ControllerSpec { template: Option<PodTemplateSpec>, }
    /// `batch/v1` CronJob.
    CronJob { metadata: ObjectMeta, spec: Option<CronJobSpec>, }
    /// The spec of a CronJob.
    CronJobSpec { job_template: Option<JobTemplateSpec>, }
    /// The Job of a CronJob.
    JobTemplateSpec { spec: Option<ControllerSpec>, }
    /// The pods of a controller.
    PodTemplateSpec { metadata: Option<ObjectMeta>, spec: Option<PodSpec>, }
}
