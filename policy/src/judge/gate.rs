//! Decides whether a change may merge. The decision is never "may merge" if it could not be made.

use std::collections::BTreeSet;

use jiff::SignedDuration;

use crate::cluster::party::from_to;
use crate::report::connection::{Denial, State};
use crate::report::data::{Decision, DriftReport, Evidence, NodeEvidence, Report};
use crate::report::policies::PolicyReport;
use crate::report::undecided::UndecidedPart;
use foretell_objects::model::words::{count, minute, span};

/// Decides, and writes decision, headline, next step and reasons into the report.
///
/// Undecided has precedence over blocked, and blocked over pending. `enforced` says whether the change touches enforced policies,
/// or workloads, Namespaces or Services that they look at; only that can block.
pub fn decide(report: &mut Report, enforced: bool) {
    if enforced {
        note_unwatched_nodes(report);
    }
    let all_outside = all_outside_window(report);
    // Without flows and without a watched node nothing is known of the window.
    let unwatched = report.evidence.nodes.iter().all(|node| node.until.is_none());
    let outside_decides = all_outside.is_some() && enforced && unwatched && report.evidence.subjects > 0;
    if let Some(what) = all_outside.clone().filter(|_| outside_decides) {
        let part = UndecidedPart { places: vec!["flows".to_owned()], what, fix: COVER_THE_FLOWS.to_owned() };
        report.undecided.insert(0, part);
    }
    let unresolved = report.unresolved().count() as u64;
    let too_short = if enforced { short_of_minimum(report) } else { Vec::new() };
    let decision = if !report.undecided.is_empty() {
        Decision::Undecided
    } else if unresolved > 0 {
        Decision::Blocked
    } else if !too_short.is_empty() {
        Decision::Pending
    } else {
        Decision::MayMerge
    };
    let connections = connections(report.unresolved());
    let in_use = count(connections, "connection in use", "connections in use");
    let mut reasons = Vec::new();
    if let Some(what) = all_outside.as_ref().filter(|_| !outside_decides) {
        reasons.push(format!("Flows: {what}. How to fix: {COVER_THE_FLOWS}."));
    }
    if !report.evidence.known && enforced && all_outside.is_none() {
        reasons.push(
            "Evidence is unknown: there is no report of an agent, and no flow names the node that recorded it."
                .to_owned(),
        );
    }
    reasons.extend(report.undecided.iter().map(|part| {
        let stop = if part.what.ends_with('?') { "" } else { "." };
        format!("{}: {}{stop} How to fix: {}.", part.places.join(", "), part.what, part.fix)
    }));
    reasons.extend(report.drift.iter().map(drift));
    // The headline of a blocked change says it.
    if unresolved > 0 && decision != Decision::Blocked {
        let (is, it) = if connections == 1 { ("is", "it") } else { ("are", "them") };
        reasons.push(format!("{in_use} {is} newly denied, and no exception accepts {it}."));
    }
    reasons.extend(too_short);
    report.headline = match decision {
        Decision::Undecided => {
            "Could not decide: something that the answer depends on is missing, unreadable or not evaluated".to_owned()
        }
        Decision::Blocked => format!("Blocked: {in_use} would be denied"),
        Decision::Pending => "Pending: traffic has not been watched for long enough".to_owned(),
        Decision::MayMerge => may_merge(report, enforced),
    };
    report.next_step = match decision {
        Decision::Undecided => "Fix each of the following, then run the check again.".to_owned(),
        Decision::Blocked => after_blocked(report),
        Decision::Pending => after_pending(report),
        Decision::MayMerge if all_outside.is_some() => {
            "Before you merge, set --at or --window so that the window covers the recorded flows, and run the check again."
                .to_owned()
        }
        Decision::MayMerge => after_may_merge(report, enforced),
    };
    report.decision = decision;
    report.exit_status = decision.exit_status();
    report.reasons = reasons;
}

const COVER_THE_FLOWS: &str = "set --at or --window so that the window covers them";

/// That no flow lies in the window although some were read; `None` if it is not so, or if the change has nothing to judge.
fn all_outside_window(report: &Report) -> Option<String> {
    let Evidence { flows, flows_outside_window, from, to, .. } = report.evidence;
    let has_something = !report.policies.is_empty() || !report.previews.is_empty() || !report.identities.is_empty();
    if flows > 0 || flows_outside_window == 0 || !has_something {
        return None;
    }
    let records = match flows_outside_window {
        1 => "the only flow record lies".to_owned(),
        more => format!("all {} lie", count(more, "flow record", "flow records")),
    };
    let span = report.evidence.outside_window;
    let span = span.map_or(String::new(), |it| format!(": {} to {}", minute(it.from), minute(it.to)));
    Some(format!("{records} outside the window from {} to {}{span}", minute(from), minute(to)))
}

/// That Git and the cluster disagree about a policy, as a sentence.
fn drift(drift: &DriftReport) -> String {
    let DriftReport { policy, place, in_snapshot, connections } = drift;
    let connections = match connections {
        1 => "1 connection that it would deny is in use".to_owned(),
        more => format!("{} that it would deny are in use", count(*more, "connection", "connections")),
    };
    let (difference, counts) = if *in_snapshot {
        ("differs from the policy of this name in the snapshot", "as it is in the snapshot")
    } else {
        ("is in the base and not in the snapshot", "as not applied")
    };
    format!(
        "{place}: {policy} {difference}, and {connections}: it counts {counts}. How to fix: apply it, or leave it out of the check \
         (--path); if it is applied by now, use a newer snapshot and newer flows."
    )
}

/// How many connections these are. One that is denied at both ends counts once.
fn connections<'r>(denials: impl Iterator<Item = &'r Denial>) -> u64 {
    let ends = denials.map(|it| (from_to(it.direction, &it.subject, &it.peer), it.protocol, it.port));
    ends.collect::<BTreeSet<_>>().len() as u64
}

/// The headline of a change that touches nothing that the engine reads.
pub const NOTHING_RELEVANT: &str = "May merge: no policy changed, and no object that policies refer to";

/// The headline of a change that touches nothing that the engine reads, and something else that the report names: a policy that is not
/// enforced, or a file that was not evaluated.
pub const NOTHING_ENFORCED: &str = "May merge: no enforced policy changed, and no object that policies refer to";

fn may_merge(report: &Report, enforced: bool) -> String {
    let accepted = connections(report.denials.iter().filter(|denial| denial.state == State::Accepted));
    match (enforced, report.previews.is_empty()) {
        (false, true) if report.not_judged.is_empty() => NOTHING_RELEVANT.to_owned(),
        (false, true) => NOTHING_ENFORCED.to_owned(),
        (false, false) => "May merge: the change enforces nothing".to_owned(),
        (true, _) if accepted > 0 => {
            let connections = count(accepted, "connection in use", "connections in use");
            let it = if accepted == 1 { "it" } else { "them" };
            format!("May merge: {connections} would be denied, and exceptions accept {it}")
        }
        (true, _) => "May merge: no connection in use would be denied".to_owned(),
    }
}

fn after_may_merge(report: &Report, enforced: bool) -> String {
    let previewed = connections(report.previews.iter().flat_map(PolicyReport::unresolved));
    if enforced && !report.evidence.known {
        "Before you merge, make sure that the flows were recorded on every node concerned.".to_owned()
    } else if report.exceptions.iter().any(|exception| exception.in_change && !exception.accepts.is_empty()) {
        "Review the exceptions that this pull request adds.".to_owned()
    } else if previewed > 0 {
        let connections = count(previewed, "connection in use", "connections in use");
        format!("No action is needed now. Enforcing the audit policies would deny {connections}: see the previews.")
    } else if !report.evidence.known && !report.previews.is_empty() {
        "No action is needed now. Before you enforce the audit policies, make sure that flows are recorded on every node concerned."
            .to_owned()
    } else {
        "No action is needed.".to_owned()
    }
}

fn after_blocked(report: &Report) -> String {
    let unresolved: BTreeSet<_> = report.unresolved().map(|denial| &denial.id).collect();
    let fixes = &report.fixes;
    let resolved = fixes.iter().flat_map(|fix| &fix.resolves).filter(|id| unresolved.contains(id));
    let resolved = resolved.collect::<BTreeSet<_>>().len();
    let denials = if unresolved.len() == 1 { "denial" } else { "denials" };
    let below = if fixes.len() == 1 { "fix" } else { "fixes" };
    if resolved == unresolved.len() {
        format!("Apply the {below} below, or accept the {denials} with an AuditException.")
    } else if resolved > 0 {
        let of = unresolved.len();
        format!(
            "The {below} below would resolve {resolved} of {of} {denials}. Resolve the rest with another change, or accept it with an \
             AuditException."
        )
    } else {
        let connections = if connections(report.unresolved()) == 1 { "connection stays" } else { "connections stay" };
        format!(
            "Change the pull request so that the {connections} allowed, or accept the {denials} with an AuditException."
        )
    }
}

fn after_pending(report: &Report) -> String {
    let minimum = span(SignedDuration::from_secs(report.evidence.minimum_seconds.unwrap_or_default()));
    if report.evidence.known {
        format!("Run the check again when the nodes have been watched for {minimum}.")
    } else {
        "Use flows with the reports of the agents that recorded them, or do not require a minimum window.".to_owned()
    }
}

/// Adds a part for each node that runs affected pods and was not watched: nothing is known of the traffic there.
fn note_unwatched_nodes(report: &mut Report) {
    if !report.evidence.known {
        return;
    }
    let unwatched = report.evidence.nodes.iter().filter(|node| node.subjects > 0 && node.until.is_none());
    let parts: Vec<UndecidedPart> = unwatched
        .map(|node| UndecidedPart {
            places: vec![format!("node {}", node.node)],
            what: format!(
                "it runs {} that the change affects, and was not watched in the window",
                count(node.subjects, "pod", "pods")
            ),
            fix: "check that the capture agent runs on the node, or add the flows of the node".to_owned(),
        })
        .collect();
    report.undecided.extend(parts);
}

/// What falls short of the minimum window, as sentences.
fn short_of_minimum(report: &Report) -> Vec<String> {
    let Some(minimum) = report.evidence.minimum_seconds else { return Vec::new() };
    let needed = span(SignedDuration::from_secs(minimum));
    if !report.evidence.known && report.evidence.subjects > 0 {
        return vec![format!(
            "Traffic must have been watched for {needed}, and it is unknown which nodes were watched."
        )];
    }
    let short = |node: &&NodeEvidence| node.subjects > 0 && node.watched_seconds < minimum;
    let sentence = |node: &NodeEvidence| {
        let watched = span(SignedDuration::from_secs(node.watched_seconds));
        format!("Node {} was watched for {watched} of the required {needed}.", node.node)
    };
    report.evidence.nodes.iter().filter(short).map(sentence).collect()
}
