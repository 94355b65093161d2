//! Policies inside objects of other kinds, which a controller, a template engine or a job applies: a ConfigMap with a manifest as text,
//! a `Template` of `OpenShift`, a `ResourceSet` of Flux, a Kyverno rule that generates policies, a `ManifestWork`, an `Object` of Crossplane.
//!
//! Any object is searched, whatever its kind, because new kinds that apply manifests appear all the time. A policy is a manifest, with
//! `apiVersion`, `kind`, and `metadata` or `spec`. A mere reference to a policy does not count.

use serde_json::{Map, Value, json};

use crate::manifest::documents::documents;
use crate::manifest::kinds::{self, POLICY_KINDS};
use crate::model::other_policies::OtherPolicyKind;
use crate::resource::other_policy::{OtherPolicy, content, without_nulls};

/// A policy inside an object of another kind.
#[derive(Clone, Debug, PartialEq)]
pub struct ContainedPolicy {
    /// Its kind and name, or what seems to contain it: `NetworkPolicy shop/deny`.
    pub title: String,
    /// Its fields. Two revisions with equal content apply the same policy.
    pub content: Value,
}

/// How deep texts are read that are inside of texts.
const MOST_NESTED: usize = 8;

/// Groups of kinds whose policy is not a manifest: the policy of `example.com` is not.
const EVALUATED_GROUPS: [&str; 5] =
    ["networking.k8s.io", "extensions", "kguardian.dev", "foretell.dev", "policy.networking.k8s.io"];

/// Kinds of Kyverno, some with the prefix `Namespaced`, whose rules are expressions.
const WHOLE_KYVERNO_KINDS: [&str; 3] = ["GeneratingPolicy", "MutatingPolicy", "DeletingPolicy"];

/// The policies inside of an object, in the order in which they are found. Metadata and status are not searched.
#[must_use]
pub fn contained(value: &Value) -> Vec<ContainedPolicy> {
    let text = |path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let (api_version, kind) = (text("/apiVersion"), text("/kind"));
    let group = api_version.split_once('/').map_or("", |(group, _)| group);
    let mut found = Vec::new();
    match (group, kind) {
        ("kyverno.io", "Policy" | "ClusterPolicy") => rules(value, &mut found),
        ("kyverno.io", "CleanupPolicy" | "ClusterCleanupPolicy") => whole(value, &mut found),
        ("policies.kyverno.io", kind) if WHOLE_KYVERNO_KINDS.iter().any(|known| kind.ends_with(known)) => {
            whole(value, &mut found);
        }
        _ => search(value, 0, &mut found),
    }
    if found.iter().any(|policy| has_placeholder(&policy.content)) {
        found.extend(parameters(value, kind));
    }
    found
}

fn search(value: &Value, depth: usize, found: &mut Vec<ContainedPolicy>) {
    match value {
        Value::Object(fields) => {
            if let Some(policy) = policy(value, fields) {
                found.extend(policy);
                return;
            }
            let is_manifest = fields.contains_key("apiVersion");
            for (key, value) in fields {
                if !(is_manifest && ["metadata", "status"].contains(&key.as_str())) {
                    search(value, depth, found);
                }
            }
        }
        Value::Array(items) => items.iter().for_each(|item| search(item, depth, found)),
        Value::String(text) if depth < MOST_NESTED && kinds::seems_to_hold_policy(text) => {
            search_text(text, depth, found);
        }
        Value::String(_) | Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

/// `None`: it is no policy. An empty list: it is a policy that is not enforced.
fn policy(value: &Value, fields: &Map<String, Value>) -> Option<Vec<ContainedPolicy>> {
    if !["metadata", "spec", "specs", "items"].iter().any(|field| fields.contains_key(*field)) {
        return None;
    }
    if let Some(other) = OtherPolicy::read(value, "") {
        let policy = other.is_enforced().then(|| ContainedPolicy { title: other.to_string(), content: other.content });
        return Some(policy.into_iter().collect());
    }
    let text = |path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or_default();
    let (group, kind) = (text("/apiVersion").split_once('/')?.0, text("/kind"));
    // The items of a NetworkPolicyList need not repeat its kind.
    let is_policy = POLICY_KINDS.contains(&kind.strip_suffix("List").unwrap_or(kind));
    if !is_policy || !EVALUATED_GROUPS.contains(&group) {
        return None;
    }
    let (namespace, name) = (text("/metadata/namespace"), text("/metadata/name"));
    let title = if namespace.is_empty() { format!("{kind} {name}") } else { format!("{kind} {namespace}/{name}") };
    Some(vec![ContainedPolicy { title: title.trim_end().to_owned(), content: content(value, false) }])
}

fn search_text(text: &str, depth: usize, found: &mut Vec<ContainedPolicy>) {
    let known = found.len();
    let mut is_readable = !["{{", "${", "<<"].iter().any(|mark| text.contains(mark));
    for document in documents(text) {
        match document.value {
            Ok(value) => search(&value, depth + 1, found),
            Err(_) => is_readable = false,
        }
    }
    if !is_readable {
        // Not all of it is YAML: a template, or a script that applies a manifest.
        found.truncate(known);
        found.push(ContainedPolicy {
            title: "a text that seems to contain a policy".to_owned(),
            content: Value::String(text.trim().to_owned()),
        });
    }
}

/// The rules of a Kyverno policy that generate or change policies. Those that only validate them enforce nothing.
fn rules(policy: &Value, found: &mut Vec<ContainedPolicy>) {
    let rules = policy.pointer("/spec/rules").and_then(Value::as_array);
    for rule in rules.into_iter().flatten() {
        let generates = rule.get("generate").is_some_and(mentions_policy);
        let mutates = rule.get("mutate").is_some() && mentions_policy(rule);
        if generates || mutates {
            let name = rule.get("name").and_then(Value::as_str).unwrap_or_default();
            let does = if generates { "generates" } else { "changes" };
            found.push(ContainedPolicy {
                title: format!("the rule {name}, which {does} policies"),
                content: without_nulls(rule),
            });
        }
    }
}

/// A spec that generates, changes or deletes policies counts as a whole.
fn whole(value: &Value, found: &mut Vec<ContainedPolicy>) {
    let spec = value.get("spec").filter(|spec| mentions_policy(spec));
    found.extend(spec.map(|spec| ContainedPolicy {
        title: "a rule that generates, changes or deletes policies".to_owned(),
        content: without_nulls(spec),
    }));
}

/// Whether a string in it names the kind of a policy: `NetworkPolicy`, `networking.k8s.io/v1/NetworkPolicy`.
fn mentions_policy(value: &Value) -> bool {
    match value {
        Value::String(text) => {
            let mut words = text.split(|c: char| !c.is_ascii_alphanumeric());
            words.any(|word| POLICY_KINDS.contains(&word) || OtherPolicyKind::is_named(word, text))
        }
        Value::Array(items) => items.iter().any(mentions_policy),
        Value::Object(fields) => fields.values().any(mentions_policy),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

fn has_placeholder(value: &Value) -> bool {
    match value {
        Value::String(text) => ["${", "{{", "<<"].iter().any(|mark| text.contains(mark)),
        Value::Array(items) => items.iter().any(has_placeholder),
        Value::Object(fields) => fields.iter().any(|(key, value)| key.contains("${") || has_placeholder(value)),
        Value::Null | Value::Bool(_) | Value::Number(_) => false,
    }
}

/// The values that fill in the placeholders of policies. Names for people do not.
fn parameters(value: &Value, kind: &str) -> Option<ContainedPolicy> {
    let content = match kind {
        "Template" => {
            let mut parameters = value.get("parameters")?.clone();
            for parameter in parameters.as_array_mut().into_iter().flatten().filter_map(Value::as_object_mut) {
                parameter.retain(|field, _| !["description", "displayName"].contains(&field.as_str()));
            }
            parameters
        }
        "ResourceSet" => {
            let spec = value.get("spec")?;
            json!([spec.get("inputs"), spec.get("inputsFrom"), spec.get("inputStrategy")])
        }
        _ => return None,
    };
    Some(ContainedPolicy { title: "a policy with parameters".to_owned(), content: without_nulls(&content) })
}
