//! A common view of the three kinds, for validation, the engine and the comparison of manifests.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::{Deserialize, Serialize};

use crate::model::flow::Direction;
use crate::resource::admin::ports::{ClusterPort, Port};
use crate::resource::admin::{
    AdminNetworkPolicy, BaselineAdminNetworkPolicy, ClusterEgressRule, ClusterIngressRule, ClusterNetworkPolicy,
    EgressPeer, EgressRule, IngressPeer, IngressRule, Pods, Subject,
};
use crate::resource::object::{Kind, Object};

/// The spec of an admin policy of any kind.
#[derive(Clone, Debug)]
pub struct AdminPolicyView<'a> {
    /// Kind of the policy.
    pub kind: Kind,
    /// `Admin` or `Baseline`: written in a ClusterNetworkPolicy, and implied by the other kinds.
    pub tier: &'a str,
    /// Priority within the tier, lower first. `None`: a BaselineAdminNetworkPolicy, which has no priority.
    pub priority: Option<i32>,
    /// The pods that the policy applies to.
    pub subject: &'a Subject,
    /// Rules for traffic to these pods.
    pub ingress: Vec<Rule<'a>>,
    /// Rules for traffic from these pods.
    pub egress: Vec<Rule<'a>>,
}

/// A rule of an admin policy.
#[derive(Clone, Copy, Debug)]
pub struct Rule<'a> {
    /// The name, which has no effect on traffic.
    pub name: Option<&'a str>,
    /// The action as written in the manifest.
    pub action: &'a str,
    /// The peers that it matches.
    pub peers: Peers<'a>,
    /// The destination ports that it matches.
    pub ports: Ports<'a>,
}

/// The peers of a rule.
#[derive(Clone, Copy, Debug)]
pub enum Peers<'a> {
    /// Sources, of an ingress rule.
    From(&'a [IngressPeer]),
    /// Destinations, of an egress rule.
    To(&'a [EgressPeer]),
}

/// The ports of a rule.
#[derive(Clone, Copy, Debug)]
pub enum Ports<'a> {
    /// The rule has no list of ports and matches every port.
    Any,
    /// `ports` of an AdminNetworkPolicy or BaselineAdminNetworkPolicy.
    Ports(&'a [Port]),
    /// `protocols` of a ClusterNetworkPolicy.
    Protocols(&'a [ClusterPort]),
}

/// One peer of a rule, of either direction. Exactly one field is set in a valid object.
#[derive(Clone, Copy, Debug, Default)]
pub struct Peer<'a> {
    /// All pods of the namespaces with these labels.
    pub namespaces: Option<&'a LabelSelector>,
    /// Pods by their labels and those of their namespaces.
    pub pods: Option<&'a Pods>,
    /// The addresses of Nodes with these labels.
    pub nodes: Option<&'a LabelSelector>,
    /// Networks in CIDR notation.
    pub networks: Option<&'a [String]>,
    /// DNS names.
    pub domain_names: Option<&'a [String]>,
}

/// What a rule does with traffic that it matches.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AdminAction {
    /// Allows it; later tiers are not evaluated. AdminNetworkPolicy and BaselineAdminNetworkPolicy write `Allow`.
    Accept,
    /// Leaves the decision to the next tier.
    Pass,
    /// Denies it; later tiers are not evaluated.
    Deny,
}

impl<'a> AdminPolicyView<'a> {
    /// The view of an object. `None`: it is not an admin policy.
    #[must_use]
    pub fn of(object: &'a Object) -> Option<Self> {
        Some(match object {
            Object::AdminNetworkPolicy(policy) => Self::admin(policy),
            Object::BaselineAdminNetworkPolicy(policy) => Self::baseline(policy),
            Object::ClusterNetworkPolicy(policy) => Self::cluster(policy),
            _ => return None,
        })
    }

    pub(crate) fn admin(policy: &'a AdminNetworkPolicy) -> Self {
        let spec = &policy.spec;
        Self {
            kind: Kind::AdminNetworkPolicy,
            tier: "Admin",
            priority: Some(spec.priority),
            subject: &spec.subject,
            ingress: rules(spec.ingress.as_deref()),
            egress: rules(spec.egress.as_deref()),
        }
    }

    pub(crate) fn baseline(policy: &'a BaselineAdminNetworkPolicy) -> Self {
        let spec = &policy.spec;
        Self {
            kind: Kind::BaselineAdminNetworkPolicy,
            tier: "Baseline",
            priority: None,
            subject: &spec.subject,
            ingress: rules(spec.ingress.as_deref()),
            egress: rules(spec.egress.as_deref()),
        }
    }

    pub(crate) fn cluster(policy: &'a ClusterNetworkPolicy) -> Self {
        let spec = &policy.spec;
        Self {
            kind: Kind::ClusterNetworkPolicy,
            tier: &spec.tier,
            priority: Some(spec.priority),
            subject: &spec.subject,
            ingress: rules(spec.ingress.as_deref()),
            egress: rules(spec.egress.as_deref()),
        }
    }

    /// The rules of a direction.
    #[must_use]
    pub fn rules(&self, direction: Direction) -> &[Rule<'a>] {
        match direction {
            Direction::Ingress => &self.ingress,
            Direction::Egress => &self.egress,
        }
    }

    /// The actions that its kind allows, as written in manifests.
    #[must_use]
    pub fn actions(&self) -> &'static [&'static str] {
        match self.kind {
            Kind::BaselineAdminNetworkPolicy => &["Allow", "Deny"],
            Kind::ClusterNetworkPolicy => &["Accept", "Deny", "Pass"],
            _ => &["Allow", "Deny", "Pass"],
        }
    }
}

impl AdminAction {
    /// Reads an action of a rule. Validation refuses unknown actions; if one is read nevertheless, it counts as `Deny`, as the
    /// API requires.
    #[must_use]
    pub fn read(text: &str) -> Self {
        match text {
            "Allow" | "Accept" => Self::Accept,
            "Pass" => Self::Pass,
            _ => Self::Deny,
        }
    }
}

impl<'a> Rule<'a> {
    /// Its peers, in order.
    pub fn each_peer(&self) -> impl Iterator<Item = Peer<'a>> + use<'a> {
        let (from, to) = match self.peers {
            Peers::From(peers) => (peers, &[][..]),
            Peers::To(peers) => (&[][..], peers),
        };
        from.iter().map(Peer::of_source).chain(to.iter().map(Peer::of_destination))
    }
}

impl<'a> Peer<'a> {
    fn of_source(peer: &'a IngressPeer) -> Self {
        Self { namespaces: peer.namespaces.as_ref(), pods: peer.pods.as_ref(), ..Self::default() }
    }

    fn of_destination(peer: &'a EgressPeer) -> Self {
        Self {
            namespaces: peer.namespaces.as_ref(),
            pods: peer.pods.as_ref(),
            nodes: peer.nodes.as_ref(),
            networks: peer.networks.as_deref(),
            domain_names: peer.domain_names.as_deref(),
        }
    }
}

fn rules<'a, R>(rules: Option<&'a [R]>) -> Vec<Rule<'a>>
where
    Rule<'a>: From<&'a R>,
{
    rules.unwrap_or_default().iter().map(Rule::from).collect()
}

fn ports(ports: Option<&[Port]>) -> Ports<'_> {
    ports.map_or(Ports::Any, Ports::Ports)
}

fn protocols(protocols: Option<&[ClusterPort]>) -> Ports<'_> {
    protocols.map_or(Ports::Any, Ports::Protocols)
}

impl<'a> From<&'a IngressRule> for Rule<'a> {
    fn from(rule: &'a IngressRule) -> Self {
        let IngressRule { name, action, from, ports: given } = rule;
        Self { name: name.as_deref(), action, peers: Peers::From(from), ports: ports(given.as_deref()) }
    }
}

impl<'a> From<&'a EgressRule> for Rule<'a> {
    fn from(rule: &'a EgressRule) -> Self {
        let EgressRule { name, action, to, ports: given } = rule;
        Self { name: name.as_deref(), action, peers: Peers::To(to), ports: ports(given.as_deref()) }
    }
}

impl<'a> From<&'a ClusterIngressRule> for Rule<'a> {
    fn from(rule: &'a ClusterIngressRule) -> Self {
        let ClusterIngressRule { name, action, from, protocols: given } = rule;
        Self { name: name.as_deref(), action, peers: Peers::From(from), ports: protocols(given.as_deref()) }
    }
}

impl<'a> From<&'a ClusterEgressRule> for Rule<'a> {
    fn from(rule: &'a ClusterEgressRule) -> Self {
        let ClusterEgressRule { name, action, to, protocols: given } = rule;
        Self { name: name.as_deref(), action, peers: Peers::To(to), ports: protocols(given.as_deref()) }
    }
}
