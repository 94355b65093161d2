//! The program in every container of the demo's shop: it listens, answers and calls.
//!
//! The arguments determine what a workload does, so that one image is enough for the whole shop:
//!
//! ```text
//! foretell-demo --listen 8080 --listen 9102 --call payments.payments:8443,every=3s
//! ```
//!
//! The content of the traffic does not matter: requests and answers are lines of text. A name is resolved for each call, so
//! that the cluster's DNS gets as many queries as from real programs.

pub mod args;
pub mod call;
pub mod port;
pub mod run;
pub mod serve;
