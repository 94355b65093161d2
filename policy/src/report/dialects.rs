//! Connections that a common enforcer treats differently from the upstream specification.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cluster::party::Party;
use crate::engine::effect::Effect;
use crate::report::connection::SeenTraffic;
use foretell_objects::model::flow::{Direction, Protocol};

/// A deviation of an enforcer that alters what the change denies.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DialectReport {
    /// The enforcer, as `--cni` accepts it.
    pub cni: String,
    /// The enforcer's name, for people.
    pub title: String,
    /// Name of the deviation: `ipBlockMatchesNoPod`.
    pub deviation: String,
    /// The deviation as a sentence.
    pub what: String,
    /// URL of the document that describes it.
    pub source: String,
    /// How many connections in use it affects.
    pub connections: u64,
    /// The first twenty of them.
    pub differences: Vec<DialectDifference>,
}

/// A connection in use that the change denies under one of the two readings only.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DialectDifference {
    /// Direction, seen from the end at which the readings differ.
    pub direction: Direction,
    /// The party at that end.
    pub subject: Party,
    /// The other end.
    pub peer: Party,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Port at the backend.
    pub port: u16,
    /// The traffic of the window.
    pub seen: SeenTraffic,
    /// The effect by the upstream specification.
    pub upstream: Effect,
    /// The effect under the enforcer.
    pub enforcer: Effect,
}
