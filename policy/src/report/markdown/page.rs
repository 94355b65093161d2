//! The parts that sections share: names, tables, diffs, a policy, an exception.

use std::fmt::Write as _;

use crate::change::plan::ChangeAction;
use crate::cluster::party::{Party, from_to};
use crate::report::connection::{Connection, Denial, DenyingPolicy, SeenAddresses, SeenTraffic};
use crate::report::data::{ExceptionReport, Report};
use crate::report::escape::{code, text};
use crate::report::policies::{FixReport, PolicyReport, PromotionReport, Verdicts};
use foretell_objects::model::policy_ref::PolicyRef;
use foretell_objects::model::words::{ago, count, grouped, minute};

/// Most rows of a table; further rows are counted. The JSON form has all.
pub(super) const MOST_ROWS: usize = 100;

/// Most policies of a denial whose reasons are given in full.
const MOST_POLICIES: usize = 5;

/// Most rows of a table that requires no action.
const FEW_ROWS: usize = 10;

/// The page as far as it is written.
pub(super) struct Page {
    pub(super) text: String,
    /// Most rows of a table or list.
    pub(super) most_rows: usize,
}

impl Page {
    pub(super) fn line(&mut self, line: impl AsRef<str>) {
        self.text.push_str(line.as_ref());
        self.text.push('\n');
    }

    /// Ends a list or table. There is never more than one blank line.
    pub(super) fn blank_line(&mut self) {
        if !self.text.is_empty() && !self.text.ends_with("\n\n") {
            self.text.push('\n');
        }
    }

    /// A part that is folded until the reader opens it.
    pub(super) fn folded(&mut self, summary: &str, fill: impl FnOnce(&mut Self)) {
        self.line(format!("<details><summary>{summary}</summary>\n"));
        fill(self);
        self.blank_line();
        self.line("</details>\n");
    }

    pub(super) fn diff(&mut self, diff: &str) {
        if !diff.is_empty() {
            self.blank_line();
            self.fence("diff", diff);
        }
    }

    /// A fenced text. Without backticks no line of it can end the fence.
    fn fence(&mut self, language: &str, content: &str) {
        self.line(format!("```{language}\n{}```\n", content.replace('`', "'")));
    }

    pub(super) fn exception(&mut self, exception: &ExceptionReport) {
        let name = code(&format!("{}/{}", exception.namespace, exception.name));
        let until = exception.expires_at.map_or(String::new(), |at| format!(", until {}", minute(at)));
        let accepts = if exception.accepts.is_empty() {
            "accepts no recorded traffic".to_owned()
        } else {
            let ids: Vec<String> = exception.accepts.iter().map(|id| code(&id.to_string())).collect();
            format!("accepts traffic of {}", ids.join(", "))
        };
        self.line(format!("- {name}{until}: {accepts}. Reason: {}", text(&exception.reason)));
    }

    pub(super) fn denials(&mut self, denials: &[&Denial], report: &Report) {
        self.line("| Denial | From | To | Port | Seen | Last seen | Why |");
        self.line("|---|---|---|---|---|---|---|");
        for denial in denials.iter().take(self.most_rows) {
            let (from, to) = from_to(denial.direction, &denial.subject, &denial.peer);
            self.line(format!(
                "| {} | {} | {} | {} {} | {} | {} | {} |",
                code(&denial.id.to_string()),
                party(from),
                party(to),
                denial.protocol,
                denial.port,
                seen(&denial.seen, denial.addresses.as_ref()),
                ago(denial.seen.last_seen, report.at),
                why(denial),
            ));
        }
        self.rest(denials.len());
    }

    /// The reasons of the denials of a table as sentences, folded.
    pub(super) fn explanations(&mut self, denials: &[&Denial]) {
        if denials.is_empty() {
            return;
        }
        self.folded("Why, in full", |page| {
            for denial in denials.iter().take(page.most_rows) {
                for by in denial.policies.iter().take(MOST_POLICIES) {
                    page.line(format!(
                        "- {} {}, {}: {}.",
                        code(&denial.id.to_string()),
                        policy(&by.policy),
                        denial.direction,
                        text(&by.message)
                    ));
                }
                let more = denial.policies.iter().skip(MOST_POLICIES).map(|by| &by.policy);
                let more: Vec<String> = more.chain(&denial.other_policies).map(policy).collect();
                if !more.is_empty() {
                    let id = code(&denial.id.to_string());
                    page.line(format!("- {id} Not allowed either by {}.", more.join(", ")));
                }
            }
            page.rest(denials.len());
        });
    }

    /// The diff or the new policy, and what it allows and does not allow.
    pub(super) fn fix(&mut self, fix: &FixReport) {
        if fix.place.is_none() {
            self.line(
                "Each policy that denies these connections selects other workloads too, which do not need them.\n",
            );
            self.fence("yaml", &fix.new_manifest());
        }
        self.diff(&fix.diff);
        if fix.also_allows.is_empty() {
            self.line("It would allow no other recorded traffic.");
        } else {
            self.line("It would also allow this recorded traffic:\n");
            self.connections(&fix.also_allows);
        }
        if !fix.not_enough_for.is_empty() || !fix.unresolvable.is_empty() {
            self.blank_line();
        }
        for denial in &fix.not_enough_for {
            self.line(format!(
                "- {} is also denied at the other end, or by an admin policy.",
                code(&denial.to_string())
            ));
        }
        for left in &fix.unresolvable {
            self.line(format!("- {} cannot be fixed by a rule: {}.", code(&left.denial.to_string()), text(&left.why)));
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
        let selects = if it.action == ChangeAction::Removed { "Selected" } else { "Selects" };
        let pods = count(it.selected_pods, "running pod", "running pods");
        if workloads.is_empty() {
            self.line(format!("- {selects} {pods}."));
        } else {
            self.line(format!("- {selects} {pods}: {}.", workloads.join(", ")));
        }
        self.line(format!("- Connections in use of these pods: {}.", verdicts(&it.verdicts)));
        for note in &it.notes {
            self.line(format!("- Note: {}.", text(note)));
        }
        if let Some(promotion) = &it.promotion {
            self.promotion(promotion);
        }
        if !it.still_allowed.is_empty() {
            self.line("- It would deny these connections in isolation; another policy allows them:\n");
            self.connections(&it.still_allowed);
        }
        self.blank_line();
        if !it.still_denied.is_empty() {
            let title = format!("Connections that it denies and that are already denied ({})", it.still_denied.len());
            self.folded(&title, |page| {
                let rows = page.most_rows;
                page.most_rows = rows.min(FEW_ROWS);
                page.connections(&it.still_denied);
                page.most_rows = rows;
            });
        }
    }

    fn promotion(&mut self, promotion: &PromotionReport) {
        let from = policy(&promotion.from);
        match promotion.identical {
            Some(true) => self.line(format!("- Promoted from {from} with an identical spec.")),
            Some(false) => self.line(format!("- Promoted from {from}. The specs differ:")),
            None => self.line(format!("- Promoted from {from}, which no longer exists: the specs cannot be compared.")),
        }
        self.diff(&promotion.diff);
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
                seen(&connection.seen, connection.addresses.as_ref()),
                text(&connection.note),
            ));
        }
        self.rest(connections.len());
    }
}

/// The cell of a denial's reason: the policy, the one thing that failed, and exceptions.
fn why(denial: &Denial) -> String {
    let mut why = denial.policies.first().map(by_policy).unwrap_or_default();
    let others = denial.policies.len().saturating_sub(1) as u64;
    // Writing into a String cannot fail.
    if others > 0 {
        let _ = write!(why, "; and {}", count(others, "other policy", "other policies"));
    }
    if !denial.accepted_by.is_empty() {
        let _ = write!(why, "; accepted by {}", text(&denial.accepted_by.join(", ")));
    }
    if !denial.expired_exceptions.is_empty() {
        let _ = write!(why, "; exception expired: {}", text(&denial.expired_exceptions.join(", ")));
    }
    why
}

/// The policy and the one thing that failed.
fn by_policy(by: &DenyingPolicy) -> String {
    let rule = by.nearest.as_ref().map(|nearest| nearest.mismatch.rule.as_str());
    let (rule, reason) = match by.summary.split_once(": ") {
        // As text, the bracket before the colon would be escaped, which terminals show.
        Some((named, reason)) if rule == Some(named) => (format!("{}: ", code(named)), reason),
        _ => (String::new(), by.summary.as_str()),
    };
    format!("{}, {rule}{}", policy(&by.policy), text(reason))
}

/// `1 allowed, 4 newly denied`: numbers of connections, without those that are 0.
fn verdicts(verdicts: &Verdicts) -> String {
    let kinds = [
        (verdicts.allow, "allowed"),
        (verdicts.newly_denied, "newly denied"),
        (verdicts.still_allowed, "denied in isolation but allowed by another policy"),
        (verdicts.still_denied, "already denied"),
        (verdicts.exempt, "exempt from policies"),
        (verdicts.unknown, "unknown"),
    ];
    let kinds = kinds.iter().filter(|(number, _)| *number > 0);
    let words: Vec<String> = kinds.map(|(number, kind)| format!("{} {kind}", grouped(*number))).collect();
    if words.is_empty() { "none".to_owned() } else { words.join(", ") }
}

pub(super) fn party(party: &Party) -> String {
    match party {
        Party::Workload { namespace, kind, name } => {
            format!("{} in {}", code(&format!("{kind}/{name}")), code(namespace))
        }
        Party::Address { cidr, node: Some(node) } => format!("node {} ({})", code(node), cidr.addr()),
        Party::Address { cidr, node: None } => code(&cidr.addr().to_string()),
        Party::Range { .. } => code(&party.to_string()),
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

/// The traffic, and of how many addresses it is.
fn seen(seen: &SeenTraffic, addresses: Option<&SeenAddresses>) -> String {
    let attempts = attempts(seen);
    match addresses {
        Some(addresses) => format!("{attempts}, {}", count(addresses.count, "address", "addresses")),
        None => attempts,
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
