//! In which part of an object a fault refuses it.

use crate::resource::fields;
use crate::resource::object::Kind;
use crate::resource::object::origin::Origin;
use crate::resource::object::path::OwnedPath;

/// The part of an object in which a fault refuses it.
pub(super) enum Scope {
    /// All of it but what a server writes: a policy that is about to be applied.
    AllButServers,
    /// These paths and what is below them; `*` is any item of a list.
    Only(&'static [Vec<&'static str>]),
}

/// Fields of `metadata` that a server writes, whatever a manifest says.
const SERVERS_METADATA: [&str; 8] = [
    "creationTimestamp",
    "deletionGracePeriodSeconds",
    "deletionTimestamp",
    "generation",
    "managedFields",
    "resourceVersion",
    "selfLink",
    "uid",
];

impl Scope {
    pub(super) fn of(kind: Kind, origin: &Origin) -> Self {
        match origin {
            Origin::Manifest { .. } if kind.is_strict() => Self::AllButServers,
            _ => Self::Only(fields::checked(kind)),
        }
    }

    /// Whether unknown fields are faults.
    pub(super) fn is_strict(&self) -> bool {
        matches!(self, Self::AllButServers)
    }

    /// The widest part of the object that holds the fault at `path` and nothing that is read; `None` where that is read.
    pub(super) fn outside(&self, path: &OwnedPath) -> Option<OwnedPath> {
        (1..=path.0.len()).map(|length| OwnedPath(path.0[..length].to_vec())).find(|part| match self {
            // What of a status can be read is kept.
            _ if part.key(0) == Some("status") => part.0.len() > 1 || path.0.len() == 1,
            Self::AllButServers => {
                part.key(0) == Some("metadata") && part.key(1).is_some_and(|name| SERVERS_METADATA.contains(&name))
            }
            Self::Only(read) => !read.iter().any(|pattern| part.meets(pattern)),
        })
    }
}
