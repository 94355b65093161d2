//! State that the tasks of the evaluator share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};
use foretell_objects::model::dialect::Dialect;
use foretell_policy::cluster::inventory::Cluster;
use foretell_service::health::Health;
use jiff::SignedDuration;
use tokio::sync::Notify;

use crate::judge::judged::Judged;
use crate::metrics::EvaluatorMetrics;
use crate::objects::Objects;
use crate::store::Store;
use crate::window::Window;

/// Name in [`Health`] of the complete lists of the cluster's objects.
pub const OBJECTS: &str = "the cluster's objects";
/// Name in [`Health`] of the database.
pub const POSTGRES: &str = "Postgres";

/// How policies are judged.
#[derive(Clone, Copy, Debug)]
pub struct Settings {
    /// How long traffic counts and pods that have gone are known.
    pub window: SignedDuration,
    /// How long nodes must have been watched before a policy of their pods can be promoted.
    pub min_window: SignedDuration,
    /// The enforcer whose reading of policies counts.
    pub cni: Dialect,
}

/// The shared state.
pub struct State {
    /// How policies are judged.
    pub settings: Settings,
    /// The database.
    pub store: Store,
    /// What the evaluator is waiting for.
    pub health: Health,
    /// The evaluator's metrics.
    pub metrics: EvaluatorMetrics,
    objects: Mutex<Objects>,
    window: Mutex<Window>,
    /// The cluster that was last judged. Arriving flows are resolved by it.
    pub cluster: ArcSwap<Cluster>,
    /// The last result.
    pub judged: ArcSwapOption<Judged>,
    /// Notified when the policies must be judged again.
    pub changed: Notify,
    is_open: AtomicBool,
}

impl State {
    /// The state at the start.
    #[must_use]
    pub fn new(settings: Settings, store: Store, health: Health, metrics: EvaluatorMetrics) -> Arc<Self> {
        Arc::new(Self {
            settings,
            store,
            health,
            metrics,
            objects: Mutex::default(),
            window: Mutex::default(),
            cluster: ArcSwap::default(),
            judged: ArcSwapOption::empty(),
            changed: Notify::new(),
            is_open: AtomicBool::new(false),
        })
    }

    /// The database has been read. From now on batches are accepted.
    pub fn open(&self) {
        self.is_open.store(true, Ordering::Release);
    }

    /// Whether batches are accepted.
    pub fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Acquire)
    }

    /// The objects. Hold the lock briefly.
    pub fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The window. Hold the lock briefly.
    pub fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
