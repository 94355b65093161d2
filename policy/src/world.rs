//! A world: who lives in it and which policies hold. It answers what becomes of a flow.

use std::sync::{Arc, OnceLock};

use ipnet::IpNet;

use crate::cluster::Cluster;
use crate::cluster::ownership::End;
use crate::cluster::pod::PodId;
use crate::compiled::Policy;
use crate::flow::{Direction, Protocol};
use crate::index::directory::Directory;
use crate::index::view::View;
use crate::index::{FlowKey, Index, Kind, Said};
use crate::population::Population;
use crate::port::{NamedPort, Port};
use crate::verdict::{Exemption, Question, Reason, Verdict};

/// A flow to one listener.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Pair {
    /// Who opened it.
    pub src: End,
    /// Who answers.
    pub dst: End,
    /// Transport protocol.
    pub protocol: Protocol,
    /// Port at the listener.
    pub port: u16,
}

impl Pair {
    /// The end that a policy of this direction would select.
    #[must_use]
    pub fn subject(&self, direction: Direction) -> &End {
        match direction {
            Direction::Ingress => &self.dst,
            Direction::Egress => &self.src,
        }
    }

    /// The other end.
    #[must_use]
    pub fn peer(&self, direction: Direction) -> &End {
        match direction {
            Direction::Ingress => &self.src,
            Direction::Egress => &self.dst,
        }
    }
}

/// Index of a policy in its world.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct PolicyId(pub(crate) u32);

/// A world.
#[derive(Clone, Debug)]
pub struct World<'c> {
    population: Arc<Population<'c>>,
    policies: Vec<PolicyId>,
    index: Index,
    /// For flows in bulk alone.
    directory: OnceLock<Directory>,
}

/// What all policies of a world together make of a flow, at one of its ends.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Standing {
    /// No pod that policies select stands there, or none restricts it.
    Open,
    /// No policy can deny it.
    Exempt(Exemption),
    /// This policy allows it.
    Allowed {
        /// Which.
        policy: PolicyId,
        /// By which of its rules.
        rule: usize,
        /// No policy allows it but by an `ipBlock` that takes in a pod or a node.
        by_block_alone: bool,
    },
    /// Policies restrict it and none allows it.
    Denied(Vec<(PolicyId, Reason)>),
}

impl Standing {
    /// Whether the flow passes this end.
    #[must_use]
    pub fn passes(&self) -> bool {
        !matches!(self, Self::Denied(_))
    }
}

impl<'c> World<'c> {
    /// A world of these inhabitants and policies. The policies are ordered by reference.
    #[must_use]
    pub fn new(population: Arc<Population<'c>>, mut policies: Vec<Arc<Policy>>) -> Self {
        policies.sort_by(|a, b| a.reference.order().cmp(&b.reference.order()));
        let index = Index::build(population.inhabitants().namespaces(), population.identities(), &policies);
        let policies = index.policies().map(|(id, _)| id).collect();
        Self { population, policies, index, directory: OnceLock::new() }
    }

    /// The same world with one policy more.
    #[must_use]
    pub fn with(&self, policy: &Arc<Policy>) -> Self {
        let mut with = Self { directory: OnceLock::new(), ..self.clone() };
        let place = with.policies.partition_point(|id| with.policy(*id).reference.order() < policy.reference.order());
        let id = with.index.add_policy(policy);
        with.index.settle();
        with.policies.insert(place, id);
        with
    }

    /// Its inhabitants.
    #[must_use]
    pub fn population(&self) -> &Population<'c> {
        &self.population
    }

    /// The cluster beneath.
    #[must_use]
    pub fn cluster(&self) -> &'c Cluster {
        self.population.cluster()
    }

    /// A policy of this world.
    ///
    /// # Panics
    /// Where the id is another world's.
    #[must_use]
    pub fn policy(&self, id: PolicyId) -> &Policy {
        self.index.policy(id)
    }

    /// All policies of this world, in their order.
    pub fn policies(&self) -> impl Iterator<Item = &Arc<Policy>> {
        self.policies.iter().map(|id| self.index.policy(*id))
    }

    /// The policies that restrict a pod in a direction, in the order of the policies.
    pub fn restricting(&self, pod: PodId, direction: Direction) -> impl Iterator<Item = PolicyId> {
        self.index.restricting(self.population.identity_id(pod).number(), direction)
    }

    /// The blocks by which policies tell apart to whom a client speaks.
    #[must_use]
    pub fn blocks(&self, client: &End) -> &[IpNet] {
        self.view().blocks(client)
    }

    /// Its policies, resolved.
    #[must_use]
    pub fn index(&self) -> &Index {
        &self.index
    }

    /// What the world is made of.
    #[must_use]
    pub fn view(&self) -> View<'_> {
        View { cluster: self.population.cluster(), inhabitants: self.population.inhabitants(), index: &self.index }
    }

    /// What each policy that applies says of a flow, taken alone.
    pub fn verdicts(&self, pair: &Pair, direction: Direction) -> impl Iterator<Item = (PolicyId, Verdict)> {
        self.view().answers(pair, direction).map(|(policy, answer)| (policy, answer.verdict()))
    }

    /// What each policy that applies says of each of many flows.
    pub fn judge(&self, flows: &[FlowKey], said: &mut Said) {
        let view = self.view();
        let directory = self.directory.get_or_init(|| Directory::of(view.cluster, view.inhabitants));
        view.judge(directory, flows, said);
    }

    /// What all policies together make of a flow at one end: they add up, any allow allows.
    #[must_use]
    pub fn standing(&self, pair: &Pair, direction: Direction) -> Standing {
        self.view().standing(pair, direction)
    }

    /// What no policy can deny: a pod's own node and the pod itself.
    #[must_use]
    pub fn exemption(&self, subject: PodId, peer: &End) -> Option<Exemption> {
        self.view().exemption(subject, peer)
    }

    /// The flow as a policy of its subject sees it.
    #[must_use]
    pub fn question(&self, pair: &Pair, direction: Direction) -> Question<'_> {
        let subject = pair.subject(direction).pod().map_or("", |pod| &self.population.identity(pod).namespace);
        let named = pair.dst.pod().map_or(&[][..], |pod| -> &[NamedPort] { &self.population.identity(pod).ports });
        Question {
            subject_namespace: subject,
            peer: self.view().peer(pair.peer(direction)),
            direction,
            port: Port { protocol: pair.protocol, number: pair.port, named },
        }
    }

    /// Whether an end is a pod, by its address or its observer's word, of which nothing else is known.
    #[must_use]
    pub fn is_unresolved(&self, end: &End) -> bool {
        self.view().kind(end) == Kind::Unresolved
    }
}
