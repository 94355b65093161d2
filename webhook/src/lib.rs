//! The admission webhook. The API server calls it before it stores an object.
//!
//! - `/validate` rejects audit policies and exceptions whose rules an API server would reject in a NetworkPolicy, with the API
//!   server's own messages. It also rejects a second replica of the evaluator.
//! - `/mutate` removes metadata from a NetworkPolicy that was copied from an audit policy on promotion, and records the origin
//!   in an annotation. It never changes the spec: GitOps tools would report a default in the spec as a permanent difference.
//!
//! Both routes accept requests from any client, because by default API servers send no client certificate to webhooks. They
//! decide from the request alone, change nothing in the cluster, and return only the decision. `/metrics` needs authorization;
//! `/livez`, `/readyz` and `/healthz` do not.
//!
//! The same request always gets the same answer, also in a dry run. Deletions are always allowed. A request that cannot be read
//! is answered with an error that names the problem.
//!
//! # Modules
//! [`review`] reads requests and writes responses. [`server`] passes a request to [`validate`], which uses [`policies`] or
//! [`replicas`], or to [`mutate`], which uses [`promotion`]. [`bundle`] makes the API server trust the webhook's own certificate.
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
