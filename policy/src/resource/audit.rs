//! Audit policies: a NetworkPolicy that is judged and never enforced. Group and field names are kguardian's, so that
//! manifests written for it apply unchanged.

use k8s_openapi::api::networking::v1::{NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicySpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The API group of the audit policies.
pub const GROUP: &str = "kguardian.dev";

/// The annotation of a NetworkPolicy that says which audit policy it was promoted from.
pub const PROMOTED_FROM: &str = "foretell.dev/promoted-from";

/// How many offenders a status lists at most.
pub const MOST_OFFENDERS: usize = 50;

/// The spec of an [`AuditNetworkPolicy`]: on the wire exactly that of a `networking.k8s.io/v1` NetworkPolicy.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "kguardian.dev",
    version = "v1alpha1",
    kind = "AuditNetworkPolicy",
    namespaced,
    status = "AuditPolicyStatus",
    derive = "PartialEq",
    shortname = "anp",
    shortname = "auditnetpol",
    category = "foretell",
    category = "networking",
    doc = "What a NetworkPolicy of this spec would deny, judged on the traffic that flows. It never drops a packet: apply the spec as a NetworkPolicy to enforce it."
)]
#[serde(transparent)]
#[schemars(description = "What would be enforced: exactly the spec of a networking.k8s.io/v1 NetworkPolicy.")]
pub struct AuditNetworkPolicySpec {
    /// The policy that would be enforced.
    pub policy: NetworkPolicySpec,
}

/// The spec of an [`AuditClusterNetworkPolicy`]: a NetworkPolicy's, for every namespace that `namespaceSelector` selects.
#[derive(CustomResource, Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "kguardian.dev",
    version = "v1alpha1",
    kind = "AuditClusterNetworkPolicy",
    status = "AuditPolicyStatus",
    derive = "PartialEq",
    shortname = "acnp",
    shortname = "auditcnetpol",
    category = "foretell",
    category = "networking",
    doc = "What a NetworkPolicy of this spec in each selected namespace would deny, judged on the traffic that flows. It never drops a packet: apply the spec as NetworkPolicies to enforce it."
)]
#[serde(rename_all = "camelCase")]
#[schemars(
    description = "What would be enforced in each selected namespace: the spec of a networking.k8s.io/v1 NetworkPolicy."
)]
pub struct AuditClusterNetworkPolicySpec {
    /// Namespaces that the policy applies to; absent or empty: all of them.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// As in a NetworkPolicy, within each selected namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pod_selector: Option<LabelSelector>,
    /// As in a NetworkPolicy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub policy_types: Option<Vec<String>>,
    /// As in a NetworkPolicy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ingress: Option<Vec<NetworkPolicyIngressRule>>,
    /// As in a NetworkPolicy.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub egress: Option<Vec<NetworkPolicyEgressRule>>,
}

impl AuditClusterNetworkPolicySpec {
    /// The NetworkPolicy that each selected namespace would get.
    #[must_use]
    pub fn policy(&self) -> NetworkPolicySpec {
        NetworkPolicySpec {
            pod_selector: self.pod_selector.clone(),
            policy_types: self.policy_types.clone(),
            ingress: self.ingress.clone(),
            egress: self.egress.clone(),
        }
    }
}

/// What the evaluator found. Written by it alone.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditPolicyStatus {
    /// The generation that this status speaks of; -1: none yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// `Ready`, `Reconciling`, `Stalled` and `Promotable`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// Figures over the window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<Evaluation>,
}

/// What the policy would have done to the traffic of the window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Evaluation {
    /// When these figures were taken.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_evaluated: Option<Time>,
    /// Since when traffic was counted.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_start: Option<Time>,
    /// Flows that the policy applies to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flows_evaluated: Option<u64>,
    /// Those of them that it would deny.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flows_would_deny: Option<u64>,
    /// Denials in use that no live exception covers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unresolved_denials: Option<u64>,
    /// Who would be denied most often, at most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub top_offenders: Vec<TopOffender>,
}

/// Traffic that would be denied, by its ends. Protocol and direction are plain text: a status that kguardian wrote must not
/// keep the policy from being read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopOffender {
    /// `namespace/pod` of the source, or its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub src_pod: Option<String>,
    /// `namespace/pod` of the destination, or its address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dst_pod: Option<String>,
    /// Port of the destination.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dst_port: Option<i32>,
    /// `TCP`, `UDP` or `SCTP`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// `Ingress` or `Egress`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<String>,
    /// How often.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}
