//! What a promotion must not carry along, and where it came from.
//!
//! A NetworkPolicy that was made out of a copy of an audit policy brings the record of that object's last `kubectl apply`.
//! It is wrong for the new object: kubectl would work out the next change against a policy of another kind. It is taken away,
//! and what it told is kept in an annotation of its own.

use std::collections::BTreeMap;

use foretell_policy::resource::audit::{GROUP, PROMOTED_FROM};
use json_patch::jsonptr::PointerBuf;
use json_patch::{AddOperation, Patch, PatchOperation, RemoveOperation};
use kube::core::DynamicObject;
use serde::Deserialize;

/// The annotation in which `kubectl apply` keeps what was applied.
pub const LAST_APPLIED: &str = "kubectl.kubernetes.io/last-applied-configuration";

/// As much of what was applied as tells whose it is.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Applied {
    api_version: String,
    kind: String,
    #[serde(default)]
    metadata: Named,
}

#[derive(Debug, Clone, Default, PartialEq, Eq, Deserialize)]
struct Named {
    #[serde(default)]
    name: String,
}

impl Applied {
    /// As the annotation has it, if it was an audit policy.
    fn provenance(&self) -> Option<String> {
        let group = self.api_version.split_once('/').map_or("", |(group, _)| group);
        let is_audit = matches!(self.kind.as_str(), "AuditNetworkPolicy" | "AuditClusterNetworkPolicy");
        let is_known = group == GROUP && is_audit && !self.metadata.name.is_empty();
        is_known.then(|| format!("{}/{}", self.kind, self.metadata.name))
    }
}

/// The change of a NetworkPolicy's annotations, where there is one to be made. What it makes needs none.
#[must_use]
pub fn tidied(object: &DynamicObject) -> Option<Patch> {
    let annotations = object.metadata.annotations.as_ref()?;
    let stale = stale(object, annotations)?;
    let mut changes = vec![PatchOperation::Remove(RemoveOperation { path: annotation(LAST_APPLIED) })];
    // What is said already was said on purpose.
    if let Some(provenance) = stale.provenance().filter(|_| !annotations.contains_key(PROMOTED_FROM)) {
        let value = provenance.into();
        changes.push(PatchOperation::Add(AddOperation { path: annotation(PROMOTED_FROM), value }));
    }
    Some(Patch(changes))
}

/// What was applied, if that was another kind of object. What cannot be read is left alone.
fn stale(object: &DynamicObject, annotations: &BTreeMap<String, String>) -> Option<Applied> {
    let applied: Applied = serde_json::from_str(annotations.get(LAST_APPLIED)?).ok()?;
    let types = object.types.as_ref()?;
    let is_its_own = (&applied.api_version, &applied.kind) == (&types.api_version, &types.kind);
    (!is_its_own).then_some(applied)
}

fn annotation(name: &str) -> PointerBuf {
    PointerBuf::from_tokens(["metadata", "annotations", name])
}
