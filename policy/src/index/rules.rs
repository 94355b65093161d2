//! Rules as numbers: of each rule, which set of peers, blocks and ports it names.
//!
//! This is the form to which every kind of policy comes: a subject, a direction and an ordered list of rules. What a matching
//! rule means is the policy's affair.

use crate::compiled::{Policy, Restriction, Rule};
use crate::flow::Direction;
use crate::labels::Selector;
use crate::peer::{Namespaces, PeerMatcher, PeerSet};
use crate::port::PortSet;

use super::Index;
use super::blocks::Block;

/// A rule. `None` of everything but `everyone` takes nobody; `ports` of `None` is every port.
#[derive(Clone, Debug, Default)]
pub(super) struct NumberedRule {
    pub(super) everyone: bool,
    /// Pods of namespaces by labels.
    pub(super) pods: Option<u32>,
    /// Pods of the subject's namespace.
    pub(super) own: Option<u32>,
    pub(super) blocks: Option<u32>,
    pub(super) ports: Option<u32>,
}

/// Where a policy holds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Scope {
    /// In the namespace of this number.
    Namespace(u32),
    /// In the namespaces that this selector takes.
    Namespaces(u32),
}

/// A policy.
#[derive(Clone, Debug)]
pub(super) struct Numbered {
    pub(super) policy: std::sync::Arc<Policy>,
    pub(super) scope: Scope,
    /// The selector of its pods.
    pub(super) pods: u32,
    /// By direction; `None`: not in force.
    pub(super) rules: [Option<Vec<NumberedRule>>; 2],
}

/// A direction's place in tables.
pub(super) fn place(direction: Direction) -> usize {
    match direction {
        Direction::Egress => 0,
        Direction::Ingress => 1,
    }
}

/// What the peers of a rule name.
#[derive(Default)]
struct Named {
    pods: Vec<(Selector, Selector)>,
    own: Vec<Selector>,
    blocks: Vec<Block>,
}

fn named(matchers: &[PeerMatcher]) -> Named {
    let mut named = Named::default();
    for matcher in matchers {
        match matcher {
            PeerMatcher::Pods { namespaces: Namespaces::Matching(of), pods } => {
                named.pods.push((of.clone(), pods.clone()));
            }
            PeerMatcher::Pods { namespaces: Namespaces::Own, pods } => named.own.push(pods.clone()),
            PeerMatcher::Block { net, except } => named.blocks.push((*net, except.clone())),
        }
    }
    named
}

fn sorted<T: Ord>(mut list: Vec<T>) -> Vec<T> {
    list.sort();
    list
}

impl Index {
    pub(super) fn number(&mut self, policy: &std::sync::Arc<Policy>) -> Numbered {
        let scope = match policy.namespace() {
            Some(namespace) => Scope::Namespace(self.namespace(namespace)),
            None => Scope::Namespaces(self.hold_namespaces(policy.namespaces().unwrap_or(&Selector::everything()))),
        };
        let pods = self.hold_pods(policy.pods());
        let rules = Direction::BOTH.map(|direction| match policy.restriction(direction) {
            Restriction::None => None,
            Restriction::Only(rules) => {
                let number = |rule| self.number_rule(rule, direction, scope, policy.namespace());
                Some(rules.iter().map(number).collect())
            }
        });
        Numbered { policy: std::sync::Arc::clone(policy), scope, pods, rules }
    }

    fn number_rule(
        &mut self,
        rule: &Rule,
        direction: Direction,
        scope: Scope,
        namespace: Option<&str>,
    ) -> NumberedRule {
        let (ports, without_blocks) = match &rule.ports {
            PortSet::Any => (None, false),
            PortSet::AnyOf(matchers) => {
                let reading = self.terms.read(&rule.peers, matchers, direction, namespace);
                (Some(self.ports.hold(reading.ports.as_ref().unwrap_or(matchers))), reading.without_blocks)
            }
        };
        let matchers = match &rule.peers {
            PeerSet::Everyone => return NumberedRule { everyone: true, ports, ..NumberedRule::default() },
            PeerSet::AnyOf(matchers) => matchers,
        };
        let Named { pods, own, blocks } = named(matchers);
        let pods: Vec<(u32, u32)> =
            pods.iter().map(|(of, pods)| (self.hold_namespaces(of), self.hold_pods(pods))).collect();
        let own: Vec<u32> = own.iter().map(|pods| self.hold_pods(pods)).collect();
        NumberedRule {
            everyone: false,
            pods: (!pods.is_empty()).then(|| self.hold_pod_set(&sorted(pods))),
            own: (!own.is_empty()).then(|| self.hold_own_set(scope, &sorted(own))),
            blocks: (!blocks.is_empty() && !without_blocks).then(|| self.blocks.hold(&blocks)),
            ports,
        }
    }

    /// Lets go of all that a policy held.
    pub(super) fn release(&mut self, numbered: &Numbered) {
        for rule in numbered.rules.iter().flatten().flatten() {
            if let Some(set) = rule.pods {
                self.release_pod_set(set);
            }
            if let Some(set) = rule.own {
                self.release_own_set(numbered.scope, set);
            }
            if let Some(set) = rule.blocks {
                self.blocks.release(set);
            }
            if let Some(set) = rule.ports {
                self.ports.release(set);
            }
        }
        self.pod_selectors.release(numbered.pods);
        if let Scope::Namespaces(selector) = numbered.scope {
            self.namespace_selectors.release(selector);
        }
    }
}
