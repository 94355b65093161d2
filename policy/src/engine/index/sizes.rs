//! How much an index holds.

use std::collections::HashMap;
use std::hash::Hash;

use crate::engine::index::Index;

/// How many distinct things are held, by kind. What came and went leaves nothing behind: what changed one thing at a time holds as
/// much as what is made anew of all that stands.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct IndexSizes {
    /// Policies.
    pub policies: usize,
    /// Pods that no policy can tell apart are one.
    pub identities: usize,
    /// Selectors of pods and of namespaces.
    pub selectors: usize,
    /// The labels by which selectors are found.
    pub anchors: usize,
    /// Sets of pods that rules name.
    pub peers: usize,
    /// The selectors in them.
    pub terms: usize,
    /// Sets of blocks that rules name.
    pub blocks: usize,
    /// Sets of ports that rules name.
    pub ports: usize,
    /// Lists of named ports that pods declare.
    pub port_lists: usize,
    /// Lists of policies that restrict somebody in a direction.
    pub sections: usize,
    /// Lives of pods that are listed apart from their addresses.
    pub lives: usize,
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
            terms: self.pod_sets.terms() + own().map(crate::engine::index::peers::Sets::terms).sum::<usize>(),
            blocks: self.blocks.len(),
            ports: self.ports.sets(),
            port_lists: self.ports.lists(),
            sections: self.section_keys.len(),
            lives: 0,
        }
    }
}

/// Takes what has gone out of a key's list, and with the last of it the key.
pub(super) fn take_out<K: Eq + Hash, T>(lists: &mut HashMap<K, Vec<T>>, key: &K, is_gone: impl Fn(&T) -> bool) {
    let Some(list) = lists.get_mut(key) else { return };
    list.retain(|it| !is_gone(it));
    if list.is_empty() {
        lists.remove(key);
    }
}
