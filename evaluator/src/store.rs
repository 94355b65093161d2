//! The database: the state that must survive a restart.

use std::str::FromStr as _;
use std::time::Duration;

use foretell_policy::snapshot::text::Snapshot;
use jiff::Timestamp;
use sqlx::PgPool;
use sqlx::migrate::Migrator;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};

use crate::store::batches::Batch;
use crate::store::error::StoreError;
use crate::store::objects::ObjectTable;
use crate::store::time::At;
use crate::window::Window;

pub mod batches;
mod column;
pub mod error;
mod flows;
mod objects;
mod time;
pub mod verdicts;
mod watched;

static MIGRATIONS: Migrator = sqlx::migrate!();

/// Connections at once: for batches, for queries, for the tables that are kept current, and one to spare.
const CONNECTIONS: u32 = 4;
/// How long to wait for a free connection. It must be shorter than a request may take.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(5);

/// The database.
#[derive(Debug)]
pub struct Store {
    pool: PgPool,
    objects: ObjectTable,
}

/// What the database holds when the evaluator starts.
#[derive(Debug, Default)]
pub struct Stored {
    /// The window of traffic.
    pub window: Window,
    /// The cluster's objects when they were last stored; `None`: they never were.
    pub history: Option<Snapshot>,
}

impl Store {
    /// It does not connect yet: the database need not be reachable.
    ///
    /// # Errors
    /// [`StoreError::Url`].
    pub fn new(url: &str) -> Result<Self, StoreError> {
        if !["postgres://", "postgresql://"].iter().any(|scheme| url.starts_with(scheme)) {
            return Err(StoreError::Url("is not the URL of a Postgres database".to_owned()));
        }
        let options = PgConnectOptions::from_str(url).map_err(|error| StoreError::Url(error.to_string()))?;
        Ok(Self::with_options(options))
    }

    /// The same, from the parts of a URL.
    #[must_use]
    pub fn with_options(options: PgConnectOptions) -> Self {
        let options = options.application_name("foretell-evaluator");
        let pool = PgPoolOptions::new().max_connections(CONNECTIONS).acquire_timeout(ACQUIRE_TIMEOUT);
        Self { pool: pool.connect_lazy_with(options), objects: ObjectTable::default() }
    }

    /// The connections, for [`verdicts`].
    pub(crate) fn pool(&self) -> &PgPool {
        &self.pool
    }

    /// Migrates the tables and reads them.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn open(&self) -> Result<Stored, StoreError> {
        MIGRATIONS.run(&self.pool).await?;
        let mut window = Window::default();
        flows::read(&self.pool, &mut window).await?;
        watched::read(&self.pool, &mut window).await?;
        Ok(Stored { window, history: self.objects.read(&self.pool).await? })
    }

    /// Counts a batch, unless it was counted before. When this returns, the batch is in the database.
    ///
    /// # Errors
    /// [`StoreError`]: no part of the batch is counted.
    pub async fn count(&self, batch: &Batch) -> Result<bool, StoreError> {
        batches::count(&self.pool, batch).await
    }

    /// Stores the cluster's objects.
    ///
    /// # Errors
    /// [`StoreError`]: the next call stores what this one did not.
    pub async fn save_objects(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        self.objects.save(&self.pool, snapshot).await
    }

    /// Deletes traffic, watched spans and agents that were last seen before `oldest`.
    ///
    /// # Errors
    /// [`StoreError`].
    pub async fn forget_before(&self, oldest: Timestamp) -> Result<(), StoreError> {
        for statement in [
            "DELETE FROM flows WHERE last_seen < $1",
            "DELETE FROM watched WHERE span_end < $1",
            "DELETE FROM lost WHERE hour + interval '1 hour' < $1",
            "DELETE FROM agents WHERE seen < $1",
        ] {
            sqlx::query(statement).bind(At(oldest)).execute(&self.pool).await?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_urls_of_postgres_are_accepted_and_passwords_are_not_repeated() {
        for url in ["postgres://me:secret@db/it", "postgresql://me:secret@db/it?sslmode=require"] {
            assert!(Store::new(url).is_ok(), "{url}");
        }
        for url in ["mysql://me:secret@db/it", "db/it?password=secret", "", "postgres://me:secret@[db/it"] {
            let error = Store::new(url).unwrap_err().to_string();
            assert!(error.starts_with("--database-url: "), "{error}");
            assert!(error.ends_with("write postgres://USER:PASSWORD@HOST/DATABASE"), "{error}");
            assert!(!error.contains("secret"), "{error}");
        }
    }
}
