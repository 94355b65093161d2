//! The report as Markdown: as it stands in a pull request or a job's summary, and readable in a terminal.
//!
//! Nothing out of a cluster or a repository can break the table, become a link or ping people: every such text goes through
//! [`text`] or [`code`](super::escape::code).

use std::fmt::Write as _;

use jiff::SignedDuration;

use super::escape::{code, text};
use super::words::{ago, count, grouped, minute, span};
use super::{
    CauseReport, Decision, Denial, Evidence, ExceptionReport, PolicyReport, Relation, Report, SeenTraffic, State,
};
use crate::change::Action;
use crate::compiled::PolicyRef;
use crate::flow::Direction;
use crate::naming::Party;

/// How many rows a table shows; the rest is counted. The JSON form holds all.
const MOST_ROWS: usize = 100;

/// Renders the report.
#[must_use]
pub fn render(report: &Report) -> String {
    let mut page = Page(String::new());
    page.head(report);
    page.accepted_by_change(report);
    page.unresolved(report);
    page.evidence(&report.evidence, report);
    page.policies(report);
    page.identities(report);
    page.previews(report);
    page.accepted(report);
    page.harmless(report);
    page.newly_allowed(report);
    page.not_judged(report);
    page.notes(report);
    page.0
}

fn party(party: &Party) -> String {
    match party {
        Party::Workload { namespace, kind, name } => {
            format!("{} in {}", code(&format!("{kind}/{name}")), code(namespace))
        }
        Party::Address { cidr, node: Some(node) } => format!("node {} ({})", code(node), cidr.addr()),
        Party::Address { cidr, node: None } => code(&cidr.addr().to_string()),
    }
}

fn policy(policy: &PolicyRef) -> String {
    let PolicyRef { kind, namespace, name } = policy;
    let name = if namespace.is_empty() { name.clone() } else { format!("{namespace}/{name}") };
    format!("{kind} {}", code(&name))
}

/// Who opened the connections, and to whom.
fn from_to<'a>(direction: Direction, subject: &'a Party, peer: &'a Party) -> (&'a Party, &'a Party) {
    match direction {
        Direction::Ingress => (peer, subject),
        Direction::Egress => (subject, peer),
    }
}

fn action(action: Action) -> &'static str {
    match action {
        Action::Added => "added",
        Action::Changed => "changed",
        Action::Removed => "removed",
    }
}

fn attempts(seen: &SeenTraffic) -> String {
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

struct Page(String);

impl Page {
    fn line(&mut self, line: impl AsRef<str>) {
        self.0.push_str(line.as_ref());
        self.0.push('\n');
    }

    /// A part that is folded until somebody asks for it.
    fn folded(&mut self, summary: &str, fill: impl FnOnce(&mut Self)) {
        self.line(format!("<details><summary>{summary}</summary>\n"));
        fill(self);
        self.line("\n</details>\n");
    }

    fn head(&mut self, report: &Report) {
        let sign = match report.decision {
            Decision::MayMerge => "✅",
            Decision::Blocked => "⛔",
            Decision::Pending => "⏳",
            Decision::Undecided => "❓",
        };
        self.line(format!("## {sign} Foretell: {}\n", report.headline));
        for reason in &report.reasons {
            self.line(format!("- {}", text(reason)));
        }
        if !report.reasons.is_empty() {
            self.line("");
        }
        let changes: Vec<String> = report.policies.iter().map(summary).collect();
        for change in changes {
            self.line(format!("{change}\n"));
        }
    }

    fn accepted_by_change(&mut self, report: &Report) {
        let own: Vec<&ExceptionReport> = report.exceptions.iter().filter(|exception| exception.in_change).collect();
        if own.is_empty() {
            return;
        }
        self.line("### Accepted by this pull request\n");
        for exception in own {
            self.exception(exception);
        }
        self.line("");
    }

    fn exception(&mut self, exception: &ExceptionReport) {
        let name = code(&format!("{}/{}", exception.namespace, exception.name));
        let until = exception.expires_at.map_or(String::new(), |at| format!(", until {}", minute(at)));
        let accepts = if exception.accepts.is_empty() {
            "accepts nothing that was seen".to_owned()
        } else {
            let ids: Vec<String> = exception.accepts.iter().map(|id| code(&id.to_string())).collect();
            format!("accepts {}", ids.join(", "))
        };
        self.line(format!("- {name}{until}: {accepts}. Reason: {}", text(&exception.reason)));
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

    fn denials(&mut self, denials: &[&Denial], report: &Report) {
        self.line("| Denial | From | To | Port | Seen | Last seen | Why |");
        self.line("|---|---|---|---|---|---|---|");
        for denial in denials.iter().take(MOST_ROWS) {
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

    fn rest(&mut self, rows: usize) {
        if rows > MOST_ROWS {
            self.line(format!("\nAnd {} more; `--format json` lists all.", rows - MOST_ROWS));
        }
    }

    fn evidence(&mut self, evidence: &Evidence, report: &Report) {
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
        let relations = count(evidence.distinct, "relation", "relations");
        self.line(format!("{flows} of {relations} on {watched}{span_of}."));
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
                count(evidence.unresolved, "relation is", "relations are")
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
        self.line(format!(
            "\nJudged {} against {} at {}.\n",
            code(&report.head),
            code(&report.base),
            minute(report.at)
        ));
        if evidence.nodes.len() > 1 || evidence.nodes.iter().any(|node| node.gaps > 0) {
            self.folded("Nodes", |page| {
                page.line("| Node | Pods concerned | Watched | Until | Gaps | Lost |");
                page.line("|---|---|---|---|---|---|");
                for node in evidence.nodes.iter().take(MOST_ROWS) {
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

    fn policy(&mut self, it: &PolicyReport) {
        self.line(format!("**{}**, {}, in {}\n", policy(&it.policy), action(it.action), code(&it.place)));
        let workloads: Vec<String> = it.selected_workloads.iter().take(MOST_ROWS).map(party).collect();
        let pods = count(it.selected_pods, "running pod", "running pods");
        if workloads.is_empty() {
            self.line(format!("- Selects {pods}."));
        } else {
            self.line(format!("- Selects {pods}: {}.", workloads.join(", ")));
        }
        let said = &it.verdicts;
        self.line(format!(
            "- Of the relations in use of these pods it allows {}, would deny {} ({} newly denied, {} still allowed by \
             another policy, {} denied already); {} are exempt.",
            said.allow, said.would_deny, said.newly_denied, said.still_allowed, said.still_denied, said.exempt,
        ));
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
            self.relations(&it.still_allowed);
        }
        self.line("");
    }

    fn relations(&mut self, relations: &[Relation]) {
        self.line("| From | To | Port | Seen | How |");
        self.line("|---|---|---|---|---|");
        for relation in relations.iter().take(MOST_ROWS) {
            let (from, to) = from_to(relation.direction, &relation.subject, &relation.peer);
            self.line(format!(
                "| {} | {} | {} {} | {} | {} |",
                party(from),
                party(to),
                relation.protocol,
                relation.port,
                attempts(&relation.seen),
                text(&relation.note),
            ));
        }
        self.rest(relations.len());
    }

    fn identities(&mut self, report: &Report) {
        if report.identities.is_empty() {
            return;
        }
        let title = format!("Workloads, Namespaces and Services of this change ({})", report.identities.len());
        self.folded(&title, |page| {
            for change in report.identities.iter().take(MOST_ROWS) {
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
            let would = if it.action == Action::Removed {
                "no longer audited".to_owned()
            } else {
                format!("would newly deny {}", count(in_use, "relation in use", "relations in use"))
            };
            self.folded(&format!("Preview: {} {}, {would}", html(&it.policy), action(it.action)), |page| {
                page.line("Nothing of this is enforced, so nothing of it blocks.\n");
                page.policy(it);
                if !denials.is_empty() {
                    page.denials(&denials, report);
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
        self.folded(&format!("Accepted denials ({})", denials.len()), |page| {
            for exception in others {
                page.exception(exception);
            }
            page.line("");
            page.denials(&denials, report);
        });
    }

    fn harmless(&mut self, report: &Report) {
        let held_back = |denial: &&Denial| matches!(denial.state, State::Guessed | State::NotInUse);
        let denials: Vec<&Denial> = report.denials.iter().filter(held_back).collect();
        if denials.is_empty() {
            return;
        }
        self.folded(&format!("Denied, but not in use: refused, unanswered or guessed ({})", denials.len()), |page| {
            page.denials(&denials, report);
        });
    }

    fn newly_allowed(&mut self, report: &Report) {
        if report.newly_allowed.is_empty() {
            return;
        }
        self.folded(&format!("Newly allowed ({})", report.newly_allowed.len()), |page| {
            page.relations(&report.newly_allowed);
        });
    }

    fn not_judged(&mut self, report: &Report) {
        if report.not_judged.is_empty() {
            return;
        }
        self.folded(&format!("Files of this change that were not judged ({})", report.not_judged.len()), |page| {
            for file in report.not_judged.iter().take(MOST_ROWS) {
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

fn promotion_words(promotion: &super::PromotionReport) -> String {
    let from = policy(&promotion.from);
    match promotion.identical {
        Some(true) => format!("spec identical to the audited {from}"),
        Some(false) => format!("spec differs from the audited {from}"),
        None => format!("from {from}, which is not known any more"),
    }
}

/// In a `<summary>` Markdown is not read.
fn html(policy: &PolicyRef) -> String {
    policy.to_string().replace('&', "&amp;").replace('<', "&lt;").replace('@', "&#64;")
}
