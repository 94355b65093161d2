//! Verdicts on many flows at once, without text and without allocation.

use std::net::IpAddr;

use jiff::Timestamp;

use crate::engine::index::directory::{Directory, Entry, Holder};
use crate::engine::index::flow_query::{FlowQuery, PeerView, PortRow};
use crate::engine::index::packed_verdict::PackedVerdict;
use crate::engine::index::resolved_end::ResolvedEnd;
use crate::engine::index::services::ServiceCall;
use crate::engine::index::view::View;
use crate::engine::policy_id::PolicyId;
use crate::engine::verdict::Exemption;
use crate::policy::end_kind::EndKind;
use foretell_objects::model::flow::{Direction, Endpoint, Flow, Protocol};

/// A flow whose ends are identified by their addresses alone.
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
    /// The key of a flow. `None` if the flow names a pod at one of its ends, or if a time is outside the years 1677 to 2262.
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
        let (src, dst) = (Endpoint::address(self.src), Endpoint::address(self.dst));
        Flow { end: time(self.end), ..Flow::probe(src, dst, self.protocol, self.port, time(self.start)) }
    }
}

/// The verdicts on a batch of flows. Reuse one value for several batches ([`BatchVerdicts::clear`]) to avoid allocation.
#[derive(Clone, Debug, Default)]
pub struct BatchVerdicts {
    answers: Vec<(PolicyId, PackedVerdict)>,
    /// By flow: the ends of its egress verdicts and of its ingress verdicts in `answers`.
    ends: Vec<[usize; 2]>,
    /// Flows that needed [`Cluster::resolve`](crate::cluster::inventory::Cluster::resolve).
    full_lookups: usize,
    /// Buffers: the backends of one Service, and the verdicts on one of them.
    backends: Vec<(ResolvedEnd, u16)>,
    of_one_backend: Vec<(PolicyId, PackedVerdict)>,
}

impl BatchVerdicts {
    /// Removes all verdicts and keeps the buffers.
    pub fn clear(&mut self) {
        self.answers.clear();
        self.ends.clear();
        self.full_lookups = 0;
    }

    /// All verdicts, in the order of flows, directions (egress first) and policies.
    #[must_use]
    pub fn answers(&self) -> &[(PolicyId, PackedVerdict)] {
        &self.answers
    }

    /// The verdicts on one flow in a direction, in the order of policies. If a policy's verdicts on several backends of a Service
    /// differ, the strictest is listed.
    ///
    /// # Panics
    /// If there is no flow of this index in the batch.
    #[must_use]
    pub fn of(&self, flow: usize, direction: Direction) -> &[(PolicyId, PackedVerdict)] {
        let [egress, ingress] = self.ends[flow];
        let before = flow.checked_sub(1).map_or(0, |flow| self.ends[flow][1]);
        match direction {
            Direction::Egress => &self.answers[before..egress],
            Direction::Ingress => &self.answers[egress..ingress],
        }
    }

    /// How many flows could not be judged from the index alone and took the slow path.
    #[must_use]
    pub fn full_lookups(&self) -> usize {
        self.full_lookups
    }
}

/// Flows whose addresses are looked up together, so that their memory accesses overlap.
const TOGETHER: usize = 32;

impl View<'_> {
    /// Judges flows and appends the verdicts.
    pub(crate) fn judge(&self, directory: &Directory, flows: &[FlowKey], verdicts: &mut BatchVerdicts) {
        for flows in flows.chunks(TOGETHER) {
            let mut entries = [[None; 2]; TOGETHER];
            for (entries, flow) in entries.iter_mut().zip(flows) {
                *entries = [directory.get(flow.src), directory.get(flow.dst)];
            }
            for (flow, entries) in flows.iter().zip(entries) {
                self.judge_one(directory, flow, entries, verdicts);
            }
        }
    }

    #[inline]
    fn judge_one(
        &self,
        directory: &Directory,
        flow: &FlowKey,
        [src, dst]: [Option<Entry>; 2],
        verdicts: &mut BatchVerdicts,
    ) {
        let src = self.resolve_end(directory, flow.src, src, flow);
        let Some((src, to)) = src.zip(self.resolve_end(directory, flow.dst, dst, flow)) else {
            if !self.judge_service_call(directory, src, dst, flow, verdicts) {
                self.judge_by_full_lookup(flow, verdicts);
            }
            return;
        };
        let with_node = || [&src, &to].iter().any(|end| end.view.kind == EndKind::Node);
        if self.reads_nodes_apart() && with_node() {
            return self.judge_by_full_lookup(flow, verdicts);
        }
        let port = self.port_row(&to, flow.protocol, flow.port);
        let ends = Direction::BOTH.map(|direction| {
            self.append_verdicts(&src, &to, port, direction, &mut verdicts.answers);
            verdicts.answers.len()
        });
        verdicts.ends.push(ends);
    }

    /// Resolves an end; `None` if the directory alone cannot.
    #[inline]
    fn resolve_end(
        &self,
        directory: &Directory,
        ip: IpAddr,
        entry: Option<Entry>,
        flow: &FlowKey,
    ) -> Option<ResolvedEnd> {
        let Some(entry) = entry else {
            let kind = if self.cluster.in_pod_range(ip) { EndKind::Unresolved } else { EndKind::Outside };
            let view = self.index.peer_view(kind, ip);
            return (!ip.is_loopback()).then_some(ResolvedEnd { view, pod: None, node: None });
        };
        let blocks = self.index.blocks_of(ip);
        match entry.holder() {
            Holder::Pod { pod, identity, node } => {
                let view = PeerView { kind: EndKind::Pod(identity), blocks };
                let is_alive = directory.is_alive(&entry, flow.start, flow.end);
                is_alive.then_some(ResolvedEnd { view, pod: Some(pod), node })
            }
            Holder::Node(node) => {
                Some(ResolvedEnd { view: PeerView { kind: EndKind::Node, blocks }, pod: None, node: Some(node) })
            }
            Holder::Service(_) | Holder::NeedsFullLookup => None,
        }
    }

    /// Judges a connection from a pod to a Service; `false` if the directory alone cannot.
    fn judge_service_call(
        &self,
        directory: &Directory,
        src: Option<ResolvedEnd>,
        dst: Option<Entry>,
        flow: &FlowKey,
        verdicts: &mut BatchVerdicts,
    ) -> bool {
        let (Some(src), Some(Holder::Service(service))) = (src, dst.map(|entry| entry.holder())) else { return false };
        if self.reads_services_apart() {
            return false;
        }
        let (EndKind::Pod(client), Some(service)) = (src.view.kind, directory.service(service)) else { return false };
        let call = ServiceCall {
            client: src.pod,
            distinguishes_blocks: self.index.names_blocks(client),
            dialled: flow.dst,
            protocol: flow.protocol,
            port: flow.port,
            at: flow.start,
        };
        let mut backends = std::mem::take(&mut verdicts.backends);
        backends.clear();
        service.append_backends(&call, self.index, &mut backends);
        let mut ends = [0; 2];
        for (end, direction) in ends.iter_mut().zip(Direction::BOTH) {
            let start = verdicts.answers.len();
            for (number, (dst, port)) in backends.iter().enumerate() {
                let port = self.port_row(dst, flow.protocol, *port);
                if number == 0 {
                    self.append_verdicts(&src, dst, port, direction, &mut verdicts.answers);
                } else {
                    verdicts.of_one_backend.clear();
                    self.append_verdicts(&src, dst, port, direction, &mut verdicts.of_one_backend);
                    self.keep_worst(start, verdicts);
                }
            }
            *end = verdicts.answers.len();
        }
        let has_backends = !backends.is_empty();
        if has_backends {
            verdicts.ends.push(ends);
        }
        verdicts.backends = backends;
        has_backends
    }

    /// Merges the verdicts on another backend into those from `start` on: the strictest counts for each policy.
    fn keep_worst(&self, start: usize, verdicts: &mut BatchVerdicts) {
        let mut is_in_order = true;
        for (number, (policy, answer)) in verdicts.of_one_backend.iter().enumerate() {
            let known = &mut verdicts.answers[start..];
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
                    verdicts.answers.push((*policy, *answer));
                    is_in_order = false;
                }
            }
        }
        if !is_in_order {
            verdicts.answers[start..].sort_by_key(|(policy, _)| self.index.order(*policy));
        }
    }

    fn port_row(&self, dst: &ResolvedEnd, protocol: Protocol, port: u16) -> PortRow {
        self.index.port_row(dst.identity(), protocol, port)
    }

    /// The query about one direction; `None` if the subject is not a known pod.
    #[inline]
    fn flow_query(
        &self,
        src: &ResolvedEnd,
        dst: &ResolvedEnd,
        port: PortRow,
        direction: Direction,
    ) -> Option<FlowQuery<'_>> {
        let (subject, peer) = match direction {
            Direction::Egress => (src, dst),
            Direction::Ingress => (dst, src),
        };
        let identity = subject.identity()?;
        let exemption = self.exempts(subject, peer, direction);
        self.index.flow_query(identity, direction, peer.view, port, exemption)
    }

    #[inline]
    fn exempts(&self, subject: &ResolvedEnd, peer: &ResolvedEnd, direction: Direction) -> Option<Exemption> {
        match peer.view.kind {
            EndKind::Pod(_) => (peer.pod == subject.pod).then_some(Exemption::Itself),
            EndKind::Node => {
                let is_own = peer.node.is_some() && peer.node == subject.node;
                (is_own && self.index.resolved_dialect().exempts_own_node(direction)).then_some(Exemption::Node)
            }
            EndKind::Outside | EndKind::Unresolved => None,
        }
    }

    #[inline]
    fn append_verdicts(
        &self,
        src: &ResolvedEnd,
        dst: &ResolvedEnd,
        port: PortRow,
        direction: Direction,
        verdicts: &mut Vec<(PolicyId, PackedVerdict)>,
    ) {
        if let Some(query) = self.flow_query(src, dst, port, direction) {
            query.append_to(verdicts);
        }
    }

    fn judge_by_full_lookup(&self, key: &FlowKey, verdicts: &mut BatchVerdicts) {
        verdicts.full_lookups += 1;
        let flow = key.flow();
        let ends = self.cluster.resolve(&flow);
        let backends = self.backends(&ends, flow.protocol, flow.port, flow.start);
        let all = self.verdicts_by_policy(&ends, &backends, flow.protocol);
        let mut ends = [0; 2];
        for (end, direction) in ends.iter_mut().zip(Direction::BOTH) {
            let start = verdicts.answers.len();
            let of = all.iter().filter(|((its, _), _)| *its == direction);
            verdicts.answers.extend(of.map(|((_, policy), (answer, _))| (*policy, *answer)));
            verdicts.answers[start..].sort_by_key(|(policy, _)| self.index.order(*policy));
            *end = verdicts.answers.len();
        }
        verdicts.ends.push(ends);
    }
}
