//! What the answer depends on and could not be evaluated.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Something that the answer depends on and that could not be evaluated.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UndecidedPart {
    /// Where it is: a file with the number of its document, a node or a policy.
    pub places: Vec<String>,
    /// What could not be evaluated and why.
    pub what: String,
    /// How to fix it.
    pub fix: String,
}
