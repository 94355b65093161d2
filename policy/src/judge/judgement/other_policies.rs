//! Policies of CNIs' and meshes' own kinds in the cluster. They are not evaluated, and may decide about a connection that is judged.

use std::collections::{BTreeMap, BTreeSet, HashSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde_json::Value;

use crate::cluster::ownership::Destination;
use crate::cluster::pod::PodId;
use crate::judge::judgement::Judgement;
use foretell_objects::model::labels::{Labels, Selector};
use foretell_objects::model::other_policies::{Role, Scope};
use foretell_objects::resource::other_policy::OtherPolicy;

/// Names in a sentence before "and 3 more".
const MOST_NAMES: usize = 3;

/// Whether a policy selects a pod, as far as its selector is evaluated.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
enum Selection {
    No,
    /// It applies in the pod's namespace, and has no selector or one that is not evaluated.
    Possible,
    Certain,
}

/// Policies of one kind in one namespace that may select ends of judged connections.
struct Group<'a> {
    policies: Vec<&'a OtherPolicy>,
    selection: Selection,
    workloads: BTreeSet<String>,
}

impl Judgement<'_> {
    /// One sentence for each kind and namespace whose policies may select an end of a judged connection.
    pub(super) fn other_policies(&self) -> Vec<String> {
        let policies = self.inputs.cluster.other_policies();
        if policies.is_empty() {
            return Vec::new();
        }
        let ends = self.judged_ends();
        let identities = self.after.identities();
        let mut groups: BTreeMap<(&str, &str, &str), Group<'_>> = BTreeMap::new();
        for policy in policies {
            let (mut selection, mut workloads) = (Selection::No, BTreeSet::new());
            for pod in &ends {
                let identity = identities.identity(*pod);
                let of_pod = selects(policy, &identity.namespace, &identity.labels);
                if of_pod != Selection::No {
                    let workload = &self.inputs.cluster.pod(*pod).workload;
                    workloads.insert(format!("{} {}/{}", workload.kind, workload.namespace, workload.name));
                }
                selection = selection.max(of_pod);
            }
            if selection == Selection::No {
                continue;
            }
            let group = groups.entry((&policy.kind, &policy.group, &policy.namespace)).or_insert(Group {
                policies: Vec::new(),
                selection,
                workloads: BTreeSet::new(),
            });
            group.policies.push(policy);
            group.selection = group.selection.min(selection);
            group.workloads.extend(workloads);
        }
        groups.values().map(Group::sentence).collect()
    }

    /// The pods at the ends of the connections of affected pods: of those that policies of the change select, enforced or audited, and
    /// of those that selectors see differently.
    fn judged_ends(&self) -> BTreeSet<PodId> {
        let audited = self.plan.audited.iter().flat_map(|change| self.selected(change));
        let affected: HashSet<PodId> = self.subjects().into_iter().chain(audited).collect();
        let mut ends = BTreeSet::new();
        for (key, _) in self.inputs.traffic.touching(&affected, &HashSet::new()) {
            ends.extend(key.src.pod());
            match key.dst {
                Destination::Direct(end) => ends.extend(end.pod()),
                Destination::Service { service, .. } => ends.extend(self.after.identities().targets(service).pods()),
            }
        }
        ends.retain(|pod| self.inputs.cluster.is_alive(*pod, self.inputs.at));
        ends
    }
}

impl Group<'_> {
    fn sentence(&self) -> String {
        let workloads: Vec<&str> = self.workloads.iter().map(String::as_str).collect();
        let ends = some_of(&workloads);
        let may = if self.selection == Selection::Certain { "" } else { "may " };
        match self.policies[..] {
            [policy] => {
                let selects = if may.is_empty() { "selects" } else { "may select" };
                format!("not judged: {policy} {selects} {ends}, whose connections are judged here without it")
            }
            ref policies => {
                let names: Vec<&str> = policies.iter().map(|policy| policy.name.as_str()).collect();
                let (kind, api_group, namespace) = policies.first().map_or(("", "", ""), |policy| {
                    (policy.kind.as_str(), policy.group.as_str(), policy.namespace.as_str())
                });
                let place = if namespace.is_empty() { String::new() } else { format!(" in namespace {namespace}") };
                format!(
                    "not judged: {} objects of kind {kind} ({api_group}){place} {may}select {ends}, whose connections are judged here \
                     without them: {}",
                    policies.len(),
                    some_of(&names)
                )
            }
        }
    }
}

/// `a, b, c and 2 more`
fn some_of(names: &[&str]) -> String {
    let shown = names.iter().take(MOST_NAMES).copied().collect::<Vec<_>>().join(", ");
    match names.len().saturating_sub(MOST_NAMES) {
        0 => shown,
        more => format!("{shown} and {more} more"),
    }
}

fn selects(policy: &OtherPolicy, namespace: &str, labels: &Labels) -> Selection {
    let is_in_scope = match policy.row.scope {
        Scope::Namespace => policy.namespace == namespace,
        Scope::NamespaceOrRoot(root) => policy.namespace == root || policy.namespace == namespace,
        Scope::Mesh | Scope::Cluster => true,
        Scope::Unknown => policy.namespace.is_empty() || policy.namespace == namespace,
    };
    // Those that other policies refer to select nothing on their own.
    let selector = match policy.row.role {
        Role::Policy { selector, .. } if is_in_scope => selector,
        Role::Support if is_in_scope && policy.row.scope == Scope::Unknown => "",
        _ => return Selection::No,
    };
    if selector.is_empty() {
        return Selection::Possible;
    }
    let content = &policy.content;
    let specs: Vec<&Value> = content
        .get("spec")
        .into_iter()
        .chain(content.get("specs").and_then(Value::as_array).into_iter().flatten())
        .collect();
    specs.into_iter().map(|spec| spec_selects(spec, selector, labels)).max().unwrap_or(Selection::Possible)
}

fn spec_selects(spec: &Value, selector: &str, labels: &Labels) -> Selection {
    match spec.get(selector) {
        Some(value) => selector_matches(value, labels),
        // A policy of Cilium for hosts selects no pod.
        None if spec.get("nodeSelector").is_some() => Selection::No,
        None => Selection::Possible,
    }
}

/// Evaluates a label selector. Keys of Cilium have a source (`k8s:app`, `any:app`); requirements on what is not a label of a pod, such as
/// its namespace, are not evaluated.
fn selector_matches(value: &Value, labels: &Labels) -> Selection {
    let Ok(mut selector) = serde_json::from_value::<LabelSelector>(value.clone()) else { return Selection::Possible };
    let mut is_whole = true;
    if let Some(equalities) = selector.match_labels.take() {
        let kept = equalities.into_iter().filter_map(|(key, value)| Some((label(&key)?, value)));
        let before = value.get("matchLabels").and_then(Value::as_object).map_or(0, serde_json::Map::len);
        let kept: std::collections::BTreeMap<String, String> = kept.collect();
        is_whole &= kept.len() == before;
        selector.match_labels = Some(kept);
    }
    if let Some(expressions) = selector.match_expressions.as_mut() {
        let before = expressions.len();
        expressions.retain_mut(|expression| label(&expression.key).map(|key| expression.key = key).is_some());
        is_whole &= expressions.len() == before;
    }
    match (Selector::compile(&selector).matches(labels), is_whole) {
        (false, _) => Selection::No,
        (true, true) => Selection::Certain,
        (true, false) => Selection::Possible,
    }
}

/// The key of a pod's label. `None`: it is something else.
fn label(key: &str) -> Option<String> {
    let key = key.strip_prefix("k8s:").or_else(|| key.strip_prefix("any:")).unwrap_or(key);
    (!key.contains(':') && !key.starts_with("io.kubernetes.pod.") && !key.starts_with("io.cilium."))
        .then(|| key.to_owned())
}
