//! Adds and removes policies, and updates the sections of the identities that they restrict.

use std::collections::HashMap;
use std::sync::Arc;

use ipnet::IpNet;

use crate::engine::index::lists::remove_from_list;
use crate::engine::index::replay::OwnPart;
use crate::engine::index::rules::{NumberedPolicy, NumberedScope, place};
use crate::engine::index::section::Section;
use crate::engine::index::{Index, SectionKey};
use crate::engine::policy_id::PolicyId;
use crate::policy::network_policy::{Policy, Restriction};
use foretell_objects::model::flow::Direction;
use foretell_objects::model::policy_ref::PolicyKind;

impl Index {
    /// Adds a policy and returns its id. Call [`Index::settle`] before the next query.
    pub fn add_policy(&mut self, policy: &Arc<Policy>) -> PolicyId {
        let numbered = self.number(policy);
        let (scope, pods) = (numbered.scope, numbered.pods);
        let id = if let Some(free) = self.free_policies.pop() {
            self.policies[free as usize] = Some(numbered);
            PolicyId(free)
        } else {
            self.policies.push(Some(numbered));
            PolicyId(u32::try_from(self.policies.len() - 1).unwrap_or(u32::MAX))
        };
        self.by_selector.entry((pods, namespace_of(scope))).or_default().push(id);
        self.restrict(&self.selected(scope, pods), id, true);
        id
    }

    /// Removes a policy; its id may be reused. Call [`Index::settle`] before the next query.
    pub fn remove_policy(&mut self, id: PolicyId) {
        let Some(numbered) = self.numbered(id) else { return };
        let (scope, pods) = (numbered.scope, numbered.pods);
        self.restrict(&self.selected(scope, pods), id, false);
        remove_from_list(&mut self.by_selector, &(pods, namespace_of(scope)), |other| *other == id);
        if let Some(numbered) = self.policies[id.0 as usize].take() {
            self.free_policies.push(id.0);
            self.release(&numbered);
        }
    }

    /// The identities that a scope and a pod selector select.
    fn selected(&self, scope: NumberedScope, pods: u32) -> Vec<u32> {
        match scope {
            // A namespace usually has fewer identities than the selector selects in all namespaces.
            NumberedScope::Namespace(namespace) => {
                let own = &self.namespaces[namespace as usize].identities;
                own.iter().copied().filter(|identity| self.pod_selectors.matches(pods, *identity)).collect()
            }
            NumberedScope::Namespaces(selector) => {
                let is_selected = |identity: &u32| {
                    let indexed = self.identities[*identity as usize].as_ref();
                    indexed.is_some_and(|it| self.namespace_selectors.matches(selector, it.namespace))
                };
                self.pod_selectors.members(pods).iter().copied().filter(is_selected).collect()
            }
        }
    }

    /// Adds a policy to the sections of identities, or removes it from them.
    pub(super) fn restrict(&mut self, identities: &[u32], policy: PolicyId, adds: bool) {
        let Some(numbered) = self.numbered(policy) else { return };
        let part = usize::from(matches!(numbered.scope, NumberedScope::Namespace(_)));
        let in_force = [0, 1].map(|direction: usize| numbered.rules[direction].is_some());
        for direction in [0, 1].into_iter().filter(|direction| in_force[*direction]) {
            // Identities that share a section share its successor as well.
            let mut changed: HashMap<u32, u32> = HashMap::new();
            // Old sections are released at the end, so that no number is reused while `changed` maps it.
            let mut left = Vec::with_capacity(identities.len());
            for identity in identities {
                let Some(indexed) = &self.identities[*identity as usize] else { continue };
                let old = indexed.sections[direction][part];
                let new = if let Some(new) = changed.get(&old) {
                    self.section_keys.acquire_again(*new);
                    *new
                } else {
                    let Some(key) = self.section_keys.get(old) else { continue };
                    let mut key = key.clone();
                    let known = key.policies.iter().position(|other| *other == policy);
                    match (known, adds) {
                        (None, true) => {
                            let reference = self.order(policy);
                            let place = key.policies.partition_point(|other| self.order(*other) < reference);
                            key.policies.insert(place, policy);
                        }
                        (Some(place), false) => {
                            key.policies.remove(place);
                        }
                        (None, false) | (Some(_), true) => {}
                    }
                    let new = self.acquire_section(&key);
                    changed.insert(old, new);
                    new
                };
                left.push(old);
                if let Some(indexed) = &mut self.identities[*identity as usize] {
                    indexed.sections[direction][part] = new;
                    indexed.details.egress_blocks.take();
                }
            }
            for section in left {
                self.release_section(section);
            }
        }
    }

    pub(super) fn acquire_section(&mut self, key: &SectionKey) -> u32 {
        let (number, is_new) = self.section_keys.acquire(key);
        if is_new {
            if number as usize >= self.sections.len() {
                self.sections.resize_with(number as usize + 1, Section::default);
            }
            self.stale_sections.push(number);
        }
        number
    }

    pub(super) fn release_section(&mut self, number: u32) {
        if self.section_keys.release(number).is_some() {
            self.sections[number as usize] = Section::default();
        }
    }

    /// Recomputes what changes since the last call made stale. Call this after changes and before the next query.
    pub fn settle(&mut self) {
        if std::mem::take(&mut self.rows_are_stale) {
            for number in 0..self.identities.len() {
                let Some(namespace) = self.identities[number].as_ref().map(|it| it.namespace) else { continue };
                let row = self.row_of(u32::try_from(number).unwrap_or(u32::MAX), namespace);
                if let Some(indexed) = &mut self.identities[number] {
                    indexed.row = row;
                }
            }
        }
        self.blocks.settle(self.resolved_dialect.excepts());
        self.ports.settle();
        for number in std::mem::take(&mut self.stale_sections) {
            let Some(key) = self.section_keys.get(number) else { continue };
            self.sections[number as usize] = self.section(&key.policies, key.direction);
        }
    }

    pub(super) fn numbered(&self, id: PolicyId) -> Option<&NumberedPolicy> {
        self.policies.get(id.0 as usize)?.as_ref()
    }

    /// The key by which policies are ordered; `None` if there is no policy of this id.
    pub(super) fn order(&self, id: PolicyId) -> Option<(&str, &str, PolicyKind)> {
        self.numbered(id).map(|it| it.policy.reference.order())
    }

    /// The policy of an id.
    ///
    /// # Panics
    /// If the id is not of this index, or its policy was removed.
    #[must_use]
    #[expect(
        clippy::expect_used,
        reason = "an id that this index did not return is a fault of the caller, as with an index into a list"
    )]
    pub fn policy(&self, id: PolicyId) -> &Arc<Policy> {
        &self.numbered(id).expect("a policy of this index").policy
    }

    /// All policies with their ids.
    pub fn policies(&self) -> impl Iterator<Item = (PolicyId, &Arc<Policy>)> {
        let policies = (0..).map(PolicyId).zip(&self.policies);
        policies.filter_map(|(id, numbered)| Some((id, &numbered.as_ref()?.policy)))
    }

    /// The policies that restrict an identity in a direction, in the order of the policies.
    pub fn restricting(&self, identity: u32, direction: Direction) -> impl Iterator<Item = PolicyId> {
        let indexed = self.identities.get(identity as usize).and_then(Option::as_ref);
        let sections = indexed.map(|it| it.sections[place(direction)]).into_iter().flatten();
        sections.filter_map(|number| self.section_keys.get(number)).flat_map(|key| key.policies.iter().copied())
    }

    /// The identities that a policy restricts in a direction.
    #[must_use]
    pub fn restricted(&self, id: PolicyId, direction: Direction) -> Vec<u32> {
        let numbered = self.numbered(id).filter(|it| it.rules[place(direction)].is_some());
        numbered.map_or_else(Vec::new, |it| self.selected(it.scope, it.pods))
    }

    /// The part of rows that holds the own sets of a policy.
    pub(super) fn part(&self, id: PolicyId) -> OwnPart {
        match self.numbered(id).map(|it| it.scope) {
            Some(NumberedScope::Namespaces(_)) => OwnPart::Cluster,
            Some(NumberedScope::Namespace(_)) | None => OwnPart::Namespace,
        }
    }

    /// The blocks that egress rules of an identity name, sorted.
    #[must_use]
    pub fn egress_blocks(&self, identity: u32) -> &[IpNet] {
        let Some(indexed) = self.identities.get(identity as usize).and_then(Option::as_ref) else { return &[] };
        indexed.details.egress_blocks.get_or_init(|| {
            let policies = self.restricting(identity, Direction::Egress).map(|id| self.policy(id));
            let rules = policies.map(|policy| policy.restriction(Direction::Egress));
            let mut blocks: Vec<IpNet> = rules.flat_map(Restriction::blocks).collect();
            blocks.sort();
            blocks.dedup();
            blocks
        })
    }
}

fn namespace_of(scope: NumberedScope) -> Option<u32> {
    match scope {
        NumberedScope::Namespace(namespace) => Some(namespace),
        NumberedScope::Namespaces(_) => None,
    }
}
