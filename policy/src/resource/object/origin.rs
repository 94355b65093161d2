//! Where an object comes from, which decides how strictly it is read.

/// Under which rules an object is read.
#[derive(Clone, Debug)]
pub enum Origin {
    /// A live cluster's object: an API server has accepted it once. Unknown fields and old forms of CIDRs are allowed.
    Cluster,
    /// A manifest that is about to be applied, read as a strict API server would: unknown fields are errors.
    Manifest {
        /// Namespace of a namespaced object that names none.
        default_namespace: String,
    },
}
