//! What a change does to policies, to exceptions, and to the fields of workloads that selectors look at.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use k8s_openapi::api::networking::v1::{NetworkPolicy, NetworkPolicySpec};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::change::plan::drift::Drift;
use crate::change::revisions::{Change, Sourced, SourcedWorkload};
use crate::engine::overlay::Overlay;
use crate::policy::admin_policy::AdminPolicy;
use crate::policy::exception::Exception;
use crate::policy::network_policy::Policy;
use foretell_objects::manifest::yaml_diff::yaml_diff;
use foretell_objects::model::labels::Labels;
use foretell_objects::model::policy_ref::{PolicyKind, PolicyRef};
use foretell_objects::resource::audit::PROMOTED_FROM;
use foretell_objects::resource::canonical;
use foretell_objects::resource::canonical::canonical_spec;
use foretell_objects::resource::custom_workload::CustomWorkload;
use foretell_objects::resource::difference::spec_differences;
use foretell_objects::resource::object::id::ObjectId;
use foretell_objects::resource::object::{Kind, Object};

pub mod drift;

/// What happened to an object between two revisions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "the names are the meaning")]
pub enum ChangeAction {
    Added,
    Changed,
    Removed,
}

/// A policy that the change adds, modifies or removes.
#[derive(Clone, Debug)]
pub struct PolicyChange {
    /// Kind, namespace and name of the policy.
    pub reference: PolicyRef,
    /// What the change does to it.
    pub action: ChangeAction,
    /// Its place in the files, as text.
    pub place: String,
    /// The promotion, if the policy comes from an audit policy.
    pub promotion: Option<Promotion>,
    /// Its compiled form after the change, or before the change if the policy is removed.
    pub compiled: Compiled,
    /// The object that `compiled` was compiled from.
    pub object: Object,
}

/// A compiled policy.
#[derive(Clone, Debug)]
pub enum Compiled {
    /// A NetworkPolicy or an audit policy.
    Policy(Arc<Policy>),
    /// An admin policy.
    AdminPolicy(Arc<AdminPolicy>),
}

impl Compiled {
    pub(crate) fn of(object: &Object) -> Option<Self> {
        let admin_policies = || AdminPolicy::of(object).map(Arc::new).map(Self::AdminPolicy);
        Policy::of(object).map(Arc::new).map(Self::Policy).or_else(admin_policies)
    }

    /// Kind, namespace and name of the policy.
    #[must_use]
    pub fn reference(&self) -> &PolicyRef {
        match self {
            Self::Policy(policy) => &policy.reference,
            Self::AdminPolicy(policy) => &policy.reference,
        }
    }

    /// Whether it selects a pod with these labels in `namespace`, which has `namespace_labels`.
    #[must_use]
    pub fn selects(&self, namespace: &str, namespace_labels: &Labels, labels: &Labels) -> bool {
        match self {
            Self::Policy(policy) => policy.selects(namespace, namespace_labels, labels),
            Self::AdminPolicy(policy) => policy.selects(namespace_labels, labels),
        }
    }
}

/// The promotion of an audit policy to an enforced one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Promotion {
    /// The audit policy.
    pub from: PolicyRef,
    /// The differences between the specs. Empty: none. `None`: the spec of the audit policy is unknown.
    pub differences: Option<Vec<String>>,
    /// The same as a unified diff of YAML, from the audited spec to the enforced one; empty where there are no differences.
    pub diff: String,
}

/// A change of an object that selectors, rules or Services look at.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct IdentityChange {
    /// Kind of the object: `Deployment`, `Namespace`, `Service`, ...
    pub kind: String,
    /// Namespace of the object; empty for a Namespace.
    pub namespace: String,
    /// Name of the object.
    pub name: String,
    /// What the change does to it.
    pub action: ChangeAction,
    /// Its place in the files, as text.
    pub place: String,
    /// Each field that differs: `labels.app: "web" becomes "shop"`.
    pub differences: Vec<String>,
    /// The same as a unified diff of YAML; empty if the object is added or removed.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub diff: String,
}

impl IdentityChange {
    /// Kind, namespace and name: `Deployment shop/web`.
    #[must_use]
    pub fn title(&self) -> String {
        let Self { kind, namespace, name, .. } = self;
        if namespace.is_empty() { format!("{kind} {name}") } else { format!("{kind} {namespace}/{name}") }
    }
}

/// Everything in a change that is judged.
#[derive(Clone, Debug, Default)]
pub struct Plan {
    /// Changes of enforced policies.
    pub enforced: Vec<PolicyChange>,
    /// Changes of audit policies, except those that the same change promotes.
    pub audited: Vec<PolicyChange>,
    /// Changes of workloads, Namespaces and Services.
    pub identities: Vec<IdentityChange>,
    /// Names of Nodes whose manifests change. Judgement uses these Nodes as recorded in the cluster.
    pub nodes: Vec<String>,
    /// Changes of objects of other kinds that make pods.
    pub custom: Vec<CustomChange>,
    /// Exceptions that exist after the change.
    pub exceptions: Vec<Exception>,
    /// Enforced policies before the change.
    pub before: Enforced,
    /// Enforced policies after the change.
    pub after: Enforced,
    /// Workloads, Namespaces and Services at the base revision.
    pub base: Overlay,
    /// Workloads, Namespaces and Services in the merged tree.
    pub head: Overlay,
    /// The audit policies that NetworkPolicies were promoted from, by namespace and name of the NetworkPolicy.
    pub promoted_from: BTreeMap<(String, String), PolicyRef>,
    /// Enforced policies of the base that the snapshot does not hold as the base has them.
    pub drift: Vec<Drift>,
}

/// The policies that are enforced in a world.
#[derive(Clone, Debug, Default)]
pub struct Enforced {
    /// NetworkPolicies.
    pub network_policies: Vec<Arc<Policy>>,
    /// Admin policies.
    pub admin_policies: Vec<Arc<AdminPolicy>>,
}

/// A change of an object of another kind that makes pods.
#[derive(Clone, Debug)]
pub struct CustomChange {
    /// The object before the change; `None`: the change adds it.
    pub before: Option<SourcedWorkload>,
    /// The object after the change; `None`: the change removes it.
    pub after: Option<SourcedWorkload>,
}

impl CustomChange {
    fn identity(&self) -> Option<IdentityChange> {
        let either = self.after.as_ref().or(self.before.as_ref())?;
        let action = match (&self.before, &self.after) {
            (None, _) => ChangeAction::Added,
            (Some(_), None) => ChangeAction::Removed,
            (Some(_), Some(_)) => ChangeAction::Changed,
        };
        let mut differences = Vec::new();
        let mut diff = String::new();
        if let (Some(before), Some(after)) = (&self.before, &self.after) {
            let (before, after) = (before.workload.relevant_fields(), after.workload.relevant_fields());
            // The only template is compared as that of a Deployment is.
            let [before, after] = match (only_template(&before), only_template(&after)) {
                (Some(before), Some(after)) if before != after => [before.clone(), after.clone()],
                _ => [before, after],
            };
            compare("", &before, &after, &mut differences);
            diff = yaml_diff(&before, &after);
        }
        let CustomWorkload { group, kind, namespace, name, .. } = &either.workload;
        let is_known = Kind::ALL.iter().any(|known| known.name() == kind);
        Some(IdentityChange {
            // `Service.serving.knative.dev` is not the Service of Kubernetes.
            kind: if is_known { format!("{kind}.{group}") } else { kind.clone() },
            namespace: namespace.clone(),
            name: name.clone(),
            action,
            place: either.place.to_string(),
            differences,
            diff,
        })
    }
}

fn only_template(fields: &Value) -> Option<&Value> {
    let templates = fields.get("templates")?.as_object().filter(|templates| templates.len() == 1)?;
    let is_alone = fields.as_object().is_some_and(|fields| fields.len() == 1);
    templates.values().next().filter(|_| is_alone)
}

fn custom_changes(change: &Change) -> Vec<CustomChange> {
    type Key<'a> = (&'a str, &'a str, &'a str, &'a str);
    fn by_key(side: &[SourcedWorkload]) -> BTreeMap<Key<'_>, &SourcedWorkload> {
        let keyed = side.iter().map(|it| {
            let CustomWorkload { group, kind, namespace, name, .. } = &it.workload;
            ((group.as_str(), kind.as_str(), namespace.as_str(), name.as_str()), it)
        });
        keyed.collect()
    }
    let (before, after) = (by_key(&change.custom_before), by_key(&change.custom_after));
    let keys: BTreeSet<&Key<'_>> = before.keys().chain(after.keys()).collect();
    let both = keys.into_iter().map(|key| (before.get(key).copied(), after.get(key).copied()));
    let changed = both.filter(|(before, after)| before.map(|it| &it.workload) != after.map(|it| &it.workload));
    changed.map(|(before, after)| CustomChange { before: before.cloned(), after: after.cloned() }).collect()
}

struct ObjectDifference<'a> {
    id: ObjectId,
    action: ChangeAction,
    before: Option<&'a Sourced>,
    after: Option<&'a Sourced>,
}

impl ObjectDifference<'_> {
    fn place(&self) -> String {
        self.after.or(self.before).map(|sourced| sourced.place.to_string()).unwrap_or_default()
    }
}

impl Plan {
    /// The plan of a change to the cluster in `snapshot`.
    #[must_use]
    pub fn of(snapshot: &[Object], change: &Change) -> Self {
        let live: BTreeMap<ObjectId, &Object> = snapshot.iter().map(|object| (object.id(), object)).collect();
        let mut before = live.clone();
        before.extend(change.before.iter().map(|sourced| (sourced.object.id(), &sourced.object)));
        let mut after = live.clone();
        for sourced in &change.before {
            after.remove(&sourced.object.id());
        }
        after.extend(change.after.iter().map(|sourced| (sourced.object.id(), &sourced.object)));

        let differences = differences(change);
        let changed: BTreeSet<&ObjectId> = differences.iter().map(|difference| &difference.id).collect();
        let worlds = ObjectsById { live: &live, before: &before, after: &after };
        let mut plan = Self {
            before: enforced(&before),
            after: enforced(&after),
            base: overlay(&change.before, &change.custom_before),
            head: overlay(&change.after, &change.custom_after),
            custom: custom_changes(change),
            exceptions: exceptions(&after, &changed),
            promoted_from: worlds.origins(),
            drift: Drift::of(change, &live),
            ..Self::default()
        };
        for difference in &differences {
            plan.add(difference, &worlds);
        }
        plan.identities.extend(plan.custom.iter().filter_map(CustomChange::identity));
        let promoted: BTreeSet<PolicyRef> = plan
            .enforced
            .iter()
            .filter(|change| change.action != ChangeAction::Removed)
            .filter_map(|change| Some(change.promotion.as_ref()?.from.clone()))
            .collect();
        plan.audited.retain(|change| !promoted.contains(&change.reference));
        plan
    }

    fn add(&mut self, difference: &ObjectDifference<'_>, worlds: &ObjectsById<'_>) {
        let Some(object) = difference.after.or(difference.before).map(|sourced| &sourced.object) else { return };
        match difference.id.kind {
            Kind::NetworkPolicy
            | Kind::AuditNetworkPolicy
            | Kind::AuditClusterNetworkPolicy
            | Kind::AdminNetworkPolicy
            | Kind::BaselineAdminNetworkPolicy
            | Kind::ClusterNetworkPolicy => {
                let Some(compiled) = Compiled::of(object) else { return };
                let removed = difference.action == ChangeAction::Removed;
                let change = PolicyChange {
                    reference: compiled.reference().clone(),
                    action: difference.action,
                    place: difference.place(),
                    promotion: if removed { None } else { worlds.promotion(object) },
                    compiled,
                    object: object.clone(),
                };
                let list = if change.reference.kind.is_enforced() { &mut self.enforced } else { &mut self.audited };
                list.push(change);
            }
            Kind::AuditException => {}
            Kind::Node => self.nodes.push(difference.id.name.clone()),
            kind => self.identities.push(IdentityChange {
                kind: format!("{kind:?}"),
                namespace: difference.id.namespace.clone(),
                name: difference.id.name.clone(),
                action: difference.action,
                place: difference.place(),
                differences: relevant_differences(difference),
                diff: identity_diff(difference),
            }),
        }
    }

    /// Whether it changes an enforced policy, or an object that enforced policies look at.
    #[must_use]
    pub fn is_enforced(&self) -> bool {
        !self.enforced.is_empty() || !self.identities.is_empty()
    }
}

struct ObjectsById<'a> {
    live: &'a BTreeMap<ObjectId, &'a Object>,
    before: &'a BTreeMap<ObjectId, &'a Object>,
    after: &'a BTreeMap<ObjectId, &'a Object>,
}

impl ObjectsById<'_> {
    /// The audit policy that a NetworkPolicy was promoted from: that of its annotation; else the one with its namespace and name; else
    /// the cluster policy with its name, if their rules are the same. The last form is what `kguardian audit promote-cluster` writes.
    fn origin(&self, policy: &NetworkPolicy) -> Option<ObjectId> {
        let namespace = policy.metadata.namespace.clone().unwrap_or_default();
        let name = policy.metadata.name.clone().unwrap_or_default();
        if let Some(text) = policy.metadata.annotations.as_ref().and_then(|all| all.get(PROMOTED_FROM)) {
            return Some(annotated_origin(text, &namespace));
        }
        let namesake = ObjectId { kind: Kind::AuditNetworkPolicy, namespace, name };
        if self.audited_spec(&namesake).is_some() {
            return Some(namesake);
        }
        let cluster_wide =
            ObjectId { kind: Kind::AuditClusterNetworkPolicy, namespace: String::new(), name: namesake.name };
        let audited = self.audited_spec(&cluster_wide)?;
        let promoted = policy.spec.clone().unwrap_or_default();
        (canonical_spec(&audited) == canonical_spec(&promoted)).then_some(cluster_wide)
    }

    /// The spec of an audit policy. The one in the cluster takes precedence, then that of the base, then that of the merged tree.
    fn audited_spec(&self, id: &ObjectId) -> Option<NetworkPolicySpec> {
        match [self.live, self.before, self.after].into_iter().find_map(|world| world.get(id))? {
            Object::AuditNetworkPolicy(audited) => Some(audited.spec.policy.clone()),
            Object::AuditClusterNetworkPolicy(audited) => Some(audited.spec.policy()),
            _ => None,
        }
    }

    /// The origins of all NetworkPolicies, by namespace and name.
    fn origins(&self) -> BTreeMap<(String, String), PolicyRef> {
        let objects = self.before.iter().chain(self.after);
        let origins = objects.filter_map(|(id, object)| {
            let Object::NetworkPolicy(policy) = object else { return None };
            Some(((id.namespace.clone(), id.name.clone()), audit_reference(self.origin(policy)?)))
        });
        origins.collect()
    }

    fn promotion(&self, object: &Object) -> Option<Promotion> {
        let Object::NetworkPolicy(policy) = object else { return None };
        let from = self.origin(policy)?;
        let audited_spec = self.audited_spec(&from);
        let promoted_spec = policy.spec.clone().unwrap_or_default();
        Some(Promotion {
            from: audit_reference(from),
            diff: audited_spec.as_ref().map(|audited| spec_diff(audited, &promoted_spec)).unwrap_or_default(),
            differences: audited_spec.map(|audited| spec_differences(&audited, &promoted_spec)),
        })
    }
}

/// Reads `foretell.dev/promoted-from`: `AuditClusterNetworkPolicy/NAME`, `AuditNetworkPolicy/NAME` (of the same namespace), or
/// a bare name, which means an AuditClusterNetworkPolicy.
fn annotated_origin(text: &str, namespace: &str) -> ObjectId {
    match text.rsplit_once('/') {
        Some((kind, name)) if kind.starts_with("AuditNetworkPolicy") => {
            ObjectId { kind: Kind::AuditNetworkPolicy, namespace: namespace.to_owned(), name: name.to_owned() }
        }
        other => ObjectId {
            kind: Kind::AuditClusterNetworkPolicy,
            namespace: String::new(),
            name: other.map_or(text, |(_, name)| name).to_owned(),
        },
    }
}

fn audit_reference(id: ObjectId) -> PolicyRef {
    let kind = match id.kind {
        Kind::AuditClusterNetworkPolicy => PolicyKind::AuditClusterNetworkPolicy,
        _ => PolicyKind::AuditNetworkPolicy,
    };
    PolicyRef { kind, namespace: id.namespace, name: id.name }
}

fn differences(change: &Change) -> Vec<ObjectDifference<'_>> {
    let before: BTreeMap<ObjectId, &Sourced> = change.before.iter().map(|it| (it.object.id(), it)).collect();
    let after: BTreeMap<ObjectId, &Sourced> = change.after.iter().map(|it| (it.object.id(), it)).collect();
    let ids: BTreeSet<&ObjectId> = before.keys().chain(after.keys()).collect();
    ids.into_iter()
        .filter_map(|id| {
            let (before, after) = (before.get(id).copied(), after.get(id).copied());
            let action = match (before, after) {
                (None, _) => ChangeAction::Added,
                (Some(_), None) => ChangeAction::Removed,
                (Some(before), Some(after)) if before.object.relevant_fields() == after.object.relevant_fields() => {
                    return None;
                }
                (Some(_), Some(_)) => ChangeAction::Changed,
            };
            Some(ObjectDifference { id: id.clone(), action, before, after })
        })
        .collect()
}

fn overlay(objects: &[Sourced], custom: &[SourcedWorkload]) -> Overlay {
    let mut overlay = Overlay::of(objects.iter().map(|sourced| &sourced.object));
    overlay.add_custom(custom.iter().map(|sourced| &sourced.workload));
    overlay
}

fn enforced(objects: &BTreeMap<ObjectId, &Object>) -> Enforced {
    let policies = objects.iter().filter(|(id, _)| id.kind == Kind::NetworkPolicy);
    Enforced {
        network_policies: policies.filter_map(|(_, object)| Policy::of(object)).map(Arc::new).collect(),
        admin_policies: objects.values().filter_map(|object| AdminPolicy::of(object)).map(Arc::new).collect(),
    }
}

fn exceptions(objects: &BTreeMap<ObjectId, &Object>, changed: &BTreeSet<&ObjectId>) -> Vec<Exception> {
    let exceptions = objects.iter().filter_map(|(id, object)| match object {
        Object::AuditException(exception) => Some(Exception::of(exception, changed.contains(id))),
        _ => None,
    });
    exceptions.collect()
}

fn relevant_differences(difference: &ObjectDifference<'_>) -> Vec<String> {
    let relevant_fields = |side: Option<&Sourced>| side.map_or(Value::Null, |sourced| sourced.object.relevant_fields());
    let mut found = Vec::new();
    if difference.action == ChangeAction::Changed {
        compare("", &relevant_fields(difference.before), &relevant_fields(difference.after), &mut found);
    }
    found
}

fn identity_diff(difference: &ObjectDifference<'_>) -> String {
    match (difference.before, difference.after) {
        (Some(before), Some(after)) => yaml_diff(&before.object.relevant_fields(), &after.object.relevant_fields()),
        _ => String::new(),
    }
}

/// Compares canonical forms, as `spec_differences` does, so that different spellings of one meaning are not in the diff.
fn spec_diff(audited: &NetworkPolicySpec, promoted: &NetworkPolicySpec) -> String {
    let [audited, promoted] = [audited, promoted].map(|spec| json!({"spec": canonical::json(&canonical_spec(spec))}));
    yaml_diff(&audited, &promoted)
}

/// Lists the differences between two values, by path.
fn compare(path: &str, before: &Value, after: &Value, found: &mut Vec<String>) {
    let (Value::Object(old), Value::Object(new)) = (before, after) else {
        if before != after {
            found.push(match (before, after) {
                (Value::Null, after) => format!("{path}: {after} is added"),
                (before, Value::Null) => format!("{path}: {before} is removed"),
                (before, after) => format!("{path}: {before} becomes {after}"),
            });
        }
        return;
    };
    let keys: BTreeSet<&String> = old.keys().chain(new.keys()).collect();
    for key in keys {
        let path = if path.is_empty() { key.clone() } else { format!("{path}.{key}") };
        let side = |map: &serde_json::Map<String, Value>| map.get(key).cloned().unwrap_or(Value::Null);
        compare(&path, &side(old), &side(new), found);
    }
}
