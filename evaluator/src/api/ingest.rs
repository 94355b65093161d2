//! `POST /v1/flows`: counts agents' batches.

use std::sync::Arc;

use axum::Json;
use axum::body::Bytes;
use axum::extract::State as Shared;
use axum::http::HeaderMap;
use foretell_service::access::caller::Caller;
use foretell_service::contract::Accepted;
use foretell_service::refusal::Refusal;

use crate::api::batch::{Header, read};
use crate::state::{POSTGRES, State};
use crate::store::batches::Batch;

/// Counts a batch. When it answers, the batch is in the database. It refuses with 400 if a line or a header is not valid, with 403 if the
/// traffic is another node's, and with 503 if the database does not answer.
pub(super) async fn flows(
    Shared(state): Shared<Arc<State>>,
    axum::Extension(caller): axum::Extension<Caller>,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Json<Accepted>, Refusal> {
    let answer = count(&state, &caller, &headers, &body).await;
    if answer.is_err() {
        state.metrics.refused_batches.inc();
    }
    answer.map(Json)
}

async fn count(state: &State, caller: &Caller, headers: &HeaderMap, body: &[u8]) -> Result<Accepted, Refusal> {
    let header = Header::read(headers, caller)?;
    if !state.is_open() {
        let waiting = state.health.waiting().join("; ");
        return Err(Refusal::unavailable(format!("batches cannot be stored yet: {waiting}")));
    }
    let (batch, accepted) = read(header, headers, body, &state.cluster.load_full())?;
    let is_new = match state.store.count(&batch).await {
        Ok(is_new) => is_new,
        Err(error) => {
            state.health.set_waiting(POSTGRES, error.to_string());
            return Err(Refusal::unavailable("the database does not answer; send the batch again"));
        }
    };
    state.health.set_ready(POSTGRES);
    if !is_new {
        state.metrics.duplicate_batches.inc();
        return Ok(Accepted { duplicate: true, ..accepted });
    }
    let Batch { rows, reports, .. } = batch;
    let mut window = state.window();
    for (key, tally) in rows {
        window.add(key, tally);
    }
    for report in &reports {
        window.add_report(report);
    }
    drop(window);
    state.metrics.batches.inc();
    state.metrics.flows.inc_by(accepted.flows);
    state.changed.notify_one();
    Ok(accepted)
}
