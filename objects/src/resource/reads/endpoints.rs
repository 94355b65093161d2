//! The fields of Endpoints that the engine reads.

use std::collections::BTreeSet;
use std::net::IpAddr;

use crate::model::flow::Protocol;
use crate::model::port::protocol_or_tcp;
use crate::resource::kubernetes::Endpoints;

/// With this label, set to `true`, no EndpointSlice is made of Endpoints.
const SKIP_MIRROR_LABEL: &str = "endpointslice.kubernetes.io/skip-mirror";

/// The fields of Endpoints, which have the namespace and the name of their Service.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EndpointsFields {
    /// Whether the control plane makes EndpointSlices of them if their Service has no selector.
    pub mirrored: bool,
    /// The ready addresses with their ports.
    pub listed: BTreeSet<ListedAddress>,
}

/// A ready address and one of its ports.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ListedAddress {
    /// The address.
    pub ip: IpAddr,
    /// The name of the Service's port; empty for the only one.
    pub port_name: String,
    /// Protocol.
    pub protocol: Protocol,
    /// The port.
    pub port: u16,
}

impl EndpointsFields {
    /// Reads Endpoints.
    #[must_use]
    pub fn of(endpoints: &Endpoints) -> Self {
        let label = endpoints.metadata.labels.as_ref().and_then(|labels| labels.get(SKIP_MIRROR_LABEL));
        let mut listed = BTreeSet::new();
        for subset in endpoints.subsets.iter().flatten() {
            let addresses = subset.addresses.iter().flatten().filter_map(|address| address.ip.parse::<IpAddr>().ok());
            for ip in addresses {
                let ports = subset.ports.iter().flatten();
                listed.extend(ports.filter_map(|port| {
                    Some(ListedAddress {
                        ip: ip.to_canonical(),
                        port_name: port.name.clone().unwrap_or_default(),
                        protocol: protocol_or_tcp(port.protocol.as_deref()),
                        port: port.port.and_then(|port| u16::try_from(port).ok())?,
                    })
                }));
            }
        }
        Self { mirrored: label.is_none_or(|value| value != "true"), listed }
    }
}
