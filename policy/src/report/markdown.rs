//! The report as Markdown: as it stands in a pull request or a job's summary, and readable in a terminal.
//!
//! Nothing out of a cluster or a repository can break the table, become a link or ping people: every such text goes through
//! [`text`] or [`code`].

use jiff::SignedDuration;

use crate::change::plan::ChangeAction;
use crate::model::policy_ref::PolicyRef;
use crate::model::words::{count, grouped, minute, span};
use crate::report::data::{Decision, Denial, Evidence, ExceptionReport, Report, State};
use crate::report::escape::{code, text};
use crate::report::markdown::page::{MOST_ROWS, Page, action, policy, promotion_words};
use crate::report::policies::PolicyReport;

mod dialects;
mod page;

/// A part of the page. The first ones are what has to be read; the later, the easier it is missed.
type Section = fn(&mut Page, &Report);

const SECTIONS: [Section; 14] = [
    Page::head,
    Page::accepted_by_change,
    Page::unresolved,
    Page::fixes,
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

/// How many of the sections are kept whatever room there is: verdict, what was accepted, what would be denied.
const KEPT: usize = 3;

/// Renders the report.
#[must_use]
pub fn render(report: &Report) -> String {
    SECTIONS.map(|section| written(section, report, MOST_ROWS)).concat()
}

/// Renders the report in at most so many bytes. What has no room is left out by whole sections, the last ones first, and said
/// to be; where even that does not do, tables and lists have fewer rows. Verdict and table stay.
#[must_use]
pub fn render_within(report: &Report, most: usize) -> String {
    let mut rows = MOST_ROWS;
    loop {
        let sections = SECTIONS.map(|section| written(section, report, rows));
        let whole: usize = sections.iter().map(String::len).sum();
        if whole <= most {
            return sections.concat();
        }
        let room = most.saturating_sub(LEFT_OUT.len());
        let kept: usize = sections[..KEPT].iter().map(String::len).sum();
        if kept <= room || rows == 1 {
            return within(&sections, room);
        }
        rows /= 2;
    }
}

const LEFT_OUT: &str = "> There is more than fits here: `foretell check` shows all of it.\n";

/// The first sections, as many as have room.
fn within(sections: &[String], room: usize) -> String {
    let mut page = String::new();
    for section in sections {
        if page.len() + section.len() > room {
            if page.is_empty() {
                // Not even the verdict with its first reason has room: its beginning is all that can be said.
                page.push_str(&section[..section.floor_char_boundary(room.saturating_sub(1))]);
                page.push('\n');
            }
            break;
        }
        page.push_str(section);
    }
    page + LEFT_OUT
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
        for reason in report.reasons.iter().take(self.most_rows) {
            self.line(format!("- {}", text(reason)));
        }
        self.rest(report.reasons.len());
        if !report.reasons.is_empty() {
            self.line("");
        }
        for change in report.policies.iter().take(self.most_rows).map(summary) {
            self.line(format!("{change}\n"));
        }
        self.rest(report.policies.len());
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
        self.line("");
    }

    fn unresolved(&mut self, report: &Report) {
        let unresolved: Vec<&Denial> = report.unresolved().collect();
        if unresolved.is_empty() {
            return;
        }
        self.line("### Would be denied, and is in use\n");
        self.denials(&unresolved, report);
        self.line(
            "\nA policy takes effect on new connections; what an enforcer does to those that stand is its own affair, and \
             they may break only when they reconnect.\n",
        );
    }

    fn fixes(&mut self, report: &Report) {
        for it in &report.policies {
            if let Some(fix) = &it.fix {
                self.folded(&format!("How {} would allow it", html(&it.policy)), |page| page.fix(fix));
            }
        }
    }

    fn evidence(&mut self, report: &Report) {
        let evidence: &Evidence = &report.evidence;
        self.line("### Evidence\n");
        let watched = if evidence.known {
            count(evidence.nodes.iter().filter(|node| node.until.is_some()).count() as u64, "node", "nodes")
        } else {
            "an unknown number of nodes".to_owned()
        };
        let first = evidence.nodes.iter().filter_map(|node| node.since).min();
        let last = evidence.nodes.iter().filter_map(|node| node.until).max();
        let span_of = match (first, last) {
            (Some(first), Some(last)) => {
                format!(", watched from {} to {} ({})", minute(first), minute(last), span(last.duration_since(first)))
            }
            _ => String::new(),
        };
        let flows = count(evidence.flows, "flow record", "flow records");
        let connections = count(evidence.distinct, "connection", "connections");
        self.line(format!("{flows} of {connections} on {watched}{span_of}."));
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
                "{} with a pod that the snapshot does not know: what policies say of it cannot be told.",
                count(evidence.unresolved, "connection is", "connections are")
            ));
        }
        if evidence.flows_outside_window > 0 {
            let outside = count(evidence.flows_outside_window, "flow record lies", "flow records lie");
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
            format!(", as {} enforces", code(&report.cni.to_string()))
        };
        self.line(format!(
            "\nJudged {} against {} at {}{enforcer}.\n",
            code(&report.head),
            code(&report.base),
            minute(report.at)
        ));
        if evidence.nodes.len() > 1 || evidence.nodes.iter().any(|node| node.gaps > 0) {
            self.folded("Nodes", |page| {
                page.line("| Node | Pods concerned | Watched | Until | Gaps | Lost |");
                page.line("|---|---|---|---|---|---|");
                for node in evidence.nodes.iter().take(page.most_rows) {
                    page.line(format!(
                        "| {} | {} | {} | {} | {} | {} |",
                        code(&node.node),
                        node.subjects,
                        span(SignedDuration::from_secs(node.watched_seconds)),
                        node.until.map_or("never".to_owned(), minute),
                        node.gaps,
                        node.lost.values().sum::<u64>(),
                    ));
                }
                page.rest(evidence.nodes.len());
            });
        }
    }

    fn policies(&mut self, report: &Report) {
        if report.policies.is_empty() {
            return;
        }
        self.folded(&format!("Enforced policies of this change ({})", report.policies.len()), |page| {
            for policy in &report.policies {
                page.policy(policy);
            }
        });
    }

    fn identities(&mut self, report: &Report) {
        if report.identities.is_empty() {
            return;
        }
        let title = format!("Workloads, Namespaces and Services of this change ({})", report.identities.len());
        self.folded(&title, |page| {
            for change in report.identities.iter().take(page.most_rows) {
                let differences = change.differences.join("; ");
                let differences =
                    if differences.is_empty() { String::new() } else { format!(": {}", text(&differences)) };
                page.line(format!(
                    "- {}, {}, in {}{differences}",
                    code(&change.title()),
                    action(change.action),
                    code(&change.place)
                ));
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
            self.folded(&format!("Preview: {} {}, {would}", html(&it.policy), action(it.action)), |page| {
                page.line("Nothing of this is enforced, so nothing of it blocks.\n");
                page.policy(it);
                if !denials.is_empty() {
                    page.denials(&denials, report);
                }
                if let Some(fix) = &it.fix {
                    page.line("\nThis would allow what is in use:\n");
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
        self.folded(&format!("Accepted denials ({}), and exceptions that stood before", denials.len()), |page| {
            for exception in others {
                page.exception(exception);
            }
            if !denials.is_empty() {
                page.line("");
                page.denials(&denials, report);
            }
        });
    }

    fn harmless(&mut self, report: &Report) {
        let held_back = |denial: &&Denial| matches!(denial.state, State::Guessed | State::NotInUse | State::Gone);
        let denials: Vec<&Denial> = report.denials.iter().filter(held_back).collect();
        if denials.is_empty() {
            return;
        }
        self.folded(
            &format!(
                "Denied, but not in use: refused, unanswered, guessed, or of workloads that are gone ({})",
                denials.len()
            ),
            |page| {
                page.denials(&denials, report);
            },
        );
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
        self.folded(&format!("Files of this change that were not judged ({})", report.not_judged.len()), |page| {
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

/// What the change does with one enforced policy, in a line under the headline.
fn summary(it: &PolicyReport) -> String {
    let selected = match it.selected_pods {
        0 => "it selects no pod that runs today".to_owned(),
        pods => format!("it selects {}", count(pods, "running pod", "running pods")),
    };
    match &it.promotion {
        Some(promotion) => format!("{} is promoted, {}; {selected}.", policy(&it.policy), promotion_words(promotion)),
        None => format!("{} is {}: {selected}.", policy(&it.policy), action(it.action)),
    }
}

/// In a `<summary>` Markdown is not read.
fn html(policy: &PolicyRef) -> String {
    policy.to_string().replace('&', "&amp;").replace('<', "&lt;").replace('@', "&#64;")
}
