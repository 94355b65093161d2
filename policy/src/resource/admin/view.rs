//! One view of the three kinds: what validation, the engine and the comparison of manifests read is read here.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use serde::{Deserialize, Serialize};

use crate::model::flow::Direction;
use crate::resource::admin::ports::{ClusterPort, Port};
use crate::resource::admin::{
    AdminNetworkPolicy, BaselineAdminNetworkPolicy, ClusterEgressRule, ClusterIngressRule, ClusterNetworkPolicy,
    EgressPeer, EgressRule, IngressPeer, IngressRule, Pods, Subject,
};
use crate::resource::object::Kind;

/// A policy of one of the kinds.
#[derive(Clone, Debug)]
pub struct AdminPolicyView<'a> {
    /// Its kind.
    pub kind: Kind,
    /// `Admin` or `Baseline`, as it is written in a ClusterNetworkPolicy or follows from the kind.
    pub tier: &'a str,
    /// `None`: a BaselineAdminNetworkPolicy, which has none.
    pub priority: Option<i32>,
    /// To whom it applies.
    pub subject: &'a Subject,
    /// Rules for what arrives.
    pub ingress: Vec<Rule<'a>>,
    /// Rules for what leaves.
    pub egress: Vec<Rule<'a>>,
}

/// A rule.
#[derive(Clone, Copy, Debug)]
pub struct Rule<'a> {
    /// For people.
    pub name: Option<&'a str>,
    /// What it does with what it matches.
    pub action: &'a str,
    /// Which peers it matches.
    pub peers: Peers<'a>,
    /// Which ports it matches.
    pub ports: Ports<'a>,
}

/// The peers of a rule.
#[derive(Clone, Copy, Debug)]
pub enum Peers<'a> {
    /// Sources.
    From(&'a [IngressPeer]),
    /// Destinations.
    To(&'a [EgressPeer]),
}

/// The ports of a rule.
#[derive(Clone, Copy, Debug)]
pub enum Ports<'a> {
    /// It does not ask for ports.
    Any,
    /// As the former two kinds write them.
    Ports(&'a [Port]),
    /// As a ClusterNetworkPolicy writes them.
    Protocols(&'a [ClusterPort]),
}

/// One peer, of either direction.
#[derive(Clone, Copy, Debug, Default)]
pub struct Peer<'a> {
    /// All pods of these namespaces.
    pub namespaces: Option<&'a LabelSelector>,
    /// These pods.
    pub pods: Option<&'a Pods>,
    /// The addresses of these Nodes.
    pub nodes: Option<&'a LabelSelector>,
    /// CIDRs.
    pub networks: Option<&'a [String]>,
    /// Names of the DNS.
    pub domain_names: Option<&'a [String]>,
}

/// What a rule does.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub enum AdminAction {
    /// It lets traffic pass for good. The former two kinds write `Allow`.
    Accept,
    /// It leaves traffic to the next tier.
    Pass,
    /// It denies traffic for good.
    Deny,
}

impl<'a> AdminPolicyView<'a> {
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

    /// The actions that its kind knows.
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
    /// Reads an action of a valid object. One that no kind knows cannot pass validation; should one come here nevertheless,
    /// the API has it denied.
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
    /// Its peers, one after another.
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
