//! What upstream's own tests of enforcers mean, as tables of ours: which flows pass under which policies.
//!
//! `tiers` follows the conformance tests of kubernetes-sigs/network-policy-api (v0.1.7 for the former kinds, v0.3.0 for
//! ClusterNetworkPolicy); `netpol` the end-to-end tests of kubernetes/kubernetes v1.36.3, `test/e2e/network/netpol`. Each row names
//! its source. Clusters, policies and words are our own.
#![expect(clippy::panic, clippy::unwrap_used, reason = "tests panic rather than return errors")]

mod cluster;
mod netpol;
mod tiers;
