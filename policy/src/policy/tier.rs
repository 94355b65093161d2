//! The tiers of policies, and the ids of admin policies and their rules.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::resource::admin::view::AdminAction;

/// A tier of policies. The tiers are evaluated in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Deserialize, Serialize, JsonSchema)]
#[expect(missing_docs, reason = "each variant is the tier of its name")]
pub enum TierName {
    Admin,
    NetworkPolicy,
    Baseline,
}

impl fmt::Display for TierName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(match self {
            Self::Admin => "Admin",
            Self::NetworkPolicy => "NetworkPolicy",
            Self::Baseline => "Baseline",
        })
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
