//! A query about one flow at one end, and the verdicts of the policies that restrict that end.

use std::net::IpAddr;

use crate::engine::index::packed_verdict::PackedVerdict;
use crate::engine::index::rules::place;
use crate::engine::index::section::{Chunk, Masks, Rows, Section, Segment};
use crate::engine::index::{Index, IndexedIdentity};
use crate::engine::policy_id::PolicyId;
use crate::engine::verdict::Exemption;
use crate::policy::end_kind::EndKind;
use foretell_objects::model::dialect::ByBlock;
use foretell_objects::model::flow::{Direction, Protocol};

/// The other end of a flow as an index matches it: its kind, and the row of blocks that contain its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PeerView {
    /// The kind of end, with its identity if it is a known pod.
    pub kind: EndKind,
    pub(super) blocks: u32,
}

impl PeerView {
    /// Whether a block of some rule contains its address.
    #[must_use]
    pub fn is_in_a_block(&self) -> bool {
        // The first row is that of addresses in no block.
        self.blocks != 0
    }
}

/// The number of the row that states which sets of ports contain a destination's port.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PortRow(u32);

/// A query whose ends are resolved and whose rules are not evaluated yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct FlowQuery<'a> {
    /// Includes the own sets of cluster policies.
    rows: Rows<'a>,
    own_of_namespace: &'a [u64],
    /// The cluster policies' section and the namespace's.
    sections: [&'a Section; 2],
    exemption: Option<Exemption>,
    is_unresolved: bool,
}

/// The verdicts of all policies that restrict a pod on a flow, in the order of the policies.
#[derive(Clone, Debug)]
pub struct PackedVerdicts<'a> {
    query: FlowQuery<'a>,
    /// The number of the next chunk, counted through both sections.
    next: usize,
    policies: std::slice::Iter<'a, Segment>,
    is_continued: bool,
    masks: Masks,
    /// The verdict of the earlier rules of a policy that continues in the next chunk.
    earlier: Option<PackedVerdict>,
}

impl Index {
    /// The other end of a flow, with the row of its address.
    #[must_use]
    pub fn peer_view(&self, kind: EndKind, ip: IpAddr) -> PeerView {
        PeerView { kind, blocks: self.blocks_of(ip) }
    }

    /// The number of the row that states which sets of blocks contain an address.
    #[inline]
    pub(super) fn blocks_of(&self, ip: IpAddr) -> u32 {
        self.blocks.row_of(ip)
    }

    /// Whether an egress rule of an identity names a block.
    pub(super) fn names_blocks(&self, identity: u32) -> bool {
        let sections = self.indexed(identity).map(|it| it.sections[place(Direction::Egress)]);
        sections.into_iter().flatten().any(|section| self.sections[section as usize].names_blocks)
    }

    /// The row of a port. `destination` is the identity of the destination; `None` if it is not a known pod.
    #[inline]
    #[must_use]
    pub fn port_row(&self, destination: Option<u32>, protocol: Protocol, port: u16) -> PortRow {
        PortRow(match destination.and_then(|identity| self.indexed(identity)) {
            Some(indexed) => self.ports.row_of_pod(indexed.ports, protocol, port),
            None => self.ports.row_of(protocol, port),
        })
    }

    #[inline]
    pub(super) fn indexed(&self, identity: u32) -> Option<&IndexedIdentity> {
        self.identities.get(identity as usize)?.as_ref()
    }

    /// The rows that follow from the address and the port alone.
    #[inline]
    pub(super) fn address_rows(&self, peer: EndKind, blocks: u32, port: PortRow) -> Rows<'_> {
        let (blocks, blocks_differ) = if self.resolved_dialect.leaves_blocks_open() {
            (blocks, matches!(peer, EndKind::Pod(_) | EndKind::Node))
        } else {
            self.blocks_in_dialect(peer, blocks)
        };
        Rows { pods: &[], own: &[], blocks: self.blocks.row(blocks), ports: self.ports.row(port.0), blocks_differ }
    }

    /// The row of blocks to test, and whether enforcers differ on an allow by it. Kept out of line: the common dialect, upstream's,
    /// does not need it.
    #[cold]
    #[inline(never)]
    fn blocks_in_dialect(&self, peer: EndKind, blocks: u32) -> (u32, bool) {
        let by_block = self.resolved_dialect.by_block(peer);
        // The first row is that of addresses in no block.
        (if by_block == ByBlock::NotMatched { 0 } else { blocks }, by_block == ByBlock::Unspecified)
    }

    /// The parts of an identity's row: sets of pods, own sets of cluster policies, own sets of its namespace's policies.
    #[inline]
    pub(super) fn parts<'a>(&self, indexed: &'a IndexedIdentity) -> (&'a [u64], &'a [u64], &'a [u64]) {
        let (pods, own) = indexed.row.split_at(self.pod_sets.width.min(indexed.row.len()));
        let (of_cluster, of_namespace) = own.split_at(self.cluster_own_sets.width.min(own.len()));
        (pods, of_cluster, of_namespace)
    }

    /// The query about a flow between `subject` and `peer`; `None` if there is no such identity.
    #[inline]
    pub(super) fn flow_query(
        &self,
        subject: u32,
        direction: Direction,
        peer: PeerView,
        port: PortRow,
        exemption: Option<Exemption>,
    ) -> Option<FlowQuery<'_>> {
        let subject = self.indexed(subject)?;
        let mut rows = self.address_rows(peer.kind, peer.blocks, port);
        let mut own_of_namespace: &[u64] = &[];
        if let EndKind::Pod(peer) = peer.kind
            && let Some(peer) = self.indexed(peer)
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
    /// The verdicts one by one.
    pub(super) fn verdicts(self) -> PackedVerdicts<'a> {
        PackedVerdicts {
            query: self,
            next: 0,
            policies: [].iter(),
            is_continued: false,
            masks: Masks::default(),
            earlier: None,
        }
    }

    /// A chunk, counted through both sections, with the rows to test it against.
    #[inline]
    fn chunk(&self, number: usize) -> Option<(&'a Chunk, Rows<'a>)> {
        let [of_cluster, of_namespace] = self.sections;
        let first = of_cluster.chunks();
        if number < first {
            return Some((of_cluster.chunk(number)?, self.rows));
        }
        Some((of_namespace.chunk(number - first)?, Rows { own: self.own_of_namespace, ..self.rows }))
    }

    /// The final verdict of a policy, after all of its rules are evaluated.
    #[inline]
    fn finish(&self, verdict: PackedVerdict) -> PackedVerdict {
        match self.exemption {
            Some(exemption) => PackedVerdict::exempt(exemption),
            None if self.is_unresolved => verdict.of_unresolved(),
            None => verdict,
        }
    }

    /// Appends the verdicts to a list.
    #[inline]
    pub(super) fn append_to(&self, list: &mut Vec<(PolicyId, PackedVerdict)>) {
        let [of_cluster, of_namespace] = self.sections;
        if !of_cluster.rest.is_empty() || !of_namespace.rest.is_empty() {
            return list.extend(self.verdicts());
        }
        let own = Rows { own: self.own_of_namespace, ..self.rows };
        for (chunk, rows) in [(&of_cluster.first, &self.rows), (&of_namespace.first, &own)] {
            if self.exemption.is_none() && !self.is_unresolved {
                let masks = chunk.masks(rows);
                list.extend(chunk.policies.iter().map(|policy| (policy.policy, policy.verdict(&masks))));
            } else {
                let masks = chunk.masks(rows);
                list.extend(chunk.policies.iter().map(|policy| (policy.policy, self.finish(policy.verdict(&masks)))));
            }
        }
    }
}

impl Iterator for PackedVerdicts<'_> {
    type Item = (PolicyId, PackedVerdict);

    fn next(&mut self) -> Option<Self::Item> {
        loop {
            let Some(policy) = self.policies.next() else {
                let (chunk, rows) = self.query.chunk(self.next)?;
                self.next += 1;
                self.masks = chunk.masks(&rows);
                (self.policies, self.is_continued) = (chunk.policies.iter(), chunk.is_continued);
                continue;
            };
            let mut verdict = policy.verdict(&self.masks);
            if let Some(earlier) = self.earlier.take() {
                verdict = earlier.or_later(verdict);
            }
            if self.is_continued && self.policies.len() == 0 {
                self.earlier = Some(verdict);
                continue;
            }
            return Some((policy.policy, self.query.finish(verdict)));
        }
    }
}
