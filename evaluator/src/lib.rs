//! The evaluator: judges the cluster's traffic by its audit policies and answers questions about them.
//!
//! The modules in the order of the data flow: [`watch`] applies the API server's events to [`objects`]. [`api`] takes in agents' batches;
//! they go to the [`store`] (Postgres, which [`private_postgres`] can run) and to the [`window`] (memory). After each change
//! [`reevaluate`] asks the engine through [`judge`], which does no I/O. [`status_writer`] writes the results to the policies' statuses,
//! [`verdict_table`] writes them to the database, and [`api`] serves them. [`state`] is what these tasks share.
pub mod api;
pub mod args;
pub mod ca_config_map;
pub mod judge;
pub mod metrics;
pub mod objects;
pub mod private_postgres;
pub mod reevaluate;
pub mod run;
#[cfg(test)]
mod scene;
pub mod state;
pub mod status;
pub mod status_writer;
pub mod store;
pub mod verdict_table;
pub mod watch;
pub mod window;
