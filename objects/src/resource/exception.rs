//! Exceptions: denials that have been reviewed and accepted, with a reason and an optional expiry.

use k8s_openapi::api::networking::v1::{NetworkPolicyPeer, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::flow::Direction;
use crate::model::policy_ref::PolicyKind;

/// The spec of an [`AuditException`].
#[derive(CustomResource, Clone, Debug, PartialEq, Serialize, Deserialize, JsonSchema)]
#[kube(
    group = "foretell.dev",
    version = "v1alpha1",
    kind = "AuditException",
    namespaced,
    derive = "PartialEq",
    shortname = "auditex",
    category = "foretell",
    category = "networking",
    doc = "Accepts certain denials of one policy, so that they do not block its promotion. It never changes what is enforced."
)]
#[serde(rename_all = "camelCase")]
#[schemars(description = "The denials that are accepted, and the reason.")]
pub struct AuditExceptionSpec {
    /// The policy whose denials are accepted. An audit policy and the NetworkPolicy promoted from it count as one.
    pub policy_ref: PolicyReference,
    /// The direction of the denied traffic, seen from the pod that the policy selects.
    pub direction: Direction,
    /// The peers of the denied traffic, as in a rule of a NetworkPolicy. At least one is required.
    #[schemars(length(min = 1))]
    pub peers: Vec<NetworkPolicyPeer>,
    /// The destination ports of the denied traffic, as in a rule of a NetworkPolicy. Absent or empty: every port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<NetworkPolicyPort>>,
    /// Why the denials are accepted. Reports show this text to reviewers.
    #[schemars(length(min = 1))]
    pub reason: String,
    /// Time at which the exception expires. Absent: it does not expire.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
}

/// Refers to a policy in the namespace of the exception, or to a cluster-scoped one.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyReference {
    /// Kind of the policy.
    pub kind: PolicyKind,
    /// Name of the policy.
    #[schemars(length(min = 1))]
    pub name: String,
}
