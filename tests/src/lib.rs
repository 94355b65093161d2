//! A real Kubernetes for tests: [`control_plane::ControlPlane`] is an API server with its controllers and needs no root;
//! [`cluster::Cluster`] also has nodes with real pods. Both start in seconds, in any number at once, and leave nothing behind,
//! however the test ends.
//!
//! If this machine cannot run one, `start` returns `None` and reports what is missing, and the test returns. If a test fails, the
//! logs of all components and the objects of its namespace are kept below `target/test-artefacts`, and a message names the folder.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::missing_panics_doc,
    reason = "this crate is for tests, which fail by panicking"
)]

mod artefacts;
mod boxed;
pub mod cluster;
pub mod control_plane;
pub mod github;
pub mod golden;
pub mod images;
pub mod kubectl;
pub mod machine;
pub mod mock_evaluator;
pub mod namespace;
pub mod patience;
pub mod postgres;
pub mod program;
pub mod shop;

/// Whether real pods can run here. If not, it is reported as skipped.
#[must_use]
pub fn needs_nodes() -> bool {
    boxed::programs_for("cluster with real pods", machine::obstacle_to_nodes()).is_some()
}
