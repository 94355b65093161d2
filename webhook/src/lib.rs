//! Admission: what the API server asks before it stores an object.
//!
//! - `/validate` refuses audit policies and exceptions that an API server would not take as NetworkPolicies, in the API
//!   server's own words, and a second replica of the evaluator.
//! - `/mutate` takes from a NetworkPolicy what a promotion must not carry along, and writes down where it came from. It
//!   changes metadata only, never the spec: a default that is written into a spec is a difference that GitOps tools see for
//!   ever.
//!
//! Both are open to whoever reaches them, as API servers show no certificate to webhooks unless they are told to. They judge
//! what they are sent, from memory, change nothing and tell nothing but that judgement. Of `/metrics` only who may read it is
//! told; `/livez`, `/readyz` and `/healthz` are open.
//!
//! The same question has the same answer every time, as a dry run and in earnest. Nothing is asked when something is
//! deleted, and what cannot be read is a clear error.
//!
//! # Rooms
//! [`review`] is what the API server sends and is sent; [`server`] hands it to [`validate`], which asks [`policies`] or
//! [`replicas`], or to [`mutate`], which asks [`promotion`]. [`bundle`] tells the API server to trust the certificate that the webhook
//! makes for itself.
pub mod args;
pub mod bundle;
pub mod metrics;
pub mod mutate;
pub mod policies;
pub mod promotion;
pub mod replicas;
pub mod review;
pub mod run;
pub mod server;
pub mod validate;
