//! The report as Markdown, for a pull request or the summary of a job. It is also readable in a terminal.
//!
//! Every text from a cluster or a repository goes through [`text`] or [`code`], so that it cannot break a table, become a link or
//! mention people.

use jiff::SignedDuration;

use crate::change::plan::ChangeAction;
use crate::report::connection::{Denial, State};
use crate::report::data::{Decision, Evidence, ExceptionReport, NodeEvidence, Report};
use crate::report::escape::{code, text};
use crate::report::markdown::page::{MOST_ROWS, Page, action, policy};
use crate::report::policies::{PolicyReport, PromotionReport};
use foretell_objects::model::policy_ref::PolicyRef;
use foretell_objects::model::words::{count, grouped, minute, span};

mod dialects;
mod page;

/// Writes a part of the page.
type Section = fn(&mut Page, &Report);

/// The parts of the page, the most important first: a page with a size limit omits the last ones.
const SECTIONS: [Section; 16] = [
    Page::head,
    Page::accepted_by_change,
    Page::unresolved,
    Page::reasons_in_full,
    Page::fixes,
    Page::summaries,
    Page::dialects,
    Page::evidence,
    Page::policies,
    Page::identities,
    Page::previews,
    Page::accepted,
    Page::harmless,
    Page::newly_allowed,
    Page::not_judged,
    Page::notes,
];

/// Sections that a page with a size limit keeps: the verdict, what the change accepts, and the table of what blocks.
const KEPT: usize = 3;

/// Renders the report.
///
/// ```
/// use foretell_policy::report::data::{Evidence, Report};
/// use foretell_policy::report::markdown;
///
/// # let report: Report = serde_json::from_value(serde_json::json!({
/// #     "schemaVersion": 2, "decision": "mayMerge", "exitStatus": 0,
/// #     "headline": "May merge: no connection in use would be denied", "nextStep": "No action is needed.", "reasons": [],
/// #     "base": "main", "head": "topic", "at": "2026-11-21T12:00:00Z", "cni": "upstream", "undecided": [], "policies": [],
/// #     "previews": [], "identities": [], "exceptions": [], "denials": [], "newlyAllowed": [], "notJudged": [],
/// #     "evidence": {"known": true, "from": "2026-11-14T12:00:00Z", "to": "2026-11-21T12:00:00Z", "flows": 1,
/// #         "flowsOutsideWindow": 0, "badLines": 0, "connections": 1, "unresolved": 0, "subjects": 0, "nodes": []},
/// #     "notes": ["Deployment <b>web</b> of @team"],
/// # }))?;
/// // `report` is what `judge` returned, or the JSON of `foretell check --format json`.
/// let page = markdown::render(&report);
/// assert!(page.starts_with("## ✅ Foretell: May merge: no connection in use would be denied\n"));
///
/// // Names from a cluster or a repository cannot become HTML or mention people.
/// assert!(page.contains("Deployment &lt;b&gt;web&lt;/b&gt; of &#64;team"));
/// # Ok::<(), serde_json::Error>(())
/// ```
#[must_use]
pub fn render(report: &Report) -> String {
    SECTIONS.map(|section| written(section, report, MOST_ROWS)).concat()
}

/// Renders the report in at most `most` bytes.
///
/// If the whole page is longer, the last sections are omitted and a line says so. If that is not enough, tables and lists have
/// fewer rows. The verdict and the table of what blocks stay.
///
/// ```
/// # use foretell_policy::report::data::Report;
/// use foretell_policy::report::markdown;
/// # fn example(report: &Report) {
/// // A comment on GitHub may have 65,536 characters.
/// let comment = markdown::render_within(report, 60_000);
/// assert!(comment.len() <= 60_000);
/// # }
/// ```
#[must_use]
pub fn render_within(report: &Report, most: usize) -> String {
    let mut rows = MOST_ROWS;
    loop {
        let sections = SECTIONS.map(|section| written(section, report, rows));
        let whole: usize = sections.iter().map(String::len).sum();
        if whole <= most {
            return sections.concat();
        }
        let room = most.saturating_sub(SHORTENED.len());
        let kept: usize = sections[..KEPT].iter().map(String::len).sum();
        if kept <= room || rows == 1 {
            return shortened(&sections, room);
        }
        rows /= 2;
    }
}

const SHORTENED: &str = "> The report is shortened to fit here: `foretell check` shows all of it.\n";

/// The first sections, as many as fit into `room` bytes.
fn shortened(sections: &[String], room: usize) -> String {
    let mut page = String::new();
    for section in sections {
        if page.len() + section.len() > room {
            if page.is_empty() {
                // Even the first section is too long: show its beginning, which is the verdict.
                page.push_str(&section[..section.floor_char_boundary(room.saturating_sub(1))]);
                page.push('\n');
            }
            break;
        }
        page.push_str(section);
    }
    page + SHORTENED
}

fn written(section: Section, report: &Report, most_rows: usize) -> String {
    let mut page = Page { text: String::new(), most_rows };
    section(&mut page, report);
    page.text
}

impl Page {
    fn head(&mut self, report: &Report) {
        let sign = match report.decision {
            Decision::MayMerge => "✅",
            Decision::Blocked => "⛔",
            Decision::Pending => "⏳",
            Decision::Undecided => "❓",
        };
        self.line(format!("## {sign} Foretell: {}\n", report.headline));
        if !report.next_step.is_empty() {
            self.line(format!("{}\n", text(&report.next_step)));
        }
        for reason in report.reasons.iter().take(self.most_rows) {
            self.line(format!("- {}", text(reason)));
        }
        self.rest(report.reasons.len());
        self.blank_line();
    }

    fn accepted_by_change(&mut self, report: &Report) {
        let own: Vec<&ExceptionReport> = report.exceptions.iter().filter(|exception| exception.in_change).collect();
        if own.is_empty() {
            return;
        }
        self.line("### Accepted by this pull request\n");
        for exception in own.iter().take(self.most_rows) {
            self.exception(exception);
        }
        self.rest(own.len());
        self.blank_line();
    }

    fn unresolved(&mut self, report: &Report) {
        let unresolved: Vec<&Denial> = report.unresolved().collect();
        if unresolved.is_empty() {
            return;
        }
        self.line("### Connections in use that would be denied\n");
        self.denials(&unresolved, report);
        self.line("\nPolicies apply to new connections. Existing ones may keep working until they reconnect.\n");
    }

    /// Apart from the table, so that a page with a size limit can omit them and keep the table.
    fn reasons_in_full(&mut self, report: &Report) {
        self.explanations(&report.unresolved().collect::<Vec<_>>());
    }

    fn fixes(&mut self, report: &Report) {
        for fix in report.fixes.iter().take(self.most_rows) {
            let action = if fix.place.is_some() { "change" } else { "add" };
            self.folded(&format!("How to fix: {action} {}", html(&fix.policy)), |page| page.fix(fix));
        }
        self.rest(report.fixes.len());
    }

    fn summaries(&mut self, report: &Report) {
        if report.policies.is_empty() {
            return;
        }
        self.line("### Policies in this change\n");
        for it in report.policies.iter().take(self.most_rows) {
            self.line(format!("- {}", summary(it)));
        }
        self.rest(report.policies.len());
        self.blank_line();
    }

    fn evidence(&mut self, report: &Report) {
        let evidence: &Evidence = &report.evidence;
        self.line("### Evidence\n");
        let watched = if evidence.known {
            count(evidence.nodes.iter().filter(|node| node.until.is_some()).count() as u64, "node", "nodes")
        } else {
            "an unknown number of nodes".to_owned()
        };
        let flows = count(evidence.flows, "flow record", "flow records");
        let connections = count(evidence.connections, "connection", "connections");
        self.line(format!("{flows} of {connections} on {watched}{}.", watched_time(&evidence.nodes)));
        let mut losses: Vec<String> = Vec::new();
        for node in &evidence.nodes {
            for (cause, number) in &node.lost {
                losses.push(format!("{} on {} ({})", grouped(*number), code(&node.node), text(cause)));
            }
        }
        if evidence.known {
            self.line(if losses.is_empty() {
                "Nothing was lost.".to_owned()
            } else {
                format!("Lost: {}.", losses.join(", "))
            });
        }
        if evidence.unresolved > 0 {
            self.line(format!(
                "{} a pod that is not in the snapshot, so policies cannot be evaluated for it.",
                count(evidence.unresolved, "connection has", "connections have")
            ));
        }
        if evidence.flows_outside_window > 0 {
            let outside = count(evidence.flows_outside_window, "flow record is", "flow records are");
            self.line(format!("{outside} outside the window, which begins {}.", minute(evidence.from)));
        }
        if evidence.bad_lines > 0 {
            self.line(format!(
                "{} skipped.",
                count(evidence.bad_lines, "unreadable line was", "unreadable lines were")
            ));
        }
        let enforcer = if report.cni.is_upstream() {
            String::new()
        } else {
            format!(", as {} enforces policies", code(&report.cni.to_string()))
        };
        self.line(format!(
            "\nJudged {} against {} at {}{enforcer}.\n",
            code(&report.head),
            code(&report.base),
            minute(report.at)
        ));
        if evidence.nodes.len() > 1 || evidence.nodes.iter().any(|node| node.gaps > 0) {
            self.folded("Nodes", |page| page.nodes(&evidence.nodes));
        }
    }

    fn nodes(&mut self, nodes: &[NodeEvidence]) {
        self.line("| Node | Affected pods | Watched | Until | Gaps | Lost |");
        self.line("|---|---|---|---|---|---|");
        for node in nodes.iter().take(self.most_rows) {
            self.line(format!(
                "| {} | {} | {} | {} | {} | {} |",
                code(&node.node),
                node.subjects,
                span(SignedDuration::from_secs(node.watched_seconds)),
                node.until.map_or("never".to_owned(), minute),
                node.gaps,
                node.lost.values().sum::<u64>(),
            ));
        }
        self.rest(nodes.len());
    }

    fn policies(&mut self, report: &Report) {
        if report.policies.is_empty() {
            return;
        }
        self.folded(&format!("Policies in this change, in detail ({})", report.policies.len()), |page| {
            for policy in &report.policies {
                page.policy(policy);
            }
        });
    }

    fn identities(&mut self, report: &Report) {
        if report.identities.is_empty() {
            return;
        }
        let title = format!("Workloads, Namespaces and Services in this change ({})", report.identities.len());
        self.folded(&title, |page| {
            for change in report.identities.iter().take(page.most_rows) {
                let what = action(change.action);
                page.line(format!("- {}, {what}, in {}", code(&change.title()), code(&change.place)));
                page.diff(&change.diff);
            }
            page.rest(report.identities.len());
        });
    }

    fn previews(&mut self, report: &Report) {
        for it in &report.previews {
            let denials: Vec<&Denial> = it.denials.iter().collect();
            let in_use = denials.iter().filter(|denial| denial.state == State::Unresolved).count() as u64;
            let would = if it.action == ChangeAction::Removed {
                "no longer audited".to_owned()
            } else {
                format!("would newly deny {}", count(in_use, "connection in use", "connections in use"))
            };
            self.folded(&format!("Preview of {} ({}): {would}", html(&it.policy), action(it.action)), |page| {
                page.line("An audit policy is not enforced, so nothing here blocks.\n");
                page.policy(it);
                if !denials.is_empty() {
                    page.denials(&denials, report);
                    page.blank_line();
                    page.explanations(&denials);
                }
                if let Some(fix) = &it.fix {
                    page.line("How to fix: this change of the policy would allow the connections in use.\n");
                    page.fix(fix);
                }
            });
        }
    }

    fn accepted(&mut self, report: &Report) {
        let others: Vec<&ExceptionReport> = report.exceptions.iter().filter(|exception| !exception.in_change).collect();
        let denials: Vec<&Denial> = report.denials.iter().filter(|denial| denial.state == State::Accepted).collect();
        if denials.is_empty() && others.is_empty() {
            return;
        }
        self.folded(&format!("Accepted denials ({}), and exceptions from before this change", denials.len()), |page| {
            for exception in others {
                page.exception(exception);
            }
            if !denials.is_empty() {
                page.blank_line();
                page.denials(&denials, report);
                page.blank_line();
                page.explanations(&denials);
            }
        });
    }

    fn harmless(&mut self, report: &Report) {
        let is_harmless = |denial: &&Denial| matches!(denial.state, State::Guessed | State::NotInUse | State::Gone);
        let denials: Vec<&Denial> = report.denials.iter().filter(is_harmless).collect();
        if denials.is_empty() {
            return;
        }
        let title = format!(
            "Denials that do not block ({}): refused, unanswered, guessed, or of workloads that are gone",
            denials.len()
        );
        self.folded(&title, |page| {
            page.denials(&denials, report);
            page.blank_line();
            page.explanations(&denials);
        });
    }

    fn newly_allowed(&mut self, report: &Report) {
        if report.newly_allowed.is_empty() {
            return;
        }
        self.folded(&format!("Newly allowed ({})", report.newly_allowed.len()), |page| {
            page.connections(&report.newly_allowed);
        });
    }

    fn not_judged(&mut self, report: &Report) {
        if report.not_judged.is_empty() {
            return;
        }
        self.folded(&format!("Files in this change that were not evaluated ({})", report.not_judged.len()), |page| {
            for file in report.not_judged.iter().take(page.most_rows) {
                page.line(format!("- {}: {}", code(&file.file), text(&file.why)));
            }
            page.rest(report.not_judged.len());
        });
    }

    fn notes(&mut self, report: &Report) {
        for note in &report.notes {
            self.line(format!("> {}.\n", text(note)));
        }
    }
}

/// `, watched from 2026-11-14 12:00 UTC to 2026-11-21 12:00 UTC (7d)`; empty if no node was watched.
fn watched_time(nodes: &[NodeEvidence]) -> String {
    let first = nodes.iter().filter_map(|node| node.since).min();
    let last = nodes.iter().filter_map(|node| node.until).max();
    match (first, last) {
        (Some(first), Some(last)) => {
            format!(", watched from {} to {} ({})", minute(first), minute(last), span(last.duration_since(first)))
        }
        _ => String::new(),
    }
}

/// What the change does with an enforced policy, in one line.
fn summary(it: &PolicyReport) -> String {
    let name = policy(&it.policy);
    let pods = match it.selected_pods {
        0 => "no running pod".to_owned(),
        pods => count(pods, "running pod", "running pods"),
    };
    match (&it.promotion, it.action) {
        (Some(promotion), _) => {
            let PromotionReport { from, identical, .. } = promotion;
            let specs = match identical {
                Some(true) => "identical spec",
                Some(false) => "different spec",
                None => "which no longer exists",
            };
            format!("{name} is promoted from {} ({specs}). It selects {pods}.", policy(from))
        }
        (None, ChangeAction::Removed) => format!("{name} is removed. It selected {pods}."),
        (None, done) => format!("{name} is {}. It selects {pods}.", action(done)),
    }
}

/// A policy's name in a `<summary>`, where Markdown is not interpreted.
fn html(policy: &PolicyRef) -> String {
    policy.to_string().replace('&', "&amp;").replace('<', "&lt;").replace('@', "&#64;")
}
