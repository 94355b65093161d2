//! The program in every container of the demo's shop: listens, answers, and calls others.
//!
//! What a workload does is told by its arguments, so that one image plays the whole shop:
//!
//! ```text
//! foretell-demo --listen 8080 --listen 9102 --call payments.payments:8443,every=3s
//! ```
//!
//! The traffic is what matters, not what is said: a request is a line of text, and so is its answer. Names are resolved for
//! each call, so that a cluster's DNS is asked as often as real programs ask it.

pub mod args;
pub mod call;
pub mod port;
pub mod run;
pub mod serve;
