//! What makes an object the same object at two revisions.

use std::fmt;

use crate::resource::object::{Kind, Object};

/// Names an object. Two objects with equal ids are the same object at different revisions.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ObjectId {
    /// The kind, of whatever served version.
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
    /// Its id.
    #[must_use]
    pub fn id(&self) -> ObjectId {
        let kind = self.kind();
        let metadata = self.metadata();
        let namespace = metadata.namespace.clone().filter(|_| kind.is_namespaced());
        ObjectId { kind, namespace: namespace.unwrap_or_default(), name: metadata.name.clone().unwrap_or_default() }
    }
}
