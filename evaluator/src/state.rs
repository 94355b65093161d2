//! What the parts of the evaluator share.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use arc_swap::{ArcSwap, ArcSwapOption};
use foretell_policy::cluster::inventory::Cluster;
use foretell_policy::model::dialect::Dialect;
use foretell_service::health::Health;
use jiff::SignedDuration;
use tokio::sync::Notify;

use crate::judge::Judged;
use crate::metrics::EvaluatorMetrics;
use crate::objects::Objects;
use crate::store::Store;
use crate::window::Window;

/// The name of what is waited for until the API server has told of everything.
pub const OBJECTS: &str = "the cluster's objects";
/// The name of what is waited for until the database answers.
pub const POSTGRES: &str = "Postgres";

/// Shared by all.
pub struct State {
    /// How long traffic counts.
    pub span: SignedDuration,
    /// What enforces the policies.
    pub cni: Dialect,
    /// The database.
    pub store: Store,
    /// What is waited for.
    pub health: Health,
    /// What is counted.
    pub metrics: EvaluatorMetrics,
    objects: Mutex<Objects>,
    window: Mutex<Window>,
    /// The cluster as it was judged last: by it flows are resolved when they come in.
    pub cluster: ArcSwap<Cluster>,
    /// What was said last.
    pub judged: ArcSwapOption<Judged>,
    /// Wakes who judges.
    pub changed: Notify,
    is_open: AtomicBool,
}

impl State {
    /// Nothing is known yet.
    #[must_use]
    pub fn new(
        span: SignedDuration,
        cni: Dialect,
        store: Store,
        health: Health,
        metrics: EvaluatorMetrics,
    ) -> Arc<Self> {
        Arc::new(Self {
            span,
            cni,
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

    /// What was kept was read: from now on batches are taken.
    pub fn opened(&self) {
        self.is_open.store(true, Ordering::Release);
    }

    /// Whether it was.
    pub fn is_open(&self) -> bool {
        self.is_open.load(Ordering::Acquire)
    }

    /// The objects. To be held for moments.
    pub fn objects(&self) -> MutexGuard<'_, Objects> {
        self.objects.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The window. To be held for moments.
    pub fn window(&self) -> MutexGuard<'_, Window> {
        self.window.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
