//! Cleans up the metadata of a promoted policy.
//!
//! A NetworkPolicy that was copied from an audit policy still has the annotation with the last applied configuration of that
//! object. It is wrong for the new object: kubectl would compute the next change against a policy of another kind. The
//! annotation is removed, and another annotation records the origin.

use std::collections::BTreeMap;

use foretell_objects::resource::audit::{GROUP, PROMOTED_FROM};
use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation, RemoveOperation};
use kube::core::DynamicObject;
use serde::Deserialize;

/// The annotation in which `kubectl apply` stores the last applied configuration.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// The fields of the last applied configuration that identify its object.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct LastApplied {
    api_version: String,
    kind: String,
    #[serde(default)]
    metadata: Metadata,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
struct Metadata {
    #[serde(default)]
    name: String,
}

impl LastApplied {
    /// The value of the annotation with the origin, if the configuration is that of an audit policy.
    fn origin(&self) -> Option<String> {
        let group = self.api_version.split_once('/').map_or("", |(group, _)| group);
        let is_audit = matches!(self.kind.as_str(), "AuditNetworkPolicy" | "AuditClusterNetworkPolicy");
        let is_known = group == GROUP && is_audit && !self.metadata.name.is_empty();
        is_known.then(|| format!("{}/{}", self.kind, self.metadata.name))
    }
}

/// The patch of a NetworkPolicy's annotations, if it needs one. A patched object needs none.
#[must_use]
pub fn cleanup(object: &DynamicObject) -> Option<Patch> {
    let annotations = object.metadata.annotations.as_ref()?;
    let stale = stale(object, annotations)?;
    let mut changes = vec![PatchOperation::Remove(RemoveOperation { path: annotation(LAST_APPLIED) })];
    // An existing annotation with the origin is never replaced.
    if let Some(origin) = stale.origin().filter(|_| !annotations.contains_key(PROMOTED_FROM)) {
        let value = origin.into();
        changes.push(PatchOperation::Add(AddOperation { path: annotation(PROMOTED_FROM), value }));
    }
    Some(Patch(changes))
}

/// The last applied configuration, if it is that of another kind of object. An unreadable one is ignored.
fn stale(object: &DynamicObject, annotations: &BTreeMap<String, String>) -> Option<LastApplied> {
    let applied: LastApplied = serde_json::from_str(annotations.get(LAST_APPLIED)?).ok()?;
    let types = object.types.as_ref()?;
    let is_its_own = (&applied.api_version, &applied.kind) == (&types.api_version, &types.kind);
    (!is_its_own).then_some(applied)
}

fn annotation(name: &str) -> PointerBuf {
    PointerBuf::from_tokens(["metadata", "annotations", name])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_an_audit_policy_with_a_name_is_an_origin() {
        for (api_version, kind, name, expected) in [
            ("kguardian.dev/v1alpha1", "AuditNetworkPolicy", "web", Some("AuditNetworkPolicy/web")),
            ("kguardian.dev/v1", "AuditClusterNetworkPolicy", "all", Some("AuditClusterNetworkPolicy/all")),
            ("kguardian.dev/v1alpha1", "AuditNetworkPolicy", "", None),
            ("kguardian.dev/v1alpha1", "NetworkPolicy", "web", None),
            ("other.example/v1", "AuditNetworkPolicy", "web", None),
            ("kguardian.dev", "AuditNetworkPolicy", "web", None),
            ("v1", "AuditNetworkPolicy", "web", None),
        ] {
            let metadata = Metadata { name: name.to_owned() };
            let applied = LastApplied { api_version: api_version.to_owned(), kind: kind.to_owned(), metadata };
            assert_eq!(applied.origin().as_deref(), expected, "{api_version} {kind} {name}");
        }
    }

    #[test]
    fn the_slash_in_the_name_of_an_annotation_is_escaped_in_the_path() {
        assert_eq!(annotation("a.example/b").to_string(), "/metadata/annotations/a.example~1b");
    }
}
