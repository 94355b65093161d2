//! Policies come and go; the sections of those whom they restrict follow.

use std::collections::HashMap;
use std::sync::Arc;

use ipnet::IpNet;

use crate::engine::index::replay::OwnPart;
use crate::engine::index::rules::{NumberedPolicy, NumberedScope};
use crate::engine::index::section::Section;
use crate::engine::index::sizes::take_out;
use crate::engine::index::{Index, SectionKey};
use crate::model::flow::Direction;
use crate::model::policy_id::PolicyId;
use crate::model::policy_ref::PolicyKind;
use crate::policy::network_policy::{Policy, Restriction};

impl Index {
    /// Adds a policy.
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

    /// Takes a policy away.
    pub fn remove_policy(&mut self, id: PolicyId) {
        let Some(numbered) = self.numbered(id) else { return };
        let (scope, pods) = (numbered.scope, numbered.pods);
        self.restrict(&self.selected(scope, pods), id, false);
        take_out(&mut self.by_selector, &(pods, namespace_of(scope)), |other| *other == id);
        if let Some(numbered) = self.policies[id.0 as usize].take() {
            self.free_policies.push(id.0);
            self.release(&numbered);
        }
    }

    /// The identities that a scope and a selector of pods take.
    fn selected(&self, scope: NumberedScope, pods: u32) -> Vec<u32> {
        match scope {
            // Of the namespace's identities, where those are fewer than the selector's.
            NumberedScope::Namespace(namespace) => {
                let own = &self.namespaces[namespace as usize].identities;
                own.iter().copied().filter(|identity| self.pod_selectors.matches(pods, *identity)).collect()
            }
            NumberedScope::Namespaces(selector) => {
                let takes = |identity: &u32| {
                    let resident = self.identities[*identity as usize].as_ref();
                    resident.is_some_and(|it| self.namespace_selectors.matches(selector, it.namespace))
                };
                self.pod_selectors.members(pods).iter().copied().filter(takes).collect()
            }
        }
    }

    /// Puts a policy into the sections of identities, or takes it out of them.
    pub(super) fn restrict(&mut self, identities: &[u32], policy: PolicyId, adds: bool) {
        let Some(numbered) = self.numbered(policy) else { return };
        let part = usize::from(matches!(numbered.scope, NumberedScope::Namespace(_)));
        let in_force = [0, 1].map(|direction: usize| numbered.rules[direction].is_some());
        for direction in [0, 1].into_iter().filter(|direction| in_force[*direction]) {
            // Identities share sections, and go on sharing them.
            let mut changed: HashMap<u32, u32> = HashMap::new();
            // What was held before is let go of at the end: no number is given again while it is looked up.
            let mut left = Vec::with_capacity(identities.len());
            for identity in identities {
                let Some(resident) = &self.identities[*identity as usize] else { continue };
                let old = resident.sections[direction][part];
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
                if let Some(resident) = &mut self.identities[*identity as usize] {
                    resident.sections[direction][part] = new;
                    resident.more.egress_blocks.take();
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

    /// Brings up to date what changes made stale.
    pub fn settle(&mut self) {
        if std::mem::take(&mut self.rows_are_stale) {
            for number in 0..self.identities.len() {
                let Some(namespace) = self.identities[number].as_ref().map(|it| it.namespace) else { continue };
                let row = self.row_of(u32::try_from(number).unwrap_or(u32::MAX), namespace);
                if let Some(resident) = &mut self.identities[number] {
                    resident.row = row;
                }
            }
        }
        self.blocks.settle(self.terms.excepts());
        self.ports.settle();
        for number in std::mem::take(&mut self.stale_sections) {
            let Some(key) = self.section_keys.get(number) else { continue };
            self.sections[number as usize] = self.section(&key.policies, key.direction);
        }
    }

    pub(super) fn numbered(&self, id: PolicyId) -> Option<&NumberedPolicy> {
        self.policies.get(id.0 as usize)?.as_ref()
    }

    /// By what policies are ordered.
    pub(super) fn order(&self, id: PolicyId) -> Option<(&str, &str, PolicyKind)> {
        self.numbered(id).map(|it| it.policy.reference.order())
    }

    /// A policy.
    ///
    /// # Panics
    /// Where there is none of this number, or none any more.
    #[must_use]
    #[expect(clippy::expect_used, reason = "a number that nobody gave is a fault of who asks, as with a list's index")]
    pub fn policy(&self, id: PolicyId) -> &Arc<Policy> {
        &self.numbered(id).expect("a policy of this index").policy
    }

    /// All policies.
    pub fn policies(&self) -> impl Iterator<Item = (PolicyId, &Arc<Policy>)> {
        let policies = (0..).map(PolicyId).zip(&self.policies);
        policies.filter_map(|(id, numbered)| Some((id, &numbered.as_ref()?.policy)))
    }

    /// The policies that restrict an identity in a direction, in the order of the policies.
    pub fn restricting(&self, identity: u32, direction: Direction) -> impl Iterator<Item = PolicyId> {
        let resident = self.identities.get(identity as usize).and_then(Option::as_ref);
        let sections = resident.map(|it| it.sections[crate::engine::index::place(direction)]).into_iter().flatten();
        sections.filter_map(|number| self.section_keys.get(number)).flat_map(|key| key.policies.iter().copied())
    }

    /// The identities that a policy restricts in a direction.
    #[must_use]
    pub fn restricted(&self, id: PolicyId, direction: Direction) -> Vec<u32> {
        let numbered = self.numbered(id).filter(|it| it.rules[crate::engine::index::place(direction)].is_some());
        numbered.map_or_else(Vec::new, |it| self.selected(it.scope, it.pods))
    }

    /// Which part of rows a policy's sets of its subject's own namespace are in.
    pub(super) fn part(&self, id: PolicyId) -> OwnPart {
        match self.numbered(id).map(|it| it.scope) {
            Some(NumberedScope::Namespaces(_)) => OwnPart::Cluster,
            Some(NumberedScope::Namespace(_)) | None => OwnPart::Namespace,
        }
    }

    /// The blocks that the rules on what leaves an identity name.
    #[must_use]
    pub fn egress_blocks(&self, identity: u32) -> &[IpNet] {
        let Some(resident) = self.identities.get(identity as usize).and_then(Option::as_ref) else { return &[] };
        resident.more.egress_blocks.get_or_init(|| {
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
