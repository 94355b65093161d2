//! The tiers, and what names a policy and a rule in them.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::resource::admin::view::AdminAction;

/// The tiers of administrators.
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

/// Index of an administrators' policy in its world.
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

/// A rule of an administrators' policy, of the direction that is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId {
    /// Whose.
    pub policy: AdminPolicyId,
    /// Which of the direction's.
    pub rule: usize,
}

/// A rule that takes a flow, or may take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MatchedRule {
    /// Which.
    pub by: RuleId,
    /// What it does with it.
    pub action: AdminAction,
}
