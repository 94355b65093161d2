//! What is said of a pull request: a state and a line beside it, and a comment where there is something to be read.

use std::fmt::Write as _;

use foretell_policy::report::data::{Decision, Report};
use foretell_policy::report::markdown;
use serde_json::Value;
use sha2::{Digest as _, Sha256};

/// GitHub takes no more characters.
const MOST_DESCRIPTION: usize = 140;
/// GitHub takes 65,536 characters of a comment; the marker and its end need room too.
const MOST_COMMENT: usize = 60_000;

/// State of a commit status, the better ones first.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
#[expect(missing_docs, reason = "GitHub's names")]
pub enum State {
    Success,
    Pending,
    Failure,
    Error,
}

impl State {
    /// As GitHub writes it.
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

/// What is said of a pull request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Verdict {
    /// The state.
    pub state: State,
    /// The line beside it.
    pub description: String,
    /// The comment.
    pub comment: Said,
}

/// What becomes of the comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Said {
    /// It is left as it is.
    Unchanged,
    /// One that stands is replaced; none is written.
    Corrected(Text),
    /// It is written.
    Written(Text),
}

/// The text of a comment.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// Markdown.
    pub body: String,
    /// Tells answers apart that say something else. Counts and times that moved on do not.
    pub fingerprint: String,
}

impl Verdict {
    /// What the evaluator says.
    #[must_use]
    pub fn of_report(report: &Report) -> Self {
        let state = match report.decision {
            Decision::MayMerge => State::Success,
            Decision::Blocked => State::Failure,
            Decision::Pending => State::Pending,
            Decision::Undecided => State::Error,
        };
        let text = Text { body: markdown::render_within(report, MOST_COMMENT), fingerprint: fingerprint(report) };
        let says_nothing = report.decision == Decision::MayMerge
            && report.policies.is_empty()
            && report.previews.is_empty()
            && report.identities.is_empty();
        let comment = if says_nothing { Said::Corrected(text) } else { Said::Written(text) };
        Self { state, description: description(&report.headline), comment }
    }

    /// No object is touched, so nobody has to be asked.
    #[must_use]
    pub fn untouched(head: &str, files_not_judged: usize) -> Self {
        let mut line = "May merge: no policy changed, and nothing that policies look at.".to_owned();
        if files_not_judged > 0 {
            let _ = write!(line, " Files that were not judged: {files_not_judged}.");
        }
        let comment = Said::Corrected(plain("✅", &line, head));
        Self { state: State::Success, description: description(&line), comment }
    }

    /// Nothing can be said of the change as it stands.
    #[must_use]
    pub fn undecided(head: &str, why: &str) -> Self {
        let line = format!("Could not decide: {why}.");
        Self {
            state: State::Error,
            description: description(&line),
            comment: Said::Corrected(plain("❓", &line, head)),
        }
    }

    /// Nothing can be said now; it is tried again.
    #[must_use]
    pub fn not_now(why: &str) -> Self {
        let line = format!("Could not decide yet: {why}. It is tried again by itself.");
        Self { state: State::Error, description: description(&line), comment: Said::Unchanged }
    }
}

fn plain(sign: &str, line: &str, head: &str) -> Text {
    let line = foretell_policy::report::escape::text(line);
    let body = format!("## {sign} Foretell: {line}\n\nJudged `{head}`.\n");
    Text { fingerprint: hash(body.as_bytes()), body }
}

/// The line as GitHub takes it.
fn description(line: &str) -> String {
    let line = line.trim();
    if line.chars().count() <= MOST_DESCRIPTION {
        return line.to_owned();
    }
    let cut: String = line.chars().take(MOST_DESCRIPTION - 1).collect();
    format!("{}…", cut.trim_end())
}

/// Of everything in a report but what moves on by itself: two that are the same tell a reader the same.
fn fingerprint(report: &Report) -> String {
    let mut report = serde_json::to_value(report).unwrap_or_default();
    forget_counts(&mut report);
    hash(format!("{} {report}", env!("CARGO_PKG_VERSION")).as_bytes())
}

fn forget_counts(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            for moving in ["at", "seen", "evidence", "verdicts", "selectedPods"] {
                fields.remove(moving);
            }
            fields.values_mut().for_each(forget_counts);
        }
        Value::Array(elements) => elements.iter_mut().for_each(forget_counts),
        _ => {}
    }
}

fn hash(bytes: &[u8]) -> String {
    data_encoding::HEXLOWER.encode(&Sha256::digest(bytes)[..16])
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_description_is_cut_where_github_would_refuse_it() {
        assert_eq!(description("short"), "short");
        let cut = description(&"ü".repeat(200));
        assert_eq!(cut.chars().count(), MOST_DESCRIPTION);
        assert!(cut.ends_with('…'));
    }

    fn blocked(denials: usize, label: &str) -> Report {
        let time = "2026-11-21T12:00:00Z";
        let party = json!({"type": "workload", "namespace": "shop", "kind": "Deployment", "name": label});
        let denial = |number: usize| {
            json!({
                "id": format!("D-{number:0>10}").replace(['0', '1', '8', '9'], "A"), "state": "unresolved", "direction": "Ingress",
                "policy": {"kind": "NetworkPolicy", "namespace": "shop", "name": "web"},
                "subject": party, "peer": party, "protocol": "TCP", "port": 80, "reason": "NoRuleMatched", "message": label,
                "seen": {"inUse": number, "guessed": 0, "refused": 0, "unanswered": 0, "packets": 0, "bytes": 0, "firstSeen": time, "lastSeen": time},
                "cause": "policy", "causedBy": [], "acceptedBy": [], "expiredExceptions": []
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

    #[test]
    fn what_has_no_room_is_left_out_and_verdict_and_table_stay() {
        let body = |report: &Report| match Verdict::of_report(report).comment {
            Said::Written(text) => text.body,
            other => panic!("{other:?}"),
        };
        assert!(body(&blocked(3, "short")).contains("> it ends here."));
        for length in [200, 400, 2000, 20_000, 100_000] {
            let body = body(&blocked(300, &"x".repeat(length)));
            assert!(body.len() <= MOST_COMMENT, "{length}: {}", body.len());
            assert!(body.contains("Blocked: it is."), "{length}");
            assert!(
                body.ends_with("shows all of it.\n") || body.contains("more; `--format json` lists all"),
                "{length}"
            );
            assert_eq!(body.contains("| `D-"), length <= 2000, "{length}");
        }
    }

    #[test]
    fn counts_that_moved_on_tell_nothing_new() {
        let (mut report, other) = (blocked(2, "a"), blocked(3, "a"));
        let first = fingerprint(&report);
        report.denials[0].seen.in_use += 1;
        report.at = "2026-11-22T00:00:00Z".parse().unwrap();
        assert_eq!(fingerprint(&report), first);
        assert_ne!(fingerprint(&other), first);
    }

    #[test]
    fn the_worse_state_is_the_greater_one() {
        assert!(State::Error > State::Failure && State::Failure > State::Pending && State::Pending > State::Success);
    }

    #[test]
    fn what_cannot_be_decided_is_an_error_and_corrects_what_stands() {
        let verdict = Verdict::undecided("abc1234", "merging is a conflict");
        assert_eq!(verdict.state, State::Error);
        assert!(matches!(verdict.comment, Said::Corrected(_)));
        assert_eq!(Verdict::not_now("the evaluator does not answer").comment, Said::Unchanged);
    }
}
