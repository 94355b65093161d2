//! The identity of an object, which is the same at two revisions.

use std::fmt;

use crate::resource::object::{Kind, Object};

/// Identifies an object. Objects with equal ids at different revisions are versions of one object.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    /// The kind, whatever the API version.
    pub kind: Kind,
    /// The namespace; empty for cluster-scoped kinds.
    pub namespace: String,
    /// `metadata.name`.
    pub name: String,
}

impl fmt::Display for ObjectId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.namespace.as_str() {
            "" => write!(f, "{} {}", self.kind, self.name),
            namespace => write!(f, "{} {namespace}/{}", self.kind, self.name),
        }
    }
}

impl Object {
    /// The object's identity.
    #[must_use]
    pub fn id(&self) -> ObjectId {
        let kind = self.kind();
        let metadata = self.metadata();
        let namespace = metadata.namespace.clone().filter(|_| kind.is_namespaced());
        ObjectId { kind, namespace: namespace.unwrap_or_default(), name: metadata.name.clone().unwrap_or_default() }
    }
}
