//! The built agent observes real packets of processes in cgroups that are named like those of pods.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

mod agent;
mod node;
mod packets;
mod pods;

/// Not a test: `TestNode` starts this program with `--exact pod_process` as the process of a pod.
#[test]
fn pod_process() {
    if node::is_pod_process() {
        node::pod_process::serve();
    }
}
