//! A policy in the form in which the engine asks it: what cannot be misread is a variant of its own.

use ipnet::IpNet;
use k8s_openapi::api::networking::v1::NetworkPolicySpec;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::{Deserialize, Serialize};

use crate::model::flow::Direction;
use crate::model::labels::{Labels, Selector};
use crate::model::policy_ref::{PolicyKind, PolicyRef};
use crate::policy::peer::PeerSet;
use crate::policy::port::PortSet;
use crate::resource::defaults::defaulted;
use crate::resource::object::Object;
use crate::resource::object::id::ObjectId;

/// A compiled policy.
#[derive(Clone, Debug)]
pub struct Policy {
    /// Which one.
    pub reference: PolicyRef,
    scope: Scope,
    pods: Selector,
    ingress: Restriction,
    egress: Restriction,
}

#[derive(Clone, Debug)]
enum Scope {
    Namespace(String),
    Namespaces(Selector),
}

/// Which traffic of a selected pod a policy restricts, in one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Restriction {
    /// The direction is not in force: the policy says nothing of it.
    None,
    /// Only what one of the rules takes is allowed; without any rule everything is denied.
    Only(Vec<Rule>),
}

impl Restriction {
    /// The blocks that its rules name, exceptions included.
    pub fn blocks(&self) -> impl Iterator<Item = IpNet> {
        let rules = match self {
            Self::None => &[][..],
            Self::Only(rules) => rules,
        };
        rules.iter().flat_map(|rule| rule.peers.blocks())
    }
}

/// A rule: peers and ports must both match.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// Who.
    pub peers: PeerSet,
    /// To which port.
    pub ports: PortSet,
}

/// What of a rule did not match.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Deserialize, Serialize, schemars::JsonSchema)]
#[serde(rename_all = "camelCase")]
pub enum Failed {
    /// The peers match, the port does not.
    Port,
    /// The port matches, the peers do not.
    Peer,
    /// Neither does.
    PeerAndPort,
}

impl Policy {
    /// Compiles a `NetworkPolicy` or an `AuditNetworkPolicy`. `reference.namespace` is where it holds.
    #[must_use]
    pub fn namespaced(reference: PolicyRef, spec: &NetworkPolicySpec) -> Self {
        let scope = Scope::Namespace(reference.namespace.clone());
        Self::compile(reference, scope, spec)
    }

    /// Compiles an `AuditClusterNetworkPolicy`. Without a namespace selector it holds in every namespace.
    #[must_use]
    pub fn cluster_wide(reference: PolicyRef, namespaces: Option<&LabelSelector>, spec: &NetworkPolicySpec) -> Self {
        let scope = Scope::Namespaces(namespaces.map_or_else(Selector::everything, Selector::compile));
        Self::compile(reference, scope, spec)
    }

    /// Compiles an object, if it is a policy.
    #[must_use]
    pub fn of(object: &Object) -> Option<Self> {
        let ObjectId { namespace, name, .. } = object.id();
        let reference = |kind| PolicyRef { kind, namespace, name };
        Some(match object {
            Object::NetworkPolicy(policy) => {
                Self::namespaced(reference(PolicyKind::NetworkPolicy), &policy.spec.clone().unwrap_or_default())
            }
            Object::AuditNetworkPolicy(policy) => {
                Self::namespaced(reference(PolicyKind::AuditNetworkPolicy), &policy.spec.policy)
            }
            Object::AuditClusterNetworkPolicy(policy) => Self::cluster_wide(
                reference(PolicyKind::AuditClusterNetworkPolicy),
                policy.spec.namespace_selector.as_ref(),
                &policy.spec.policy(),
            ),
            _ => return None,
        })
    }

    fn compile(reference: PolicyRef, scope: Scope, spec: &NetworkPolicySpec) -> Self {
        let spec = defaulted(spec);
        let in_force = |direction: &str| spec.policy_types.iter().flatten().any(|held| held == direction);
        let ingress = spec.ingress.iter().flatten().map(|rule| Rule {
            peers: PeerSet::compile(rule.from.as_deref()),
            ports: PortSet::compile(rule.ports.as_deref()),
        });
        let egress = spec.egress.iter().flatten().map(|rule| Rule {
            peers: PeerSet::compile(rule.to.as_deref()),
            ports: PortSet::compile(rule.ports.as_deref()),
        });
        Self {
            reference,
            scope,
            pods: spec.pod_selector.as_ref().map_or_else(Selector::everything, Selector::compile),
            ingress: if in_force("Ingress") { Restriction::Only(ingress.collect()) } else { Restriction::None },
            egress: if in_force("Egress") { Restriction::Only(egress.collect()) } else { Restriction::None },
        }
    }

    /// What it restricts in a direction.
    #[must_use]
    pub fn restriction(&self, direction: Direction) -> &Restriction {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }

    /// Whether a rule names a port by its name.
    pub(crate) fn names_ports(&self, direction: Direction, rule: usize) -> bool {
        match self.restriction(direction) {
            Restriction::None => false,
            Restriction::Only(rules) => rules.get(rule).is_some_and(|rule| rule.ports.has_names()),
        }
    }

    /// Whether it selects a pod with these labels in a namespace with those.
    #[must_use]
    pub fn selects(&self, namespace: &str, namespace_labels: &Labels, labels: &Labels) -> bool {
        let in_scope = match &self.scope {
            Scope::Namespace(own) => own == namespace,
            Scope::Namespaces(selector) => selector.matches(namespace_labels),
        };
        in_scope && self.pods.matches(labels)
    }

    /// Its rules for a direction; none where it does not restrict it.
    #[must_use]
    pub fn rules(&self, direction: Direction) -> &[Rule] {
        match self.restriction(direction) {
            Restriction::None => &[],
            Restriction::Only(rules) => rules,
        }
    }

    /// Which pods of its namespaces it selects.
    pub(crate) fn pods(&self) -> &Selector {
        &self.pods
    }

    /// Which namespaces a cluster policy takes.
    pub(crate) fn namespaces(&self) -> Option<&Selector> {
        match &self.scope {
            Scope::Namespace(_) => None,
            Scope::Namespaces(selector) => Some(selector),
        }
    }

    /// The namespace in which it holds, `None` for all that its selector takes.
    #[must_use]
    pub fn namespace(&self) -> Option<&str> {
        match &self.scope {
            Scope::Namespace(own) => Some(own),
            Scope::Namespaces(_) => None,
        }
    }
}
