//! Names of policies.

use std::fmt;

use serde::{Deserialize, Serialize};

/// The kinds of policy that are judged.
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
    /// Whether a cluster's network acts on it.
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

/// Names a policy.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, schemars::JsonSchema)]
pub struct PolicyRef {
    /// Its kind.
    pub kind: PolicyKind,
    /// Its namespace; empty for a cluster policy.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl PolicyRef {
    /// By what policies are ordered: cluster policies first.
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
