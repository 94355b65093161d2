//! Kinds and names of policies.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A kind of policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, schemars::JsonSchema)]
#[expect(missing_docs, reason = "each variant is the kind of its name")]
pub enum PolicyKind {
    AdminNetworkPolicy,
    AuditClusterNetworkPolicy,
    AuditNetworkPolicy,
    BaselineAdminNetworkPolicy,
    ClusterNetworkPolicy,
    NetworkPolicy,
}

impl PolicyKind {
    /// Whether a cluster's network enforces policies of this kind. Audit policies are never enforced.
    #[must_use]
    pub fn is_enforced(self) -> bool {
        !matches!(self, Self::AuditClusterNetworkPolicy | Self::AuditNetworkPolicy)
    }
}

impl fmt::Display for PolicyKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::AdminNetworkPolicy => "AdminNetworkPolicy",
            Self::AuditClusterNetworkPolicy => "AuditClusterNetworkPolicy",
            Self::AuditNetworkPolicy => "AuditNetworkPolicy",
            Self::BaselineAdminNetworkPolicy => "BaselineAdminNetworkPolicy",
            Self::ClusterNetworkPolicy => "ClusterNetworkPolicy",
            Self::NetworkPolicy => "NetworkPolicy",
        })
    }
}

/// Identifies a policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, schemars::JsonSchema)]
pub struct PolicyRef {
    /// Kind of the policy.
    pub kind: PolicyKind,
    /// Namespace of the policy; empty for a cluster-scoped one.
    pub namespace: String,
    /// Name of the policy.
    pub name: String,
}

impl PolicyRef {
    /// The key by which policies are sorted: cluster-scoped ones first, then by namespace, name and kind.
    #[must_use]
    pub fn order(&self) -> (&str, &str, PolicyKind) {
        (&self.namespace, &self.name, self.kind)
    }
}

impl fmt::Display for PolicyRef {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} ", self.kind)?;
        if !self.namespace.is_empty() {
            write!(f, "{}/", self.namespace)?;
        }
        f.write_str(&self.name)
    }
}
