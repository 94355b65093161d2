//! Batches of agents, and the table of agents that says which batches were counted.

use foretell_objects::model::flow::NodeReport;
use foretell_policy::cluster::traffic::Tally;
use sqlx::PgPool;

use crate::store::error::StoreError;
use crate::store::{flows, watched};
use crate::window::RowKey;

/// A batch with its flows summed.
#[derive(Debug, Clone, PartialEq)]
pub struct Batch {
    /// The agent, by its node's name.
    pub agent: String,
    /// The run of the agent.
    pub boot: String,
    /// The batch's number in this run.
    pub sequence: i64,
    /// Sums of its flows.
    pub rows: Vec<(RowKey, Tally)>,
    /// Its node reports.
    pub reports: Vec<NodeReport>,
}

/// Counts a batch unless it, or a later one of its run, was counted before.
pub(super) async fn count(pool: &PgPool, batch: &Batch) -> Result<bool, StoreError> {
    let mut transaction = pool.begin().await?;
    let counted = sqlx::query(
        "INSERT INTO agents AS known (agent, boot, sequence, seen) VALUES ($1, $2, $3, now())
         ON CONFLICT (agent, boot) DO UPDATE SET sequence = EXCLUDED.sequence, seen = now()
         WHERE known.sequence < EXCLUDED.sequence",
    )
    .bind(&batch.agent)
    .bind(&batch.boot)
    .bind(batch.sequence)
    .execute(&mut *transaction)
    .await?;
    if counted.rows_affected() == 0 {
        return Ok(false);
    }
    flows::add(&mut transaction, &batch.rows).await?;
    for report in &batch.reports {
        watched::add(&mut transaction, report).await?;
    }
    transaction.commit().await?;
    Ok(true)
}
