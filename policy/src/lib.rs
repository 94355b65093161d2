//! What a Kubernetes NetworkPolicy would deny: resource types, semantics, engine and report. No I/O.
pub mod collation;
pub mod flow;
pub mod manifest;
pub mod object;
