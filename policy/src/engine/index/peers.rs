//! The sets of pods that rules name, as bits in a row of each identity: one bit for each distinct set.
//!
//! A row has three parts: sets of pods by the labels of namespaces and pods; sets of the subject's own namespace that cluster
//! policies name; and those that the policies of the identity's namespace name. Of the last two only rows of the subject's
//! own namespace are ever asked, so a namespace numbers its sets by itself and rows stay short.

use std::collections::HashMap;

use crate::engine::index::Index;
use crate::engine::index::bits::{put, words};
use crate::engine::index::interned::Interned;
use crate::engine::index::rules::NumberedScope;
use crate::engine::index::sizes::take_out;

/// Terms of a selector of namespaces and one of pods.
pub(super) type PodSet = Vec<(u32, u32)>;
/// Selectors of pods.
pub(super) type OwnSet = Vec<u32>;

/// Distinct sets of one kind, found by the selectors of pods in them.
#[derive(Clone, Debug)]
pub(super) struct Sets<K> {
    pub(super) known: Interned<K>,
    by_selector: HashMap<u32, Vec<(u32, u32)>>,
    /// Words that rows have for them.
    pub(super) width: usize,
}

impl<K> Default for Sets<K> {
    fn default() -> Self {
        Self { known: Interned::default(), by_selector: HashMap::new(), width: 0 }
    }
}

impl<K: Clone + Eq + std::hash::Hash> Sets<K> {
    /// Whether rows have to grow for one more.
    fn outgrows(&mut self) -> bool {
        let needed = words(self.known.end());
        if needed <= self.width {
            return false;
        }
        // Room to grow: every row is written anew each time.
        self.width = needed + needed / 4;
        true
    }

    fn note(&mut self, set: u32, terms: impl Iterator<Item = (u32, u32)>) {
        for (namespaces, pods) in terms {
            self.by_selector.entry(pods).or_default().push((namespaces, set));
        }
    }

    fn forget(&mut self, set: u32, terms: impl Iterator<Item = (u32, u32)>) {
        for (_, pods) in terms {
            take_out(&mut self.by_selector, &pods, |(_, other)| *other == set);
        }
    }
}

impl<K> Sets<K> {
    /// How many selectors of pods are in its sets.
    pub(super) fn terms(&self) -> usize {
        self.by_selector.values().map(Vec::len).sum()
    }
}

/// In terms of sets of a namespace's own nothing is said of namespaces.
const OWN: u32 = u32::MAX;

fn own_terms(set: &OwnSet) -> impl Iterator<Item = (u32, u32)> {
    set.iter().map(|pods| (OWN, *pods))
}

/// Where in a row a part begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OwnSetPart {
    OwnOfCluster,
    OwnOfNamespace,
}

impl Index {
    pub(super) fn offset(&self, part: OwnSetPart) -> usize {
        match part {
            OwnSetPart::OwnOfCluster => self.pod_sets.width,
            OwnSetPart::OwnOfNamespace => self.pod_sets.width + self.cluster_own_sets.width,
        }
    }

    /// The number of a set; the selectors in it are held already, and let go of again where the set is known.
    pub(super) fn hold_pod_set(&mut self, set: &PodSet) -> u32 {
        let (number, is_new) = self.pod_sets.known.acquire(set);
        if !is_new {
            self.release_terms(set);
            return number;
        }
        self.pod_sets.note(number, set.iter().copied());
        if self.pod_sets.outgrows() {
            self.rows_are_stale = true;
        }
        self.write_pod_set(number, set, true);
        number
    }

    pub(super) fn release_pod_set(&mut self, number: u32) {
        let Some(set) = self.pod_sets.known.release(number) else { return };
        self.pod_sets.forget(number, set.iter().copied());
        self.write_pod_set(number, &set, false);
        self.release_terms(&set);
    }

    fn release_terms(&mut self, set: &PodSet) {
        for (namespaces, pods) in set {
            self.namespace_selectors.release(*namespaces);
            self.pod_selectors.release(*pods);
        }
    }

    fn write_pod_set(&mut self, number: u32, set: &PodSet, value: bool) {
        if self.rows_are_stale {
            return;
        }
        for (namespaces, pods) in set {
            for identity in self.pod_selectors.members(*pods) {
                let Some(identity) = &mut self.identities[*identity as usize] else { continue };
                if self.namespace_selectors.matches(*namespaces, identity.namespace) {
                    put(&mut identity.row, number, value);
                }
            }
        }
    }

    pub(super) fn hold_own_set(&mut self, scope: NumberedScope, set: &OwnSet) -> u32 {
        let sets = self.own_sets(scope);
        let (number, is_new) = sets.known.acquire(set);
        if !is_new {
            for pods in set {
                self.pod_selectors.release(*pods);
            }
            return number;
        }
        sets.note(number, own_terms(set));
        if sets.outgrows() {
            self.rows_are_stale = true;
        }
        self.write_own_set(scope, number, set, true);
        number
    }

    pub(super) fn release_own_set(&mut self, scope: NumberedScope, number: u32) {
        let sets = self.own_sets(scope);
        let Some(set) = sets.known.release(number) else { return };
        sets.forget(number, own_terms(&set));
        self.write_own_set(scope, number, &set, false);
        for pods in set {
            self.pod_selectors.release(pods);
        }
    }

    fn own_sets(&mut self, scope: NumberedScope) -> &mut Sets<OwnSet> {
        match scope {
            NumberedScope::Namespace(namespace) => &mut self.namespaces[namespace as usize].own_sets,
            NumberedScope::Namespaces(_) => &mut self.cluster_own_sets,
        }
    }

    fn write_own_set(&mut self, scope: NumberedScope, number: u32, set: &OwnSet, value: bool) {
        if self.rows_are_stale {
            return;
        }
        let (of, part) = match scope {
            NumberedScope::Namespace(namespace) => (Some(namespace), OwnSetPart::OwnOfNamespace),
            NumberedScope::Namespaces(_) => (None, OwnSetPart::OwnOfCluster),
        };
        let offset = self.offset(part);
        for identity in set.iter().flat_map(|pods| self.pod_selectors.members(*pods)) {
            let Some(identity) = &mut self.identities[*identity as usize] else { continue };
            if of.is_none_or(|namespace| namespace == identity.namespace) {
                put(&mut identity.row[offset..], number, value);
            }
        }
    }

    /// The row of an identity, from nothing.
    pub(super) fn row_of(&self, identity: u32, namespace: u32) -> Box<[u64]> {
        let own = &self.namespaces[namespace as usize].own_sets;
        let mut row = vec![0; self.offset(OwnSetPart::OwnOfNamespace) + own.width];
        for pods in self.pod_selectors.matching(identity) {
            for (namespaces, set) in self.pod_sets.by_selector.get(pods).into_iter().flatten() {
                if self.namespace_selectors.matches(*namespaces, namespace) {
                    put(&mut row, *set, true);
                }
            }
            for (part, sets) in [(OwnSetPart::OwnOfCluster, &self.cluster_own_sets), (OwnSetPart::OwnOfNamespace, own)]
            {
                for (_, set) in sets.by_selector.get(pods).into_iter().flatten() {
                    put(&mut row[self.offset(part)..], *set, true);
                }
            }
        }
        row.into()
    }
}
