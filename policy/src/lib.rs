//! What a Kubernetes NetworkPolicy would deny: resource types, semantics, engine and report. No I/O.
pub mod audit;
mod canonical;
pub mod cidr;
pub mod collation;
pub mod crds;
pub mod defaults;
pub mod difference;
pub mod exception;
pub mod flow;
pub mod manifest;
pub mod object;
mod validation;
