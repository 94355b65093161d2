//! The sets of pods that rules name, as bits in a row of each identity: one bit for each distinct set.
//!
//! A row has three parts: sets that select pods by the labels of namespaces and pods; sets of the subject's own namespace that
//! cluster policies name; and sets that policies of the identity's namespace name. The last two parts are only tested for peers
//! in the subject's namespace, so each namespace numbers its own sets and rows stay short.

use std::collections::HashMap;

use crate::engine::index::Index;
use crate::engine::index::bits::{put, words};
use crate::engine::index::interned::Interned;
use crate::engine::index::lists::remove_from_list;
use crate::engine::index::rules::NumberedScope;

/// Pairs of the number of a namespace selector and of a pod selector. A pod in any of them is in the set.
pub(super) type PodSet = Vec<(u32, u32)>;
/// Numbers of pod selectors, which select pods of the subject's own namespace.
pub(super) type OwnSet = Vec<u32>;

/// Distinct sets of one kind, indexed by the pod selectors in them.
#[derive(Clone, Debug)]
pub(super) struct Sets<K> {
    pub(super) known: Interned<K>,
    by_selector: HashMap<u32, Vec<(u32, u32)>>,
    /// The number of words that rows have for these sets.
    pub(super) width: usize,
}

impl<K> Default for Sets<K> {
    fn default() -> Self {
        Self { known: Interned::default(), by_selector: HashMap::new(), width: 0 }
    }
}

impl<K: Clone + Eq + std::hash::Hash> Sets<K> {
    /// Whether rows have to grow; increases `width` if so.
    fn outgrows(&mut self) -> bool {
        let needed = words(self.known.end());
        if needed <= self.width {
            return false;
        }
        // With a reserve, because every row is rewritten when rows grow.
        self.width = needed + needed / 4;
        true
    }

    fn insert_terms(&mut self, set: u32, terms: impl Iterator<Item = (u32, u32)>) {
        for (namespaces, pods) in terms {
            self.by_selector.entry(pods).or_default().push((namespaces, set));
        }
    }

    fn remove_terms(&mut self, set: u32, terms: impl Iterator<Item = (u32, u32)>) {
        for (_, pods) in terms {
            remove_from_list(&mut self.by_selector, &pods, |(_, other)| *other == set);
        }
    }
}

impl<K> Sets<K> {
    /// The number of pod selectors in all sets.
    pub(super) fn terms(&self) -> usize {
        self.by_selector.values().map(Vec::len).sum()
    }
}

/// The namespace selector in terms of own sets, which have none.
const OWN: u32 = u32::MAX;

fn own_terms(set: &OwnSet) -> impl Iterator<Item = (u32, u32)> {
    set.iter().map(|pods| (OWN, *pods))
}

/// A part of a row that holds own sets.
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

    /// Adds a user of a set and returns its number. The caller has acquired the selectors in the set; they are released if the set
    /// is known.
    pub(super) fn acquire_pod_set(&mut self, set: &PodSet) -> u32 {
        let (number, is_new) = self.pod_sets.known.acquire(set);
        if !is_new {
            self.release_terms(set);
            return number;
        }
        self.pod_sets.insert_terms(number, set.iter().copied());
        if self.pod_sets.outgrows() {
            self.rows_are_stale = true;
        }
        self.write_pod_set(number, set, true);
        number
    }

    pub(super) fn release_pod_set(&mut self, number: u32) {
        let Some(set) = self.pod_sets.known.release(number) else { return };
        self.pod_sets.remove_terms(number, set.iter().copied());
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

    pub(super) fn acquire_own_set(&mut self, scope: NumberedScope, set: &OwnSet) -> u32 {
        let sets = self.own_sets(scope);
        let (number, is_new) = sets.known.acquire(set);
        if !is_new {
            for pods in set {
                self.pod_selectors.release(*pods);
            }
            return number;
        }
        sets.insert_terms(number, own_terms(set));
        if sets.outgrows() {
            self.rows_are_stale = true;
        }
        self.write_own_set(scope, number, set, true);
        number
    }

    pub(super) fn release_own_set(&mut self, scope: NumberedScope, number: u32) {
        let sets = self.own_sets(scope);
        let Some(set) = sets.known.release(number) else { return };
        sets.remove_terms(number, own_terms(&set));
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

    /// Computes the row of an identity.
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
