//! The tiers of policies, and the ids of admin policies and their rules.

use std::fmt;

use schemars::JsonSchema;
use serde::Serialize;

use foretell_objects::resource::admin_view::AdminAction;

/// The name of a tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, JsonSchema)]
#[serde(transparent)]
pub struct TierName(&'static str);

impl TierName {
    /// Admin policies that are evaluated before NetworkPolicies.
    pub const ADMIN: Self = Self("Admin");
    /// NetworkPolicies.
    pub const NETWORK_POLICY: Self = Self("NetworkPolicy");
    /// Admin policies that are evaluated if no NetworkPolicy restricts the pod.
    pub const BASELINE: Self = Self("Baseline");

    /// A tier of this name, as explanations print it.
    #[must_use]
    pub const fn new(name: &'static str) -> Self {
        Self(name)
    }
}

impl fmt::Display for TierName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.0)
    }
}

/// Index of an admin policy in its world. It means nothing in another world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct AdminPolicyId(u32);

impl AdminPolicyId {
    pub(crate) fn new(index: usize) -> Self {
        Self(u32::try_from(index).unwrap_or(u32::MAX))
    }

    pub(crate) fn index(self) -> usize {
        self.0 as usize
    }
}

/// A rule of an admin policy. The direction is that of the question.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId {
    /// The policy.
    pub policy: AdminPolicyId,
    /// Index of the rule in the list of its direction.
    pub rule: usize,
}

/// A rule that matches a flow, or may match it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatchedRule {
    /// The rule.
    pub by: RuleId,
    /// What the rule does with the flow.
    pub action: AdminAction,
}
