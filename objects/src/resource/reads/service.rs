//! The fields of a Service that the engine reads.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde::Serialize;

use crate::model::flow::Protocol;
use crate::model::labels::Labels;
use crate::model::port::{NamedPort, protocol_or_tcp};
use crate::resource::kubernetes::{Service, ServiceSpec};

/// The fields of a Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ServiceFields {
    /// `spec.selector`; if it is empty, another controller writes the endpoints.
    pub selector: Labels,
    /// `spec.ports`, with defaults.
    pub ports: Vec<ServicePort>,
    /// `spec.externalName`, if its type is `ExternalName`.
    pub external_name: Option<String>,
    /// `spec.clusterIP` and `spec.clusterIPs`, including the value `None`.
    pub cluster_ips: BTreeSet<String>,
    /// `spec.externalIPs`.
    pub external_ips: BTreeSet<String>,
    /// The addresses of its load balancer, from its status, that kube-proxy redirects to the backends. It leaves those of `ipMode`
    /// `Proxy` alone: packets to them go to the balancer (KEP-1860, GA in Kubernetes 1.32).
    pub load_balancer_ips: BTreeSet<String>,
    /// `spec.externalTrafficPolicy`. `Cluster` if the Service has no address outside of the cluster, as the API server drops it then.
    pub external_traffic: TrafficPolicy,
    /// `spec.internalTrafficPolicy`.
    pub internal_traffic: TrafficPolicy,
    /// `spec.publishNotReadyAddresses`: pods that are not ready are backends too.
    pub publishes_not_ready: bool,
}

/// Which backends of a Service a node sends traffic to.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub enum TrafficPolicy {
    /// All of them.
    #[default]
    Cluster,
    /// Those on the same node.
    Local,
}

impl TrafficPolicy {
    fn of(text: Option<&str>) -> Self {
        if text == Some("Local") { Self::Local } else { Self::Cluster }
    }
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServicePort {
    /// Its name; empty for the only port.
    pub name: String,
    /// Protocol.
    pub protocol: Protocol,
    /// The port at the address of the Service.
    pub port: u16,
    /// The port at the pods.
    pub target: TargetPort,
    /// The port at every node, if the Service has node ports.
    pub node_port: Option<u16>,
}

/// The port at the pods behind a Service.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum TargetPort {
    /// The same number on all pods.
    Number(u16),
    /// A name that each pod declares with a number of its own.
    Named(String),
}

impl TargetPort {
    /// The number on a pod with these named ports; `None` if the pod has no port of that name and protocol.
    #[must_use]
    pub fn on(&self, protocol: Protocol, ports: &[NamedPort]) -> Option<u16> {
        match self {
            Self::Number(number) => Some(*number),
            Self::Named(name) => {
                ports.iter().find(|port| port.name == *name && port.protocol == protocol).map(|port| port.number)
            }
        }
    }
}

impl ServiceFields {
    /// Reads a Service. One without a spec has no fields.
    #[must_use]
    pub fn of(service: &Service) -> Self {
        let Some(spec) = &service.spec else { return Self::default() };
        let external_ips: BTreeSet<String> = spec.external_ips.iter().flatten().cloned().collect();
        let balancer = service.status.iter().flat_map(|status| &status.load_balancer);
        let ingress = balancer.flat_map(|status| status.ingress.iter().flatten());
        // kube-proxy installs no rule for an address of mode Proxy (`LoadBalancerVIPs`, pkg/proxy/servicechangetracker.go).
        let ingress = ingress.filter(|entry| entry.ip_mode.as_deref() != Some("Proxy"));
        let is_external_name = spec.type_.as_deref() == Some("ExternalName");
        let is_external =
            !external_ips.is_empty() || matches!(spec.type_.as_deref(), Some("NodePort" | "LoadBalancer"));
        let cluster_ips = spec.cluster_ip.iter().chain(spec.cluster_ips.iter().flatten());
        Self {
            selector: spec.selector.clone().unwrap_or_default(),
            ports: ports(spec),
            external_name: is_external_name.then(|| spec.external_name.clone().unwrap_or_default()),
            cluster_ips: cluster_ips.filter(|ip| !ip.is_empty()).cloned().collect(),
            external_ips,
            load_balancer_ips: ingress.filter_map(|entry| entry.ip.clone()).collect(),
            external_traffic: TrafficPolicy::of(spec.external_traffic_policy.as_deref().filter(|_| is_external)),
            internal_traffic: TrafficPolicy::of(spec.internal_traffic_policy.as_deref()),
            publishes_not_ready: spec.publish_not_ready_addresses.unwrap_or_default(),
        }
    }
}

/// Ports with the defaults of Kubernetes (`SetDefaults_Service`): TCP, and an unset, zero or empty target is the port itself.
fn ports(spec: &ServiceSpec) -> Vec<ServicePort> {
    let ports = spec.ports.iter().flatten();
    ports
        .filter_map(|port| {
            let number = u16::try_from(port.port).ok()?;
            let target = match &port.target_port {
                None | Some(IntOrString::Int(0)) => TargetPort::Number(number),
                Some(IntOrString::Int(target)) => TargetPort::Number(u16::try_from(*target).ok()?),
                Some(IntOrString::String(name)) if name.is_empty() => TargetPort::Number(number),
                Some(IntOrString::String(name)) => TargetPort::Named(name.clone()),
            };
            let protocol = protocol_or_tcp(port.protocol.as_deref());
            let node_port = port.node_port.and_then(|port| u16::try_from(port).ok()).filter(|port| *port > 0);
            Some(ServicePort { name: port.name.clone().unwrap_or_default(), protocol, port: number, target, node_port })
        })
        .collect()
}
