//! A world: who lives in it and which policies hold. It answers what becomes of a flow.

use std::collections::HashMap;
use std::sync::Arc;

use ipnet::IpNet;

use crate::cluster::Cluster;
use crate::cluster::ownership::{Destination, End};
use crate::cluster::pod::PodId;
use crate::compiled::{Policy, Restriction};
use crate::flow::{Direction, Protocol};
use crate::peer::Peer;
use crate::population::Population;
use crate::port::{NamedPort, Port};
use crate::tier::chain::{self, Passage, Undecidable};
use crate::tier::index::{Asked, Tiers};
use crate::tier::policy::TierPolicy;
use crate::tier::ruling::{self, Ruling};
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
    /// How the listener was reached.
    pub dialled: Dialled,
}

/// What a client spoke to. A pod that reaches itself by its own address is subject to no policy; one that reaches itself through
/// a Service is subject to administrators' policies, as upstream has it, and not to NetworkPolicies.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dialled {
    /// To the listener's own address.
    Listener,
    /// To a Service's.
    Service,
}

impl From<&Destination> for Dialled {
    fn from(destination: &Destination) -> Self {
        match destination {
            Destination::Direct(_) => Self::Listener,
            Destination::Service { .. } => Self::Service,
        }
    }
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
pub struct PolicyId(u32);

/// A world.
#[derive(Clone, Debug)]
pub struct World<'c> {
    population: Arc<Population<'c>>,
    policies: Vec<Arc<Policy>>,
    /// By identity: the policies that restrict it, ordered by policy.
    restricting: Vec<Restricting>,
    /// Administrators' policies.
    tiers: Tiers,
}

#[derive(Clone, Debug, Default)]
struct Restricting {
    ingress: Vec<PolicyId>,
    egress: Vec<PolicyId>,
    /// The blocks that the egress rules name.
    egress_blocks: Vec<IpNet>,
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
    /// A rule of an administrators' policy accepts or denies it.
    Ruled(Ruling),
    /// It cannot be told: that depends on whether a rule takes the flow, which traffic does not tell.
    Unknown(Box<Undecidable>),
}

impl Standing {
    /// Whether the flow passes this end.
    #[must_use]
    pub fn passage(&self) -> Passage {
        match self {
            Self::Open | Self::Exempt(_) | Self::Allowed { .. } => Passage::Passes,
            Self::Denied(_) => Passage::Denied,
            Self::Ruled(ruling) => ruling.passage(),
            Self::Unknown(_) => Passage::Unknown,
        }
    }

    /// Whether the flow surely passes this end.
    #[must_use]
    pub fn passes(&self) -> bool {
        self.passage() == Passage::Passes
    }
}

impl<'c> World<'c> {
    /// A world of these inhabitants and policies. The policies are ordered by reference.
    #[must_use]
    pub fn new(population: Arc<Population<'c>>, mut policies: Vec<Arc<Policy>>) -> Self {
        policies.sort_by(|a, b| {
            let key = |policy: &Policy| (policy.reference.namespace.clone(), policy.reference.name.clone());
            key(a).cmp(&key(b)).then(a.reference.kind.cmp(&b.reference.kind))
        });
        let mut by_namespace: HashMap<Option<&str>, Vec<PolicyId>> = HashMap::new();
        for (index, policy) in policies.iter().enumerate() {
            let id = PolicyId(u32::try_from(index).unwrap_or(u32::MAX));
            by_namespace.entry(policy.namespace()).or_default().push(id);
        }
        let restricting = population
            .identities()
            .iter()
            .map(|identity| {
                let labels = population.namespace_labels(&identity.namespace);
                let candidates = [None, Some(identity.namespace.as_str())];
                let mut ids: Vec<PolicyId> =
                    candidates.iter().filter_map(|namespace| by_namespace.get(namespace)).flatten().copied().collect();
                ids.sort();
                ids.retain(|id| policies[id.0 as usize].selects(&identity.namespace, labels, &identity.labels));
                let in_force = |direction| {
                    let restricts =
                        |id: &PolicyId| *policies[id.0 as usize].restriction(direction) != Restriction::None;
                    ids.iter().copied().filter(restricts).collect()
                };
                let (ingress, egress): (_, Vec<PolicyId>) = (in_force(Direction::Ingress), in_force(Direction::Egress));
                let rules = egress.iter().map(|id| policies[id.0 as usize].restriction(Direction::Egress));
                let mut egress_blocks: Vec<IpNet> = rules.flat_map(Restriction::blocks).collect();
                egress_blocks.sort();
                egress_blocks.dedup();
                Restricting { ingress, egress, egress_blocks }
            })
            .collect();
        Self { population, policies, restricting, tiers: Tiers::default() }
    }

    /// The same world with these policies of administrators.
    #[must_use]
    pub fn under(mut self, policies: Vec<Arc<TierPolicy>>) -> Self {
        self.tiers = Tiers::new(&self.population, policies);
        for (index, restricting) in self.restricting.iter_mut().enumerate() {
            let blocks = &mut restricting.egress_blocks;
            blocks.extend(self.tiers.networks(index));
            blocks.sort();
            blocks.dedup();
        }
        self
    }

    /// The same world with one policy more.
    #[must_use]
    pub fn with(&self, policy: Arc<Policy>) -> Self {
        let policies = self.policies.iter().cloned().chain([policy]).collect();
        Self::new(Arc::clone(&self.population), policies).under(self.tiers.policies().to_vec())
    }

    /// The same world with this policy in the place of the one of its name and kind.
    #[must_use]
    pub fn with_instead(&self, policy: Arc<Policy>) -> Self {
        let mut policies = self.policies.clone();
        policies.retain(|other| other.reference != policy.reference);
        policies.push(policy);
        Self::new(Arc::clone(&self.population), policies).under(self.tiers.policies().to_vec())
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
    #[must_use]
    pub fn policy(&self, id: PolicyId) -> &Policy {
        &self.policies[id.0 as usize]
    }

    /// All policies of this world.
    pub fn policies(&self) -> impl Iterator<Item = &Arc<Policy>> {
        self.policies.iter()
    }

    /// The policies of administrators.
    #[must_use]
    pub fn tiers(&self) -> &Tiers {
        &self.tiers
    }

    /// The policies that restrict a pod in a direction, in the order of the policies.
    #[must_use]
    pub fn restricting(&self, pod: PodId, direction: Direction) -> &[PolicyId] {
        let restricting = &self.restricting[self.population.identity_id(pod).index()];
        match direction {
            Direction::Ingress => &restricting.ingress,
            Direction::Egress => &restricting.egress,
        }
    }

    /// The blocks by which policies tell apart to whom a client speaks.
    #[must_use]
    pub fn blocks(&self, client: &End) -> &[IpNet] {
        client.pod().map_or(&[], |pod| &self.restricting[self.population.identity_id(pod).index()].egress_blocks)
    }

    /// What each policy that applies says of a flow, taken alone.
    pub fn verdicts(&self, pair: &Pair, direction: Direction) -> impl Iterator<Item = (PolicyId, Verdict)> {
        let subject = pair.subject(direction).pod();
        let ids = subject.map_or(&[][..], |subject| self.restricting(subject, direction));
        let exemption = subject.and_then(|subject| self.exemption(subject, pair.peer(direction)));
        let question = (!ids.is_empty() && exemption.is_none()).then(|| self.question(pair, direction));
        ids.iter().filter_map(move |id| match (exemption, &question) {
            (Some(exemption), _) => Some((*id, Verdict::Exempt(exemption))),
            (None, Some(question)) => Some((*id, self.policy(*id).judge(question)?)),
            (None, None) => None,
        })
    }

    /// What all policies together make of a flow at one end: one tier after the other.
    #[must_use]
    pub fn standing(&self, pair: &Pair, direction: Direction) -> Standing {
        match self.tier_question(pair, direction) {
            Some(asked) => chain::standing(self, pair, &asked),
            None => self.standing_by_network_policies(pair, direction),
        }
    }

    /// What NetworkPolicies make of it: they add up, any allow allows.
    pub(crate) fn standing_by_network_policies(&self, pair: &Pair, direction: Direction) -> Standing {
        let mut denied = Vec::new();
        let mut by_block = None;
        for (policy, verdict) in self.verdicts(pair, direction) {
            match verdict {
                Verdict::Exempt(exemption) => return Standing::Exempt(exemption),
                Verdict::Allow { rule, by_block_alone: false } => {
                    return Standing::Allowed { policy, rule, by_block_alone: false };
                }
                Verdict::Allow { rule, by_block_alone: true } => {
                    by_block.get_or_insert(Standing::Allowed { policy, rule, by_block_alone: true });
                }
                Verdict::WouldDeny(reason) => denied.push((policy, reason)),
            }
        }
        match by_block {
            Some(allowed) => allowed,
            None if denied.is_empty() => Standing::Open,
            None => Standing::Denied(denied),
        }
    }

    /// The flow as administrators' policies of its subject see it; `None` where none can speak of it.
    #[must_use]
    pub fn tier_question(&self, pair: &Pair, direction: Direction) -> Option<Asked<'_>> {
        let subject = pair.subject(direction).pod()?;
        let itself = pair.peer(direction).pod() == Some(subject) && pair.dialled == Dialled::Listener;
        let subject = self.tiers.of(self.population.identity_id(subject)).filter(|_| !itself)?;
        let Question { peer, port, .. } = self.question(pair, direction);
        let question = ruling::Question { peer, nodes: self.cluster().nodes(), direction, port };
        Some(Asked { subject, question })
    }

    /// What NetworkPolicies cannot deny: a pod's own node and the pod itself.
    #[must_use]
    pub fn exemption(&self, subject: PodId, peer: &End) -> Option<Exemption> {
        let own_node = self.cluster().pod(subject).node;
        match *peer {
            End::Pod { pod, .. } if pod == subject => Some(Exemption::Itself),
            End::Pod { .. } | End::UnknownPod { .. } => None,
            End::Host { node: Some(node), .. } if Some(node) == own_node => Some(Exemption::Node),
            End::Host { ip, .. } | End::Address { ip } => {
                own_node.filter(|node| self.cluster().nodes().has_address(*node, ip)).map(|_| Exemption::Node)
            }
        }
    }

    /// The flow as a policy of its subject sees it.
    #[must_use]
    pub fn question(&self, pair: &Pair, direction: Direction) -> Question<'_> {
        let subject = pair.subject(direction).pod().map_or("", |pod| &self.population.identity(pod).namespace);
        let named = pair.dst.pod().map_or(&[][..], |pod| -> &[NamedPort] { &self.population.identity(pod).ports });
        Question {
            subject_namespace: subject,
            peer: self.peer(pair.peer(direction)),
            direction,
            port: Port { protocol: pair.protocol, number: pair.port, named },
        }
    }

    /// Whether an end is a pod, by its address or its observer's word, of which nothing else is known.
    #[must_use]
    pub fn is_unresolved(&self, end: &End) -> bool {
        matches!(self.peer(end), Peer::Unresolved { .. })
    }

    fn peer(&self, end: &End) -> Peer<'_> {
        match *end {
            End::Pod { pod, ip } => {
                let identity = self.population.identity(pod);
                Peer::Pod {
                    namespace: &identity.namespace,
                    namespace_labels: self.population.namespace_labels(&identity.namespace),
                    labels: &identity.labels,
                    ports: &identity.ports,
                    ip,
                }
            }
            End::Host { ip, .. } => Peer::Node { ip },
            End::UnknownPod { ip } => Peer::Unresolved { ip },
            End::Address { ip } if !self.cluster().nodes().by_address(ip).is_empty() => Peer::Node { ip },
            End::Address { ip } if self.cluster().in_pod_range(ip) => Peer::Unresolved { ip },
            End::Address { ip } => Peer::Outside { ip },
        }
    }
}
