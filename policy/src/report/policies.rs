//! The policies of the report, and fixes for them.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};
use serde_json::json;

use crate::change::plan::ChangeAction;
use crate::cluster::party::Party;
use crate::report::connection::{Connection, Denial, State};
use crate::report::denial::DenialId;
use crate::report::undecided::UndecidedPart;
use foretell_objects::manifest::write_yaml;
use foretell_objects::model::policy_ref::PolicyRef;

/// A policy that the change touches.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyReport {
    /// The policy's kind, namespace and name.
    pub policy: PolicyRef,
    /// Whether the change adds, changes or removes it.
    pub action: ChangeAction,
    /// The file with the number of the document.
    pub place: String,
    /// The audit policy that it enforces from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promotion: Option<PromotionReport>,
    /// Running pods that it selects; that it selected, if it is removed.
    pub selected_pods: u64,
    /// The workloads of these pods.
    pub selected_workloads: Vec<Party>,
    /// How it decides, evaluated in isolation, about the connections in use of the pods that it selects.
    pub verdicts: Verdicts,
    /// In a preview: connections that enforcing it would newly deny. Those of enforced policies are in the report's `denials`.
    pub denials: Vec<Denial>,
    /// Connections that it would deny in isolation, and that another policy allows.
    pub still_allowed: Vec<Connection>,
    /// Connections that it would deny in isolation, and that are already denied. `note` names the policies that deny them.
    #[serde(default)]
    pub still_denied: Vec<Connection>,
    /// In a preview: the smallest change of its rules that allows the connections in use which it would newly deny. Those of enforced
    /// policies are in the report's `fixes`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<FixReport>,
    /// In a preview: what could not be decided about enforcing it. The notes name these too.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub undecided: Vec<UndecidedPart>,
    /// Other remarks on it, each a sentence without a full stop.
    pub notes: Vec<String>,
}

impl PolicyReport {
    /// In a preview: the connections in use that enforcing the policy would newly deny.
    pub fn unresolved(&self) -> impl Iterator<Item = &Denial> {
        self.denials.iter().filter(|denial| denial.state == State::Unresolved)
    }
}

/// A change of a policy's rules, or a new policy, that allows what would be newly denied.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FixReport {
    /// The policy that the rules are for.
    pub policy: PolicyRef,
    /// The policy's file, with the number of the document. Absent: the policy is new, because each policy that denies the
    /// connections selects other workloads too, and a rule in it would allow them the same.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub place: Option<String>,
    /// The denials that it resolves.
    pub resolves: Vec<DenialId>,
    /// Denials that stay: the other end denies the connection too, or an admin policy does.
    pub not_enough_for: Vec<DenialId>,
    /// Denials that no rule can resolve.
    pub unresolvable: Vec<UnresolvableDenial>,
    /// Other connections of the window that it would newly allow.
    pub also_allows: Vec<Connection>,
    /// The change of the spec as a unified diff of YAML; empty if the policy is new.
    pub diff: String,
    /// The whole spec after the change.
    pub spec: serde_json::Value,
}

impl FixReport {
    /// The manifest of a new policy, as YAML.
    #[must_use]
    pub fn new_manifest(&self) -> String {
        let PolicyRef { kind, namespace, name } = &self.policy;
        write_yaml::text(&json!({
            "apiVersion": "networking.k8s.io/v1",
            "kind": kind,
            "metadata": {"name": name, "namespace": namespace},
            "spec": self.spec,
        }))
    }
}

/// A denial that no rule can resolve.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnresolvableDenial {
    /// The id of the denial.
    pub denial: DenialId,
    /// Why no rule can allow the connection.
    pub why: String,
}

/// The promotion of an audit policy to an enforced one.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PromotionReport {
    /// The audit policy.
    pub from: PolicyRef,
    /// Whether the specs are identical after defaulting; absent: the audit policy no longer exists.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identical: Option<bool>,
    /// The differences of the specs, one for each field.
    pub differences: Vec<String>,
    /// The same as a unified diff of YAML, from the audited spec to the enforced one.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub diff: String,
}

/// How one policy decides, evaluated in isolation, in numbers of connections in use. A connection is subject, peer, protocol and
/// port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Verdicts {
    /// It allows them.
    pub allow: u64,
    /// No policy can deny them: they are between a pod and its own node, or itself.
    pub exempt: u64,
    /// It would deny them.
    pub would_deny: u64,
    /// Of these: newly denied by the change.
    pub newly_denied: u64,
    /// Of these: another policy allows them.
    pub still_allowed: u64,
    /// Of these: already denied before the change.
    pub still_denied: u64,
    /// Unknown: a rule depends on something that is not in the recorded traffic, such as a domain name.
    #[serde(default)]
    pub unknown: u64,
}
