//! Ports as manifests write them.

use serde::{Deserialize, Serialize};

use crate::model::flow::Protocol;

/// A container port that has a name. Rules and Services may refer to it by that name.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NamedPort {
    /// `containers[].ports[].name`
    pub name: String,
    /// Protocol of the container port.
    pub protocol: Protocol,
    /// `containerPort`
    pub number: u16,
}

/// Reads a protocol as Kubernetes writes it. If it is absent, it is TCP: in policies, container ports and Services.
#[must_use]
pub fn protocol_or_tcp(text: Option<&str>) -> Protocol {
    match text {
        Some("UDP") => Protocol::Udp,
        Some("SCTP") => Protocol::Sctp,
        _ => Protocol::Tcp,
    }
}
