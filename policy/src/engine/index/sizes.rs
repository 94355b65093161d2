//! The sizes of an index, which tests compare to find leaks.

use crate::engine::index::Index;
use crate::engine::index::peers::Sets;

/// The number of distinct entries of each kind. An index that was changed step by step has the same sizes as one that is built
/// from the final state.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IndexSizes {
    /// The number of policies.
    pub policies: usize,
    /// The number of identities. Pods that no policy can distinguish share one.
    pub identities: usize,
    /// The number of distinct selectors of pods and of namespaces.
    pub selectors: usize,
    /// The number of labels by which selectors are indexed.
    pub anchors: usize,
    /// The number of distinct sets of pods that rules name.
    pub peers: usize,
    /// The number of selectors in these sets.
    pub terms: usize,
    /// The number of distinct sets of blocks that rules name.
    pub blocks: usize,
    /// The number of distinct sets of ports that rules name.
    pub ports: usize,
    /// The number of distinct lists of named ports that pods declare.
    pub port_lists: usize,
    /// The number of distinct lists of policies that restrict an identity in a direction.
    pub sections: usize,
    /// The number of lifetimes of pods that do not fit into the entries of their addresses.
    pub lifetimes: usize,
}

impl Index {
    pub(crate) fn sizes(&self) -> IndexSizes {
        let own = || self.namespaces.iter().map(|namespace| &namespace.own_sets).chain([&self.cluster_own_sets]);
        IndexSizes {
            policies: self.policies.iter().flatten().count(),
            identities: self.identities.iter().flatten().count(),
            selectors: self.namespace_selectors.len() + self.pod_selectors.len(),
            anchors: self.namespace_selectors.anchors() + self.pod_selectors.anchors(),
            peers: self.pod_sets.known.len() + own().map(|sets| sets.known.len()).sum::<usize>(),
            terms: self.pod_sets.terms() + own().map(Sets::terms).sum::<usize>(),
            blocks: self.blocks.len(),
            ports: self.ports.sets(),
            port_lists: self.ports.lists(),
            sections: self.section_keys.len(),
            lifetimes: 0,
        }
    }
}
