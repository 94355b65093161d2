//! Keeps the table `audit_verdicts` equal to the last result.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::judge::judged::Judged;
use crate::judge::verdicts::Verdicts;
use crate::state::{POSTGRES, State};
use crate::store::verdicts::write;

/// How often the table is compared with the last result.
const INTERVAL: Duration = Duration::from_secs(1);

/// Keeps the table current until it is asked to stop.
///
/// # Errors
/// None: rows that cannot be written are reported in health and tried again.
pub async fn write_verdicts(state: Arc<State>, stop: CancellationToken) -> anyhow::Result<()> {
    let mut last: Option<Arc<Judged>> = None;
    // The content of the table; `None`: unknown.
    let mut written: Option<Verdicts> = None;
    loop {
        tokio::select! {
            () = stop.cancelled() => return Ok(()),
            () = tokio::time::sleep(INTERVAL) => {}
        }
        let Some(judged) = state.judged.load_full() else { continue };
        if last.as_ref().is_some_and(|last| Arc::ptr_eq(last, &judged)) && written.is_some() {
            continue;
        }
        match write(state.store.pool(), written.as_ref(), &judged.verdicts).await {
            Ok(()) => {
                state.health.set_ready(POSTGRES);
                written = Some(judged.verdicts.clone());
                last = Some(judged);
            }
            Err(error) => {
                state.health.set_waiting(POSTGRES, error.to_string());
                // The transaction may have been committed nevertheless.
                written = None;
            }
        }
    }
}
