//! The policies of a world, resolved against who lives in it, so that a flow costs a few lookups and no allocation.
//!
//! Everything that a rule names is looked up once: its selectors become a bit in a row of each identity, its blocks a bit in a
//! row of each interval of addresses, its ports a bit in a row of each range of ports. The rules that restrict a pod stand in
//! sections that pods share. What remains for a flow is to find four rows and to test the bits that the subject's
//! sections name.
//!
//! Namespaces, identities and policies come and go one at a time; what that makes stale is told apart and brought up to date by
//! [`Index::settle`], which has to be called before the next question.

use std::collections::HashMap;
use std::sync::{Arc, OnceLock};

use ipnet::IpNet;

use crate::engine::identities::Identity;
use crate::engine::index::interned::Interned;
use crate::engine::index::peers::{OwnSet, PodSet, Sets};
use crate::engine::index::rules::{NumberedPolicy, NumberedScope, place};
use crate::engine::index::section::Section;
use crate::engine::index::selectors::Selectors;
use crate::engine::index::terms::ResolvedDialect;
use crate::model::flow::Direction;
use crate::model::labels::{Labels, Selector};
use crate::model::policy_id::PolicyId;
use crate::policy::network_policy::Policy;

mod answer;
mod answers;
mod batch;
mod bits;
mod blocks;
pub(crate) mod directory;
mod interned;
mod pages;
mod peers;
mod policies;
mod ports;
mod replay;
mod rules;
mod section;
mod selectors;
mod services;
mod sizes;
pub(crate) mod terms;
pub mod view;

pub use crate::engine::index::answer::PackedVerdict;
pub use crate::engine::index::answers::{PackedVerdicts, PeerView, PortRow};
pub use crate::engine::index::batch::{BatchVerdicts, FlowKey};
pub use crate::engine::index::replay::Replay;
pub use crate::engine::index::sizes::IndexSizes;
pub use crate::policy::end_kind::EndKind;

/// The resolved policies.
#[derive(Clone, Debug, Default)]
pub struct Index {
    /// How the text of rules is read.
    terms: ResolvedDialect,
    namespaces: Vec<Namespace>,
    namespace_numbers: HashMap<String, u32>,
    namespace_selectors: Selectors,
    identities: Vec<Option<IndexedIdentity>>,
    pod_selectors: Selectors,
    policies: Vec<Option<NumberedPolicy>>,
    free_policies: Vec<u32>,
    /// By the selector of their pods and the namespace, none for cluster policies.
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

/// A namespace.
#[derive(Clone, Debug, Default)]
struct Namespace {
    labels: Labels,
    identities: Vec<u32>,
    own_sets: Sets<OwnSet>,
}

/// An identity, as flows meet it.
#[derive(Clone, Debug)]
struct IndexedIdentity {
    /// The sets of pods to which it belongs.
    row: Box<[u64]>,
    /// By direction: the cluster policies' and the namespace's policies that restrict it.
    sections: [[u32; 2]; 2],
    namespace: u32,
    /// Its list of named ports.
    ports: u32,
    /// What flows do not meet.
    more: Box<IdentityDetails>,
}

#[derive(Clone, Debug)]
struct IdentityDetails {
    identity: Arc<Identity>,
    egress_blocks: OnceLock<Vec<IpNet>>,
}

/// Policies that together restrict somebody, ordered by reference.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
struct SectionKey {
    direction: usize,
    is_of_cluster: bool,
    policies: Vec<PolicyId>,
}

impl Index {
    /// Resolves policies for these identities; their places in the lists are their numbers.
    pub(crate) fn build<'a>(
        terms: ResolvedDialect,
        namespaces: impl IntoIterator<Item = (&'a String, &'a Labels)>,
        identities: &[Arc<Identity>],
        policies: &[Arc<Policy>],
    ) -> Self {
        let mut index = Self { terms, ..Self::default() };
        for (name, labels) in namespaces {
            index.set_namespace(name, labels);
        }
        // Nothing is written into rows before all policies are known.
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

    /// How the text of rules is read.
    #[inline]
    pub(crate) fn terms(&self) -> &ResolvedDialect {
        &self.terms
    }

    /// Adds a namespace, or gives one other labels.
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
                if let Some(resident) = &mut self.identities[identity as usize] {
                    resident.row = row;
                }
            }
        }
    }

    /// The cluster policies that hold in a namespace.
    fn in_scope(&self, namespace: u32) -> Vec<PolicyId> {
        let holds = |numbered: &NumberedPolicy| match numbered.scope {
            NumberedScope::Namespaces(selector) => self.namespace_selectors.matches(selector, namespace),
            NumberedScope::Namespace(_) => false,
        };
        let policies = (0..).map(PolicyId).zip(&self.policies);
        policies.filter(|(_, numbered)| numbered.as_ref().is_some_and(holds)).map(|(id, _)| id).collect()
    }

    /// The number of a namespace, known from now on, with the label that every namespace has.
    fn namespace(&mut self, name: &str) -> u32 {
        if let Some(number) = self.namespace_numbers.get(name) {
            return *number;
        }
        let number = u32::try_from(self.namespaces.len()).unwrap_or(u32::MAX);
        self.namespace_numbers.insert(name.to_owned(), number);
        let labels = crate::resource::reads::namespace::with_name(name, Labels::new());
        self.namespace_selectors.insert(number, &labels);
        self.namespaces.push(Namespace { labels, ..Namespace::default() });
        number
    }

    fn acquire_namespaces(&mut self, selector: &Selector) -> u32 {
        let namespaces = (0..).zip(&self.namespaces).map(|(number, namespace)| (number, &namespace.labels));
        self.namespace_selectors.acquire(selector, namespaces)
    }

    fn acquire_pods(&mut self, selector: &Selector) -> u32 {
        let pods =
            (0..).zip(&self.identities).filter_map(|(number, it)| Some((number, &it.as_ref()?.more.identity.labels)));
        self.pod_selectors.acquire(selector, pods)
    }

    /// Adds an identity under a number that is free.
    pub fn set_identity(&mut self, number: u32, identity: Arc<Identity>) {
        let namespace = self.namespace(&identity.namespace);
        self.namespaces[namespace as usize].identities.push(number);
        self.pod_selectors.insert(number, &identity.labels);
        let row = if self.rows_are_stale { Box::default() } else { self.row_of(number, namespace) };
        let ports = self.ports.acquire_list(&identity.ports);
        let sections = self.sections_of(number, namespace);
        let more = Box::new(IdentityDetails { identity, egress_blocks: OnceLock::new() });
        let resident = IndexedIdentity { row, sections, namespace, ports, more };
        if number as usize >= self.identities.len() {
            self.identities.resize_with(number as usize + 1, || None);
        }
        self.identities[number as usize] = Some(resident);
    }

    /// Takes an identity away.
    pub fn remove_identity(&mut self, number: u32) {
        let Some(resident) = self.identities.get_mut(number as usize).and_then(Option::take) else { return };
        self.namespaces[resident.namespace as usize].identities.retain(|other| *other != number);
        self.pod_selectors.remove(number);
        self.ports.release_list(resident.ports);
        for section in resident.sections.into_iter().flatten() {
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
