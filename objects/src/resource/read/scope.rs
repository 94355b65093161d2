//! The part of an object in which a fault makes it invalid.

use crate::resource::fields;
use crate::resource::object::Kind;
use crate::resource::object::origin::Origin;
use crate::resource::object::path::OwnedPath;

/// The part of an object in which a fault makes it invalid.
pub(super) enum Scope {
    /// Everything except fields that a server writes: for a policy that is about to be applied.
    AllButServers,
    /// These paths and everything below them; `*` is any item of a list.
    Only(&'static [Vec<&'static str>]),
}

/// Fields of `metadata` that a server writes, whatever a manifest states.
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

    /// The widest part of the object that contains the fault at `path` and no field that is read; `None` if the fault is in a field
    /// that is read.
    pub(super) fn outside(&self, path: &OwnedPath) -> Option<OwnedPath> {
        (1..=path.0.len()).map(|length| OwnedPath(path.0[..length].to_vec())).find(|part| match self {
            // A fault within the status only drops the part that it is in.
            _ if part.key(0) == Some("status") => part.0.len() > 1 || path.0.len() == 1,
            Self::AllButServers => {
                part.key(0) == Some("metadata") && part.key(1).is_some_and(|name| SERVERS_METADATA.contains(&name))
            }
            Self::Only(read) => !read.iter().any(|pattern| part.meets(pattern)),
        })
    }
}
