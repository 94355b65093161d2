//! Tiers: who is asked first what becomes of a flow, and what is made of their answers.
//!
//! Administrators' policies stand before NetworkPolicies (`Admin`) or behind them (`Baseline`). Each tier accepts, denies or
//! passes; one without an opinion passes, and what all pass is let through. Where a rule's match cannot be told from traffic, both
//! are followed: only where they end differently the flow cannot be judged.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::admin::view::Action;

pub mod chain;
pub mod index;
pub mod peer;
pub mod policy;
pub mod port;
pub mod ruling;

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
pub struct TierPolicyId(u32);

impl TierPolicyId {
    fn new(index: usize) -> Self {
        Self(u32::try_from(index).unwrap_or(u32::MAX))
    }

    fn index(self) -> usize {
        self.0 as usize
    }
}

/// A rule of an administrators' policy, of the direction that is asked about.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleId {
    /// Whose.
    pub policy: TierPolicyId,
    /// Which of the direction's.
    pub rule: usize,
}

/// A rule that takes a flow, or may take it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Taken {
    /// Which.
    pub by: RuleId,
    /// What it does with it.
    pub action: Action,
}
