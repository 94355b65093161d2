//! The fields of an EndpointSlice that the engine reads.

use crate::model::flow::Protocol;
use crate::model::port::protocol_or_tcp;
use crate::resource::kubernetes::EndpointSlice;

/// The label by which an EndpointSlice names its Service.
const SERVICE_NAME_LABEL: &str = "kubernetes.io/service-name";

/// The fields of an EndpointSlice.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SliceFields {
    /// Its namespace.
    pub namespace: String,
    /// The name of the Service to which it belongs.
    pub service: Option<String>,
    /// `IPv4`, `IPv6` or `FQDN`.
    pub address_type: String,
    /// Its endpoints.
    pub endpoints: Vec<EndpointFields>,
    /// Its ports.
    pub ports: Vec<EndpointPort>,
}

/// An endpoint of a slice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndpointFields {
    /// Its addresses.
    pub addresses: Vec<String>,
    /// Whether traffic is sent to it. By the API, an absent condition means ready.
    pub ready: bool,
    /// Kind, namespace and name of the object behind it.
    pub target: Option<(Option<String>, Option<String>, Option<String>)>,
}

/// A port of a slice.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct EndpointPort {
    /// The name of the Service's port; empty for the only one.
    pub name: String,
    /// Protocol.
    pub protocol: Protocol,
    /// The port; `None` for all ports.
    pub port: Option<i32>,
}

impl SliceFields {
    /// Reads an EndpointSlice.
    #[must_use]
    pub fn of(slice: &EndpointSlice) -> Self {
        let endpoints = slice.endpoints.iter().flatten();
        let ports = slice.ports.iter().flatten();
        Self {
            namespace: slice.metadata.namespace.clone().unwrap_or_default(),
            service: slice.metadata.labels.as_ref().and_then(|labels| labels.get(SERVICE_NAME_LABEL)).cloned(),
            address_type: slice.address_type.clone(),
            endpoints: endpoints
                .map(|endpoint| EndpointFields {
                    addresses: endpoint.addresses.clone(),
                    ready: endpoint.conditions.as_ref().and_then(|conditions| conditions.ready).unwrap_or(true),
                    target: endpoint
                        .target_ref
                        .as_ref()
                        .map(|target| (target.kind.clone(), target.namespace.clone(), target.name.clone())),
                })
                .collect(),
            ports: ports
                .map(|port| EndpointPort {
                    name: port.name.clone().unwrap_or_default(),
                    protocol: protocol_or_tcp(port.protocol.as_deref()),
                    port: port.port,
                })
                .collect(),
        }
    }
}
