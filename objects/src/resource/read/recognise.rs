//! Finds the kind of an object from its `apiVersion` and `kind`.

use crate::resource::admin::GROUP;
use crate::resource::object::Kind;

/// A kind, and whether its API version is served.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RecognisedKind {
    /// The version is served.
    Served(Kind),
    /// The version or group was removed from Kubernetes or never existed.
    NotServed(Kind),
}

/// Groups in which the name of a known kind means that kind, even if the version is wrong: the groups of the kinds themselves,
/// and `extensions`, their former group (removed in Kubernetes 1.16 and 1.22).
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
    /// `None`: a kind that is not read, or a kind of the same name in a foreign group.
    pub(crate) fn recognise(api_version: &str, kind: &str) -> Option<RecognisedKind> {
        let kind = Self::ALL.into_iter().find(|known| known.name() == kind)?;
        if kind.api_versions().contains(&api_version) {
            return Some(RecognisedKind::Served(kind));
        }
        let group = api_version.split_once('/').map_or("", |(group, _)| group);
        OWN_GROUPS.contains(&group).then_some(RecognisedKind::NotServed(kind))
    }
}
