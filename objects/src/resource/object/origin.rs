//! Where an object comes from, which decides how strictly it is read.

/// Where an object comes from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// An object of a live cluster, which an API server has accepted. Unknown fields and old forms of CIDRs are allowed.
    Cluster,
    /// A manifest that is about to be applied, read as a strict API server would: unknown fields are errors.
    Manifest {
        /// The namespace of namespaced objects without `metadata.namespace`.
        default_namespace: String,
    },
}
