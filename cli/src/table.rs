//! The report for a terminal.

use std::fmt::Write as _;

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{ContentArrangement, Table};
use foretell_objects::model::words::{ago, count, grouped};
use foretell_policy::change::plan::ChangeAction;
use foretell_policy::cluster::party::from_to;
use foretell_policy::report::connection::{Denial, State};
use foretell_policy::report::data::Report;
use foretell_policy::report::policies::FixReport;
use jiff::Timestamp;

/// Renders the report: the decision and why, every denial, and one line for everything else that the change does.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut page = String::new();
    // Writing into a String cannot fail.
    let _ = writeln!(page, "{}", report.headline);
    for reason in &report.reasons {
        let _ = writeln!(page, "  - {}", printable(reason));
    }
    for policy in report.policies.iter().chain(&report.previews) {
        let verdicts = &policy.verdicts;
        let _ = writeln!(
            page,
            "{}, {}: selects {}; allows {} in use, would deny {} ({} newly)",
            printable(&policy.policy.to_string()),
            action(policy.action),
            count(policy.selected_pods, "pod", "pods"),
            count(verdicts.allow, "connection", "connections"),
            grouped(verdicts.would_deny),
            grouped(verdicts.newly_denied),
        );
    }
    denials(&mut page, "", &report.denials, report);
    for it in &report.fixes {
        fix(&mut page, it);
    }
    for preview in report.previews.iter().filter(|preview| !preview.denials.is_empty()) {
        denials(
            &mut page,
            &format!("Preview of {}:\n", printable(&preview.policy.to_string())),
            &preview.denials,
            report,
        );
        if let Some(it) = &preview.fix {
            fix(&mut page, it);
        }
    }
    for exception in &report.exceptions {
        let by = if exception.in_change { " (by this change)" } else { "" };
        let _ = writeln!(
            page,
            "Exception {}/{}{by} accepts {}: {}",
            printable(&exception.namespace),
            printable(&exception.name),
            count(exception.accepts.len() as u64, "denial", "denials"),
            printable(&exception.reason)
        );
    }
    for change in &report.identities {
        let differences = change.differences.join("; ");
        let _ =
            writeln!(page, "{}, {}: {}", printable(&change.title()), action(change.action), printable(&differences));
    }
    for file in &report.not_judged {
        let _ = writeln!(page, "Not judged: {}: {}", printable(&file.file), printable(&file.why));
    }
    for dialect in &report.dialects {
        let connections = count(dialect.connections, "connection in use is", "connections in use are");
        let _ = writeln!(
            page,
            "Under {} {connections} judged differently: {} ({})",
            printable(&dialect.title),
            printable(&dialect.what),
            printable(&dialect.source)
        );
    }
    if !report.cni.is_upstream() {
        let _ = writeln!(page, "Judged as {} enforces.", report.cni);
    }
    for note in &report.notes {
        let _ = writeln!(page, "Note: {}", printable(note));
    }
    page
}

fn denials(page: &mut String, title: &str, denials: &[Denial], report: &Report) {
    if !denials.is_empty() {
        let _ = writeln!(page, "\n{title}{}\n", of_denials(denials, report.at));
    }
}

/// The change of a policy, or the new policy, that would resolve denials.
fn fix(page: &mut String, fix: &FixReport) {
    match &fix.place {
        Some(place) if !fix.diff.is_empty() => {
            let _ = writeln!(page, "How to fix, in {}:\n\n{}", printable(place), fix.diff);
        }
        Some(_) => {}
        None => {
            let _ = writeln!(page, "How to fix, a new policy:\n\n{}", fix.new_manifest());
        }
    }
    for connection in &fix.also_allows {
        let (from, to) = from_to(connection.direction, &connection.subject, &connection.peer);
        let (from, to) = (printable(&from.to_string()), printable(&to.to_string()));
        let _ = writeln!(page, "It would also allow: {from} to {to}, {} {}", connection.protocol, connection.port);
    }
    for denial in &fix.not_enough_for {
        let _ = writeln!(page, "{denial} is also denied at the other end, or by an admin policy.");
    }
    for denial in &fix.unresolvable {
        let _ = writeln!(page, "{} cannot be resolved by a rule: {}.", denial.denial, printable(&denial.why));
    }
}

/// A table as wide as the terminal.
pub(crate) fn of_terminal() -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    // A pipe has no width, so a row is one line, unless COLUMNS says how wide the reader is.
    if table.width().is_none()
        && let Some(columns) = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok())
    {
        table.set_width(columns);
    }
    table
}

/// The denials as a table, a row each.
#[must_use]
pub fn of_denials(denials: &[Denial], at: Timestamp) -> String {
    let mut table = of_terminal();
    table.set_header(["DENIAL", "STATE", "POLICY", "FROM", "TO", "PORT", "IN USE", "LAST SEEN", "WHY"]);
    for denial in denials {
        let (from, to) = from_to(denial.direction, &denial.subject, &denial.peer);
        table.add_row([
            denial.id.to_string(),
            state(denial.state).to_owned(),
            policies(denial),
            printable(&from.to_string()),
            printable(&to.to_string()),
            format!("{} {}", denial.protocol, denial.port),
            grouped(denial.seen.in_use),
            ago(denial.seen.last_seen, at),
            printable(denial.policies.first().map(|by| by.message.as_str()).unwrap_or_default()),
        ]);
    }
    table.to_string()
}

/// `NetworkPolicy shop/web and 2 more`
fn policies(denial: &Denial) -> String {
    let first = denial.policies.first().map(|by| printable(&by.policy.to_string())).unwrap_or_default();
    match denial.policies.len() {
        0 | 1 => first,
        several => format!("{first} and {} more", several - 1),
    }
}

fn action(action: ChangeAction) -> &'static str {
    match action {
        ChangeAction::Added => "added",
        ChangeAction::Changed => "changed",
        ChangeAction::Removed => "removed",
    }
}

fn state(state: State) -> &'static str {
    match state {
        State::Unresolved => "unresolved",
        State::Accepted => "accepted",
        State::Guessed => "guessed",
        State::NotInUse => "not in use",
        State::Gone => "gone",
    }
}

/// Replaces control characters, so that data cannot move the cursor or colour the terminal.
pub(crate) fn printable(data: &str) -> String {
    data.chars().map(|symbol| if symbol.is_control() { ' ' } else { symbol }).collect()
}
