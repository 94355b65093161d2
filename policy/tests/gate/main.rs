//! The rules of `foretell check` and of its gate, as named tests: a snapshot, files before and after, and flows go in as the
//! command line reads them; a report comes out.
#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

mod applied;
mod counts;
mod dialects;
mod drift;
mod effects;
mod evidence;
mod exceptions;
mod fixes;
mod in_use;
mod manifests;
mod missing;
mod other_policies;
mod outside;
mod policies;
mod promotions;
mod relabelling;
mod rendering;
mod secondary;
mod stage;
mod summaries;
mod tiers;
mod undecided;
