//! Upstream's tests of enforcers as tables: which flows are allowed under which policies.
//!
//! `tiers` follows the conformance tests of kubernetes-sigs/network-policy-api (v0.1.7 for AdminNetworkPolicy and
//! BaselineAdminNetworkPolicy, v0.3.0 for ClusterNetworkPolicy); `netpol` the end-to-end tests of kubernetes/kubernetes
//! v1.36.3, `test/e2e/network/netpol`. Each row names its source. Clusters and policies were written for these tables.
#![expect(clippy::panic, clippy::unwrap_used, reason = "tests panic rather than return errors")]

mod cluster;
mod netpol;
mod tiers;
