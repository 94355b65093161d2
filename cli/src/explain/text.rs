//! An explanation for a terminal: the answer, then what each tier decides at both ends, then what audit policies would change.

use std::fmt::Write as _;

use foretell_objects::model::words::count;
use foretell_policy::explain::explanation::{
    AuditStep, Explanation, PolicyOutcome, PolicyStep, Reachability, TierOutcome, TierStep, Walk,
};

use crate::table::{of_terminal, printable};

/// The explanation as text.
pub(super) fn render(explanation: &Explanation) -> String {
    let mut page = format!("{}\n", printable(&explanation.sentence));
    // Writing into a String cannot fail.
    if !explanation.cni.is_upstream() {
        let _ = writeln!(page, "Judged as {} enforces.", explanation.cni);
    }
    for note in &explanation.notes {
        let _ = writeln!(page, "Note: {}.", printable(note));
    }
    for case in &explanation.cases {
        if explanation.cases.len() > 1 {
            let answer = match case.answer {
                Reachability::No => "Denied",
                Reachability::Unknown => "Unknown",
                Reachability::Yes => "Allowed",
            };
            let such_as = if case.pairs == 1 { "" } else { ", such as this one" };
            let pairs = count(case.pairs, "pair of addresses", "pairs of addresses");
            let _ = writeln!(page, "\n{answer} for {pairs}{such_as}:");
        }
        page.push_str(&end("Leaving", &case.client, &case.egress));
        let server = format!("{}, {} {}", case.server, explanation.protocol, case.port);
        page.push_str(&end("Arriving at", &server, &case.ingress));
    }
    if !explanation.audits.is_empty() {
        let _ = write!(page, "\nIf an audit policy were promoted:\n{}\n", audits(explanation));
    }
    page
}

/// What happens at one end: a table of the tiers, or one line if no policy selects the end.
fn end(title: &str, end: &str, walk: &Walk) -> String {
    let (end, why) = (printable(end), printable(&walk.why));
    if walk.tiers.iter().all(|tier| tier.policies.is_empty()) {
        return format!("\n{title} {end}: {}: {why}.\n", answer(walk.answer));
    }
    let by = match (walk.answer, walk.decided_by) {
        (Reachability::Unknown, _) => String::new(),
        (_, Some(tier)) => format!(", by the {tier} tier"),
        (_, None) => ", by default: no tier decides".to_owned(),
    };
    format!("\n{title} {end}: {}{by}.\n{}\n", answer(walk.answer), tiers(walk))
}

fn answer(answer: Reachability) -> &'static str {
    match answer {
        Reachability::No => "denied",
        Reachability::Unknown => "unknown",
        Reachability::Yes => "allowed",
    }
}

fn tiers(walk: &Walk) -> String {
    let mut table = of_terminal();
    table.set_header(["TIER", "POLICY", "OUTCOME", "WHY"]);
    for TierStep { tier, outcome, policies, note } in &walk.tiers {
        let tier = tier.to_string();
        for step in policies {
            table.add_row([tier.clone(), title(step), outcome_word(step.outcome).to_owned(), printable(&step.message)]);
        }
        if let Some(note) = note {
            table.add_row([tier.clone(), String::new(), String::new(), printable(note)]);
        }
        if policies.is_empty() {
            let (policy, why) = match outcome {
                TierOutcome::NotReached => ("", "not evaluated: an earlier tier decides"),
                _ => ("none", "no policy of this tier selects it"),
            };
            table.add_row([tier.as_str(), policy, "", why]);
        }
    }
    table.to_string()
}

fn title(step: &PolicyStep) -> String {
    let priority = step.priority.map_or_else(String::new, |priority| format!(", priority {priority}"));
    printable(&format!("{}{priority}", step.policy))
}

fn outcome_word(outcome: PolicyOutcome) -> &'static str {
    match outcome {
        PolicyOutcome::Allows => "allows",
        PolicyOutcome::Denies => "denies",
        PolicyOutcome::PassesOn => "passes on",
        PolicyOutcome::NoMatch => "no match",
        PolicyOutcome::Unknown => "unknown",
        PolicyOutcome::Exempt => "exempt",
    }
}

fn audits(explanation: &Explanation) -> String {
    let mut table = of_terminal();
    table.set_header(["POLICY", "DIRECTION", "OUTCOME", "ANSWER", "WHY"]);
    for AuditStep { direction, step, answer_if_promoted, changes_answer } in &explanation.audits {
        let becomes = match (changes_answer, answer_if_promoted) {
            (false, _) => "unchanged",
            (true, Reachability::No) => "becomes No",
            (true, Reachability::Unknown) => "becomes Unknown",
            (true, Reachability::Yes) => "becomes Yes",
        };
        table.add_row([
            title(step),
            direction.to_string(),
            outcome_word(step.outcome).to_owned(),
            becomes.to_owned(),
            printable(&step.message),
        ]);
    }
    table.to_string()
}
