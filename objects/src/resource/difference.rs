//! The differences between two specs of a policy, as text.

use k8s_openapi::api::networking::v1::NetworkPolicySpec;
use serde_json::Value;

use crate::resource::canonical::{canonical_spec, json};

/// The differences between the spec of an enforced policy and that of the audit policy it was promoted from, one line per
/// field: `spec.ingress[1].ports[0].port: 8080 in the audited policy, 9090 here`. Empty: the specs have the same meaning.
///
/// Specs are compared with defaults applied, CIDRs by their network and `policyTypes` as a set, so that different spellings of
/// one meaning are not reported. Rules of a direction that `policyTypes` does not contain are compared too.
#[must_use]
pub fn spec_differences(audited: &NetworkPolicySpec, here: &NetworkPolicySpec) -> Vec<String> {
    let mut lines = Vec::new();
    compare("spec", Some(&json(&canonical_spec(audited))), Some(&json(&canonical_spec(here))), &mut lines);
    lines
}

fn compare(path: &str, audited: Option<&Value>, here: Option<&Value>, lines: &mut Vec<String>) {
    match (audited, here) {
        (Some(Value::Object(audited)), Some(Value::Object(here))) => {
            let added = here.keys().filter(|key| !audited.contains_key(*key));
            let mut keys: Vec<&String> = audited.keys().chain(added).collect();
            keys.sort();
            for key in keys {
                compare(&below(path, key), audited.get(key), here.get(key), lines);
            }
        }
        (Some(Value::Array(audited)), Some(Value::Array(here))) => {
            for n in 0..audited.len().max(here.len()) {
                compare(&format!("{path}[{n}]"), audited.get(n), here.get(n), lines);
            }
        }
        _ if audited != here => {
            lines.push(format!("{path}: {} in the audited policy, {} here", words(audited), words(here)));
        }
        _ => {}
    }
}

fn below(path: &str, key: &str) -> String {
    let plain = key.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-' || byte == b'_');
    if plain { format!("{path}.{key}") } else { format!("{path}[{key}]") }
}

fn words(value: Option<&Value>) -> String {
    match value {
        None => "absent".to_owned(),
        Some(Value::String(text)) if !text.is_empty() => text.clone(),
        Some(value) => value.to_string(),
    }
}
