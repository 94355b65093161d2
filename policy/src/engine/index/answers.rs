//! A question and its answers.

use std::net::IpAddr;

use crate::engine::index::answer::PackedVerdict;
use crate::engine::index::section::{Chunk, Masks, Rows, Section, Segment};
use crate::engine::index::{Index, IndexedIdentity, place};
use crate::engine::verdict::Exemption;
use crate::model::dialect::ByBlock;
use crate::model::flow::{Direction, Protocol};
use crate::model::policy_id::PolicyId;
use crate::policy::end_kind::EndKind;

/// The other end of a flow as an index sees it: what it is, and the number of the row of its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerView {
    /// What it is.
    pub kind: EndKind,
    pub(super) blocks: u32,
}

impl PeerView {
    /// Whether a block of some rule holds its address.
    #[must_use]
    pub fn is_in_a_block(&self) -> bool {
        // The first row is that of addresses in no block.
        self.blocks != 0
    }
}

/// The number of the row of a destination's port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRow(u32);

/// A question: whom it is about is looked up, what the policies say is not.
#[derive(Clone, Copy, Debug)]
pub(super) struct FlowQuery<'a> {
    /// With the own sets of cluster policies.
    rows: Rows<'a>,
    own_of_namespace: &'a [u64],
    /// The cluster policies' section and the namespace's.
    sections: [&'a Section; 2],
    exemption: Option<Exemption>,
    is_unresolved: bool,
}

/// What each policy that restricts a pod says of a flow, in the order of the policies.
#[derive(Clone, Debug)]
pub struct PackedVerdicts<'a> {
    asked: FlowQuery<'a>,
    /// The next chunk, counted through both sections.
    next: usize,
    policies: std::slice::Iter<'a, Segment>,
    goes_on: bool,
    masks: Masks,
    /// What the earlier rules of a policy said that goes on from chunk to chunk.
    so_far: Option<PackedVerdict>,
}

impl Index {
    /// The other end of a flow.
    #[must_use]
    pub fn seen(&self, kind: EndKind, ip: IpAddr) -> PeerView {
        PeerView { kind, blocks: self.blocks_of(ip) }
    }

    /// The number of the row of an address's blocks.
    #[inline]
    pub(super) fn blocks_of(&self, ip: IpAddr) -> u32 {
        self.blocks.row_of(ip)
    }

    /// Whether a rule on what leaves an identity tells addresses apart.
    pub(super) fn names_blocks(&self, identity: u32) -> bool {
        let sections = self.resident(identity).map(|it| it.sections[place(Direction::Egress)]);
        sections.into_iter().flatten().any(|section| self.sections[section as usize].names_blocks)
    }

    /// The port of a destination, which may be a pod.
    #[inline]
    #[must_use]
    pub fn port_row(&self, destination: Option<u32>, protocol: Protocol, port: u16) -> PortRow {
        PortRow(match destination.and_then(|identity| self.resident(identity)) {
            Some(resident) => self.ports.row_of_pod(resident.ports, protocol, port),
            None => self.ports.row_of(protocol, port),
        })
    }

    #[inline]
    pub(super) fn resident(&self, identity: u32) -> Option<&IndexedIdentity> {
        self.identities.get(identity as usize)?.as_ref()
    }

    /// What is known of a question from the address and the port alone.
    #[inline]
    pub(super) fn address_rows(&self, peer: EndKind, blocks: u32, port: PortRow) -> Rows<'_> {
        let (blocks, blocks_differ) = if self.terms.leaves_blocks_open() {
            (blocks, matches!(peer, EndKind::Pod(_) | EndKind::Node))
        } else {
            self.blocks_in_dialect(peer, blocks)
        };
        Rows { pods: &[], own: &[], blocks: self.blocks.row(blocks), ports: self.ports.row(port.0), blocks_differ }
    }

    /// Which row of blocks is asked, and whether an allow by it is one that enforcers differ on. Out of the way of those who ask as
    /// upstream has it.
    #[cold]
    #[inline(never)]
    fn blocks_in_dialect(&self, peer: EndKind, blocks: u32) -> (u32, bool) {
        let by_block = self.terms.by_block(peer);
        // The first row is that of addresses in no block.
        (if by_block == ByBlock::NotMatched { 0 } else { blocks }, by_block == ByBlock::Unsaid)
    }

    /// The parts of an identity's row: sets of pods, own sets of cluster policies, own sets of its namespace's policies.
    #[inline]
    pub(super) fn parts<'a>(&self, resident: &'a IndexedIdentity) -> (&'a [u64], &'a [u64], &'a [u64]) {
        let (pods, own) = resident.row.split_at(self.pod_sets.width.min(resident.row.len()));
        let (of_cluster, of_namespace) = own.split_at(self.cluster_own_sets.width.min(own.len()));
        (pods, of_cluster, of_namespace)
    }

    /// The question what each policy says that restricts `subject`, of a flow from or to `peer`.
    #[inline]
    pub(super) fn ask(
        &self,
        subject: u32,
        direction: Direction,
        peer: PeerView,
        port: PortRow,
        exemption: Option<Exemption>,
    ) -> Option<FlowQuery<'_>> {
        let subject = self.resident(subject)?;
        let mut rows = self.address_rows(peer.kind, peer.blocks, port);
        let mut own_of_namespace: &[u64] = &[];
        if let EndKind::Pod(peer) = peer.kind
            && let Some(peer) = self.resident(peer)
        {
            let (pods, of_cluster, of_namespace) = self.parts(peer);
            rows.pods = pods;
            if subject.namespace == peer.namespace {
                (rows.own, own_of_namespace) = (of_cluster, of_namespace);
            }
        }
        Some(FlowQuery {
            rows,
            own_of_namespace,
            sections: subject.sections[place(direction)].map(|section| &self.sections[section as usize]),
            exemption,
            is_unresolved: peer.kind == EndKind::Unresolved,
        })
    }
}

impl<'a> FlowQuery<'a> {
    /// The answers one by one.
    pub(super) fn answers(self) -> PackedVerdicts<'a> {
        PackedVerdicts {
            asked: self,
            next: 0,
            policies: [].iter(),
            goes_on: false,
            masks: Masks::default(),
            so_far: None,
        }
    }

    /// A chunk, counted through both sections, with the rows that it is asked with.
    #[inline]
    fn chunk(&self, number: usize) -> Option<(&'a Chunk, Rows<'a>)> {
        let [of_cluster, of_namespace] = self.sections;
        let first = of_cluster.chunks();
        if number < first {
            return Some((of_cluster.chunk(number)?, self.rows));
        }
        Some((of_namespace.chunk(number - first)?, Rows { own: self.own_of_namespace, ..self.rows }))
    }

    /// A policy's answer, once all of its rules were asked.
    #[inline]
    fn finish(&self, answer: PackedVerdict) -> PackedVerdict {
        match self.exemption {
            Some(exemption) => PackedVerdict::exempt(exemption),
            None if self.is_unresolved => answer.of_unresolved(),
            None => answer,
        }
    }

    /// Appends the answers to a list.
    #[inline]
    pub(super) fn append_to(&self, list: &mut Vec<(PolicyId, PackedVerdict)>) {
        let [of_cluster, of_namespace] = self.sections;
        if !of_cluster.further.is_empty() || !of_namespace.further.is_empty() {
            return list.extend(self.answers());
        }
        let own = Rows { own: self.own_of_namespace, ..self.rows };
        for (chunk, rows) in [(&of_cluster.first, &self.rows), (&of_namespace.first, &own)] {
            if self.exemption.is_none() && !self.is_unresolved {
                let masks = chunk.ask(rows);
                list.extend(chunk.policies.iter().map(|policy| (policy.policy, policy.answer(&masks))));
            } else {
                let masks = chunk.ask(rows);
                list.extend(chunk.policies.iter().map(|policy| (policy.policy, self.finish(policy.answer(&masks)))));
            }
        }
    }
}

impl Iterator for PackedVerdicts<'_> {
    type Item = (PolicyId, PackedVerdict);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some(policy) = self.policies.next() else {
                let (chunk, rows) = self.asked.chunk(self.next)?;
                self.next += 1;
                self.masks = chunk.ask(&rows);
                (self.policies, self.goes_on) = (chunk.policies.iter(), chunk.goes_on);
                continue;
            };
            let mut answer = policy.answer(&self.masks);
            if let Some(earlier) = self.so_far.take() {
                answer = earlier.or_later(answer);
            }
            if self.goes_on && self.policies.len() == 0 {
                self.so_far = Some(answer);
                continue;
            }
            return Some((policy.policy, self.asked.finish(answer)));
        }
    }
}
