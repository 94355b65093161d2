//! A cluster, its inhabitants and the policies that hold, seen together: what becomes of a flow.

use std::borrow::Cow;
use std::collections::BTreeMap;

use ipnet::IpNet;

use super::answers::Asked;
use super::{Answer, Index, Kind};
use crate::cluster::Cluster;
use crate::cluster::ownership::{Destination, End, Ends};
use crate::cluster::pod::PodId;
use crate::dialect::{Dialect, Ends as EndsAsked};
use crate::flow::{Direction, Protocol};
use crate::inhabitants::Inhabitants;
use crate::listeners::Listener;
use crate::peer::Peer;
use crate::port::{NamedPort, Port};
use crate::tier::chain;
use crate::tier::index::Tiers;
use crate::tier::{self, ruling};
use crate::verdict::{Exemption, Question, Verdict};
use crate::world::{Dialled, Pair, PolicyId, Standing};

use jiff::Timestamp;

/// What a world is made of.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Who was where.
    pub cluster: &'a Cluster,
    /// What selectors see of them.
    pub inhabitants: &'a Inhabitants,
    /// The policies, resolved.
    pub index: &'a Index,
    /// Administrators' policies.
    pub tiers: &'a Tiers,
}

/// What a policy says of a flow, and of which of its listeners.
pub(crate) type SaidOf = BTreeMap<(Direction, PolicyId), (Answer, Pair)>;

impl<'a> View<'a> {
    /// The number of a pod's identity.
    #[must_use]
    pub fn identity(&self, pod: PodId) -> u32 {
        self.inhabitants.identity_id(pod).number()
    }

    /// What an end is to rules.
    #[must_use]
    pub fn kind(&self, end: &End) -> Kind {
        match *end {
            End::Pod { pod, .. } => Kind::Pod(self.identity(pod)),
            End::Host { .. } => Kind::Node,
            End::UnknownPod { .. } => Kind::Unresolved,
            End::Address { ip } if !self.cluster.nodes().by_address(ip).is_empty() => Kind::Node,
            End::Address { ip } if self.cluster.in_pod_range(ip) => Kind::Unresolved,
            End::Address { .. } => Kind::Outside,
        }
    }

    /// An end as a rule's text would be held against it.
    #[must_use]
    pub fn peer(&self, end: &End) -> Peer<'a> {
        let ip = end.ip();
        match self.kind(end) {
            Kind::Pod(identity) => {
                let identity = &self.inhabitants.identities()[identity as usize];
                Peer::Pod {
                    namespace: &identity.namespace,
                    namespace_labels: self.inhabitants.namespace_labels(&identity.namespace),
                    labels: &identity.labels,
                    ports: &identity.ports,
                    ip,
                }
            }
            Kind::Node => Peer::Node { ip },
            Kind::Unresolved => Peer::Unresolved { ip },
            Kind::Outside => Peer::Outside { ip },
        }
    }

    /// What each policy that applies says of a flow, taken alone.
    pub fn answers(&self, pair: &Pair, direction: Direction) -> impl Iterator<Item = (PolicyId, Answer)> + use<'a> {
        let (view, pair) = (*self, *pair);
        let subject = pair.subject(direction).pod();
        subject.into_iter().flat_map(move |subject| {
            let peer = pair.peer(direction);
            let seen = view.index.seen(view.kind(peer), peer.ip());
            let destination = pair.dst.pod().map(|pod| view.identity(pod));
            let port = view.index.port_row(destination, pair.protocol, pair.port);
            let exemption = view.exemption(subject, peer, direction);
            let asked = view.index.ask(view.identity(subject), direction, seen, port, exemption);
            asked.into_iter().flat_map(Asked::answers)
        })
    }

    /// What all policies together make of a flow at one end: one tier after the other.
    #[must_use]
    pub fn standing(&self, pair: &Pair, direction: Direction) -> Standing {
        let standing = self.standing_alone(pair, direction);
        match self.index.terms().dialect.ends {
            EndsAsked::Both => standing,
            EndsAsked::EitherOnOneNode => self.or_at_other_end(standing, pair, direction),
        }
    }

    /// What policies mean here.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.index.terms().dialect
    }

    /// What is denied at one end and allowed at the other passes between two pods of one node.
    fn or_at_other_end(&self, standing: Standing, pair: &Pair, direction: Direction) -> Standing {
        let node = |end: &End| self.cluster.pod(end.pod()?).node;
        let src = node(&pair.src);
        if !matches!(standing, Standing::Denied(_)) || src.is_none() || src != node(&pair.dst) {
            return standing;
        }
        match self.standing_alone(pair, direction.other()) {
            Standing::Allowed { policy, rule, .. } => Standing::AllowedAtOtherEnd { policy, rule },
            _ => standing,
        }
    }

    /// The same, without regard to the other end.
    fn standing_alone(&self, pair: &Pair, direction: Direction) -> Standing {
        match self.tier_question(pair, direction) {
            Some(asked) => chain::standing(self, pair, &asked),
            None => self.standing_by_network_policies(pair, direction),
        }
    }

    /// What NetworkPolicies make of it: they add up, any allow allows.
    pub(crate) fn standing_by_network_policies(&self, pair: &Pair, direction: Direction) -> Standing {
        let mut denied = Vec::new();
        let mut by_block = None;
        for (policy, answer) in self.answers(pair, direction) {
            match answer.verdict() {
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
    pub fn tier_question(&self, pair: &Pair, direction: Direction) -> Option<tier::index::Asked<'a>> {
        let subject = pair.subject(direction).pod()?;
        let itself = pair.peer(direction).pod() == Some(subject) && pair.dialled == Dialled::Listener;
        let subject = self.tiers.of(self.inhabitants.identity_id(subject)).filter(|_| !itself)?;
        let Question { peer, port, .. } = self.question(pair, direction);
        let question = ruling::Question { peer, nodes: self.cluster.nodes(), direction, port };
        Some(tier::index::Asked { subject, question })
    }

    /// The flow as a policy of its subject sees it.
    #[must_use]
    pub fn question(&self, pair: &Pair, direction: Direction) -> Question<'a> {
        let identity = |end: &End| Some(self.inhabitants.identity(end.pod()?));
        let named = identity(&pair.dst).map_or(&[][..], |identity| -> &[NamedPort] { &identity.ports });
        Question {
            subject_namespace: identity(pair.subject(direction)).map_or("", |identity| &identity.namespace),
            peer: self.peer(pair.peer(direction)),
            direction,
            port: Port { protocol: pair.protocol, number: pair.port, named },
        }
    }

    /// What NetworkPolicies cannot deny: a pod's own node and the pod itself.
    #[must_use]
    pub fn exemption(&self, subject: PodId, peer: &End, direction: Direction) -> Option<Exemption> {
        if peer.pod() == Some(subject) {
            return Some(Exemption::Itself);
        }
        let is_exempt = self.index.terms().exempts_own_node(direction) && self.is_own_node(subject, peer);
        is_exempt.then_some(Exemption::Node)
    }

    /// Whether an end is a pod's own node: one of its host's addresses, or a hostNetwork pod there.
    pub(crate) fn is_own_node(&self, subject: PodId, peer: &End) -> bool {
        let Some(own_node) = self.cluster.pod(subject).node else { return false };
        match *peer {
            End::Pod { .. } | End::UnknownPod { .. } => false,
            End::Host { node: Some(node), .. } if node == own_node => true,
            End::Host { ip, .. } | End::Address { ip } => self.cluster.nodes().has_address(own_node, ip),
        }
    }

    /// The blocks by which policies tell apart to whom a client speaks.
    #[must_use]
    pub fn blocks(&self, client: &End) -> Cow<'a, [IpNet]> {
        let Some(identity) = client.pod().map(|pod| self.inhabitants.identity_id(pod)) else { return Cow::default() };
        let of_rules = self.index.egress_blocks(identity.number());
        let mut networks = self.tiers.networks(identity).peekable();
        if networks.peek().is_none() {
            return Cow::Borrowed(of_rules);
        }
        let mut blocks: Vec<IpNet> = of_rules.iter().copied().chain(networks).collect();
        blocks.sort();
        blocks.dedup();
        Cow::Owned(blocks)
    }

    /// Who may answer a flow between these ends.
    #[must_use]
    pub fn listeners(&self, ends: &Ends, protocol: Protocol, port: u16, at: Timestamp) -> Vec<Listener> {
        if let Destination::Direct(end) = ends.dst {
            return vec![Listener { end, port }];
        }
        let blocks = self.blocks(&ends.src);
        self.inhabitants.listeners(self.cluster, &ends.src, &ends.dst, protocol, port, at, &blocks)
    }

    /// What each policy says of a flow between these ends. Of what it says of several listeners the worst stands.
    pub(crate) fn said(&self, ends: &Ends, listeners: &[Listener], protocol: Protocol) -> SaidOf {
        let mut said = SaidOf::new();
        let dialled = Dialled::from(&ends.dst);
        for direction in Direction::BOTH {
            for Listener { end, port } in listeners {
                let pair = Pair { src: ends.src, dst: *end, protocol, port: *port, dialled };
                for (policy, answer) in self.answers(&pair, direction) {
                    said.entry((direction, policy))
                        .and_modify(|known| {
                            if answer.rank() < known.0.rank() {
                                *known = (answer, pair);
                            }
                        })
                        .or_insert((answer, pair));
                }
            }
        }
        said
    }
}
