//! Code that all services of Foretell share: arguments, logging, metrics, TLS, health, authentication, shutdown, and the evaluator's
//! client with its wire types.
//!
//! It knows no particular service. [`serve`] runs a router behind TLS together with health and metrics; [`access`] authenticates
//! and authorises callers; [`certificate`] keeps the server's certificate current; [`tasks`] ends the process when one of its tasks
//! fails.
pub mod access;
pub mod authority;
pub mod certificate;
pub mod contract;
pub mod errors;
pub mod evaluator;
pub mod files;
pub mod health;
pub mod kubernetes;
pub mod log;
pub mod metrics;
pub mod query;
pub mod refusal;
pub mod serve;
pub mod span;
pub mod tasks;
pub mod tls;
