//! The namespace to which an enforcer assigns nodes and pods on the host network.

use std::collections::BTreeMap;

use crate::policy::peer::{Namespaces, PeerMatcher, PeerSet};
use foretell_objects::model::dialect::{HOST_NETWORK_LABEL, HOST_NETWORK_NAMESPACES};
use foretell_objects::model::labels::Labels;

/// The namespace of the host network.
#[derive(Clone, Copy, Debug)]
pub enum HostNamespace<'a> {
    /// Its labels.
    Known(&'a Labels),
    /// It is not among the namespaces. Only a selector that names its label matches it.
    Unknown,
}

impl<'a> HostNamespace<'a> {
    /// Finds it among the namespaces of a cluster.
    #[must_use]
    pub fn of(namespaces: &'a BTreeMap<String, Labels>) -> Self {
        HOST_NETWORK_NAMESPACES.iter().find_map(|name| namespaces.get(*name)).map_or(Self::Unknown, Self::Known)
    }

    /// Whether the peers of a rule contain the host network. Only an entry without a `podSelector` does.
    #[must_use]
    pub fn is_matched_by(&self, peers: &PeerSet) -> bool {
        let PeerSet::AnyOf(matchers) = peers else { return true };
        matchers.iter().any(|matcher| {
            let PeerMatcher::Pods { namespaces: Namespaces::Matching(selector), is_whole: true, .. } = matcher else {
                return false;
            };
            match self {
                Self::Known(labels) => selector.matches(labels),
                Self::Unknown => {
                    let labels = Labels::from([(HOST_NETWORK_LABEL.to_owned(), String::new())]);
                    selector.matches(&labels) && !selector.matches(&Labels::new())
                }
            }
        })
    }
}
