//! Typed readers of the fields that the engine reads. The cluster, the overlay of Git's objects and the comparison of two revisions
//! all read objects through these, so that what is compared is what is applied.

pub mod endpoint_slice;
pub mod namespace;
pub mod node;
pub mod pod;
pub mod service;
