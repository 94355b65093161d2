//! What every service of Foretell shares, once: arguments, logging, metrics, TLS, health, who may ask what, shutdown, and the
//! evaluator's client with the forms that it speaks.
//!
//! It knows nothing of any one service. [`serve`] puts a router behind TLS with health and metrics beside it; [`access`]
//! tells who asks and whether they may; [`tasks`] ends the process when a part of it ends unasked.
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
