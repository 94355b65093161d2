//! The answer as a sentence, and its parts.

use crate::cluster::party::Party;
use crate::engine::index::EndKind;
use crate::engine::index::view::View;
use crate::engine::pair::Pair;
use crate::engine::verdict::BY_BLOCK_ALONE;
use crate::explain::explanation::{PairGroup, PolicyOutcome, PolicyStep, Reachability, TierOutcome, TierStep, Walk};
use crate::model::flow::{Direction, Protocol};
use crate::model::words::count;

/// `shop/Deployment/checkout`, or an address.
pub(super) fn title(party: &Party) -> String {
    match party {
        Party::Workload { namespace, kind, name } => format!("{namespace}/{kind}/{name}"),
        Party::Address { .. } => party.to_string(),
    }
}

/// Why no policy can select an end.
pub(super) fn selected_by_nobody(view: &View<'_>, pair: &Pair, direction: Direction) -> String {
    let end = pair.subject(direction);
    let name = Party::of(end, view.cluster);
    match view.kind(end) {
        EndKind::Unresolved => {
            format!("no pod is known to have {name} at that time, so what restricts it is not known")
        }
        EndKind::Node => format!("no policy selects {name}: nodes and pods on their network are restricted by none"),
        EndKind::Outside | EndKind::Pod(_) => format!("no policy selects {name}, which is outside the cluster"),
    }
}

/// Why NetworkPolicies decide so; `None`: they do not.
pub(super) fn of_network_policies(
    outcome: TierOutcome,
    policies: &[PolicyStep],
    direction: Direction,
) -> Option<String> {
    let saying = |outcome: PolicyOutcome| policies.iter().filter(move |step| step.outcome == outcome);
    if outcome != TierOutcome::Denies {
        // Where enforcers differ on one allow, another may be sure.
        let allowing = saying(PolicyOutcome::Allows).min_by_key(|step| step.message.contains(BY_BLOCK_ALONE));
        let exempt = || saying(PolicyOutcome::Exempt).next().map(|step| step.message.clone());
        let Some(step) = allowing else { return exempt() };
        let differs =
            if step.message.contains(BY_BLOCK_ALONE) { format!(" ({BY_BLOCK_ALONE})") } else { String::new() };
        return Some(format!("{} allows it by {}{differs}", step.policy, step.rule.as_deref().unwrap_or_default()));
    }
    let first = saying(PolicyOutcome::Denies).next()?;
    let way = match direction {
        Direction::Ingress => "in",
        Direction::Egress => "out",
    };
    let (others, verb) = match saying(PolicyOutcome::Denies).count() - 1 {
        0 => (String::new(), "does"),
        others => (format!(" and {}", count(others as u64, "other policy", "other policies")), "do"),
    };
    Some(format!("{}{others} {verb} not let it {way}: {}", first.policy, first.message))
}

/// Why it passes where no tier decides.
pub(super) fn by_default(tiers: &[TierStep], direction: Direction) -> String {
    let what = match direction {
        Direction::Egress => "leaves it",
        Direction::Ingress => "arrives there",
    };
    if tiers.iter().all(|tier| tier.policies.is_empty()) {
        format!("no policy restricts what {what}")
    } else {
        format!("no policy decides about what {what}, so it passes")
    }
}

/// What was asked, for the sentence.
pub(super) struct QueryNames<'a> {
    pub(super) from: &'a str,
    pub(super) to: &'a str,
    pub(super) protocol: Protocol,
    pub(super) port: u16,
}

/// Whether an end can be restricted, and is not.
fn is_silent(walk: &Walk) -> bool {
    !walk.tiers.is_empty() && walk.tiers.iter().all(|tier| tier.policies.is_empty())
}

/// The answer of all cases, the worst of which comes first.
pub(super) fn headline(named: &QueryNames<'_>, cases: &[PairGroup], dials_service: bool) -> String {
    let QueryNames { from, to, protocol, port } = named;
    let Some(worst) = cases.first() else { return String::new() };
    let walks = [&worst.egress, &worst.ingress];
    let because: Vec<&str> = match worst.answer {
        Reachability::Yes if walks.iter().all(|walk| is_silent(walk)) => vec!["no policy restricts it at either end"],
        Reachability::Yes => walks.iter().map(|walk| walk.why.as_str()).collect(),
        Reachability::No | Reachability::Unknown => {
            walks.into_iter().filter(|walk| walk.answer == worst.answer).map(|walk| walk.why.as_str()).collect()
        }
    };
    let because = because.join(", and ");
    let answers = if dials_service {
        format!(", which leads to {} on {protocol} {}", worst.server, worst.port)
    } else {
        String::new()
    };
    let said = match worst.answer {
        Reachability::Yes => format!("Yes: {from} may reach {to} on {protocol} {port}{answers}: {because}"),
        Reachability::No => format!("No: {from} may not reach {to} on {protocol} {port}{answers}: {because}"),
        Reachability::Unknown => {
            format!("It cannot be told whether {from} may reach {to} on {protocol} {port}{answers}: {because}")
        }
    };
    let pairs = |answer: Option<Reachability>| -> u64 {
        cases.iter().filter(|case| answer.is_none_or(|answer| case.answer == answer)).map(|case| case.pairs).sum()
    };
    let (worst, all) = (pairs(Some(worst.answer)), pairs(None));
    if worst == all {
        return format!("{said}.");
    }
    format!(
        "{said}. This is so for {worst} of {}; the others fare better.",
        count(all, "pair of addresses", "pairs of addresses")
    )
}
