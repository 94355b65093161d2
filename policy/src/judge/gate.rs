//! Whether a change may merge. It is never "may merge" when that could not be decided.

use jiff::SignedDuration;

use crate::model::words::{count, span};
use crate::report::data::{Decision, NodeEvidence, Report, State, UndecidedPart};

/// Decides, and writes decision, headline and reasons into the report.
///
/// Undecided beats blocked, blocked beats pending. `enforced`: the change touches something that is enforced, or that
/// enforced policies look at; only that can block.
pub fn decide(report: &mut Report, enforced: bool) {
    if enforced {
        note_unwatched_nodes(report);
    }
    let unresolved = report.unresolved().count() as u64;
    let too_short = if enforced { short_of_minimum(report) } else { Vec::new() };
    let mut reasons = Vec::new();
    if !report.evidence.known && enforced {
        reasons.push(
            "Evidence is unknown: no report of an agent was given, and no flow names the node that it was seen on."
                .to_owned(),
        );
    }
    reasons.extend(report.undecided.iter().map(|part| {
        let stop = if part.what.ends_with('?') { "" } else { "." };
        format!("{}: {}{stop} Fix: {}.", part.places.join(", "), part.what, part.fix)
    }));
    if unresolved > 0 {
        reasons.push(format!(
            "{} in use {} newly denied, and no exception accepts {}.",
            count(unresolved, "connection", "connections"),
            if unresolved == 1 { "is" } else { "are" },
            if unresolved == 1 { "it" } else { "them" },
        ));
    }
    reasons.extend(too_short.iter().cloned());
    let (decision, headline) = if !report.undecided.is_empty() {
        (Decision::Undecided, "Could not decide: part of what the answer depends on is not known.".to_owned())
    } else if unresolved > 0 {
        let denials = count(unresolved, "unresolved denial", "unresolved denials");
        (Decision::Blocked, format!("Blocked: {denials} of traffic in use."))
    } else if !too_short.is_empty() {
        (Decision::Pending, "Pending: traffic has not been watched for long enough.".to_owned())
    } else {
        (Decision::MayMerge, may_merge(report, enforced))
    };
    report.decision = decision;
    report.exit_status = decision.exit_status();
    report.headline = headline;
    report.reasons = reasons;
}

fn may_merge(report: &Report, enforced: bool) -> String {
    let accepted = report.denials.iter().filter(|denial| denial.state == State::Accepted).count() as u64;
    match (enforced, report.previews.is_empty()) {
        (false, true) => "May merge: no policy changed, and nothing that policies look at.".to_owned(),
        (false, false) => "May merge: the change enforces nothing.".to_owned(),
        (true, _) if accepted > 0 => {
            let denials = count(accepted, "denial of traffic in use is", "denials of traffic in use are");
            format!("May merge: {denials} accepted by exception, and nothing else in use is newly denied.")
        }
        (true, _) => "May merge: nothing in use is newly denied.".to_owned(),
    }
}

/// A subject whose node nobody watched: nothing can be said of its traffic.
fn note_unwatched_nodes(report: &mut Report) {
    if !report.evidence.known {
        return;
    }
    let unwatched = report.evidence.nodes.iter().filter(|node| node.subjects > 0 && node.until.is_none());
    let parts: Vec<UndecidedPart> = unwatched
        .map(|node| UndecidedPart {
            places: vec![format!("node {}", node.node)],
            what: format!(
                "it runs {} that the change concerns, and no report of it lies in the window",
                count(node.subjects, "pod", "pods")
            ),
            fix: "see that the capture agent runs there, or give the flows of that node too".to_owned(),
        })
        .collect();
    report.undecided.extend(parts);
}

/// What falls short of the minimum window, as sentences.
fn short_of_minimum(report: &Report) -> Vec<String> {
    let Some(minimum) = report.evidence.minimum_seconds else { return Vec::new() };
    let needed = span(SignedDuration::from_secs(minimum));
    if !report.evidence.known && report.evidence.subjects > 0 {
        return vec![format!("Traffic must have been watched for {needed}, and nothing is known of who watched.")];
    }
    let short = |node: &&NodeEvidence| node.subjects > 0 && node.watched_seconds < minimum;
    let sentence = |node: &NodeEvidence| {
        let watched = span(SignedDuration::from_secs(node.watched_seconds));
        format!("Node {} was watched for {watched} of the {needed} that are required.", node.node)
    };
    report.evidence.nodes.iter().filter(short).map(sentence).collect()
}
