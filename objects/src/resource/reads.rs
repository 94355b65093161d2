//! Typed readers of the fields that the engine reads. The cluster, the overlay of Git's objects and the comparison of revisions all
//! use these readers, so that they agree on what an object means.

pub mod endpoint_slice;
pub mod endpoints;
pub mod namespace;
pub mod node;
pub mod pod;
pub mod service;
