//! Services and what stands behind them.

use std::collections::HashMap;
use std::net::IpAddr;

use k8s_openapi::api::core::v1 as core;
use k8s_openapi::api::discovery::v1::EndpointSlice;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use crate::model::flow::Protocol;
use crate::model::labels::Labels;
use crate::model::port::{NamedPort, protocol_or_tcp};
use crate::resource::object::Object;

/// Label by which an `EndpointSlice` names its Service.
const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

/// Index of a Service.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ServiceId(u32);

impl ServiceId {
    pub(crate) fn of(number: u32) -> Self {
        Self(number)
    }

    pub(super) fn new(index: usize) -> Self {
        Self(u32::try_from(index).unwrap_or(u32::MAX))
    }

    /// Its place in a list with one entry a Service.
    #[must_use]
    pub fn index(self) -> usize {
        self.0 as usize
    }
}

/// A Service that has addresses of its own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Service {
    /// Namespace.
    pub namespace: String,
    /// Name.
    pub name: String,
    /// ClusterIPs, ExternalIPs and LoadBalancer addresses.
    pub addresses: Vec<IpAddr>,
    /// Labels of the pods behind it; empty: somebody else keeps its endpoints.
    pub selector: Labels,
    /// Its ports.
    pub ports: Vec<ServicePort>,
    /// Ready addresses that its endpoint slices list, by port name; used where it selects no pods.
    pub listed: Vec<ListedEndpoint>,
}

/// A port of a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ServicePort {
    /// Its name, `""` for the only one.
    pub name: String,
    /// Protocol.
    pub protocol: Protocol,
    /// The port at the Service's address.
    pub port: u16,
    /// The port at the pods.
    pub target: TargetPort,
}

/// The port at the pods behind a Service.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum TargetPort {
    /// The same for all.
    Number(u16),
    /// Looked up on each pod.
    Named(String),
}

impl TargetPort {
    /// The number at a pod; `None` where the pod has no port of that name.
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

/// An endpoint that a slice lists.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListedEndpoint {
    /// Name of the Service's port.
    pub port_name: String,
    /// The endpoint's address.
    pub ip: IpAddr,
    /// The endpoint's port.
    pub port: u16,
}

impl Service {
    pub(super) fn read(service: &core::Service) -> Self {
        let spec = service.spec.clone().unwrap_or_default();
        let texts = spec.cluster_ips.iter().flatten().chain(&spec.cluster_ip).chain(spec.external_ips.iter().flatten());
        let balancers = service.status.iter().flat_map(|status| status.load_balancer.iter());
        let balancers =
            balancers.flat_map(|status| status.ingress.iter().flatten()).filter_map(|entry| entry.ip.as_ref());
        let mut addresses: Vec<IpAddr> = texts.chain(balancers).filter_map(|ip| ip.parse().ok()).collect();
        addresses.sort();
        addresses.dedup();
        Self {
            namespace: service.metadata.namespace.clone().unwrap_or_default(),
            name: service.metadata.name.clone().unwrap_or_default(),
            addresses,
            selector: spec.selector.clone().unwrap_or_default(),
            ports: service_ports(&spec),
            listed: Vec::new(),
        }
    }

    /// The port at its address.
    #[must_use]
    pub fn port(&self, protocol: Protocol, number: u16) -> Option<&ServicePort> {
        self.ports.iter().find(|port| port.protocol == protocol && port.port == number)
    }
}

/// The ports of a Service's spec, with Kubernetes' defaults: TCP, and the target port is the port.
#[must_use]
pub fn service_ports(spec: &core::ServiceSpec) -> Vec<ServicePort> {
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
            Some(ServicePort { name: port.name.clone().unwrap_or_default(), protocol, port: number, target })
        })
        .collect()
}

/// What endpoint slices say: which pods are ready, and which addresses stand behind which Service.
#[derive(Clone, Debug, Default)]
pub(crate) struct Readiness {
    pods: HashMap<(String, String), bool>,
    services: HashMap<(String, String), Vec<ListedEndpoint>>,
}

impl Readiness {
    /// What all slices of these objects say.
    pub(crate) fn of<'a>(objects: impl IntoIterator<Item = &'a Object>) -> Self {
        let mut readiness = Self::default();
        for object in objects {
            if let Object::EndpointSlice(slice) = object {
                readiness.add(slice);
            }
        }
        readiness
    }

    fn add(&mut self, slice: &EndpointSlice) {
        let namespace = slice.metadata.namespace.clone().unwrap_or_default();
        let service = slice.metadata.labels.as_ref().and_then(|labels| labels.get(SERVICE_NAME_LABEL));
        for endpoint in slice.endpoints.iter().flatten() {
            // Absent means ready, as the API says.
            let ready = endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true);
            if let Some(target) = endpoint.target_ref.as_ref().filter(|target| target.kind.as_deref() == Some("Pod")) {
                let name = target.name.clone().unwrap_or_default();
                *self.pods.entry((namespace.clone(), name)).or_default() |= ready;
            }
            let Some(service) = service.filter(|_| ready) else { continue };
            let listed = self.services.entry((namespace.clone(), service.clone())).or_default();
            for port in slice.ports.iter().flatten() {
                let Some(number) = port.port.and_then(|number| u16::try_from(number).ok()) else { continue };
                let port_name = port.name.clone().unwrap_or_default();
                let addresses = endpoint.addresses.iter().filter_map(|ip| ip.parse::<IpAddr>().ok());
                listed.extend(addresses.map(|ip| ListedEndpoint { port_name: port_name.clone(), ip, port: number }));
            }
        }
    }

    /// Whether some slice calls the pod ready; `None`: no slice lists it.
    pub(crate) fn of_pod(&self, namespace: &str, name: &str) -> Option<bool> {
        self.pods.get(&(namespace.to_owned(), name.to_owned())).copied()
    }

    pub(super) fn addresses_of(&self, namespace: &str, service: &str) -> Vec<ListedEndpoint> {
        let mut listed = self.services.get(&(namespace.to_owned(), service.to_owned())).cloned().unwrap_or_default();
        listed.sort();
        listed.dedup();
        listed
    }
}
