//! Audit policies: NetworkPolicies that are evaluated and never enforced. API group and field names are those of kguardian, so
//! that its manifests can be applied unchanged.

use k8s_openapi::api::networking::v1::{NetworkPolicyEgressRule, NetworkPolicyIngressRule, NetworkPolicySpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{Condition, LabelSelector, Time};
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The API group of the audit policies.
pub const GROUP: &str = "kguardian.dev";

/// The annotation of a NetworkPolicy that names the audit policy it was promoted from.
pub const PROMOTED_FROM: &str = "foretell.dev/promoted-from";

/// The largest number of entries of `topOffenders` in a status.
pub const MOST_OFFENDERS: usize = 50;

/// The spec of an [`AuditNetworkPolicy`]: in JSON exactly that of a `networking.k8s.io/v1` NetworkPolicy.
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
    doc = "A NetworkPolicy in audit mode: its status shows which of the observed traffic the policy would deny. It is never enforced. To enforce it, apply the same spec as a NetworkPolicy."
)]
#[serde(transparent)]
#[schemars(description = "The policy to evaluate: exactly the spec of a networking.k8s.io/v1 NetworkPolicy.")]
pub struct AuditNetworkPolicySpec {
    /// The policy to evaluate.
    pub policy: NetworkPolicySpec,
}

/// The spec of an [`AuditClusterNetworkPolicy`]: that of a NetworkPolicy, for every namespace that `namespaceSelector` selects.
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
    doc = "A NetworkPolicy in audit mode, in every namespace that namespaceSelector selects: its status shows which of the observed traffic the policy would deny. It is never enforced. To enforce it, apply its spec as a NetworkPolicy in each of these namespaces."
)]
#[serde(rename_all = "camelCase")]
#[schemars(
    description = "The policy to evaluate in each selected namespace: the spec of a networking.k8s.io/v1 NetworkPolicy."
)]
pub struct AuditClusterNetworkPolicySpec {
    /// The namespaces that the policy applies to, by their labels. Absent or empty: all namespaces.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub namespace_selector: Option<LabelSelector>,
    /// The pods that the policy applies to in each selected namespace, as in a NetworkPolicy.
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
    /// The spec of the equivalent NetworkPolicy in each selected namespace.
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

/// The result of the evaluation. Only the evaluator writes it.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct AuditPolicyStatus {
    /// The generation of the spec that this status describes. -1: the policy has not been evaluated yet.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// The conditions `Ready`, `Reconciling`, `Stalled` and `Promotable`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub conditions: Vec<Condition>,
    /// What the policy would have done to the observed traffic.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub evaluation: Option<Evaluation>,
}

/// What the policy would have done to the traffic observed in the evaluator's time window.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct Evaluation {
    /// Time of the evaluation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_evaluated: Option<Time>,
    /// Start of the time window.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub window_start: Option<Time>,
    /// Number of flows in the window that the policy applies to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flows_evaluated: Option<u64>,
    /// Number of these flows that it would deny.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub flows_would_deny: Option<u64>,
    /// Number of denials of traffic in use that the policy would cause and that no effective AuditException accepts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unresolved_denials: Option<u64>,
    /// The connections that would be denied most often, at most 50.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub top_offenders: Vec<TopOffender>,
}

/// A connection that the policy would deny. Protocol and direction are plain text, so that a status written by kguardian can
/// always be read.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct TopOffender {
    /// The source: `namespace/pod`, or an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub src_pod: Option<String>,
    /// The destination: `namespace/pod`, or an address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dst_pod: Option<String>,
    /// Destination port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dst_port: Option<i32>,
    /// Transport protocol: `TCP`, `UDP` or `SCTP`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<String>,
    /// Direction at the selected pod: `Ingress` or `Egress`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub direction: Option<String>,
    /// Number of denied flows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub count: Option<u64>,
}
