//! A window of distinct flows, resolved once and judged by one policy at a time. Only the flows of pods that the policy selects
//! are visited.

use std::net::IpAddr;

use jiff::Timestamp;

use crate::cluster::ownership::Ends;
use crate::cluster::traffic::TrafficKey;
use crate::engine::backends::Backend;
use crate::engine::index::Index;
use crate::engine::index::flow_query::PortRow;
use crate::engine::index::packed_verdict::PackedVerdict;
use crate::engine::index::rules::place;
use crate::engine::index::section::{Rows, Section};
use crate::engine::index::view::View;
use crate::engine::pair::Pair;
use crate::engine::policy_id::PolicyId;
use crate::engine::verdict::Exemption;
use crate::policy::end_kind::EndKind;
use foretell_objects::model::flow::{Direction, Protocol};

/// The resolved flows of a window, grouped by subject.
#[derive(Clone, Debug, Default)]
pub struct Replay {
    /// By direction.
    sides: [DirectionFlows; 2],
    /// The flows that the enforcer sees otherwise than the index, with their numbers.
    apart: Vec<(u32, Direction, Pair)>,
}

/// The flows of one direction.
#[derive(Clone, Debug, Default)]
struct DirectionFlows {
    rows: Vec<Row>,
    /// The addresses of the other ends, which few policies need.
    peers: Vec<IpAddr>,
    /// By identity: the place of its first flow in `rows`; its flows end where those of the next identity begin.
    starts: Vec<u32>,
}

/// A flow from the point of view of its subject.
#[derive(Clone, Copy, Debug)]
struct Row {
    subject: u32,
    /// The identity of the other end, or one of the constants below if it has none.
    peer: u32,
    /// The number of the flow in the window.
    flow: u32,
    port: u16,
    protocol: Protocol,
    exemption: Option<Exemption>,
}

const NODE: u32 = u32::MAX;
const OUTSIDE: u32 = u32::MAX - 1;
const UNRESOLVED: u32 = u32::MAX - 2;

impl Replay {
    /// Resolves a window. A flow to a Service becomes one flow to each of its backends that policies can distinguish. Backends are
    /// the pods that are ready at `at`.
    pub fn of<'k>(view: &View<'_>, keys: impl IntoIterator<Item = &'k TrafficKey>, at: Timestamp) -> Self {
        let mut rows: [Vec<(Row, IpAddr)>; 2] = Default::default();
        let mut apart = Vec::new();
        for (flow, key) in (0..).zip(keys) {
            let ends = Ends { src: key.src, dst: key.dst };
            for Backend { end, port, dialled } in view.backends(&ends, key.protocol, key.port, at) {
                let pair = Pair { src: key.src, dst: end, protocol: key.protocol, port, dialled };
                for direction in Direction::BOTH {
                    if view.by_enforcer(&pair, direction).is_some() {
                        apart.push((flow, direction, pair));
                    } else {
                        add(&mut rows, view, flow, direction, &pair);
                    }
                }
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
            let (rows, peers) = rows.into_iter().unzip();
            DirectionFlows { rows, peers, starts }
        });
        Self { sides, apart }
    }

    /// Judges the flows of all pods that a policy selects. Calls `on_verdict` with the number of the flow in the window, the
    /// direction and the verdict, once for each backend.
    pub fn against(
        &self,
        view: &View<'_>,
        policy: PolicyId,
        mut on_verdict: impl FnMut(u32, Direction, PackedVerdict),
    ) {
        for (flow, direction, pair) in &self.apart {
            let of_policy = view.answers(pair, *direction).filter(|(id, _)| *id == policy);
            of_policy.for_each(|(_, verdict)| on_verdict(*flow, *direction, verdict));
        }
        let index = view.index;
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
                let rows = side.rows[span.clone()].iter().zip(&side.peers[span]);
                judge_rows(index, &section, policy, direction, rows, &mut on_verdict);
            }
        }
    }
}

fn add(rows: &mut [Vec<(Row, IpAddr)>; 2], view: &View<'_>, flow: u32, direction: Direction, pair: &Pair) {
    let pair = &view.placed(pair);
    let Some(subject) = pair.subject_pod(direction) else { return };
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

fn judge_rows<'a>(
    index: &Index,
    section: &Section,
    policy: PolicyId,
    direction: Direction,
    rows: impl Iterator<Item = (&'a Row, &'a IpAddr)>,
    on_verdict: &mut impl FnMut(u32, Direction, PackedVerdict),
) {
    let own_part = index.part(policy);
    for (row, peer) in rows {
        let kind = match row.peer {
            NODE => EndKind::Node,
            OUTSIDE => EndKind::Outside,
            UNRESOLVED => EndKind::Unresolved,
            identity => EndKind::Pod(identity),
        };
        if let Some(exemption) = row.exemption {
            on_verdict(row.flow, direction, PackedVerdict::exempt(exemption));
            continue;
        }
        let destination = match (direction, kind) {
            (Direction::Ingress, _) => Some(row.subject),
            (Direction::Egress, EndKind::Pod(identity)) => Some(identity),
            (Direction::Egress, _) => None,
        };
        let blocks = if section.names_blocks { index.blocks_of(*peer) } else { 0 };
        let port = index.port_row(destination, row.protocol, row.port);
        let mut verdict: Option<PackedVerdict> = None;
        let rows = index.rows(row.subject, kind, blocks, port, own_part);
        for chunk in std::iter::once(&section.first).chain(&section.rest) {
            let masks = chunk.masks(&rows);
            for policy in &chunk.policies {
                let later = policy.verdict(&masks);
                verdict = Some(verdict.map_or(later, |earlier| earlier.or_later(later)));
            }
        }
        if let Some(verdict) = verdict {
            let verdict = if kind == EndKind::Unresolved { verdict.of_unresolved() } else { verdict };
            on_verdict(row.flow, direction, verdict);
        }
    }
}

/// The part of a row that holds the own sets of a policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum OwnPart {
    Cluster,
    Namespace,
}

impl Index {
    /// The rows against which the rules of one policy are tested.
    fn rows(&self, subject: u32, kind: EndKind, blocks: u32, port: PortRow, own: OwnPart) -> Rows<'_> {
        let mut rows = self.address_rows(kind, blocks, port);
        if let EndKind::Pod(peer) = kind
            && let Some(peer) = self.indexed(peer)
        {
            let (pods, of_cluster, of_namespace) = self.parts(peer);
            rows.pods = pods;
            if self.indexed(subject).is_some_and(|subject| subject.namespace == peer.namespace) {
                rows.own = if own == OwnPart::Cluster { of_cluster } else { of_namespace };
            }
        }
        rows
    }
}
