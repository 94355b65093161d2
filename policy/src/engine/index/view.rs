//! A cluster, its identities and its policies together: verdicts and decisions on flows.

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
use crate::engine::index::Index;
use crate::engine::index::flow_query::FlowQuery;
use crate::engine::index::packed_verdict::PackedVerdict;
use crate::engine::pair::{Dial, Dialled, Pair};
use crate::engine::policy_id::PolicyId;
use crate::engine::tier::admin_index::{AdminPolicyIndex, AdminQuery};
use crate::engine::tier::chain;
use crate::engine::tier::chain::{TierQuestion, Trace};
use crate::engine::verdict::{Exemption, Verdict};
use crate::policy::end_kind::EndKind;
use crate::policy::flow_question::Question;
use crate::policy::peer::Peer;
use crate::policy::port::Port;
use crate::policy::question;
use foretell_objects::model::dialect::{Dialect, EnforcedEnds};
use foretell_objects::model::flow::{Direction, Protocol};
use foretell_objects::model::port::NamedPort;

/// The parts of a world. Cheap to copy.
#[derive(Clone, Copy, Debug)]
pub struct View<'a> {
    /// What was recorded of the cluster.
    pub cluster: &'a Cluster,
    /// What selectors see of pods, namespaces and Services.
    pub identities: &'a Identities,
    /// The NetworkPolicies and audit policies, resolved against the identities.
    pub index: &'a Index,
    /// The admin policies.
    pub tiers: &'a AdminPolicyIndex,
}

/// The strictest verdict of each policy on a flow, with the backend that it is about.
pub(crate) type VerdictsByPolicy = BTreeMap<(Direction, PolicyId), (PackedVerdict, Pair)>;

impl<'a> View<'a> {
    /// The number of a pod's identity.
    #[must_use]
    pub fn identity(&self, pod: PodId) -> u32 {
        self.identities.identity_id(pod).number()
    }

    /// A flow with its ends as they are in this world: see [`Identities::placed`].
    #[inline]
    #[must_use]
    pub fn placed(&self, pair: &Pair) -> Pair {
        let end = |end: &End| self.identities.placed(self.cluster, end);
        Pair { src: end(&pair.src), dst: end(&pair.dst), ..*pair }
    }

    /// The kind of an end, as rules distinguish them.
    #[must_use]
    pub fn kind(&self, end: &End) -> EndKind {
        match self.identities.placed(self.cluster, end) {
            End::Pod { pod, .. } => EndKind::Pod(self.identity(pod)),
            End::Host { .. } => EndKind::Node,
            End::UnknownPod { .. } => EndKind::Unresolved,
            End::Address { ip } if !self.cluster.nodes().by_address(ip).is_empty() => EndKind::Node,
            End::Address { ip } if self.cluster.in_pod_range(ip) => EndKind::Unresolved,
            End::Address { .. } => EndKind::Outside,
        }
    }

    /// An end in the form that rules are matched against.
    #[must_use]
    pub fn peer(&self, end: &End) -> Peer<'a> {
        let ip = self.identities.placed(self.cluster, end).ip();
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

    /// The verdict of each policy that applies to a flow, in isolation. None if the subject is not a known pod.
    pub fn answers(
        &self,
        pair: &Pair,
        direction: Direction,
    ) -> impl Iterator<Item = (PolicyId, PackedVerdict)> + use<'a> {
        let (view, pair) = (*self, self.placed(pair));
        let subject = pair.subject_pod(direction);
        let by_enforcer = view.by_enforcer(&pair, direction);
        let read = move |(policy, verdict)| match &by_enforcer {
            None => (policy, verdict),
            Some(reading) => (policy, reading.verdict(view.index.policy(policy), direction, verdict)),
        };
        let answers = subject.into_iter().flat_map(move |subject| {
            let peer = pair.peer(direction);
            let peer_view = view.index.peer_view(view.kind(peer), peer.ip());
            let destination = pair.dst.pod().map(|pod| view.identity(pod));
            let port = view.index.port_row(destination, pair.protocol, pair.port);
            let exemption = view.exemption(subject, peer, direction);
            let query = view.index.flow_query(view.identity(subject), direction, peer_view, port, exemption);
            query.into_iter().flat_map(FlowQuery::verdicts)
        });
        answers.map(read)
    }

    /// The joint decision of all policies about a flow at one end, by the chain of tiers.
    #[must_use]
    pub fn decide(&self, pair: &Pair, direction: Direction) -> EndDecision {
        let pair = &self.placed(pair);
        let decision = self.decide_at_this_end(pair, direction);
        match self.index.resolved_dialect().dialect.ends {
            EnforcedEnds::Both => decision,
            EnforcedEnds::EitherOnOneNode => self.or_at_other_end(decision, pair, direction),
        }
    }

    /// The dialect in which policies are read.
    #[must_use]
    pub fn dialect(&self) -> Dialect {
        self.index.resolved_dialect().dialect
    }

    /// Allows a flow between two pods of one node that is denied at this end and allowed at the other.
    fn or_at_other_end(&self, decision: EndDecision, pair: &Pair, direction: Direction) -> EndDecision {
        let node = |end: &End| self.cluster.pod(end.pod()?).node;
        let src = node(&pair.src);
        if !matches!(decision, EndDecision::Denied(_)) || src.is_none() || src != node(&pair.dst) {
            return decision;
        }
        match self.decide_at_this_end(pair, direction.other()) {
            EndDecision::Allowed { policy, rule, .. } => EndDecision::AllowedAtOtherEnd { policy, rule },
            _ => decision,
        }
    }

    /// The decision at one end, without regard to the other end.
    fn decide_at_this_end(&self, pair: &Pair, direction: Direction) -> EndDecision {
        chain::decide(&chain::TIERS, &self.tier_question(pair, direction))
    }

    /// The answer of each tier that is evaluated, and the decision at this end without regard to the other end.
    #[must_use]
    pub fn trace(&self, pair: &Pair, direction: Direction) -> Trace {
        chain::trace(&chain::TIERS, &self.tier_question(pair, direction))
    }

    /// The question that the tiers answer about a flow at one end.
    #[must_use]
    pub fn tier_question(&self, pair: &Pair, direction: Direction) -> TierQuestion<'a> {
        let pair = self.placed(pair);
        TierQuestion { view: *self, pair, direction, admin: self.admin_query(&pair, direction) }
    }

    /// The joint decision of NetworkPolicies: a flow is allowed if any of them allows it.
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

    /// The query for the admin policies that select the subject of a flow; `None` if there are none, or if the flow is from a pod
    /// to itself by its own address.
    #[must_use]
    pub fn admin_query(&self, pair: &Pair, direction: Direction) -> Option<AdminQuery<'a>> {
        let pair = &self.placed(pair);
        let subject = pair.subject_pod(direction)?;
        let itself = pair.peer(direction).pod() == Some(subject) && pair.dialled == Dialled::Backend;
        let subject = self.tiers.of(self.identities.identity_id(subject)).filter(|_| !itself)?;
        let Question { peer, port, .. } = self.question(pair, direction);
        let question = question::AdminQuestion { peer, nodes: self.cluster.nodes(), direction, port };
        Some(AdminQuery { subject, question })
    }

    /// The flow in the form that rules of a policy are matched against.
    #[must_use]
    pub fn question(&self, pair: &Pair, direction: Direction) -> Question<'a> {
        let pair = &self.placed(pair);
        let identity = |end: &End| Some(self.identities.identity(end.pod()?));
        let named = identity(&pair.dst).map_or(&[][..], |identity| -> &[NamedPort] { &identity.ports });
        Question {
            subject_namespace: identity(pair.subject(direction)).map_or("", |identity| &identity.namespace),
            peer: self.peer(pair.peer(direction)),
            direction,
            port: Port { protocol: pair.protocol, number: pair.port, named },
        }
    }

    /// Whether no NetworkPolicy can deny a flow, because the peer is the subject's own node or the subject itself.
    #[must_use]
    pub fn exemption(&self, subject: PodId, peer: &End, direction: Direction) -> Option<Exemption> {
        if peer.pod() == Some(subject) {
            return Some(Exemption::Itself);
        }
        let is_exempt = self.index.resolved_dialect().exempts_own_node(direction) && self.is_own_node(subject, peer);
        is_exempt.then_some(Exemption::Node)
    }

    /// Whether an end is a pod's own node: an address of the node, or a hostNetwork pod on it.
    pub(crate) fn is_own_node(&self, subject: PodId, peer: &End) -> bool {
        let Some(own_node) = self.cluster.pod(subject).node else { return false };
        match *peer {
            End::Pod { .. } | End::UnknownPod { .. } => false,
            End::Host { node: Some(node), .. } if node == own_node => true,
            End::Host { ip, .. } | End::Address { ip } => self.cluster.nodes().has_address(own_node, ip),
        }
    }

    /// The blocks by which policies distinguish the destinations of a client, sorted.
    #[must_use]
    pub fn blocks(&self, client: &End) -> Cow<'a, [IpNet]> {
        let client = self.identities.placed(self.cluster, client);
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

    /// The backends that a flow between these ends may reach, at time `at`.
    #[must_use]
    pub fn backends(&self, ends: &Ends, protocol: Protocol, port: u16, at: Timestamp) -> Vec<Backend> {
        let Dial { destination, port, dialled } = self.dial(ends, protocol, port);
        if let Destination::Direct(end) = destination {
            return vec![Backend { end, port, dialled }];
        }
        let blocks = self.blocks(&ends.src);
        let query =
            BackendQuery { client: &ends.src, destination: &destination, protocol, port, dialled, at, blocks: &blocks };
        self.identities.backends(self.cluster, &query)
    }

    /// The verdict of each policy on a flow between these ends. If a policy's verdicts on several backends differ, the strictest
    /// counts.
    pub(crate) fn verdicts_by_policy(&self, ends: &Ends, backends: &[Backend], protocol: Protocol) -> VerdictsByPolicy {
        let mut verdicts = VerdictsByPolicy::new();
        for direction in Direction::BOTH {
            for Backend { end, port, dialled } in backends {
                let pair = Pair { src: ends.src, dst: *end, protocol, port: *port, dialled: *dialled };
                for (policy, verdict) in self.answers(&pair, direction) {
                    verdicts
                        .entry((direction, policy))
                        .and_modify(|known| {
                            if verdict.rank() < known.0.rank() {
                                *known = (verdict, pair);
                            }
                        })
                        .or_insert((verdict, pair));
                }
            }
        }
        verdicts
    }
}
