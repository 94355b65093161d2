//! A policy of a CNI's or mesh's own kind, reduced to what decides whether a change alters it.

use std::fmt;

use serde_json::{Map, Value};

use crate::model::other_policies::{OtherPolicyKind, Role};

/// An object of a kind of the table of [other policies](crate::model::other_policies). The engine does not evaluate it.
#[derive(Clone, Debug, PartialEq)]
pub struct OtherPolicy {
    /// The kind's row in the table.
    pub row: &'static OtherPolicyKind,
    /// The API group.
    pub group: String,
    /// The value of `kind`.
    pub kind: String,
    /// The namespace; empty if the kind has none.
    pub namespace: String,
    /// `metadata.name`, or the prefix of a generated name.
    pub name: String,
    /// Everything in it that its project reads: all fields but metadata and status, and the labels and annotations that count. Two
    /// versions with equal content do the same.
    pub content: Value,
}

/// The prefixes of labels and annotations that change what a policy does: `istio.io/dry-run`, `kuma.io/mesh`, `kuma.io/effect`.
const TELLING: [&str; 2] = ["istio.io/", "kuma.io/"];

impl OtherPolicy {
    /// Reads an object. `None`: its kind is no policy, or one that is evaluated. `default_namespace` is that of objects that do not name
    /// one.
    #[must_use]
    pub fn read(value: &Value, default_namespace: &str) -> Option<Self> {
        let text = |path: &str| value.pointer(path).and_then(Value::as_str).unwrap_or_default();
        let (api_version, kind) = (text("/apiVersion"), text("/kind"));
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        let row = OtherPolicyKind::find(group, kind)?;
        let namespace = match (row.is_namespaced(), text("/metadata/namespace")) {
            (Some(false), _) => "",
            (Some(true), "") => default_namespace,
            (_, namespace) => namespace,
        };
        let name = match text("/metadata/name") {
            "" => text("/metadata/generateName"),
            name => name,
        };
        Some(Self {
            row,
            group: group.to_owned(),
            kind: kind.to_owned(),
            namespace: namespace.to_owned(),
            name: name.to_owned(),
            content: content(value, row.role == Role::Set),
        })
    }

    /// Whether it is enforced. Staged policies are not, nor are policies in the dry-run mode of Istio and in the shadow mode of Kuma.
    /// <https://istio.io/latest/docs/tasks/security/authorization/authz-dry-run/>
    #[must_use]
    pub fn is_enforced(&self) -> bool {
        let text = |path: &str| self.content.pointer(path).and_then(Value::as_str);
        let is_dry_run = self.group == "security.istio.io" && text("/annotations/istio.io~1dry-run") == Some("true");
        let is_shadow = self.group == "kuma.io" && text("/labels/kuma.io~1effect") == Some("shadow");
        self.row.role != Role::NotEnforced && !is_dry_run && !is_shadow
    }
}

/// `CiliumNetworkPolicy shop/api (cilium.io)`. The group distinguishes Calico's NetworkPolicy from that of Kubernetes.
impl fmt::Display for OtherPolicy {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { group, kind, namespace, name, .. } = self;
        match namespace.as_str() {
            "" => write!(f, "{kind} {name}")?,
            namespace => write!(f, "{kind} {namespace}/{name}")?,
        }
        write!(f, " ({group})")
    }
}

/// The fields that count. Selectors of policies select sets of addresses and endpoints by their labels, so that all of these count. The
/// labels of a policy are for people and tools.
pub(crate) fn content(value: &Value, all_labels: bool) -> Value {
    let mut content = Map::new();
    for (key, value) in value.as_object().into_iter().flatten() {
        if !["apiVersion", "kind", "metadata", "status"].contains(&key.as_str()) {
            content.insert(key.clone(), without_nulls(value));
        }
    }
    for (field, all) in [("labels", all_labels), ("annotations", false)] {
        let entries = value.pointer(&format!("/metadata/{field}")).and_then(Value::as_object);
        let telling = entries
            .into_iter()
            .flatten()
            .filter(|(key, value)| !value.is_null() && (all || TELLING.iter().any(|prefix| key.starts_with(prefix))));
        let telling: Map<String, Value> = telling.map(|(key, value)| (key.clone(), value.clone())).collect();
        if !telling.is_empty() {
            content.insert(field.to_owned(), telling.into());
        }
    }
    content.into()
}

/// An API server drops fields that are null.
pub(crate) fn without_nulls(value: &Value) -> Value {
    match value {
        Value::Object(fields) => {
            let kept = fields.iter().filter(|(_, value)| !value.is_null());
            kept.map(|(key, value)| (key.clone(), without_nulls(value))).collect::<Map<_, _>>().into()
        }
        Value::Array(items) => items.iter().map(without_nulls).collect(),
        other => other.clone(),
    }
}
