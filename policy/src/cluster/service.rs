//! Services and what stands behind them.

use std::collections::{BTreeSet, HashMap};
use std::net::IpAddr;

use foretell_objects::model::flow::Protocol;
use foretell_objects::model::labels::Labels;
use foretell_objects::resource::kubernetes as core;
use foretell_objects::resource::kubernetes::EndpointSlice;
use foretell_objects::resource::object::Object;
use foretell_objects::resource::reads::endpoint_slice::SliceFields;
use foretell_objects::resource::reads::service::{ServiceFields, ServicePort};

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
    /// Its `spec.clusterIP`, the first of its ClusterIPs.
    pub cluster_ip: Option<IpAddr>,
    /// Labels of the pods behind it; empty: somebody else keeps its endpoints.
    pub selector: Labels,
    /// Its ports.
    pub ports: Vec<ServicePort>,
    /// Ready addresses that its endpoint slices list, by port name; used where it selects no pods.
    pub listed: Vec<ListedEndpoint>,
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

impl ListedEndpoint {
    /// The ready endpoints of a slice, each with the namespace and the name of its Service.
    pub(crate) fn of_slice(slice: &SliceFields) -> Vec<((String, String), Self)> {
        let Some(service) = &slice.service else { return Vec::new() };
        let mut listed = Vec::new();
        for endpoint in slice.endpoints.iter().filter(|endpoint| endpoint.ready) {
            for port in &slice.ports {
                let Some(number) = port.port.and_then(|number| u16::try_from(number).ok()) else { continue };
                let addresses = endpoint.addresses.iter().filter_map(|ip| ip.parse::<IpAddr>().ok());
                listed.extend(addresses.map(|ip| {
                    let endpoint = Self { port_name: port.name.clone(), ip, port: number };
                    ((slice.namespace.clone(), service.clone()), endpoint)
                }));
            }
        }
        listed
    }
}

impl Service {
    pub(super) fn read(service: &core::Service) -> Self {
        let ServiceFields { selector, ports, cluster_ips, external_ips, load_balancer_ips, .. } =
            ServiceFields::of(service);
        let texts = [cluster_ips, external_ips, load_balancer_ips].into_iter().flatten();
        let addresses: BTreeSet<IpAddr> = texts.filter_map(|ip| ip.parse().ok()).collect();
        let spec = service.spec.as_ref();
        let first = spec.and_then(|spec| spec.cluster_ip.as_ref().or(spec.cluster_ips.iter().flatten().next()));
        Self {
            cluster_ip: first.and_then(|ip| ip.parse().ok()),
            namespace: service.metadata.namespace.clone().unwrap_or_default(),
            name: service.metadata.name.clone().unwrap_or_default(),
            addresses: addresses.into_iter().collect(),
            selector,
            ports,
            listed: Vec::new(),
        }
    }

    /// The port at its address.
    #[must_use]
    pub fn port(&self, protocol: Protocol, number: u16) -> Option<&ServicePort> {
        self.ports.iter().find(|port| port.protocol == protocol && port.port == number)
    }
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
        let fields = SliceFields::of(slice);
        for (service, endpoint) in ListedEndpoint::of_slice(&fields) {
            self.services.entry(service).or_default().push(endpoint);
        }
        let SliceFields { namespace, endpoints, .. } = fields;
        for endpoint in &endpoints {
            if let Some((Some(kind), _, name)) = &endpoint.target
                && kind == "Pod"
            {
                let name = name.clone().unwrap_or_default();
                *self.pods.entry((namespace.clone(), name)).or_default() |= endpoint.ready;
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
