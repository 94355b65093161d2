//! The fields of an object that the engine reads, without others such as images, replica counts or comments.

use k8s_openapi::api::networking::v1::NetworkPolicySpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::{Value, json};

use crate::resource::admin_view::AdminPolicyView;
use crate::resource::audit::PROMOTED_FROM;
use crate::resource::canonical::{canonical_peers, canonical_ports, canonical_selector, canonical_spec};
use crate::resource::exception::AuditExceptionSpec;
use crate::resource::object::Object;
use crate::resource::reads::endpoint_slice::SliceFields;
use crate::resource::reads::endpoints::EndpointsFields;
use crate::resource::reads::node::NodeFields;
use crate::resource::reads::pod::PodFields;
use crate::resource::reads::service::{ServiceFields, ServicePort, TargetPort};
use crate::resource::{canonical, reads};

mod admin;

impl Object {
    /// The fields that the engine reads, with defaults applied. Objects with equal relevant fields are the same to the engine.
    #[must_use]
    pub fn relevant_fields(&self) -> Value {
        match self {
            Self::Namespace(object) => json!({ "labels": reads::namespace::labels(object).1 }),
            Self::Node(object) => node(&NodeFields::of(object)),
            Self::Pod(object) => {
                let mut fields = identity(&PodFields::of_pod(object));
                fields["nodeName"] = json!(object.spec.as_ref().and_then(|spec| spec.node_name.as_deref()));
                fields
            }
            Self::Service(object) => service(&ServiceFields::of(object)),
            Self::EndpointSlice(object) => endpoint_slice(SliceFields::of(object)),
            Self::Endpoints(object) => endpoints(&EndpointsFields::of(object)),
            Self::Deployment(_)
            | Self::StatefulSet(_)
            | Self::DaemonSet(_)
            | Self::ReplicaSet(_)
            | Self::ReplicationController(_)
            | Self::Job(_)
            | Self::CronJob(_) => identity(&PodFields::of_template(reads::pod::template(self))),
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
                AdminPolicyView::of(self).map_or(Value::Null, |policy| admin::of(&policy))
            }
        }
    }
}

fn policy(metadata: &ObjectMeta, spec: &NetworkPolicySpec) -> Value {
    let mut spec = canonical_spec(spec);
    let types = spec.policy_types.as_deref().unwrap_or_default();
    let in_force = |direction: &str| types.iter().any(|name| name == direction);
    // Rules of a direction that the policy does not restrict are never read.
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

fn node(node: &NodeFields) -> Value {
    json!({ "labels": node.labels, "podCIDRs": node.pod_cidrs, "addresses": node.addresses })
}

/// The fields that selectors and ports of policies see.
fn identity(pod: &PodFields) -> Value {
    let ports: Vec<_> = pod.ports.iter().map(|port| (&port.name, port.protocol, port.number)).collect();
    json!({ "labels": pod.labels, "ports": ports, "hostNetwork": pod.host_network })
}

fn service(service: &ServiceFields) -> Value {
    let mut ports: Vec<Value> = service.ports.iter().map(service_port).collect();
    ports.sort_by_cached_key(Value::to_string);
    json!({
        "selector": Some(&service.selector).filter(|selector| !selector.is_empty()),
        "ports": ports,
        "externalName": service.external_name,
        "clusterIPs": service.cluster_ips,
        "externalIPs": service.external_ips,
        "externalTrafficPolicy": service.external_traffic,
        "internalTrafficPolicy": service.internal_traffic,
        "publishNotReadyAddresses": service.publishes_not_ready,
    })
}

fn endpoints(endpoints: &EndpointsFields) -> Value {
    let listed = endpoints.listed.iter();
    let listed =
        listed.map(|it| json!({ "address": it.ip, "port": it.port, "protocol": it.protocol, "name": it.port_name }));
    json!({ "mirrored": endpoints.mirrored, "listed": listed.collect::<Vec<_>>() })
}

fn service_port(port: &ServicePort) -> Value {
    let target = match &port.target {
        TargetPort::Number(number) => json!(number),
        TargetPort::Named(name) => json!(name),
    };
    let mut fields = json!({ "name": port.name, "protocol": port.protocol, "port": port.port, "targetPort": target });
    if let Some(port) = port.node_port {
        fields["nodePort"] = json!(port);
    }
    fields
}

fn endpoint_slice(mut slice: SliceFields) -> Value {
    slice.endpoints.sort();
    slice.ports.sort();
    let endpoints = slice.endpoints.iter().map(
        |endpoint| json!({ "addresses": endpoint.addresses, "ready": endpoint.ready, "targetRef": endpoint.target }),
    );
    let ports =
        slice.ports.iter().map(|port| json!({ "name": port.name, "protocol": port.protocol, "port": port.port }));
    json!({
        "service": slice.service,
        "addressType": slice.address_type,
        "endpoints": endpoints.collect::<Vec<_>>(),
        "ports": ports.collect::<Vec<_>>(),
    })
}
