//! The report for a terminal.

use std::fmt::Write as _;

use comfy_table::presets::UTF8_HORIZONTAL_ONLY;
use comfy_table::{ContentArrangement, Table};
use foretell_policy::cluster::party::from_to;
use foretell_policy::model::words::{ago, grouped};
use foretell_policy::report::data::{Denial, Report, State};
use foretell_policy::report::policies::PolicyReport;
use jiff::Timestamp;

/// Renders the report: the decision and why, every denial, and what else the change does in a line each.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut page = String::new();
    // Writing into a String cannot fail.
    let _ = writeln!(page, "{}", report.headline);
    for reason in &report.reasons {
        let _ = writeln!(page, "  - {}", printable(reason));
    }
    for policy in report.policies.iter().chain(&report.previews) {
        let said = &policy.verdicts;
        let _ = writeln!(
            page,
            "{} {:?}: selects {} pods, allows {}, would deny {} ({} newly)",
            printable(&policy.policy.to_string()),
            policy.action,
            policy.selected_pods,
            said.allow,
            said.would_deny,
            said.newly_denied,
        );
    }
    denials(&mut page, "", &report.denials, report);
    for policy in &report.policies {
        mend(&mut page, policy);
    }
    for preview in report.previews.iter().filter(|preview| !preview.denials.is_empty()) {
        denials(
            &mut page,
            &format!("Preview of {}:\n", printable(&preview.policy.to_string())),
            &preview.denials,
            report,
        );
        mend(&mut page, preview);
    }
    for exception in &report.exceptions {
        let by = if exception.in_change { " (by this change)" } else { "" };
        let _ = writeln!(
            page,
            "Exception {}/{}{by} accepts {} denials: {}",
            printable(&exception.namespace),
            printable(&exception.name),
            exception.accepts.len(),
            printable(&exception.reason)
        );
    }
    for change in &report.identities {
        let differences = change.differences.join("; ");
        let _ = writeln!(page, "{} {:?}: {}", printable(&change.title()), change.action, printable(&differences));
    }
    for file in &report.not_judged {
        let _ = writeln!(page, "Not judged: {}: {}", printable(&file.file), printable(&file.why));
    }
    for dialect in &report.dialects {
        let of = if dialect.connections == 1 { "relation in use is" } else { "relations in use are" };
        let _ = writeln!(
            page,
            "Under {} {} {of} judged otherwise: {} ({})",
            printable(&dialect.title),
            grouped(dialect.connections),
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

/// What would resolve a policy's denials.
fn mend(page: &mut String, policy: &PolicyReport) {
    let Some(mend) = &policy.fix else { return };
    if !mend.diff.is_empty() {
        let _ = writeln!(page, "This would allow it, in {}:\n\n{}", printable(&policy.place), mend.diff);
    }
    for relation in &mend.also_allows {
        let (from, to) = from_to(relation.direction, &relation.subject, &relation.peer);
        let (from, to) = (printable(&from.to_string()), printable(&to.to_string()));
        let _ = writeln!(page, "It would also let pass: {from} to {to}, {} {}", relation.protocol, relation.port);
    }
    for denial in &mend.not_enough_for {
        let _ = writeln!(page, "{denial} has another policy against it as well.");
    }
    for left in &mend.unresolvable {
        let _ = writeln!(page, "{} is left: {}.", left.denial, printable(&left.why));
    }
}

/// A table as wide as the terminal.
pub(crate) fn of_terminal() -> Table {
    let mut table = Table::new();
    table.load_style(UTF8_HORIZONTAL_ONLY).set_content_arrangement(ContentArrangement::Dynamic);
    // Into a pipe a row is a line, unless whoever is behind it has told the width.
    if table.width().is_none()
        && let Some(columns) = std::env::var("COLUMNS").ok().and_then(|columns| columns.parse().ok())
    {
        table.set_width(columns);
    }
    table
}

/// A row for each.
#[must_use]
pub fn of_denials(denials: &[Denial], at: Timestamp) -> String {
    let mut table = of_terminal();
    table.set_header(["DENIAL", "STATE", "POLICY", "FROM", "TO", "PORT", "IN USE", "LAST SEEN", "WHY"]);
    for denial in denials {
        let (from, to) = from_to(denial.direction, &denial.subject, &denial.peer);
        table.add_row([
            denial.id.to_string(),
            state(denial.state).to_owned(),
            printable(&denial.policy.to_string()),
            printable(&from.to_string()),
            printable(&to.to_string()),
            format!("{} {}", denial.protocol, denial.port),
            grouped(denial.seen.in_use),
            ago(denial.seen.last_seen, at),
            printable(&denial.message),
        ]);
    }
    table.to_string()
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

/// Data cannot move the cursor or colour the terminal.
pub(crate) fn printable(data: &str) -> String {
    data.chars().map(|symbol| if symbol.is_control() { ' ' } else { symbol }).collect()
}
