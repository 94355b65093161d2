//! An API server with etcd and the controllers; no node that runs anything.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::boxed::{Running, programs_for};
use crate::kubectl::Kubectl;
use crate::machine;
use crate::namespace::Namespace;

/// A control plane of the test's own, or the cluster that `FORETELL_TEST_KUBECONFIG` names.
#[derive(Debug)]
pub struct ControlPlane {
    kubectl: Kubectl,
    running: Option<Running>,
}

impl ControlPlane {
    /// Starts one, in about four seconds. `None` where this machine cannot, which was said then.
    ///
    /// # Panics
    /// If it could and does not come up.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::with_simulated_nodes(0)
    }

    /// Starts one in which kwok plays that many nodes, and any number of pods on them.
    ///
    /// # Panics
    /// If it could and does not come up.
    #[must_use]
    pub fn with_simulated_nodes(count: u16) -> Option<Self> {
        let programs = programs_for("control plane", None)?;
        let arguments = ["--size=control-plane".to_owned(), format!("--simulated-nodes={count}")];
        let running = Running::start(programs, &arguments);
        Some(Self { kubectl: running.kubectl(), running: Some(running) })
    }

    /// The cluster of `FORETELL_TEST_KUBECONFIG`, or else one that all tests of this process use which run at the same time.
    /// For tests that mind their own namespace, and change nothing else that another test could trip over.
    ///
    /// # Panics
    /// If it could and does not come up.
    #[must_use]
    pub fn shared() -> Option<Arc<Self>> {
        static SHARED: Mutex<Weak<ControlPlane>> = Mutex::new(Weak::new());
        let mut shared = SHARED.lock().unwrap_or_else(PoisonError::into_inner);
        if let Some(running) = shared.upgrade() {
            return Some(running);
        }
        let started = Arc::new(match machine::given_kubeconfig() {
            None => Self::start()?,
            Some(kubeconfig) => {
                let program = machine::programs().map_or_else(|_| "kubectl".into(), |folder| folder.join("kubectl"));
                Self { kubectl: Kubectl { program, kubeconfig }, running: None }
            }
        });
        *shared = Arc::downgrade(&started);
        Some(started)
    }

    /// kubectl for it, with every right.
    #[must_use]
    pub fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    /// The configuration to reach it by, with every right.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        self.kubectl.kubeconfig()
    }

    /// A new namespace.
    #[must_use]
    pub fn namespace(&self, purpose: &str) -> Namespace {
        Namespace::create(&self.kubectl, purpose)
    }

    /// Whether it was started for the test, and may be changed throughout.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.running.is_some()
    }
}
