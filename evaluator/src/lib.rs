//! The evaluator: judges the cluster's traffic by its audit policies, and answers whoever asks.
//!
//! The rooms, in the order in which the data passes them: [`watch`] keeps [`objects`] as the API server tells of them;
//! [`ingest`] takes agents' batches into [`store`] (Postgres, which may be its own: [`private_postgres`]) and [`window`] (memory); [`judge`] asks the engine, whenever
//! any of these changes; [`status`] writes what it says to the policies, [`verdicts`] to the database, [`api`] to whoever
//! asks. [`state`] is what they share.
pub mod api;
pub mod args;
pub mod certificate;
pub mod ingest;
pub mod judge;
pub mod metrics;
pub mod objects;
pub mod private_postgres;
pub mod run;
pub mod state;
pub mod status;
pub mod store;
pub mod verdicts;
pub mod watch;
pub mod window;
