//! The answer of an explanation as a sentence, and its parts.

use crate::cluster::party::Party;
use crate::engine::index::view::View;
use crate::engine::pair::Pair;
use crate::engine::verdict::BY_BLOCK_ALONE;
use crate::explain::explanation::{PairGroup, PolicyOutcome, PolicyStep, Reachability, TierOutcome, TierStep, Walk};
use crate::policy::end_kind::EndKind;
use foretell_objects::model::flow::{Direction, Protocol};
use foretell_objects::model::words::count;

/// `shop/Deployment/checkout`, or an address.
pub(super) fn title(party: &Party) -> String {
    match party {
        Party::Workload { namespace, kind, name } => format!("{namespace}/{kind}/{name}"),
        Party::Address { .. } | Party::Range { .. } => party.to_string(),
    }
}

/// Why no policy selects an end.
pub(super) fn not_selected(view: &View<'_>, pair: &Pair, direction: Direction) -> String {
    let end = pair.subject(direction);
    let name = Party::of(end, view.cluster);
    match view.kind(end) {
        EndKind::Unresolved => {
            format!("it is unknown which pod had {name} at that time, so the policies that restrict it are unknown")
        }
        EndKind::Node => format!("no policy selects {name}: policies do not restrict nodes and hostNetwork pods"),
        EndKind::Outside | EndKind::Pod(_) => format!("no policy selects {name}, which is outside the cluster"),
    }
}

/// The reason for the decision of NetworkPolicies; `None` if they do not decide.
pub(super) fn of_network_policies(
    outcome: TierOutcome,
    policies: &[PolicyStep],
    direction: Direction,
) -> Option<String> {
    let with_outcome = |outcome: PolicyOutcome| policies.iter().filter(move |step| step.outcome == outcome);
    if outcome != TierOutcome::Denies {
        // An allow on which enforcers agree has precedence over one on which they differ.
        let allowing = with_outcome(PolicyOutcome::Allows).min_by_key(|step| step.message.contains(BY_BLOCK_ALONE));
        let exempt = || with_outcome(PolicyOutcome::Exempt).next().map(|step| step.message.clone());
        let Some(step) = allowing else { return exempt() };
        let differs =
            if step.message.contains(BY_BLOCK_ALONE) { format!(" ({BY_BLOCK_ALONE})") } else { String::new() };
        return Some(format!("{} allows it by {}{differs}", step.policy, step.rule.as_deref().unwrap_or_default()));
    }
    let first = with_outcome(PolicyOutcome::Denies).next()?;
    let (others, verb) = match with_outcome(PolicyOutcome::Denies).count() - 1 {
        0 => (String::new(), "denies"),
        others => (format!(" and {}", count(others as u64, "other policy", "other policies")), "deny"),
    };
    Some(format!("{}{others} {verb} {}: {}", first.policy, field(direction), first.message))
}

/// The name of a direction, as in the spec of a policy.
pub(super) fn field(direction: Direction) -> &'static str {
    match direction {
        Direction::Ingress => "ingress",
        Direction::Egress => "egress",
    }
}

/// The reason why a connection is allowed at an end where no tier decides.
pub(super) fn by_default(tiers: &[TierStep], direction: Direction) -> String {
    let traffic = match direction {
        Direction::Egress => "egress of the source",
        Direction::Ingress => "ingress of the destination",
    };
    if tiers.iter().all(|tier| tier.policies.is_empty()) {
        format!("no policy restricts {traffic}")
    } else {
        format!("no policy decides about {traffic}, so it is allowed")
    }
}

/// The query, for the sentence.
pub(super) struct QueryNames<'a> {
    pub(super) from: &'a str,
    pub(super) to: &'a str,
    pub(super) protocol: Protocol,
    pub(super) port: u16,
}

/// Whether an end is a pod that no policy selects.
fn is_unrestricted(walk: &Walk) -> bool {
    !walk.tiers.is_empty() && walk.tiers.iter().all(|tier| tier.policies.is_empty())
}

/// The answer of all cases as a sentence. The worst case comes first.
pub(super) fn headline(named: &QueryNames<'_>, cases: &[PairGroup], is_service: bool) -> String {
    let QueryNames { from, to, protocol, port } = named;
    let Some(worst) = cases.first() else { return String::new() };
    let walks = [&worst.egress, &worst.ingress];
    let because: Vec<&str> = match worst.answer {
        Reachability::Yes if walks.iter().all(|walk| is_unrestricted(walk)) => {
            vec!["no policy restricts it at either end"]
        }
        Reachability::Yes => walks.iter().map(|walk| walk.why.as_str()).collect(),
        Reachability::No | Reachability::Unknown => {
            walks.into_iter().filter(|walk| walk.answer == worst.answer).map(|walk| walk.why.as_str()).collect()
        }
    };
    let because = because.join(", and ");
    let backend = if is_service {
        format!(", which leads to {} on {protocol} {}", worst.server, worst.port)
    } else {
        String::new()
    };
    let answer = match worst.answer {
        Reachability::Yes => format!("Yes: {from} may reach {to} on {protocol} {port}{backend}: {because}"),
        Reachability::No => format!("No: {from} may not reach {to} on {protocol} {port}{backend}: {because}"),
        Reachability::Unknown => {
            format!(
                "Unknown: it cannot be determined whether {from} may reach {to} on {protocol} {port}{backend}: {because}"
            )
        }
    };
    let pairs = |answer: Option<Reachability>| -> u64 {
        cases.iter().filter(|case| answer.is_none_or(|answer| case.answer == answer)).map(|case| case.pairs).sum()
    };
    let (worst, all) = (pairs(Some(worst.answer)), pairs(None));
    if worst == all {
        return format!("{answer}.");
    }
    format!(
        "{answer}. This applies to {worst} of {}; the other pairs are less restricted.",
        count(all, "pair of addresses", "pairs of addresses")
    )
}
