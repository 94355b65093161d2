//! A namespace for each test, so that tests can share a cluster.

use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use crate::artefacts;
use crate::kubectl::Kubectl;

/// A namespace that is deleted when the value is dropped.
#[derive(Debug)]
pub struct Namespace {
    name: String,
    kubectl: Kubectl,
}

impl Namespace {
    pub(crate) fn create(kubectl: &Kubectl, purpose: &str) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        // Unique, as several people may run tests in one cluster.
        let name = format!("foretell-{purpose}-{}-{}", std::process::id(), NUMBER.fetch_add(1, Ordering::Relaxed));
        kubectl.run(&["create", "namespace", &name]);
        Self { name, kubectl: kubectl.clone() }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        if thread::panicking() {
            artefacts::keep_namespace(&self.kubectl, &self.name);
        }
        let _ = self.kubectl.attempt(&["delete", "namespace", &self.name, "--wait=false", "--ignore-not-found"]);
    }
}
