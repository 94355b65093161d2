//! Flows in bulk: no text, no allocation.

use std::net::IpAddr;

use jiff::Timestamp;

use crate::cluster::node::NodeId;
use crate::cluster::pod::PodId;
use crate::engine::index::PackedVerdict;
use crate::engine::index::answers::{FlowQuery, PeerView, PortRow};
use crate::engine::index::directory::{Directory, Entry, Holder};
use crate::engine::index::services::Call;
use crate::engine::index::view::View;
use crate::engine::verdict::Exemption;
use crate::model::flow::{Direction, Endpoint, Flow, Protocol};
use crate::model::policy_id::PolicyId;
use crate::policy::end_kind::EndKind;

/// A flow whose ends are known by their addresses alone.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct FlowKey {
    src: IpAddr,
    dst: IpAddr,
    /// In nanoseconds since 1970.
    start: i64,
    end: i64,
    port: u16,
    protocol: Protocol,
}

impl FlowKey {
    /// The key of a flow; `None` where an end is named by more than its address, and beyond the years 1677 and 2262.
    #[must_use]
    pub fn of(flow: &Flow) -> Option<Self> {
        let is_bare = |end: &Endpoint| end.pod_uid.is_none() && end.pod.is_none();
        let time = |at: Timestamp| i64::try_from(at.as_nanosecond()).ok();
        let (start, end) = time(flow.start).zip(time(flow.end))?;
        (is_bare(&flow.src) && is_bare(&flow.dst)).then(|| Self {
            src: flow.src.ip.to_canonical(),
            dst: flow.dst.ip.to_canonical(),
            start,
            end,
            port: flow.port,
            protocol: flow.protocol,
        })
    }

    fn flow(&self) -> Flow {
        let time = |at: i64| Timestamp::from_nanosecond(at.into()).unwrap_or_default();
        Flow {
            start: time(self.start),
            end: time(self.end),
            node: None,
            observed: None,
            src: Endpoint::address(self.src),
            dst: Endpoint::address(self.dst),
            protocol: self.protocol,
            port: self.port,
            outcome: None,
            guessed: false,
            connections: 1,
            packets: 0,
            bytes: 0,
        }
    }
}

/// What is said of flows. It is meant to be used again, so that nothing is allocated.
#[derive(Clone, Debug, Default)]
pub struct BatchVerdicts {
    answers: Vec<(PolicyId, PackedVerdict)>,
    /// By flow: where the answers on what leaves the source end, and those on what arrives.
    ends: Vec<[usize; 2]>,
    /// Flows that wanted more than the directory knows.
    full_lookups: usize,
    /// Room for the backends of one Service, and for what is said of one of them.
    backends: Vec<(ResolvedEnd, u16)>,
    of_one: Vec<(PolicyId, PackedVerdict)>,
}

impl BatchVerdicts {
    /// Forgets everything but its room.
    pub fn clear(&mut self) {
        self.answers.clear();
        self.ends.clear();
        self.full_lookups = 0;
    }

    /// All answers, in the order of flows, directions and policies.
    #[must_use]
    pub fn answers(&self) -> &[(PolicyId, PackedVerdict)] {
        &self.answers
    }

    /// The answers on one flow in a direction, by policy. Of what a policy says of several backends of a Service the worst
    /// stands.
    #[must_use]
    pub fn of(&self, flow: usize, direction: Direction) -> &[(PolicyId, PackedVerdict)] {
        let [egress, ingress] = self.ends[flow];
        let before = flow.checked_sub(1).map_or(0, |flow| self.ends[flow][1]);
        match direction {
            Direction::Egress => &self.answers[before..egress],
            Direction::Ingress => &self.answers[egress..ingress],
        }
    }

    /// How many flows took the long way.
    #[must_use]
    pub fn full_lookups(&self) -> usize {
        self.full_lookups
    }
}

/// An end of a flow.
#[derive(Clone, Copy, Debug)]
pub(super) struct ResolvedEnd {
    pub(super) seen: PeerView,
    pub(super) pod: Option<PodId>,
    pub(super) node: Option<NodeId>,
}

impl ResolvedEnd {
    fn identity(&self) -> Option<u32> {
        match self.seen.kind {
            EndKind::Pod(identity) => Some(identity),
            EndKind::Node | EndKind::Outside | EndKind::Unresolved => None,
        }
    }
}

/// Flows whose addresses are looked up together: while one waits for the memory, others do too.
const TOGETHER: usize = 32;

impl View<'_> {
    /// Judges flows and adds what is said of them.
    pub(crate) fn judge(&self, directory: &Directory, flows: &[FlowKey], said: &mut BatchVerdicts) {
        for flows in flows.chunks(TOGETHER) {
            let mut entries = [[None; 2]; TOGETHER];
            for (entries, flow) in entries.iter_mut().zip(flows) {
                *entries = [directory.get(flow.src), directory.get(flow.dst)];
            }
            for (flow, entries) in flows.iter().zip(entries) {
                self.judge_one(directory, flow, entries, said);
            }
        }
    }

    #[inline]
    fn judge_one(
        &self,
        directory: &Directory,
        flow: &FlowKey,
        [src, dst]: [Option<Entry>; 2],
        said: &mut BatchVerdicts,
    ) {
        let src = self.stands(directory, flow.src, src, flow);
        let Some((src, to)) = src.zip(self.stands(directory, flow.dst, dst, flow)) else {
            if !self.judge_call(directory, src, dst, flow, said) {
                self.judge_by_full_lookup(flow, said);
            }
            return;
        };
        let port = self.port_row(&to, flow.protocol, flow.port);
        let ends = Direction::BOTH.map(|direction| {
            self.say(&src, &to, port, direction, &mut said.answers);
            said.answers.len()
        });
        said.ends.push(ends);
    }

    /// Who stands at an end; `None` where that wants more thought.
    #[inline]
    fn stands(&self, directory: &Directory, ip: IpAddr, entry: Option<Entry>, flow: &FlowKey) -> Option<ResolvedEnd> {
        let Some(entry) = entry else {
            let kind = if self.cluster.in_pod_range(ip) { EndKind::Unresolved } else { EndKind::Outside };
            let seen = self.index.seen(kind, ip);
            return (!ip.is_loopback()).then_some(ResolvedEnd { seen, pod: None, node: None });
        };
        let blocks = self.index.blocks_of(ip);
        match entry.holder() {
            Holder::Pod { pod, identity, node } => {
                let seen = PeerView { kind: EndKind::Pod(identity), blocks };
                let lives = directory.lives(&entry, flow.start, flow.end);
                lives.then_some(ResolvedEnd { seen, pod: Some(pod), node })
            }
            Holder::Node(node) => {
                Some(ResolvedEnd { seen: PeerView { kind: EndKind::Node, blocks }, pod: None, node: Some(node) })
            }
            Holder::Service(_) | Holder::NeedsFullLookup => None,
        }
    }

    /// Judges a pod's call of a Service; `false` where that wants more thought.
    fn judge_call(
        &self,
        directory: &Directory,
        src: Option<ResolvedEnd>,
        dst: Option<Entry>,
        flow: &FlowKey,
        said: &mut BatchVerdicts,
    ) -> bool {
        let (Some(src), Some(Holder::Service(service))) = (src, dst.map(|entry| entry.holder())) else { return false };
        let (EndKind::Pod(client), Some(front)) = (src.seen.kind, directory.front(service)) else { return false };
        let call = Call {
            client: src.pod,
            tells_blocks_apart: self.index.names_blocks(client),
            dialled: flow.dst,
            protocol: flow.protocol,
            port: flow.port,
            at: flow.start,
        };
        let mut backends = std::mem::take(&mut said.backends);
        backends.clear();
        front.answer(&call, self.index, &mut backends);
        let mut ends = [0; 2];
        for (end, direction) in ends.iter_mut().zip(Direction::BOTH) {
            let start = said.answers.len();
            for (number, (dst, port)) in backends.iter().enumerate() {
                let port = self.port_row(dst, flow.protocol, *port);
                if number == 0 {
                    self.say(&src, dst, port, direction, &mut said.answers);
                } else {
                    said.of_one.clear();
                    self.say(&src, dst, port, direction, &mut said.of_one);
                    self.keep_worst(start, said);
                }
            }
            *end = said.answers.len();
        }
        let is_answered = !backends.is_empty();
        if is_answered {
            said.ends.push(ends);
        }
        said.backends = backends;
        is_answered
    }

    /// Of what is said of another backend and what was said so far, from `start`, keeps the worst by policy.
    fn keep_worst(&self, start: usize, said: &mut BatchVerdicts) {
        let mut is_in_order = true;
        for (number, (policy, answer)) in said.of_one.iter().enumerate() {
            let known = &mut said.answers[start..];
            // Backends of one Service are mostly restricted by the same policies.
            let place = if known.get(number).is_some_and(|(other, _)| other == policy) {
                Some(number)
            } else {
                known.iter().position(|(other, _)| other == policy)
            };
            match place {
                Some(place) if answer != &known[place].1 && answer.rank() < known[place].1.rank() => {
                    known[place].1 = *answer;
                }
                Some(_) => {}
                None => {
                    said.answers.push((*policy, *answer));
                    is_in_order = false;
                }
            }
        }
        if !is_in_order {
            said.answers[start..].sort_by_key(|(policy, _)| self.index.order(*policy));
        }
    }

    fn port_row(&self, dst: &ResolvedEnd, protocol: Protocol, port: u16) -> PortRow {
        self.index.port_row(dst.identity(), protocol, port)
    }

    /// The question about one direction, if a pod stands at its end.
    #[inline]
    fn ask(&self, src: &ResolvedEnd, dst: &ResolvedEnd, port: PortRow, direction: Direction) -> Option<FlowQuery<'_>> {
        let (subject, peer) = match direction {
            Direction::Egress => (src, dst),
            Direction::Ingress => (dst, src),
        };
        let identity = subject.identity()?;
        let exemption = self.exempts(subject, peer, direction);
        self.index.ask(identity, direction, peer.seen, port, exemption)
    }

    #[inline]
    fn exempts(&self, subject: &ResolvedEnd, peer: &ResolvedEnd, direction: Direction) -> Option<Exemption> {
        match peer.seen.kind {
            EndKind::Pod(_) => (peer.pod == subject.pod).then_some(Exemption::Itself),
            EndKind::Node => {
                let is_own = peer.node.is_some() && peer.node == subject.node;
                (is_own && self.index.terms().exempts_own_node(direction)).then_some(Exemption::Node)
            }
            EndKind::Outside | EndKind::Unresolved => None,
        }
    }

    #[inline]
    fn say(
        &self,
        src: &ResolvedEnd,
        dst: &ResolvedEnd,
        port: PortRow,
        direction: Direction,
        answers: &mut Vec<(PolicyId, PackedVerdict)>,
    ) {
        if let Some(asked) = self.ask(src, dst, port, direction) {
            asked.append_to(answers);
        }
    }

    fn judge_by_full_lookup(&self, key: &FlowKey, said: &mut BatchVerdicts) {
        said.full_lookups += 1;
        let flow = key.flow();
        let ends = self.cluster.resolve(&flow);
        let backends = self.backends(&ends, flow.protocol, flow.port, flow.start);
        let all = self.said(&ends, &backends, flow.protocol);
        let mut ends = [0; 2];
        for (end, direction) in ends.iter_mut().zip(Direction::BOTH) {
            let start = said.answers.len();
            let of = all.iter().filter(|((its, _), _)| *its == direction);
            said.answers.extend(of.map(|((_, policy), (answer, _))| (*policy, *answer)));
            said.answers[start..].sort_by_key(|(policy, _)| self.index.order(*policy));
            *end = said.answers.len();
        }
        said.ends.push(ends);
    }
}
