//! The note on a denial that an enforcer gives and upstream's text does not.

use crate::engine::index::view::View;
use crate::engine::pair::{Dialled, Pair};
use crate::policy::end_kind::EndKind;
use crate::policy::network_policy::Policy;
use foretell_objects::model::dialect::deviations::Deviation;
use foretell_objects::model::dialect::{ByBlock, Dialect, Excepts, HostNetwork, ServicesSeen};
use foretell_objects::model::flow::Direction;
use foretell_objects::model::words::rule_name;

/// The note, to append to the message of a denial. `None` if upstream's text denies the flow as well.
pub(crate) fn on_denial(view: &View<'_>, policy: &Policy, pair: &Pair, direction: Direction) -> Option<String> {
    let dialect = view.dialect();
    let (peer, title) = (pair.peer(direction), dialect.cni.title());
    dialect.deviations().next()?;
    let by_dialling = match (direction, pair.dialled) {
        (Direction::Egress, Dialled::OwnNodePort { .. }) => Some(Deviation::OwnNodePortsAsBackends),
        (Direction::Egress, Dialled::Service { .. }) if dialect.services == ServicesSeen::ByAddress => {
            Some(Deviation::ServicesByAddress)
        }
        _ if dialect.host_network == HostNetwork::OfItsNamespace && view.kind(peer) == EndKind::Node => {
            Some(Deviation::HostNetworkNamespace)
        }
        _ => None,
    };
    if let Some(deviation) = by_dialling {
        return Some(format!("; for {title} {deviation}"));
    }
    let is_own_node = |subject| view.is_own_node(subject, peer) && direction == Direction::Egress;
    let is_judged = dialect.deviations().any(|it| it == Deviation::OwnNodeIsJudged)
        && pair.subject(direction).pod().is_some_and(is_own_node);
    let matching = policy.matching_rule(&view.question(pair, direction));
    let by_text = matching.map(|rule| (rule, deviation(dialect, view.kind(peer), direction, policy, rule)));
    let judged = Deviation::OwnNodeIsJudged;
    match (is_judged, by_text) {
        (false, None) => None,
        (true, None) => Some(format!("; for {title} {judged}")),
        (true, Some((_, deviation))) => Some(format!("; for {title} {judged}, and {deviation}")),
        (false, Some((rule, deviation))) => {
            let rule = rule_name(direction, rule);
            Some(format!("; by the Kubernetes specification {rule} allows it, but for {title} {deviation}"))
        }
    }
}

fn deviation(dialect: Dialect, peer: EndKind, direction: Direction, policy: &Policy, rule: usize) -> Deviation {
    match peer {
        EndKind::Pod(_) | EndKind::Unresolved if dialect.pods_by_block == ByBlock::NotMatched => {
            Deviation::BlocksLeavePods
        }
        EndKind::Node if dialect.nodes_by_block == ByBlock::NotMatched => Deviation::BlocksLeaveNodes,
        _ if direction == Direction::Egress && policy.names_ports(direction, rule) => {
            Deviation::NamedPortsOfTheNamespace
        }
        _ if dialect.excepts == Excepts::OfTheirRule => Deviation::ExceptsOfTheRule,
        _ => Deviation::NamedPortsOfTheNamespace,
    }
}
