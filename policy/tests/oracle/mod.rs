//! A slow and simple evaluation of flows, implemented separately from the engine, with which it is compared.
//!
//! It shares nothing with the engine except the types of flows and the Kubernetes types of policy specs. A scene is plain data;
//! [`objects`] converts it to the objects that the engine reads, [`judge`] evaluates it with loops.

pub(crate) mod address;
pub(crate) mod admin_policies;
pub(crate) mod deviations;
pub(crate) mod generate;
pub(crate) mod judge;
pub(crate) mod objects;
pub(crate) mod resolve;
pub(crate) mod rules;
pub(crate) mod scene;
pub(crate) mod specs;
pub(crate) mod tiers;
