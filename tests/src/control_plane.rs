//! An API server with etcd and the controllers, without nodes.

use std::path::Path;
use std::sync::{Arc, Mutex, PoisonError, Weak};

use crate::boxed::{RunningBox, programs_for};
use crate::kubectl::Kubectl;
use crate::machine;
use crate::namespace::Namespace;

/// A control plane that the test starts, or the cluster of `FORETELL_TEST_KUBECONFIG`.
#[derive(Debug)]
pub struct ControlPlane {
    kubectl: Kubectl,
    running: Option<RunningBox>,
}

impl ControlPlane {
    /// Starts one, in about four seconds. `None` if this machine cannot, which is then reported as skipped.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn start() -> Option<Self> {
        Self::with_simulated_nodes(0)
    }

    /// Starts one in which kwok simulates this number of nodes, and any number of pods on them.
    ///
    /// # Panics
    /// If it does not start.
    #[must_use]
    pub fn with_simulated_nodes(count: u16) -> Option<Self> {
        let programs = programs_for("control plane", None)?;
        let arguments = ["--size=control-plane".to_owned(), format!("--simulated-nodes={count}")];
        Some(Self::of(RunningBox::start(programs, &arguments)))
    }

    pub(crate) fn of(running: RunningBox) -> Self {
        Self { kubectl: running.kubectl(), running: Some(running) }
    }

    pub(crate) fn running(&self) -> Option<&RunningBox> {
        self.running.as_ref()
    }

    /// The cluster of `FORETELL_TEST_KUBECONFIG`, or else one control plane for all tests of this process that run at the same
    /// time. A test that uses it keeps to its own namespaces and changes nothing else that matters to other tests.
    ///
    /// # Panics
    /// If it does not start.
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

    /// kubectl for this cluster, with all rights.
    #[must_use]
    pub fn kubectl(&self) -> &Kubectl {
        &self.kubectl
    }

    /// The kubeconfig of this cluster, with all rights.
    #[must_use]
    pub fn kubeconfig(&self) -> &Path {
        self.kubectl.kubeconfig()
    }

    /// Creates a namespace; the purpose is part of its name.
    #[must_use]
    pub fn namespace(&self, purpose: &str) -> Namespace {
        Namespace::create(&self.kubectl, purpose)
    }

    /// Whether the test started it and may change everything in it.
    #[must_use]
    pub fn is_own(&self) -> bool {
        self.running.is_some()
    }
}
