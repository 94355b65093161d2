//! A slow and obvious evaluation of flows, written apart from the engine to be compared with it.
//!
//! It shares nothing with the engine but the wire types of flows and the Kubernetes types of policy specs. A scene is plain
//! data; [`objects`] turns it into what the engine reads, [`judge`] answers it by loops.

pub(crate) mod address;
pub(crate) mod edicts;
pub(crate) mod generate;
pub(crate) mod judge;
pub(crate) mod objects;
pub(crate) mod resolve;
pub(crate) mod rules;
pub(crate) mod scene;
pub(crate) mod specs;
pub(crate) mod tiers;
pub(crate) mod ways;
