//! A real Kubernetes for tests: [`control_plane::ControlPlane`] is an API server with its controllers, which needs no root;
//! [`cluster::Cluster`] has nodes with real pods besides. Both start in seconds, any number side by side, and leave nothing
//! behind however the test ends.
//!
//! What a machine lacks for one of them is said aloud, by name, and the test that asked for it returns: `start` gives
//! `None`. Where a test fails, the logs of all parts and the objects of its namespace are kept below
//! `target/test-artefacts`, and the failure says where.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "it exists for tests only, which fail by panicking"
)]

mod artefacts;
mod boxed;
pub mod cluster;
pub mod control_plane;
pub mod engine;
pub mod github;
pub mod images;
pub mod kubectl;
pub mod machine;
pub mod namespace;
pub mod patience;
pub mod postgres;
pub mod program;

/// Whether real pods can run here. Where not, it was said aloud.
#[must_use]
pub fn needs_nodes() -> bool {
    boxed::programs_for("cluster with real pods", machine::obstacle_to_nodes()).is_some()
}
