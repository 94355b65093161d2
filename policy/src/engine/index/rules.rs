//! Rules as numbers: the sets of peers, blocks and ports that each rule names.
//!
//! Every kind of policy is converted to this form: a subject, a direction and an ordered list of rules.

use crate::engine::index::Index;
use crate::engine::index::blocks::Block;
use crate::policy::network_policy::{Policy, Restriction, Rule};
use crate::policy::peer::{Namespaces, PeerMatcher, PeerSet};
use crate::policy::port::PortSet;
use foretell_objects::model::flow::Direction;
use foretell_objects::model::labels::Selector;

/// A rule. It matches a peer if `everyone` is set or one of `pods`, `own` and `blocks` contains the peer. `ports` of `None`
/// matches every port.
#[derive(Clone, Debug, Default)]
pub(super) struct NumberedRule {
    pub(super) everyone: bool,
    /// The set of pods that are selected by labels of namespaces and pods.
    pub(super) pods: Option<u32>,
    /// The set of pods of the subject's namespace.
    pub(super) own: Option<u32>,
    pub(super) blocks: Option<u32>,
    pub(super) ports: Option<u32>,
}

/// The namespaces to which a policy applies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NumberedScope {
    /// The namespace of this number.
    Namespace(u32),
    /// The namespaces that the selector of this number selects.
    Namespaces(u32),
}

/// A policy whose selectors and rules are numbered.
#[derive(Clone, Debug)]
pub(super) struct NumberedPolicy {
    pub(super) policy: std::sync::Arc<Policy>,
    pub(super) scope: NumberedScope,
    /// The number of its pod selector.
    pub(super) pods: u32,
    /// By direction; `None` if the policy does not restrict the direction.
    pub(super) rules: [Option<Vec<NumberedRule>>; 2],
}

/// The place of a direction in tables.
pub(super) fn place(direction: Direction) -> usize {
    match direction {
        Direction::Egress => 0,
        Direction::Ingress => 1,
    }
}

/// The selectors and blocks of the peers of a rule.
#[derive(Default)]
struct RuleNames {
    pods: Vec<(Selector, Selector)>,
    own: Vec<Selector>,
    blocks: Vec<Block>,
}

fn named(matchers: &[PeerMatcher]) -> RuleNames {
    let mut named = RuleNames::default();
    for matcher in matchers {
        match matcher {
            PeerMatcher::Pods { namespaces: Namespaces::Matching(of), pods, .. } => {
                named.pods.push((of.clone(), pods.clone()));
            }
            PeerMatcher::Pods { namespaces: Namespaces::Own, pods, .. } => named.own.push(pods.clone()),
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
    pub(super) fn number(&mut self, policy: &std::sync::Arc<Policy>) -> NumberedPolicy {
        let scope = match policy.namespace() {
            Some(namespace) => NumberedScope::Namespace(self.namespace(namespace)),
            None => NumberedScope::Namespaces(
                self.acquire_namespaces(policy.namespaces().unwrap_or(&Selector::everything())),
            ),
        };
        let pods = self.acquire_pods(policy.pods());
        let rules = Direction::BOTH.map(|direction| match policy.restriction(direction) {
            Restriction::None => None,
            Restriction::Only(rules) => {
                let number = |rule| self.number_rule(rule, direction, scope, policy.namespace());
                Some(rules.iter().map(number).collect())
            }
        });
        NumberedPolicy { policy: std::sync::Arc::clone(policy), scope, pods, rules }
    }

    fn number_rule(
        &mut self,
        rule: &Rule,
        direction: Direction,
        scope: NumberedScope,
        namespace: Option<&str>,
    ) -> NumberedRule {
        let (ports, without_blocks) = match &rule.ports {
            PortSet::Any => (None, false),
            PortSet::AnyOf(matchers) => {
                let reading = self.resolved_dialect.read(&rule.peers, matchers, direction, namespace);
                (Some(self.ports.acquire(reading.ports.as_ref().unwrap_or(matchers))), reading.without_blocks)
            }
        };
        let matchers = match &rule.peers {
            PeerSet::Everyone => return NumberedRule { everyone: true, ports, ..NumberedRule::default() },
            PeerSet::AnyOf(matchers) => matchers,
        };
        let RuleNames { pods, own, blocks } = named(matchers);
        let pods: Vec<(u32, u32)> =
            pods.iter().map(|(of, pods)| (self.acquire_namespaces(of), self.acquire_pods(pods))).collect();
        let own: Vec<u32> = own.iter().map(|pods| self.acquire_pods(pods)).collect();
        NumberedRule {
            everyone: false,
            pods: (!pods.is_empty()).then(|| self.acquire_pod_set(&sorted(pods))),
            own: (!own.is_empty()).then(|| self.acquire_own_set(scope, &sorted(own))),
            blocks: (!blocks.is_empty() && !without_blocks).then(|| self.blocks.acquire(&blocks)),
            ports,
        }
    }

    /// Releases everything that a policy acquired.
    pub(super) fn release(&mut self, numbered: &NumberedPolicy) {
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
        if let NumberedScope::Namespaces(selector) = numbered.scope {
            self.namespace_selectors.release(selector);
        }
    }
}
