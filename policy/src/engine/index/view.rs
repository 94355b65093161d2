//! A cluster, its identities and the policies that hold, seen together: what becomes of a flow.

use std::borrow::Cow;
use std::collections::BTreeMap;

use ipnet::IpNet;
use jiff::Timestamp;

use crate::cluster::inventory::Cluster;
use crate::cluster::ownership::{Destination, End, Ends};
use crate::cluster::pod::PodId;
use crate::engine::backends::{Backend, BackendQuery};
use crate::engine::end_decision::EndDecision;
use crate::engine::identities::Identities;
use crate::engine::index::answers::FlowQuery;
use crate::engine::index::{EndKind, Index, PackedVerdict};
use crate::engine::pair::{Dialled, Pair};
use crate::engine::tier::chain::{self, TierQuestion, Trace};
use crate::engine::tier::index::{TierQuery, Tiers};
use crate::engine::verdict::{Exemption, Verdict};
use crate::model::dialect::{Dialect, EnforcedEnds};
use crate::model::flow::{Direction, Protocol};
use crate::model::policy_id::PolicyId;
use crate::model::port::NamedPort;
use crate::policy::flow_question::Question;
use crate::policy::peer::Peer;
use crate::policy::port::Port;
use crate::policy::question;

/// What a world is made of.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// Who was where.
    pub cluster: &'a Cluster,
    /// What selectors see of them.
    pub identities: &'a Identities,
    /// The policies, resolved.
    pub index: &'a Index,
    /// Admin policies.
    pub tiers: &'a Tiers,
}

/// What a policy says of a flow, and of which of its backends.
pub(crate) type VerdictsByPolicy = BTreeMap<(Direction, PolicyId), (PackedVerdict, Pair)>;

impl<'a> View<'a> {
    /// The number of a pod's identity.
    #[must_use]
    pub fn identity(&self, pod: PodId) -> u32 {
        self.identities.identity_id(pod).number()
    }

    /// What an end is to rules.
    #[must_use]
    pub fn kind(&self, end: &End) -> EndKind {
        match *end {
            End::Pod { pod, .. } => EndKind::Pod(self.identity(pod)),
            End::Host { .. } => EndKind::Node,
            End::UnknownPod { .. } => EndKind::Unresolved,
            End::Address { ip } if !self.cluster.nodes().by_address(ip).is_empty() => EndKind::Node,
            End::Address { ip } if self.cluster.in_pod_range(ip) => EndKind::Unresolved,
            End::Address { .. } => EndKind::Outside,
        }
    }

    /// An end as a rule's text would be held against it.
    #[must_use]
    pub fn peer(&self, end: &End) -> Peer<'a> {
        let ip = end.ip();
        match self.kind(end) {
            EndKind::Pod(identity) => {
                let identity = &self.identities.all()[identity as usize];
                Peer::Pod {
                    namespace: &identity.namespace,
                    namespace_labels: self.identities.namespace_labels(&identity.namespace),
                    labels: &identity.labels,
                    ports: &identity.ports,
                    ip,
                }
            }
            EndKind::Node => Peer::Node { ip },
            EndKind::Unresolved => Peer::Unresolved { ip },
            EndKind::Outside => Peer::Outside { ip },
        }
    }

    /// What each policy that applies says of a flow, taken alone.
    pub fn answers(
        &self,
        pair: &Pair,
        direction: Direction,
    ) -> impl Iterator<Item = (PolicyId, PackedVerdict)> + use<'a> {
        let (view, pair) = (*self, *pair);
        let subject = pair.subject(direction).pod();
        subject.into_iter().flat_map(move |subject| {
            let peer = pair.peer(direction);
            let seen = view.index.seen(view.kind(peer), peer.ip());
            let destination = pair.dst.pod().map(|pod| view.identity(pod));
            let port = view.index.port_row(destination, pair.protocol, pair.port);
            let exemption = view.exemption(subject, peer, direction);
            let asked = view.index.ask(view.identity(subject), direction, seen, port, exemption);
            asked.into_iter().flat_map(FlowQuery::answers)
        })
    }

    /// What all policies together make of a flow at one end: one tier after the other.
    #[must_use]
    pub fn decide(&self, pair: &Pair, direction: Direction) -> EndDecision {
        let decision = self.decide_alone(pair, direction);
        match self.index.terms().dialect.ends {
            EnforcedEnds::Both => decision,
            EnforcedEnds::EitherOnOneNode => self.or_at_other_end(decision, pair, direction),
        }
    }

    /// What policies mean here.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.index.terms().dialect
    }

    /// What is denied at one end and allowed at the other passes between two pods of one node.
    fn or_at_other_end(&self, decision: EndDecision, pair: &Pair, direction: Direction) -> EndDecision {
        let node = |end: &End| self.cluster.pod(end.pod()?).node;
        let src = node(&pair.src);
        if !matches!(decision, EndDecision::Denied(_)) || src.is_none() || src != node(&pair.dst) {
            return decision;
        }
        match self.decide_alone(pair, direction.other()) {
            EndDecision::Allowed { policy, rule, .. } => EndDecision::AllowedAtOtherEnd { policy, rule },
            _ => decision,
        }
    }

    /// The same, without regard to the other end.
    fn decide_alone(&self, pair: &Pair, direction: Direction) -> EndDecision {
        chain::decide(&chain::TIERS, &self.ask_tiers(pair, direction))
    }

    /// What each tier that is asked answers, and the decision at this end alone.
    #[must_use]
    pub fn trace(&self, pair: &Pair, direction: Direction) -> Trace {
        chain::trace(&chain::TIERS, &self.ask_tiers(pair, direction))
    }

    /// The flow as tiers see it.
    #[must_use]
    pub fn ask_tiers(&self, pair: &Pair, direction: Direction) -> TierQuestion<'a> {
        TierQuestion { view: *self, pair: *pair, direction, admin: self.tier_question(pair, direction) }
    }

    /// What NetworkPolicies make of it: they add up, any allow allows.
    pub(crate) fn decide_by_network_policies(&self, pair: &Pair, direction: Direction) -> EndDecision {
        let mut denied = Vec::new();
        let mut by_block = None;
        for (policy, answer) in self.answers(pair, direction) {
            match answer.verdict() {
                Verdict::Exempt(exemption) => return EndDecision::Exempt(exemption),
                Verdict::Allow { rule, by_block_alone: false } => {
                    return EndDecision::Allowed { policy, rule, by_block_alone: false };
                }
                Verdict::Allow { rule, by_block_alone: true } => {
                    by_block.get_or_insert(EndDecision::Allowed { policy, rule, by_block_alone: true });
                }
                Verdict::WouldDeny(reason) => denied.push((policy, reason)),
            }
        }
        match by_block {
            Some(allowed) => allowed,
            None if denied.is_empty() => EndDecision::Open,
            None => EndDecision::Denied(denied),
        }
    }

    /// The flow as admin policies of its subject see it; `None` where none can speak of it.
    #[must_use]
    pub fn tier_question(&self, pair: &Pair, direction: Direction) -> Option<TierQuery<'a>> {
        let subject = pair.subject(direction).pod()?;
        let itself = pair.peer(direction).pod() == Some(subject) && pair.dialled == Dialled::Backend;
        let subject = self.tiers.of(self.identities.identity_id(subject)).filter(|_| !itself)?;
        let Question { peer, port, .. } = self.question(pair, direction);
        let question = question::AdminQuestion { peer, nodes: self.cluster.nodes(), direction, port };
        Some(TierQuery { subject, question })
    }

    /// The flow as a policy of its subject sees it.
    #[must_use]
    pub fn question(&self, pair: &Pair, direction: Direction) -> Question<'a> {
        let identity = |end: &End| Some(self.identities.identity(end.pod()?));
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
        let Some(identity) = client.pod().map(|pod| self.identities.identity_id(pod)) else { return Cow::default() };
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
    pub fn backends(&self, ends: &Ends, protocol: Protocol, port: u16, at: Timestamp) -> Vec<Backend> {
        if let Destination::Direct(end) = ends.dst {
            return vec![Backend { end, port }];
        }
        let blocks = self.blocks(&ends.src);
        let (client, destination) = (&ends.src, &ends.dst);
        let query = BackendQuery { client, destination, protocol, port, at, blocks: &blocks };
        self.identities.backends(self.cluster, &query)
    }

    /// What each policy says of a flow between these ends. Of what it says of several backends the worst stands.
    pub(crate) fn said(&self, ends: &Ends, backends: &[Backend], protocol: Protocol) -> VerdictsByPolicy {
        let mut said = VerdictsByPolicy::new();
        let dialled = Dialled::from(&ends.dst);
        for direction in Direction::BOTH {
            for Backend { end, port } in backends {
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
