//! An admin policy in the form in which the engine asks it.

use std::fmt;

use ipnet::IpNet;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;

use crate::model::flow::Direction;
use crate::model::labels::{Labels, Selector};
use crate::model::list::write_list;
use crate::model::policy_ref::{PolicyKind, PolicyRef};
use crate::policy::admin_peer::{PeerMatch, PeerMatcher, Unknown};
use crate::policy::admin_port::PortSet;
use crate::policy::question::AdminQuestion;
use crate::policy::tier::TierName;
use crate::resource::admin::view::{AdminAction, AdminPolicyView};
use crate::resource::admin::{Pods as Written, view};
use crate::resource::object::id::ObjectId;
use crate::resource::object::{Kind, Object};

/// A compiled policy. Where it has no rule that matches it has no opinion: unlike a NetworkPolicy it isolates nobody.
#[derive(Clone, Debug)]
pub struct AdminPolicy {
    /// Which one.
    pub reference: PolicyRef,
    /// Its tier: `Admin` or `Baseline`.
    pub tier: TierName,
    /// Which policies of its tier are asked before it.
    pub precedence: Precedence,
    subject: Pods,
    ingress: Vec<Rule>,
    egress: Vec<Rule>,
}

/// Where a policy stands in its tier.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Precedence {
    /// The lower number first; of one number nobody knows which goes first.
    Priority(i32),
    /// It has none, as a BaselineAdminNetworkPolicy: beside ClusterNetworkPolicies nobody knows which goes first.
    Alone,
}

/// A rule: peers and ports must both match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// What it does with what it takes.
    pub action: AdminAction,
    /// Whom: those that one of the matchers takes.
    pub peers: Vec<PeerMatcher>,
    /// To which port.
    pub ports: PortSet,
    /// Its name, for people.
    pub name: Option<String>,
}

/// Pods by their namespaces' labels and their own.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Pods {
    namespaces: Selector,
    pods: Selector,
}

/// What the rules of one policy make of a flow.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct FirstMatch {
    /// The first rule that surely takes it, and what it does.
    pub surely: Option<(usize, AdminAction)>,
    /// Rules before that one, or all others, that may take it, in their order.
    pub perhaps: Vec<(usize, AdminAction, Unknown)>,
}

impl AdminPolicy {
    /// Compiles an object, if it is an admin policy.
    #[must_use]
    pub fn of(object: &Object) -> Option<Self> {
        let view = AdminPolicyView::of(object)?;
        let ObjectId { name, .. } = object.id();
        let kind = match view.kind {
            Kind::BaselineAdminNetworkPolicy => PolicyKind::BaselineAdminNetworkPolicy,
            Kind::ClusterNetworkPolicy => PolicyKind::ClusterNetworkPolicy,
            _ => PolicyKind::AdminNetworkPolicy,
        };
        let rules = |direction| view.rules(direction).iter().map(Rule::compile).collect();
        Some(Self {
            reference: PolicyRef { kind, namespace: String::new(), name },
            tier: if view.tier == "Baseline" { TierName::BASELINE } else { TierName::ADMIN },
            precedence: view.priority.map_or(Precedence::Alone, Precedence::Priority),
            subject: match (&view.subject.namespaces, &view.subject.pods) {
                (Some(namespaces), _) => Pods::of_namespaces(namespaces),
                (None, Some(pods)) => Pods::compile(pods),
                // Validation refuses it.
                (None, None) => return None,
            },
            ingress: rules(Direction::Ingress),
            egress: rules(Direction::Egress),
        })
    }

    /// Whether it applies to a pod of the pod network with these labels, in a namespace with those.
    #[must_use]
    pub fn selects(&self, namespace_labels: &Labels, labels: &Labels) -> bool {
        self.subject.take(namespace_labels, labels)
    }

    /// Its rules for a direction.
    #[must_use]
    pub fn rules(&self, direction: Direction) -> &[Rule] {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }

    /// The networks by which its egress rules tell destinations apart.
    pub fn networks(&self) -> impl Iterator<Item = IpNet> {
        self.egress.iter().flat_map(|rule| &rule.peers).flat_map(PeerMatcher::networks).copied()
    }

    /// Asks its rules, the first one first. That it selects the subject is the caller's to know.
    #[must_use]
    pub fn first_match(&self, question: &AdminQuestion<'_>) -> FirstMatch {
        let mut found = FirstMatch::default();
        for (index, rule) in self.rules(question.direction).iter().enumerate() {
            match rule.takes(question) {
                PeerMatch::Yes => {
                    found.surely = Some((index, rule.action));
                    break;
                }
                PeerMatch::Unknown(why) => found.perhaps.push((index, rule.action, why)),
                PeerMatch::No => {}
            }
        }
        found
    }

    /// `egress[2], named "to the outside",`: a rule as a sentence names it.
    #[must_use]
    pub fn rule_name(&self, direction: Direction, rule: usize) -> String {
        let field = match direction {
            Direction::Ingress => "ingress",
            Direction::Egress => "egress",
        };
        match self.rules(direction).get(rule).and_then(|rule| rule.name.as_deref()) {
            Some(name) => format!("{field}[{rule}] {name:?}"),
            None => format!("{field}[{rule}]"),
        }
    }

    /// `AdminNetworkPolicy guard, priority 10`
    #[must_use]
    pub fn title(&self) -> String {
        match self.precedence {
            Precedence::Priority(priority) => format!("{}, priority {priority}", self.reference),
            Precedence::Alone => self.reference.to_string(),
        }
    }
}

impl Rule {
    fn compile(rule: &view::Rule<'_>) -> Self {
        Self {
            action: AdminAction::read(rule.action),
            peers: rule.each_peer().filter_map(|peer| PeerMatcher::compile(&peer)).collect(),
            ports: PortSet::compile(rule.ports),
            name: rule.name.map(str::to_owned),
        }
    }

    fn takes(&self, question: &AdminQuestion<'_>) -> PeerMatch {
        if !self.ports.takes(&question.port) {
            return PeerMatch::No;
        }
        self.peers.iter().map(|peer| peer.takes(question)).max().unwrap_or(PeerMatch::No)
    }

    /// All that it means.
    #[must_use]
    pub fn unnamed(self) -> Self {
        Self { name: None, ..self }
    }
}

/// `every pod of namespaces with team=a, or 10.0.0.0/8 on TCP 443`
impl fmt::Display for Rule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write_list(f, &self.peers, ", or ")?;
        write!(f, " on {}", self.ports)
    }
}

impl Pods {
    pub(super) fn of_namespaces(namespaces: &LabelSelector) -> Self {
        Self { namespaces: Selector::compile(namespaces), pods: Selector::everything() }
    }

    pub(super) fn compile(pods: &Written) -> Self {
        let namespaces = pods.namespace_selector.as_ref().map_or_else(Selector::everything, Selector::compile);
        Self { namespaces, pods: Selector::compile(&pods.pod_selector) }
    }

    pub(super) fn take(&self, namespace_labels: &Labels, labels: &Labels) -> bool {
        self.namespaces.matches(namespace_labels) && self.pods.matches(labels)
    }
}

impl fmt::Display for Pods {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pods.is_everything() {
            f.write_str("every pod")?;
        } else {
            write!(f, "pods with {}", self.pods)?;
        }
        if self.namespaces.is_everything() {
            f.write_str(" of every namespace")
        } else {
            write!(f, " of namespaces with {}", self.namespaces)
        }
    }
}
