//! Tiers: the order in which policies decide about a flow, and how their answers combine.
//!
//! Admin policies come before NetworkPolicies (`Admin`) or after them (`Baseline`). Each tier accepts, denies or passes; a tier
//! without an opinion passes, and a flow that all tiers pass is allowed. If recorded traffic does not show whether a rule matches,
//! both branches are followed, and the flow is undecidable only if they end differently.

pub mod admin_index;
pub mod chain;
pub mod ruling;
