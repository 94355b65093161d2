//! Connections of which a common enforcer makes something else than upstream's text.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::cluster::party::Party;
use crate::engine::effect::Effect;
use crate::model::flow::{Direction, Protocol};
use crate::report::data::SeenTraffic;

/// A way in which an enforcer deviates that changes what the change denies.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DialectReport {
    /// The enforcer, as `--cni` takes it.
    pub cni: String,
    /// Its name as people write it.
    pub title: String,
    /// Name of the deviation, `ipBlockMatchesNoPod`.
    pub deviation: String,
    /// The deviation as a sentence.
    pub what: String,
    /// Where it is written down.
    pub source: String,
    /// How many connections in use it concerns.
    pub connections: u64,
    /// The first of them.
    pub differences: Vec<DialectDifference>,
}

/// A connection in use that the change denies for one of the two only.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DialectDifference {
    /// Direction of the end at which they differ.
    pub direction: Direction,
    /// The workload at that end.
    pub subject: Party,
    /// The other end.
    pub peer: Party,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Port at the backend.
    pub port: u16,
    /// What was seen of it.
    pub seen: SeenTraffic,
    /// What becomes of it as upstream has it.
    pub upstream: Effect,
    /// What becomes of it there.
    pub enforcer: Effect,
}
