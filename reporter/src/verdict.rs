//! The answer to a pull request: a state with a one-line description, and a comment if there is more to report.

use std::fmt::Write as _;

use foretell_policy::judge::gate::{NOTHING_ENFORCED, NOTHING_RELEVANT};
use foretell_policy::report::data::{Decision, Report};
use foretell_policy::report::markdown;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// The maximum number of characters that GitHub accepts.
const MAX_DESCRIPTION: usize = 140;
/// The maximum size of a comment in bytes. GitHub accepts 65,536 characters, and the marker needs some of them.
const MAX_COMMENT: usize = 60_000;

/// State of a commit status, in the order from best to worst.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "GitHub's names")]
pub enum State {
    Success,
    Pending,
    Failure,
    Error,
}

impl State {
    /// The state in GitHub's API.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Success => "success",
            Self::Pending => "pending",
            Self::Failure => "failure",
            Self::Error => "error",
        }
    }
}

/// The answer to a pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The state.
    pub state: State,
    /// The description of the status.
    pub description: String,
    /// What to do with the comment.
    pub comment: CommentAction,
}

/// What to do with the comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum CommentAction {
    /// Leave it unchanged.
    Keep,
    /// Replace the text of an existing comment, but do not create one.
    UpdateExisting(Text),
    /// Create a comment, or replace the text of an existing one.
    Write(Text),
}

/// The text of a comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// Markdown.
    pub body: String,
    /// Differs between answers with different content. Changed counts and times alone do not change it.
    pub fingerprint: String,
}

impl Verdict {
    /// The answer for a report of the evaluator.
    #[must_use]
    pub fn of_report(report: &Report) -> Self {
        let state = match report.decision {
            Decision::MayMerge => State::Success,
            Decision::Blocked => State::Failure,
            Decision::Pending => State::Pending,
            Decision::Undecided => State::Error,
        };
        let text = Text { body: markdown::render_within(report, MAX_COMMENT), fingerprint: fingerprint(report) };
        let is_empty = report.decision == Decision::MayMerge
            && report.policies.is_empty()
            && report.previews.is_empty()
            && report.identities.is_empty();
        let comment = if is_empty { CommentAction::UpdateExisting(text) } else { CommentAction::Write(text) };
        Self { state, description: description(&report.headline), comment }
    }

    /// The answer if the change touches no object that the engine reads, so that the evaluator is not queried.
    #[must_use]
    pub fn nothing_relevant(head: &str, files_not_judged: usize) -> Self {
        let mut line = format!("{}.", if files_not_judged > 0 { NOTHING_ENFORCED } else { NOTHING_RELEVANT });
        if files_not_judged > 0 {
            let _ = write!(line, " Files that were not judged: {files_not_judged}.");
        }
        let comment = CommentAction::UpdateExisting(plain("✅", &line, head));
        Self { state: State::Success, description: description(&line), comment }
    }

    /// The answer if no decision is possible for the current head.
    #[must_use]
    pub fn undecided(head: &str, why: &str) -> Self {
        let line = format!("Could not decide: {why}.");
        Self {
            state: State::Error,
            description: description(&line),
            comment: CommentAction::UpdateExisting(plain("❓", &line, head)),
        }
    }

    /// The answer if no decision is possible now, and the reporter retries.
    #[must_use]
    pub fn retry_later(why: &str) -> Self {
        let line = format!("Could not decide yet: {why}. Foretell retries automatically.");
        Self { state: State::Error, description: description(&line), comment: CommentAction::Keep }
    }
}

fn plain(sign: &str, line: &str, head: &str) -> Text {
    let line = foretell_policy::report::escape::text(line);
    let body = format!("## {sign} Foretell: {line}\n\nJudged `{head}`.\n");
    Text { fingerprint: hash(body.as_bytes()), body }
}

/// The line, shortened to the length that GitHub accepts.
fn description(line: &str) -> String {
    let line = line.trim();
    if line.chars().count() <= MAX_DESCRIPTION {
        return line.to_owned();
    }
    let cut: String = line.chars().take(MAX_DESCRIPTION - 1).collect();
    format!("{}…", cut.trim_end())
}

/// The fingerprint of a report without counts and times, which change although the content does not.
fn fingerprint(report: &Report) -> String {
    let mut report = serde_json::to_value(report).unwrap_or_default();
    remove_counts(&mut report);
    hash(format!("{} {report}", env!("CARGO_PKG_VERSION")).as_bytes())
}

fn remove_counts(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for field in ["addresses", "at", "seen", "evidence", "verdicts", "selectedPods"] {
                fields.remove(field);
            }
            fields.values_mut().for_each(remove_counts);
        }
        Value::Array(elements) => elements.iter_mut().for_each(remove_counts),
        _ => {}
    }
}

fn hash(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(bytes)[..16])
}

#[cfg(test)]
mod tests {
    use foretell_policy::report::connection::SeenAddresses;
    use serde_json::json;

    use super::*;

    #[test]
    fn a_description_is_shortened_to_the_length_that_github_accepts() {
        assert_eq!(description("short"), "short");
        let cut = description(&"ü".repeat(200));
        assert_eq!(cut.chars().count(), MAX_DESCRIPTION);
        assert!(cut.ends_with('…'));
    }

    fn blocked(denials: usize, label: &str) -> Report {
        let time = "2026-11-21T12:00:00Z";
        let party = json!({"type": "workload", "namespace": "shop", "kind": "Deployment", "name": label});
        let denial = |number: usize| {
            json!({
                "id": format!("D-{number:0>10}").replace(['0', '1', '8', '9'], "A"), "state": "unresolved", "direction": "Ingress",
                "policies": [{
                    "policy": {"kind": "NetworkPolicy", "namespace": "shop", "name": "web"},
                    "cause": "policy", "reason": "NoRuleMatched", "summary": label, "message": label
                }],
                "subject": party, "peer": party, "protocol": "TCP", "port": 80,
                "seen": {"inUse": number, "guessed": 0, "refused": 0, "unanswered": 0, "packets": 0, "bytes": 0, "firstSeen": time, "lastSeen": time},
                "causedBy": [], "acceptedBy": [], "expiredExceptions": []
            })
        };
        let report = json!({
            "schemaVersion": 2, "decision": "blocked", "exitStatus": 1, "headline": "Blocked: it is.", "reasons": [],
            "base": "a", "head": "b", "at": time, "undecided": [], "policies": [], "previews": [], "identities": [], "exceptions": [],
            "denials": (0..denials).map(denial).collect::<Vec<_>>(), "newlyAllowed": [],
            "evidence": {"known": true, "from": time, "to": time, "flows": 0, "flowsOutsideWindow": 0, "badLines": 0, "connections": 0, "unresolved": 0, "subjects": 0, "nodes": []},
            "notJudged": [], "notes": ["it ends here"]
        });
        serde_json::from_value(report).unwrap()
    }

    /// The comment on 300 denials whose names and reasons have this length.
    fn comment_on_300_denials(length: usize) -> String {
        match Verdict::of_report(&blocked(300, &"x".repeat(length))).comment {
            CommentAction::Write(text) => text.body,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_long_table_has_fewer_rows_the_longer_they_are_and_all_sections_stay() {
        for (length, rows) in [(1, 100), (200, 50), (400, 25), (2000, 6)] {
            let body = comment_on_300_denials(length);
            assert!(body.len() <= MAX_COMMENT, "{length}: {}", body.len());
            assert!(body.starts_with("## ⛔ Foretell: Blocked: it is.\n"), "{length}");
            assert_eq!(body.matches("| `D-").count(), rows, "{length}");
            assert!(body.contains(&format!("\nAnd {} more", 300 - rows)), "{length}");
            assert!(body.trim_end().ends_with("> it ends here."), "{length}");
        }
    }

    #[test]
    fn if_not_even_one_row_fits_the_comment_is_the_verdict_and_how_to_see_the_rest() {
        for length in [20_000, 100_000] {
            let body = comment_on_300_denials(length);
            let lines: Vec<&str> = body.lines().filter(|line| !line.is_empty()).collect();
            let [headline, rest] = lines[..] else { panic!("{length}: {lines:?}") };
            assert_eq!(headline, "## ⛔ Foretell: Blocked: it is.", "{length}");
            assert!(rest.starts_with("> ") && rest.contains("`foretell check`"), "{length}: {rest}");
        }
    }

    #[test]
    fn changed_counts_and_times_do_not_change_the_fingerprint() {
        let (mut report, other) = (blocked(2, "a"), blocked(3, "a"));
        let first = fingerprint(&report);
        report.denials[0].seen.in_use += 1;
        report.denials[1].addresses = Some(SeenAddresses { count: 9, samples: Vec::new() });
        report.at = "2026-11-22T00:00:00Z".parse().unwrap();
        assert_eq!(fingerprint(&report), first);
        assert_ne!(fingerprint(&other), first);
    }

    #[test]
    fn worse_states_are_greater() {
        assert!(State::Error > State::Failure && State::Failure > State::Pending && State::Pending > State::Success);
    }

    #[test]
    fn an_undecided_change_is_an_error_and_updates_an_existing_comment() {
        let verdict = Verdict::undecided("abc1234", "merging causes a conflict");
        assert_eq!(
            (verdict.state, verdict.description.as_str()),
            (State::Error, "Could not decide: merging causes a conflict.")
        );
        let CommentAction::UpdateExisting(text) = verdict.comment else { panic!("{:?}", verdict.comment) };
        assert_eq!(text.body, "## ❓ Foretell: Could not decide: merging causes a conflict.\n\nJudged `abc1234`.\n");
        let other = Verdict::undecided("abc1234", "another reason").comment;
        assert!(matches!(other, CommentAction::UpdateExisting(other) if other.fingerprint != text.fingerprint));
    }

    #[test]
    fn a_temporary_failure_is_an_error_and_keeps_the_comment() {
        let verdict = Verdict::retry_later("the evaluator cannot be reached");
        assert_eq!(verdict.state, State::Error);
        let expected = "Could not decide yet: the evaluator cannot be reached. Foretell retries automatically.";
        assert_eq!((verdict.description.as_str(), verdict.comment), (expected, CommentAction::Keep));
    }

    #[test]
    fn a_change_without_relevant_objects_may_merge_and_names_the_number_of_files_not_judged() {
        let none = Verdict::nothing_relevant("abc1234", 0);
        let line = "May merge: no policy changed, and no object that policies refer to.";
        assert_eq!((none.state, none.description.as_str()), (State::Success, line));
        assert!(matches!(none.comment, CommentAction::UpdateExisting(_)));
        let some = Verdict::nothing_relevant("abc1234", 2);
        let line = "May merge: no enforced policy changed, and no object that policies refer to.";
        assert_eq!(some.description, format!("{line} Files that were not judged: 2."));
    }

    #[test]
    fn the_decision_determines_the_state_and_an_empty_report_creates_no_comment() {
        for (decision, state) in [
            (Decision::MayMerge, State::Success),
            (Decision::Blocked, State::Failure),
            (Decision::Pending, State::Pending),
            (Decision::Undecided, State::Error),
        ] {
            let report = Report { decision, ..blocked(0, "a") };
            let verdict = Verdict::of_report(&report);
            assert_eq!(verdict.state, state, "{decision:?}");
            let creates = matches!(verdict.comment, CommentAction::Write(_));
            assert_eq!(creates, decision != Decision::MayMerge, "{decision:?}");
        }
    }
}
