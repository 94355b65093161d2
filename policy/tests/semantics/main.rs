//! Every row of the table of semantics, as a named test: manifests as users write them in, verdicts out.
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
mod services;
mod stage;
mod tiers;
mod together;
mod workloads;
