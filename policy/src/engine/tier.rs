//! Tiers: who is asked first what becomes of a flow, and what is made of their answers.
//!
//! Admin policies stand before NetworkPolicies (`Admin`) or behind them (`Baseline`). Each tier accepts, denies or
//! passes; one without an opinion passes, and what all pass is let through. Where a rule's match cannot be told from traffic, both
//! are followed: only where they end differently the flow cannot be judged.

pub mod chain;
pub mod index;

pub mod ruling;
