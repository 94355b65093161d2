//! Ports, in the forms of the different kinds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::resource::defaults::PROTOCOL;

/// An entry of `ports` in an AdminNetworkPolicy or BaselineAdminNetworkPolicy. Exactly one field is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Port {
    /// A single port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port_number: Option<PortNumber>,
    /// The name of a container port of the destination, of any protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub named_port: Option<String>,
    /// A range of ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port_range: Option<PortRange>,
}

/// A single port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PortNumber {
    /// `TCP`, `UDP` or `SCTP`; absent: `TCP`.
    #[serde(default = "tcp")]
    pub protocol: String,
    /// Number of the port, 1 to 65535.
    pub port: i32,
}

/// A range of ports of one protocol.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PortRange {
    /// `TCP`, `UDP` or `SCTP`; absent: `TCP`.
    #[serde(default = "tcp")]
    pub protocol: String,
    /// First port of the range.
    pub start: i32,
    /// Last port of the range, inclusive.
    pub end: i32,
}

fn tcp() -> String {
    PROTOCOL.to_owned()
}

/// An entry of `protocols` in a ClusterNetworkPolicy. Exactly one field is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterPort {
    /// A TCP port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<OfProtocol>,
    /// A UDP port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub udp: Option<OfProtocol>,
    /// An SCTP port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sctp: Option<OfProtocol>,
    /// The name of a container port of the destination, of any protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_named_port: Option<String>,
}

/// The ports of one protocol.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OfProtocol {
    /// The destination port. Required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_port: Option<DestinationPort>,
}

/// A single port or a range. Exactly one field is set.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DestinationPort {
    /// A single port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<i32>,
    /// A range of ports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
}

/// A range of at least two ports.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Range {
    /// First port of the range.
    pub start: i32,
    /// Last port of the range, inclusive.
    pub end: i32,
}
