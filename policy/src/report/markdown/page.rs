//! The parts of which the page is made: names, tables, a policy, an exception.

use std::fmt::Write as _;

use crate::change::plan::ChangeAction;
use crate::cluster::party::{Party, from_to};
use crate::model::policy_ref::PolicyRef;
use crate::model::words::{ago, count, grouped, minute};
use crate::report::data::{CauseReport, Connection, Denial, ExceptionReport, Report, SeenTraffic};
use crate::report::escape::{code, text};
use crate::report::policies::{FixReport, PolicyReport, PromotionReport};

/// How many rows a table shows where there is room; the rest is counted. The JSON form holds all.
pub(super) const MOST_ROWS: usize = 100;

/// How many rows a table shows that nobody has to act upon.
const FEW_ROWS: usize = 10;

/// The page as far as it is written.
pub(super) struct Page {
    pub(super) text: String,
    /// How many rows a table shows.
    pub(super) most_rows: usize,
}

impl Page {
    pub(super) fn line(&mut self, line: impl AsRef<str>) {
        self.text.push_str(line.as_ref());
        self.text.push('\n');
    }

    /// A part that is folded until somebody asks for it.
    pub(super) fn folded(&mut self, summary: &str, fill: impl FnOnce(&mut Self)) {
        self.line(format!("<details><summary>{summary}</summary>\n"));
        fill(self);
        self.line("\n</details>\n");
    }

    pub(super) fn exception(&mut self, exception: &ExceptionReport) {
        let name = code(&format!("{}/{}", exception.namespace, exception.name));
        let until = exception.expires_at.map_or(String::new(), |at| format!(", until {}", minute(at)));
        let accepts = if exception.accepts.is_empty() {
            "accepts nothing that was seen".to_owned()
        } else {
            let ids: Vec<String> = exception.accepts.iter().map(|id| code(&id.to_string())).collect();
            format!("accepts flows of {}", ids.join(", "))
        };
        self.line(format!("- {name}{until}: {accepts}. Reason: {}", text(&exception.reason)));
    }

    pub(super) fn denials(&mut self, denials: &[&Denial], report: &Report) {
        self.line("| Denial | From | To | Port | Seen | Last seen | Why |");
        self.line("|---|---|---|---|---|---|---|");
        for denial in denials.iter().take(self.most_rows) {
            let (from, to) = from_to(denial.direction, &denial.subject, &denial.peer);
            let mut why = format!("{}, {}: {}", policy(&denial.policy), denial.direction, text(&denial.message));
            match denial.cause {
                CauseReport::Policy => {}
                CauseReport::Removal => why.push_str(" (what allowed it is taken away)"),
                CauseReport::Identity => {
                    let _ = write!(why, " (since {})", text(&denial.caused_by.join("; ")));
                }
            }
            if !denial.accepted_by.is_empty() {
                let _ = write!(why, "; accepted by {}", text(&denial.accepted_by.join(", ")));
            }
            if !denial.expired_exceptions.is_empty() {
                let _ = write!(why, "; expired: {}", text(&denial.expired_exceptions.join(", ")));
            }
            self.line(format!(
                "| {} | {} | {} | {} {} | {} | {} | {why} |",
                code(&denial.id.to_string()),
                party(from),
                party(to),
                denial.protocol,
                denial.port,
                attempts(&denial.seen),
                ago(denial.seen.last_seen, report.at),
            ));
        }
        self.rest(denials.len());
    }

    /// The diff, and what it does besides.
    pub(super) fn fix(&mut self, fix: &FixReport) {
        if !fix.diff.is_empty() {
            self.line(format!("```diff\n{}```\n", fix.diff.replace('`', "'")));
        }
        if fix.also_allows.is_empty() {
            self.line("Of all that was seen it lets nothing pass besides.");
        } else {
            self.line("It lets these pass besides, which were seen too:\n");
            self.connections(&fix.also_allows);
        }
        if !fix.not_enough_for.is_empty() || !fix.unresolvable.is_empty() {
            self.line("");
        }
        for denial in &fix.not_enough_for {
            self.line(format!("- {} has another policy against it as well.", code(&denial.to_string())));
        }
        for left in &fix.unresolvable {
            self.line(format!("- {} is left: {}.", code(&left.denial.to_string()), text(&left.why)));
        }
    }

    pub(super) fn rest(&mut self, rows: usize) {
        if rows > self.most_rows {
            self.line(format!("\nAnd {} more; `--format json` lists all.", rows - self.most_rows));
        }
    }

    pub(super) fn policy(&mut self, it: &PolicyReport) {
        self.line(format!("**{}**, {}, in {}\n", policy(&it.policy), action(it.action), code(&it.place)));
        let workloads: Vec<String> = it.selected_workloads.iter().take(self.most_rows).map(party).collect();
        let pods = count(it.selected_pods, "running pod", "running pods");
        if workloads.is_empty() {
            self.line(format!("- Selects {pods}."));
        } else {
            self.line(format!("- Selects {pods}: {}.", workloads.join(", ")));
        }
        let said = &it.verdicts;
        self.line(format!(
            "- Of the connections in use of these pods it allows {}, would deny {} ({} newly denied, {} still allowed by \
             another policy, {} denied already); {} are exempt.",
            said.allow, said.would_deny, said.newly_denied, said.still_allowed, said.still_denied, said.exempt,
        ));
        if said.unknown > 0 {
            self.line(format!("- What becomes of {} of them cannot be told.", said.unknown));
        }
        if let Some(promotion) = &it.promotion {
            self.line(format!("- Promotion: {}.", promotion_words(promotion)));
            for difference in &promotion.differences {
                self.line(format!("  - {}", text(difference)));
            }
        }
        for note in &it.notes {
            self.line(format!("- Note: {}.", text(note)));
        }
        if !it.still_allowed.is_empty() {
            self.line("- It would deny these alone; another policy allows them:\n");
            self.connections(&it.still_allowed);
        }
        if !it.still_denied.is_empty() {
            self.line("");
            self.folded(
                &format!("It would deny these alone too; they are denied already ({})", it.still_denied.len()),
                |page| {
                    // Nothing becomes of them: a few show what they are.
                    let rows = page.most_rows;
                    page.most_rows = rows.min(FEW_ROWS);
                    page.connections(&it.still_denied);
                    page.most_rows = rows;
                },
            );
        }
        self.line("");
    }

    pub(super) fn connections(&mut self, connections: &[Connection]) {
        self.line("| From | To | Port | Seen | How |");
        self.line("|---|---|---|---|---|");
        for connection in connections.iter().take(self.most_rows) {
            let (from, to) = from_to(connection.direction, &connection.subject, &connection.peer);
            self.line(format!(
                "| {} | {} | {} {} | {} | {} |",
                party(from),
                party(to),
                connection.protocol,
                connection.port,
                attempts(&connection.seen),
                text(&connection.note),
            ));
        }
        self.rest(connections.len());
    }
}

pub(super) fn party(party: &Party) -> String {
    match party {
        Party::Workload { namespace, kind, name } => {
            format!("{} in {}", code(&format!("{kind}/{name}")), code(namespace))
        }
        Party::Address { cidr, node: Some(node) } => format!("node {} ({})", code(node), cidr.addr()),
        Party::Address { cidr, node: None } => code(&cidr.addr().to_string()),
    }
}

pub(super) fn policy(policy: &PolicyRef) -> String {
    let PolicyRef { kind, namespace, name } = policy;
    let name = if namespace.is_empty() { name.clone() } else { format!("{namespace}/{name}") };
    format!("{kind} {}", code(&name))
}

pub(super) fn action(action: ChangeAction) -> &'static str {
    match action {
        ChangeAction::Added => "added",
        ChangeAction::Changed => "changed",
        ChangeAction::Removed => "removed",
    }
}

pub(super) fn attempts(seen: &SeenTraffic) -> String {
    let kinds = [
        (seen.in_use, "in use"),
        (seen.guessed, "in use by guess"),
        (seen.refused, "refused"),
        (seen.unanswered, "unanswered"),
    ];
    let kinds = kinds.iter().filter(|(number, _)| *number > 0);
    let words: Vec<String> = kinds.map(|(number, kind)| format!("{} {kind}", grouped(*number))).collect();
    words.join(", ")
}

pub(super) fn promotion_words(promotion: &PromotionReport) -> String {
    let from = policy(&promotion.from);
    match promotion.identical {
        Some(true) => format!("spec identical to the audited {from}"),
        Some(false) => format!("spec differs from the audited {from}"),
        None => format!("from {from}, which is not known any more"),
    }
}
