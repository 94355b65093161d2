//! Which kind an object is of, by its `apiVersion` and `kind`.

use crate::resource::admin::GROUP;
use crate::resource::object::Kind;

/// What `apiVersion` and `kind` say of an object.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecognisedKind {
    /// In the version that is served.
    Served(Kind),
    /// In a version or group that was removed, or that never was.
    NotServed(Kind),
}

/// Groups in which a kind of ours is the kind meant, in the wrong place: those of the kinds themselves, and the one in which
/// they lived before they had their own (removed in Kubernetes 1.16 and 1.22).
const OWN_GROUPS: [&str; 9] = [
    "",
    "apps",
    "batch",
    "discovery.k8s.io",
    "extensions",
    "foretell.dev",
    "kguardian.dev",
    "networking.k8s.io",
    GROUP,
];

impl Kind {
    /// `None`: a kind that is not read, or another's kind of the same name.
    pub(crate) fn recognise(api_version: &str, kind: &str) -> Option<RecognisedKind> {
        let kind = Self::ALL.into_iter().find(|known| known.name() == kind)?;
        if kind.api_versions().contains(&api_version) {
            return Some(RecognisedKind::Served(kind));
        }
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        OWN_GROUPS.contains(&group).then_some(RecognisedKind::NotServed(kind))
    }
}
