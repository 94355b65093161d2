//! A window of distinct flows, resolved once, against one policy at a time: only what the policy selects is touched.

use std::net::IpAddr;

use jiff::Timestamp;

use crate::cluster::ownership::Ends;
use crate::cluster::traffic::TrafficKey;
use crate::engine::index::section::{Rows, Section};
use crate::engine::index::view::View;
use crate::engine::index::{EndKind, Index, PackedVerdict, place};
use crate::engine::pair::{Dialled, Pair};
use crate::engine::verdict::Exemption;
use crate::model::flow::{Direction, Protocol};
use crate::model::policy_id::PolicyId;

/// The window: the flows of each subject lie side by side.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    /// By direction.
    sides: [DirectionFlows; 2],
}

/// The flows of one direction.
#[derive(Clone, Debug, Default)]
struct DirectionFlows {
    seen: Vec<Row>,
    /// The addresses of the other ends, which few policies ask for.
    peers: Vec<IpAddr>,
    /// By identity: where its flows begin; they end where the next one's begin.
    starts: Vec<u32>,
}

/// A flow as its subject sees it.
#[derive(Clone, Copy, Debug)]
struct Row {
    subject: u32,
    /// The identity of the other end, or one of the marks for those that have none.
    peer: u32,
    /// Which flow.
    flow: u32,
    port: u16,
    protocol: Protocol,
    exemption: Option<Exemption>,
}

const NODE: u32 = u32::MAX;
const OUTSIDE: u32 = u32::MAX - 1;
const UNRESOLVED: u32 = u32::MAX - 2;

impl Replay {
    /// Resolves a window; a flow to a Service becomes one to each of its backends that policies can tell apart.
    pub fn of<'k>(view: &View<'_>, keys: impl IntoIterator<Item = &'k TrafficKey>, at: Timestamp) -> Self {
        let mut rows: [Vec<(Row, IpAddr)>; 2] = Default::default();
        for (flow, key) in (0..).zip(keys) {
            let ends = Ends { src: key.src, dst: key.dst };
            let dialled = Dialled::from(&key.dst);
            for backend in view.backends(&ends, key.protocol, key.port, at) {
                let pair = Pair { src: key.src, dst: backend.end, protocol: key.protocol, port: backend.port, dialled };
                add(&mut rows, view, flow, &pair);
            }
        }
        let sides = rows.map(|mut rows| {
            rows.sort_unstable_by_key(|(row, _)| (row.subject, row.peer, row.flow));
            let mut starts = vec![0; view.identities.all().len() + 1];
            for (row, _) in &rows {
                starts[row.subject as usize + 1] += 1;
            }
            let mut sum = 0;
            for start in &mut starts {
                sum += *start;
                *start = sum;
            }
            let (seen, peers) = rows.into_iter().unzip();
            DirectionFlows { seen, peers, starts }
        });
        Self { sides }
    }

    /// Tells what one policy says of each flow of those whom it selects: the flow's number, the direction, the answer.
    pub fn against(&self, index: &Index, policy: PolicyId, mut tell: impl FnMut(u32, Direction, PackedVerdict)) {
        for direction in Direction::BOTH {
            let side = &self.sides[place(direction)];
            let section = index.section(&[policy], place(direction));
            for subject in index.restricted(policy, direction) {
                let subject_number = subject as usize;
                let (Some(start), Some(end)) = (side.starts.get(subject_number), side.starts.get(subject_number + 1))
                else {
                    continue;
                };
                let span = *start as usize..*end as usize;
                let rows = side.seen[span.clone()].iter().zip(&side.peers[span]);
                ask(index, &section, policy, direction, rows, &mut tell);
            }
        }
    }
}

fn add(rows: &mut [Vec<(Row, IpAddr)>; 2], view: &View<'_>, flow: u32, pair: &Pair) {
    for direction in Direction::BOTH {
        let Some(subject) = pair.subject(direction).pod() else { continue };
        let peer = match view.kind(pair.peer(direction)) {
            EndKind::Pod(identity) => identity,
            EndKind::Node => NODE,
            EndKind::Outside => OUTSIDE,
            EndKind::Unresolved => UNRESOLVED,
        };
        let row = Row {
            subject: view.identity(subject),
            peer,
            flow,
            port: pair.port,
            protocol: pair.protocol,
            exemption: view.exemption(subject, pair.peer(direction), direction),
        };
        rows[place(direction)].push((row, pair.peer(direction).ip()));
    }
}

fn ask<'a>(
    index: &Index,
    section: &Section,
    policy: PolicyId,
    direction: Direction,
    rows: impl Iterator<Item = (&'a Row, &'a IpAddr)>,
    tell: &mut impl FnMut(u32, Direction, PackedVerdict),
) {
    let asked = index.part(policy);
    for (row, peer) in rows {
        let kind = match row.peer {
            NODE => EndKind::Node,
            OUTSIDE => EndKind::Outside,
            UNRESOLVED => EndKind::Unresolved,
            identity => EndKind::Pod(identity),
        };
        if let Some(exemption) = row.exemption {
            tell(row.flow, direction, PackedVerdict::exempt(exemption));
            continue;
        }
        let destination = match (direction, kind) {
            (Direction::Ingress, _) => Some(row.subject),
            (Direction::Egress, EndKind::Pod(identity)) => Some(identity),
            (Direction::Egress, _) => None,
        };
        let blocks = if section.names_blocks { index.blocks_of(*peer) } else { 0 };
        let port = index.port_row(destination, row.protocol, row.port);
        let mut answer: Option<PackedVerdict> = None;
        let rows = index.rows(row.subject, kind, blocks, port, asked);
        for chunk in std::iter::once(&section.first).chain(&section.further) {
            let masks = chunk.ask(&rows);
            for policy in &chunk.policies {
                let said = policy.answer(&masks);
                answer = Some(answer.map_or(said, |earlier| earlier.or_later(said)));
            }
        }
        if let Some(answer) = answer {
            let answer = if kind == EndKind::Unresolved { answer.of_unresolved() } else { answer };
            tell(row.flow, direction, answer);
        }
    }
}

/// Which part of a row a policy's sets of its subject's own namespace are in.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OwnPart {
    Cluster,
    Namespace,
}

impl Index {
    /// The rows for a question about one policy.
    fn rows(
        &self,
        subject: u32,
        kind: EndKind,
        blocks: u32,
        port: crate::engine::index::PortRow,
        own: OwnPart,
    ) -> Rows<'_> {
        let mut rows = self.address_rows(kind, blocks, port);
        if let EndKind::Pod(peer) = kind
            && let Some(peer) = self.resident(peer)
        {
            let (pods, of_cluster, of_namespace) = self.parts(peer);
            rows.pods = pods;
            if self.resident(subject).is_some_and(|subject| subject.namespace == peer.namespace) {
                rows.own = if own == OwnPart::Cluster { of_cluster } else { of_namespace };
            }
        }
        rows
    }
}
