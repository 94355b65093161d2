//! The policies of a world, resolved against its identities, so that a verdict costs a few lookups and no allocation.
//!
//! Everything that a rule names is looked up once: its selectors become a bit in a row of each identity, its blocks a bit in a
//! row of each interval of addresses, its ports a bit in a row of each range of ports. The rules that restrict a pod are in
//! sections that pods share. Judging a flow then means finding four rows and testing the bits that the subject's sections name.
//!
//! Namespaces, identities and policies can be added and removed one at a time. [`Index::settle`] recomputes what such a change made
//! stale and has to be called before the next query.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use ipnet::IpNet;

use crate::engine::identities::Identity;
use crate::engine::index::interned::Interned;
use crate::engine::index::peers::{OwnSet, PodSet, Sets};
use crate::engine::index::resolved_dialect::ResolvedDialect;
use crate::engine::index::rules::{NumberedPolicy, NumberedScope, place};
use crate::engine::index::section::Section;
use crate::engine::index::selectors::Selectors;
use crate::engine::policy_id::PolicyId;
use crate::policy::network_policy::Policy;
use foretell_objects::model::flow::Direction;
use foretell_objects::model::labels::{Labels, Selector};
use foretell_objects::resource::reads;

pub mod batch;
mod bits;
mod blocks;
mod by_enforcer;
pub(crate) mod directory;
pub mod flow_query;
mod interned;
mod lists;
pub mod packed_verdict;
mod pages;
mod peers;
mod policies;
mod ports;
pub mod replay;
pub(crate) mod resolved_dialect;
mod resolved_end;
mod rules;
mod section;
mod selectors;
mod services;
pub mod sizes;
pub mod view;

/// The resolved policies.
#[derive(Clone, Debug, Default)]
pub struct Index {
    /// How rules are read.
    resolved_dialect: ResolvedDialect,
    namespaces: Vec<Namespace>,
    namespace_numbers: HashMap<String, u32>,
    namespace_selectors: Selectors,
    identities: Vec<Option<IndexedIdentity>>,
    pod_selectors: Selectors,
    policies: Vec<Option<NumberedPolicy>>,
    free_policies: Vec<u32>,
    /// Policies by the number of their pod selector and by namespace, which is `None` for cluster policies.
    by_selector: HashMap<(u32, Option<u32>), Vec<PolicyId>>,
    pod_sets: Sets<PodSet>,
    cluster_own_sets: Sets<OwnSet>,
    blocks: blocks::Blocks,
    ports: ports::Ports,
    section_keys: Interned<SectionKey>,
    sections: Vec<Section>,
    stale_sections: Vec<u32>,
    rows_are_stale: bool,
}

/// A namespace, with the identities in it.
#[derive(Clone, Debug, Default)]
struct Namespace {
    labels: Labels,
    identities: Vec<u32>,
    own_sets: Sets<OwnSet>,
}

/// An identity, with what verdicts on flows need.
#[derive(Clone, Debug)]
struct IndexedIdentity {
    /// A bit for each set of pods that contains it.
    row: Box<[u64]>,
    /// By direction: the section of the cluster policies that restrict it, and that of its namespace's policies.
    sections: [[u32; 2]; 2],
    namespace: u32,
    /// The number of its list of named ports.
    ports: u32,
    /// Data that verdicts do not need.
    details: Box<IdentityDetails>,
}

#[derive(Clone, Debug)]
struct IdentityDetails {
    identity: Arc<Identity>,
    egress_blocks: OnceLock<Vec<IpNet>>,
}

/// The policies of a section, ordered by reference.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct SectionKey {
    direction: usize,
    is_of_cluster: bool,
    policies: Vec<PolicyId>,
}

impl Index {
    /// Resolves policies against identities. The place of an identity in its list is its number.
    pub(crate) fn build<'a>(
        resolved_dialect: ResolvedDialect,
        namespaces: impl IntoIterator<Item = (&'a String, &'a Labels)>,
        identities: &[Arc<Identity>],
        policies: &[Arc<Policy>],
    ) -> Self {
        let mut index = Self { resolved_dialect, ..Self::default() };
        for (name, labels) in namespaces {
            index.set_namespace(name, labels);
        }
        // Rows are written once, after all policies are known.
        index.rows_are_stale = true;
        for (number, identity) in (0..).zip(identities) {
            index.set_identity(number, Arc::clone(identity));
        }
        for policy in policies {
            index.add_policy(policy);
        }
        index.settle();
        index
    }

    /// How rules are read.
    #[inline]
    pub(crate) fn resolved_dialect(&self) -> &ResolvedDialect {
        &self.resolved_dialect
    }

    /// Adds a namespace, or replaces the labels of one.
    pub fn set_namespace(&mut self, name: &str, labels: &Labels) {
        let number = self.namespace(name);
        if self.namespaces[number as usize].labels == *labels {
            return;
        }
        let before = self.in_scope(number);
        self.namespace_selectors.remove(number);
        self.namespaces[number as usize].labels = labels.clone();
        self.namespace_selectors.insert(number, labels);
        let after = self.in_scope(number);
        for identity in self.namespaces[number as usize].identities.clone() {
            let selects = |policy: &PolicyId| {
                let numbered = self.numbered(*policy);
                numbered.is_some_and(|it| self.pod_selectors.matches(it.pods, identity))
            };
            let gone: Vec<_> =
                before.iter().filter(|policy| !after.contains(policy) && selects(policy)).copied().collect();
            let come: Vec<_> =
                after.iter().filter(|policy| !before.contains(policy) && selects(policy)).copied().collect();
            for (policies, adds) in [(gone, false), (come, true)] {
                for policy in policies {
                    self.restrict(&[identity], policy, adds);
                }
            }
            if !self.rows_are_stale {
                let row = self.row_of(identity, number);
                if let Some(indexed) = &mut self.identities[identity as usize] {
                    indexed.row = row;
                }
            }
        }
    }

    /// The cluster policies that apply to a namespace.
    fn in_scope(&self, namespace: u32) -> Vec<PolicyId> {
        let applies = |numbered: &NumberedPolicy| match numbered.scope {
            NumberedScope::Namespaces(selector) => self.namespace_selectors.matches(selector, namespace),
            NumberedScope::Namespace(_) => false,
        };
        let policies = (0..).map(PolicyId).zip(&self.policies);
        policies.filter(|(_, numbered)| numbered.as_ref().is_some_and(applies)).map(|(id, _)| id).collect()
    }

    /// The number of a namespace. An unknown namespace is added, with the label that every namespace has.
    fn namespace(&mut self, name: &str) -> u32 {
        if let Some(number) = self.namespace_numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.namespaces.len()).unwrap_or(u32::MAX);
        self.namespace_numbers.insert(name.to_owned(), number);
        let labels = reads::namespace::with_name(name, Labels::new());
        self.namespace_selectors.insert(number, &labels);
        self.namespaces.push(Namespace { labels, ..Namespace::default() });
        number
    }

    fn acquire_namespaces(&mut self, selector: &Selector) -> u32 {
        let namespaces = (0..).zip(&self.namespaces).map(|(number, namespace)| (number, &namespace.labels));
        self.namespace_selectors.acquire(selector, namespaces)
    }

    fn acquire_pods(&mut self, selector: &Selector) -> u32 {
        let pods = (0..)
            .zip(&self.identities)
            .filter_map(|(number, it)| Some((number, &it.as_ref()?.details.identity.labels)));
        self.pod_selectors.acquire(selector, pods)
    }

    /// Adds an identity under a free number.
    pub fn set_identity(&mut self, number: u32, identity: Arc<Identity>) {
        let namespace = self.namespace(&identity.namespace);
        self.namespaces[namespace as usize].identities.push(number);
        self.pod_selectors.insert(number, &identity.labels);
        let row = if self.rows_are_stale { Box::default() } else { self.row_of(number, namespace) };
        let ports = self.ports.acquire_list(&identity.ports);
        let sections = self.sections_of(number, namespace);
        let details = Box::new(IdentityDetails { identity, egress_blocks: OnceLock::new() });
        let indexed = IndexedIdentity { row, sections, namespace, ports, details };
        if number as usize >= self.identities.len() {
            self.identities.resize_with(number as usize + 1, || None);
        }
        self.identities[number as usize] = Some(indexed);
    }

    /// Removes an identity; its number may be reused.
    pub fn remove_identity(&mut self, number: u32) {
        let Some(indexed) = self.identities.get_mut(number as usize).and_then(Option::take) else { return };
        self.namespaces[indexed.namespace as usize].identities.retain(|other| *other != number);
        self.pod_selectors.remove(number);
        self.ports.release_list(indexed.ports);
        for section in indexed.sections.into_iter().flatten() {
            self.release_section(section);
        }
    }

    fn sections_of(&mut self, identity: u32, namespace: u32) -> [[u32; 2]; 2] {
        let mut keys = Direction::BOTH.map(|direction| {
            [true, false].map(|is_of_cluster| SectionKey {
                direction: place(direction),
                is_of_cluster,
                policies: Vec::new(),
            })
        });
        for selector in self.pod_selectors.matching(identity) {
            for (part, of) in [(0, None), (1, Some(namespace))] {
                for policy in self.by_selector.get(&(*selector, of)).into_iter().flatten() {
                    let Some(numbered) = self.numbered(*policy) else { continue };
                    if let NumberedScope::Namespaces(selector) = numbered.scope
                        && !self.namespace_selectors.matches(selector, namespace)
                    {
                        continue;
                    }
                    for (keys, _) in keys.iter_mut().zip(&numbered.rules).filter(|(_, rules)| rules.is_some()) {
                        keys[part].policies.push(*policy);
                    }
                }
            }
        }
        keys.map(|parts| {
            parts.map(|mut key| {
                key.policies.sort_by_key(|policy| self.order(*policy));
                self.acquire_section(&key)
            })
        })
    }
}
