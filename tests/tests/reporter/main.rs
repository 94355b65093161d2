//! The reporter with a mock GitHub server, and a mock evaluator that runs the real engine on the demo's recording.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod comments;
mod deliveries;
mod failures;
mod revisions;
mod scene;
