//! How two values differ, as a unified diff of their YAML.

use serde_json::Value;
use similar::TextDiff;

use crate::manifest::write_yaml;

/// Unchanged lines around a change: enough to see to which rule a changed line belongs.
const CONTEXT: usize = 4;

/// A unified diff without file names; empty if the values are equal.
#[must_use]
pub fn yaml_diff(before: &Value, after: &Value) -> String {
    let [before, after] = [before, after].map(write_yaml::text);
    TextDiff::from_lines(&before, &after).unified_diff().context_radius(CONTEXT).to_string()
}
