//! The semantics of policies, one rule per test: manifests in, verdicts out.
#![expect(clippy::panic, clippy::unwrap_used, reason = "tests panic rather than return errors")]

mod blocks;
mod bulk;
mod cluster_policies;
mod crowded;
mod defaults;
mod dialects;
mod exemptions;
mod living;
mod mismatches;
mod ownership;
mod peers;
mod ports;
mod reasons;
mod scenario;
mod services;
mod tiers;
mod together;
mod workloads;
