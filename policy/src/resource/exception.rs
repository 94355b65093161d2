//! Exceptions: denials that somebody has looked at and accepts, with a reason and perhaps an end.

use k8s_openapi::api::networking::v1::{NetworkPolicyPeer, NetworkPolicyPort};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::CustomResource;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::policy_ref::PolicyKind;

use crate::model::flow::Direction;

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
    doc = "Accepts denials of one policy that match a peer, ports and a direction. It changes what blocks a promotion, never what is enforced."
)]
#[serde(rename_all = "camelCase")]
#[schemars(description = "Which denials are accepted, and why.")]
pub struct AuditExceptionSpec {
    /// The policy whose denials are accepted. Its audit and its enforced form count alike.
    pub policy_ref: PolicyReference,
    /// The direction of the denied traffic, seen from the pod that the policy selects.
    pub direction: Direction,
    /// The other ends that are accepted, as in a NetworkPolicy's rule; at least one.
    #[schemars(length(min = 1))]
    pub peers: Vec<NetworkPolicyPeer>,
    /// The ports that are accepted, as in a NetworkPolicy's rule; absent or empty: every port.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ports: Option<Vec<NetworkPolicyPort>>,
    /// Why the denials are accepted, for whoever reviews it.
    #[schemars(length(min = 1))]
    pub reason: String,
    /// From when the exception accepts nothing any more; absent: it does not end.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_at: Option<Time>,
}

/// Names a policy: in the exception's namespace, or cluster-scoped.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct PolicyReference {
    /// Kind of the policy.
    pub kind: PolicyKind,
    /// Name of the policy.
    #[schemars(length(min = 1))]
    pub name: String,
}
