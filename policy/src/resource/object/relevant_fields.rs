//! What the engine reads of an object, and nothing else: an image, a count of replicas or a comment is not in it.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::{Container, Node, Pod, PodSpec, PodTemplateSpec, Service, ServicePort};
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::api::networking::v1::NetworkPolicySpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::{Value, json};

use crate::resource::admin::view::AdminPolicyView;
use crate::resource::audit::PROMOTED_FROM;
use crate::resource::canonical;
use crate::resource::canonical::{canonical_peers, canonical_ports, canonical_selector, canonical_spec};
use crate::resource::defaults::PROTOCOL;
use crate::resource::exception::AuditExceptionSpec;
use crate::resource::object::Object;

/// The label that every Namespace carries with its own name.
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// The label of an EndpointSlice that names its Service.
const SERVICE_NAME: &str = "kubernetes.io/service-name";

impl Object {
    /// What the engine reads of it, with defaults applied and nothing else: two forms that are equal here are no change.
    #[must_use]
    pub fn relevant_fields(&self) -> Value {
        match self {
            Self::Namespace(object) => namespace(&object.metadata),
            Self::Node(object) => node(object),
            Self::Pod(object) => pod(object),
            Self::Service(object) => service(object),
            Self::EndpointSlice(object) => endpoint_slice(object),
            Self::Deployment(object) => template(object.spec.as_ref().map(|spec| &spec.template)),
            Self::StatefulSet(object) => template(object.spec.as_ref().map(|spec| &spec.template)),
            Self::DaemonSet(object) => template(object.spec.as_ref().map(|spec| &spec.template)),
            Self::ReplicaSet(object) => template(object.spec.as_ref().and_then(|spec| spec.template.as_ref())),
            Self::Job(object) => template(object.spec.as_ref().map(|spec| &spec.template)),
            Self::CronJob(object) => template(object.spec.job_template.spec.as_ref().map(|job| &job.template)),
            Self::NetworkPolicy(object) => {
                policy(&object.metadata, object.spec.as_ref().unwrap_or(&NetworkPolicySpec::default()))
            }
            Self::AuditNetworkPolicy(object) => policy(&object.metadata, &object.spec.policy),
            Self::AuditClusterNetworkPolicy(object) => {
                let mut relevant_fields = policy(&object.metadata, &object.spec.policy());
                let mut namespaces = object.spec.namespace_selector.clone().unwrap_or_default();
                canonical_selector(&mut namespaces);
                relevant_fields["namespaceSelector"] = canonical::json(&namespaces);
                relevant_fields
            }
            Self::AuditException(object) => exception(&object.spec),
            Self::AdminNetworkPolicy(_) | Self::BaselineAdminNetworkPolicy(_) | Self::ClusterNetworkPolicy(_) => {
                AdminPolicyView::of(self)
                    .map_or(Value::Null, |policy| crate::resource::object::admin_relevant_fields::of(&policy))
            }
        }
    }
}

fn policy(metadata: &ObjectMeta, spec: &NetworkPolicySpec) -> Value {
    let mut spec = canonical_spec(spec);
    let types = spec.policy_types.as_deref().unwrap_or_default();
    let in_force = |direction: &str| types.iter().any(|name| name == direction);
    // Rules of a direction that is not in force are never read.
    let (ingress, egress) = (in_force("Ingress"), in_force("Egress"));
    spec.ingress = spec.ingress.filter(|_| ingress);
    spec.egress = spec.egress.filter(|_| egress);
    let promoted_from = metadata.annotations.as_ref().and_then(|annotations| annotations.get(PROMOTED_FROM));
    json!({ "spec": canonical::json(&spec), "promotedFrom": promoted_from })
}

fn exception(spec: &AuditExceptionSpec) -> Value {
    let mut spec = spec.clone();
    let mut peers = Some(std::mem::take(&mut spec.peers));
    canonical_peers(&mut peers);
    spec.peers = peers.unwrap_or_default();
    canonical_ports(&mut spec.ports);
    json!({ "spec": canonical::json(&spec) })
}

fn namespace(metadata: &ObjectMeta) -> Value {
    let mut labels = metadata.labels.clone().unwrap_or_default();
    labels.insert(NAMESPACE_NAME.to_owned(), metadata.name.clone().unwrap_or_default());
    json!({ "labels": labels })
}

fn node(node: &Node) -> Value {
    let spec = node.spec.as_ref();
    let mut pod_cidrs: BTreeSet<&str> = BTreeSet::new();
    pod_cidrs.extend(spec.and_then(|spec| spec.pod_cidr.as_deref()));
    pod_cidrs.extend(spec.and_then(|spec| spec.pod_cidrs.as_ref()).into_iter().flatten().map(String::as_str));
    let addresses = node.status.as_ref().and_then(|status| status.addresses.as_ref());
    let addresses: BTreeSet<_> =
        addresses.into_iter().flatten().map(|address| (address.type_.as_str(), address.address.as_str())).collect();
    let labels = node.metadata.labels.as_ref();
    json!({ "labels": labels.unwrap_or(&BTreeMap::new()), "podCIDRs": pod_cidrs, "addresses": addresses })
}

fn pod(pod: &Pod) -> Value {
    let mut relevant_fields = identity(Some(&pod.metadata), pod.spec.as_ref());
    relevant_fields["nodeName"] = json!(pod.spec.as_ref().and_then(|spec| spec.node_name.as_deref()));
    relevant_fields
}

fn template(template: Option<&PodTemplateSpec>) -> Value {
    identity(
        template.and_then(|template| template.metadata.as_ref()),
        template.and_then(|template| template.spec.as_ref()),
    )
}

/// What selectors and ports of policies can see of a pod.
fn identity(metadata: Option<&ObjectMeta>, spec: Option<&PodSpec>) -> Value {
    let labels = metadata.and_then(|metadata| metadata.labels.as_ref());
    let host_network = spec.and_then(|spec| spec.host_network).unwrap_or_default();
    json!({
        "labels": labels.unwrap_or(&BTreeMap::new()),
        "ports": spec.map(named_ports).unwrap_or_default(),
        "hostNetwork": host_network,
    })
}

/// Name, protocol and number, of all containers that run beside each other.
fn named_ports(spec: &PodSpec) -> BTreeSet<(&str, &str, i32)> {
    let sidecars = spec.init_containers.iter().flatten().filter(|container| is_restartable(container));
    let containers = spec.containers.iter().chain(sidecars);
    let ports = containers.flat_map(|container| container.ports.iter().flatten());
    ports
        .filter_map(|port| {
            let protocol = port.protocol.as_deref().unwrap_or(PROTOCOL);
            Some((port.name.as_deref()?, protocol, port.container_port))
        })
        .collect()
}

/// An init container that keeps running beside the others.
fn is_restartable(container: &Container) -> bool {
    container.restart_policy.as_deref() == Some("Always")
}

fn service(service: &Service) -> Value {
    let Some(spec) = &service.spec else { return json!({}) };
    let selector = spec.selector.as_ref().filter(|selector| !selector.is_empty());
    let mut addresses: BTreeSet<&str> = BTreeSet::new();
    addresses.extend(spec.cluster_ip.as_deref().filter(|address| !address.is_empty()));
    addresses.extend(spec.cluster_ips.iter().flatten().map(String::as_str));
    let external: BTreeSet<&str> = spec.external_ips.iter().flatten().map(String::as_str).collect();
    let mut ports: Vec<Value> = spec.ports.iter().flatten().map(service_port).collect();
    ports.sort_by_cached_key(Value::to_string);
    json!({
        "selector": selector,
        "ports": ports,
        "externalName": spec.type_.as_deref() == Some("ExternalName"),
        "clusterIPs": addresses,
        "externalIPs": external,
    })
}

fn service_port(port: &ServicePort) -> Value {
    // Upstream's `SetDefaults_Service`: an unset, zero or empty target is the port itself.
    let target = match &port.target_port {
        None | Some(IntOrString::Int(0)) => json!(port.port),
        Some(IntOrString::String(name)) if name.is_empty() => json!(port.port),
        Some(target) => json!(target),
    };
    json!({
        "name": port.name.as_deref().unwrap_or_default(),
        "protocol": port.protocol.as_deref().unwrap_or(PROTOCOL),
        "port": port.port,
        "targetPort": target,
    })
}

fn endpoint_slice(slice: &EndpointSlice) -> Value {
    let service = slice.metadata.labels.as_ref().and_then(|labels| labels.get(SERVICE_NAME));
    let mut endpoints: Vec<Value> = slice
        .endpoints
        .iter()
        .flatten()
        .map(|endpoint| {
            // Unknown is to be taken for ready, says the API.
            let ready = endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true);
            let target = endpoint.target_ref.as_ref().map(|target| (&target.kind, &target.namespace, &target.name));
            json!({ "addresses": endpoint.addresses, "ready": ready, "targetRef": target })
        })
        .collect();
    endpoints.sort_by_cached_key(Value::to_string);
    let mut ports: Vec<Value> = slice
        .ports
        .iter()
        .flatten()
        .map(|port| {
            json!({
                "name": port.name.as_deref().unwrap_or_default(),
                "protocol": port.protocol.as_deref().unwrap_or(PROTOCOL),
                "port": port.port,
            })
        })
        .collect();
    ports.sort_by_cached_key(Value::to_string);
    json!({ "service": service, "addressType": slice.address_type, "endpoints": endpoints, "ports": ports })
}
