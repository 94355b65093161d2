//! What is to be said of a denial that an enforcer gives and upstream's text does not.

use super::deviations::Deviation;
use super::{ByBlock, Dialect, Excepts};
use crate::compiled::Policy;
use crate::flow::Direction;
use crate::index::Kind;
use crate::index::view::View;
use crate::verdict::Verdict;
use crate::world::Pair;

/// `; as upstream has it ingress[0] allows it, but for Cilium an ipBlock takes no pod`. Nothing where the text denies it too.
pub(crate) fn on_denial(view: &View<'_>, policy: &Policy, pair: &Pair, direction: Direction) -> Option<String> {
    let dialect = view.dialect();
    let (peer, title) = (pair.peer(direction), dialect.cni.title());
    let is_own_node = |subject| view.is_own_node(subject, peer) && direction == Direction::Egress;
    if dialect.deviations().any(|it| it == Deviation::OwnNodeIsJudged)
        && pair.subject(direction).pod().is_some_and(is_own_node)
    {
        return Some(format!("; for {title} {}", Deviation::OwnNodeIsJudged));
    }
    dialect.deviations().next()?;
    let Some(Verdict::Allow { rule, .. }) = policy.judge(&view.question(pair, direction)) else { return None };
    let field = if direction == Direction::Ingress { "ingress" } else { "egress" };
    let deviation = deviation(dialect, view.kind(peer), direction, policy, rule);
    Some(format!("; as upstream has it {field}[{rule}] allows it, but for {title} {deviation}"))
}

fn deviation(dialect: Dialect, peer: Kind, direction: Direction, policy: &Policy, rule: usize) -> Deviation {
    match peer {
        Kind::Pod(_) if dialect.pods_by_block == ByBlock::Left => Deviation::BlocksLeavePods,
        Kind::Node if dialect.nodes_by_block == ByBlock::Left => Deviation::BlocksLeaveNodes,
        _ if direction == Direction::Egress && policy.names_ports(direction, rule) => {
            Deviation::NamedPortsOfTheNamespace
        }
        _ if dialect.excepts == Excepts::OfTheirRule => Deviation::ExceptsOfTheRule,
        _ => Deviation::NamedPortsOfTheNamespace,
    }
}
