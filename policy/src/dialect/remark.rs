//! What is to be said of a denial that an enforcer gives and upstream's text does not.

use super::deviations::Deviation;
use super::{ByBlock, Dialect, Excepts};
use crate::compiled::Policy;
use crate::flow::Direction;
use crate::index::Kind;
use crate::index::view::View;
use crate::miss::rule_name;
use crate::world::Pair;

/// `; as upstream has it ingress[0] allows it, but for Cilium an ipBlock takes no pod`. Nothing where the text denies it too.
pub(crate) fn on_denial(view: &View<'_>, policy: &Policy, pair: &Pair, direction: Direction) -> Option<String> {
    let dialect = view.dialect();
    let (peer, title) = (pair.peer(direction), dialect.cni.title());
    dialect.deviations().next()?;
    let is_own_node = |subject| view.is_own_node(subject, peer) && direction == Direction::Egress;
    let is_judged = dialect.deviations().any(|it| it == Deviation::OwnNodeIsJudged)
        && pair.subject(direction).pod().is_some_and(is_own_node);
    let taking = policy.rule_that_takes(&view.question(pair, direction));
    let text = taking.map(|rule| (rule, deviation(dialect, view.kind(peer), direction, policy, rule)));
    let judged = Deviation::OwnNodeIsJudged;
    match (is_judged, text) {
        (false, None) => None,
        (true, None) => Some(format!("; for {title} {judged}")),
        (true, Some((_, deviation))) => Some(format!("; for {title} {judged}, and {deviation}")),
        (false, Some((rule, deviation))) => {
            let rule = rule_name(direction, rule);
            Some(format!("; as upstream has it {rule} allows it, but for {title} {deviation}"))
        }
    }
}

fn deviation(dialect: Dialect, peer: Kind, direction: Direction, policy: &Policy, rule: usize) -> Deviation {
    match peer {
        Kind::Pod(_) | Kind::Unresolved if dialect.pods_by_block == ByBlock::Left => Deviation::BlocksLeavePods,
        Kind::Node if dialect.nodes_by_block == ByBlock::Left => Deviation::BlocksLeaveNodes,
        _ if direction == Direction::Egress && policy.names_ports(direction, rule) => {
            Deviation::NamedPortsOfTheNamespace
        }
        _ if dialect.excepts == Excepts::OfTheirRule => Deviation::ExceptsOfTheRule,
        _ => Deviation::NamedPortsOfTheNamespace,
    }
}
