//! Ports, in the shapes of the kinds.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::resource::defaults::PROTOCOL;

/// An entry of `ports` in an AdminNetworkPolicy or BaselineAdminNetworkPolicy: one of the three.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Port {
    /// One port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port_number: Option<PortNumber>,
    /// The port that a destination's container has under this name, of whatever protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub named_port: Option<String>,
    /// Several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub port_range: Option<PortRange>,
}

/// One port.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PortNumber {
    /// TCP unless it is given.
    #[serde(default = "tcp")]
    pub protocol: String,
    /// Its number.
    pub port: i32,
}

/// Ports from one to another, both of them included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct PortRange {
    /// TCP unless it is given.
    #[serde(default = "tcp")]
    pub protocol: String,
    /// The first.
    pub start: i32,
    /// The last.
    pub end: i32,
}

fn tcp() -> String {
    PROTOCOL.to_owned()
}

/// An entry of `protocols` in a ClusterNetworkPolicy: one of the four.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ClusterPort {
    /// TCP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tcp: Option<OfProtocol>,
    /// UDP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub udp: Option<OfProtocol>,
    /// SCTP.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub sctp: Option<OfProtocol>,
    /// The port that a destination's container has under this name, of whatever protocol.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_named_port: Option<String>,
}

/// What is asked of a protocol.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct OfProtocol {
    /// The destination's port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_port: Option<DestinationPort>,
}

/// One port or several: one of the two.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct DestinationPort {
    /// One port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub number: Option<i32>,
    /// Several.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub range: Option<Range>,
}

/// Ports from one to a later one, both of them included.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Range {
    /// The first.
    pub start: i32,
    /// The last.
    pub end: i32,
}
