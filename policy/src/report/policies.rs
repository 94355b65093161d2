//! Each policy of the report, and its fix.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::change::plan::ChangeAction;
use crate::cluster::party::Party;
use crate::model::policy_ref::PolicyRef;
use crate::report::data::{Connection, Denial};
use crate::report::denial::DenialId;

/// A policy that the change touches.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PolicyReport {
    /// Which.
    pub policy: PolicyRef,
    /// What becomes of it.
    pub action: ChangeAction,
    /// Where it stands.
    pub place: String,
    /// The audit policy that it enforces from now on.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub promotion: Option<PromotionReport>,
    /// Running pods that it selects.
    pub selected_pods: u64,
    /// Their workloads.
    pub selected_workloads: Vec<Party>,
    /// What it says, alone, of the connections in use of the pods that it selects.
    pub verdicts: Verdicts,
    /// In a preview: connections that enforcing it would newly deny. Those of enforced policies stand in the report's
    /// `denials`.
    pub denials: Vec<Denial>,
    /// Connections that it would deny alone and that pass because another policy allows them.
    pub still_allowed: Vec<Connection>,
    /// Connections that it would deny alone and that are denied already; their notes name by whom.
    #[serde(default)]
    pub still_denied: Vec<Connection>,
    /// The smallest change of its rules that allows what it would newly deny and is in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fix: Option<FixReport>,
    /// What else is to be said of it.
    pub notes: Vec<String>,
}

/// A change of a policy's rules that allows what the policy would newly deny.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct FixReport {
    /// The denials that it resolves.
    pub resolves: Vec<DenialId>,
    /// Denials that something else causes as well: another policy, at the other end or at this one.
    pub not_enough_for: Vec<DenialId>,
    /// Denials that no rule can resolve.
    pub unresolvable: Vec<UnresolvableDenial>,
    /// Connections of the window that it would let pass besides.
    pub also_allows: Vec<Connection>,
    /// The spec's change as a unified diff of YAML.
    pub diff: String,
    /// The spec after it.
    pub spec: serde_json::Value,
}

/// A denial that no rule can resolve.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct UnresolvableDenial {
    /// Which.
    pub denial: DenialId,
    /// Why.
    pub why: String,
}

/// How an enforced policy comes from an audited one.
#[derive(Clone, Debug, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct PromotionReport {
    /// The audited one.
    pub from: PolicyRef,
    /// Whether the specs are identical after defaulting; absent: the audited one is not known any more.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub identical: Option<bool>,
    /// Where they differ.
    pub differences: Vec<String>,
}

/// Connections in use, by what one policy says of them alone. A connection is subject, peer, protocol and port.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Verdicts {
    /// It allows them.
    pub allow: u64,
    /// No policy can deny them: between a pod and its node, or itself.
    pub exempt: u64,
    /// It would deny them.
    pub would_deny: u64,
    /// Of these: denied from now on.
    pub newly_denied: u64,
    /// Of these: another policy allows them.
    pub still_allowed: u64,
    /// Of these: denied already.
    pub still_denied: u64,
    /// What becomes of them cannot be told: a rule asks for what traffic does not tell.
    #[serde(default)]
    pub unknown: u64,
}
