//! Judges all audit policies again whenever something has changed.

use std::sync::Arc;
use std::time::{Duration, Instant};

use foretell_policy::report::data::State as DenialState;
use foretell_policy::snapshot::api_resource::RESOURCES;
use foretell_policy::snapshot::text::Snapshot;
use jiff::Timestamp;
use tokio_util::sync::CancellationToken;
use tracing::{debug, warn};

use crate::judge::assembled::Assembled;
use crate::judge::judged::Judged;
use crate::judge::policies::judge_policies;
use crate::state::{OBJECTS, State};

/// Changes come in bursts: how long to wait for more of them.
const BURST: Duration = Duration::from_millis(500);
/// The passing of time changes results as well: exceptions expire, traffic leaves the window.
const INTERVAL: Duration = Duration::from_secs(30);

/// Judges after each change, and at regular intervals, until it is asked to stop.
///
/// # Errors
/// The engine panicked.
pub async fn reevaluate(state: Arc<State>, stop: CancellationToken) -> anyhow::Result<()> {
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = state.changed.notified() => {}
            () = tokio::time::sleep(INTERVAL) => {}
        }
        tokio::time::sleep(BURST).await;
        let missing = state.objects().unlisted(&RESOURCES);
        if !missing.is_empty() {
            state.health.set_waiting(OBJECTS, format!("not listed completely yet: {}", missing.join(", ")));
            continue;
        }
        let began = Instant::now();
        let judging = Arc::clone(&state);
        let (judged, snapshot) = tokio::task::spawn_blocking(move || judge(&judging)).await?;
        let milliseconds = i64::try_from(began.elapsed().as_millis()).unwrap_or(i64::MAX);
        state.metrics.evaluations.inc();
        state.metrics.evaluation_milliseconds.set(milliseconds);
        debug!(
            evaluation.milliseconds = milliseconds,
            "Judged {} policies in {milliseconds} ms",
            judged.policies.len()
        );
        state.judged.store(Some(Arc::new(judged)));
        state.health.set_ready(OBJECTS);
        if let Err(error) = state.store.save_objects(&snapshot).await {
            warn!(%error, "Cannot store the cluster's objects in the database: {error}");
        }
    }
}

fn judge(state: &State) -> (Judged, Snapshot) {
    let at = Timestamp::now();
    let from = at - state.settings.window;
    let (snapshot, audit_policies) = {
        let mut objects = state.objects();
        (objects.snapshot(at, state.settings.window), objects.audit_policies().clone())
    };
    let window = {
        let mut window = state.window();
        window.forget_before(from);
        window.clone()
    };
    let assembled = Arc::new(Assembled::new(&snapshot, &window, at, state.settings.cni));
    // Flows that arrive from now on are resolved by this cluster.
    state.cluster.store(Arc::new(assembled.cluster.clone()));
    let judged = judge_policies(assembled, &window, from, state.settings.min_window, &audit_policies);
    count(state, window.rows(), &judged);
    (judged, snapshot)
}

fn count(state: &State, rows: usize, judged: &Judged) {
    let number = |count: usize| i64::try_from(count).unwrap_or(i64::MAX);
    let denials = judged.policies.iter().flat_map(|policy| &policy.summary.denials);
    let unresolved = denials.filter(|denial| denial.state == DenialState::Unresolved).count();
    state.metrics.window_rows.set(number(rows));
    state.metrics.unreadable_objects.set(number(judged.assembled.unreadable.len()));
    state.metrics.unresolved_denials.set(number(unresolved));
}
