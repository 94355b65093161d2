//! Answers a pull request: reads its change, queries the evaluator, and posts comment and status.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use foretell_policy::report::preview::{Preview, WireChange};
use foretell_service::evaluator::{Evaluator, EvaluatorError};
use tokio::sync::OnceCell;
use tracing::{info, warn};

use crate::answers::{Answer, Answers};
use crate::api::{Pull, Repo, Status};
use crate::args::JudgingArgs;
use crate::github::GitHub;
use crate::github::error::GitHubError;
use crate::metrics::Metrics;
use crate::post;
use crate::queue::{Outcome, PullKey};
use crate::tree::{self, BlobCache, PullChange, ReadError};
use crate::verdict::{State, Verdict};

/// When an answer is evaluated again that may change without a delivery: the evidence grows longer, agents return, or a new
/// commit on the base resolves a conflict.
const REEVALUATE_AFTER: Duration = Duration::from_mins(15);

/// Answers pull requests.
#[derive(Debug)]
pub struct Reporter {
    github: GitHub,
    evaluator: Evaluator,
    judging: JudgingArgs,
    metrics: Metrics,
    blobs: BlobCache,
    login: OnceCell<String>,
    answers: Mutex<Answers>,
}

impl Reporter {
    /// Makes a reporter. It sends no request yet.
    #[must_use]
    pub fn new(github: GitHub, evaluator: Evaluator, judging: JudgingArgs, metrics: Metrics) -> Self {
        let (blobs, login, answers) = (BlobCache::default(), OnceCell::new(), Mutex::default());
        Self { github, evaluator, judging, metrics, blobs, login, answers }
    }

    /// The client of GitHub.
    #[must_use]
    pub fn github(&self) -> &GitHub {
        &self.github
    }

    /// Answers a pull request in its current state.
    ///
    /// # Errors
    /// [`GitHubError`]. A failure of the evaluator is reported on the pull request instead.
    pub async fn answer(&self, key: &PullKey) -> Result<Outcome, GitHubError> {
        let pull = match self.github.pull(&key.repo, key.number).await {
            Err(error) if error.is_missing() => {
                warn!(pull.repo = %key.repo, pull.number = key.number, "{}#{} no longer exists, or this App has no access to it", key.repo, key.number);
                return Ok(Outcome::Answered);
            }
            pull => pull?,
        };
        if pull.state != "open" {
            self.withdraw(key).await?;
            return Ok(Outcome::Answered);
        }
        let (verdict, outcome) = self.verdict(key, &pull).await?;
        if outcome == Outcome::HeadChanged {
            return Ok(outcome);
        }
        let now = self.github.pull(&key.repo, key.number).await?;
        if now.state != "open" || now.head.sha != pull.head.sha || now.base.branch != pull.base.branch {
            return Ok(Outcome::HeadChanged);
        }
        let login = self.login.get_or_try_init(|| self.github.login()).await?;
        post::comment(&self.github, key, login, &self.judging.context, &verdict.comment).await?;
        let worst = {
            let mut answers = self.answers.lock().unwrap_or_else(PoisonError::into_inner);
            answers.record(key, &pull.head.sha, (verdict.state, verdict.description))
        };
        self.post_status(&key.repo, &pull.head.sha, worst).await?;
        self.metrics.answer(verdict.state.as_str());
        info!(
            pull.repo = %key.repo, pull.number = key.number, pull.head = %pull.head.sha, answer.state = verdict.state.as_str(),
            "Answered {}#{} with {}", key.repo, key.number, verdict.state.as_str()
        );
        Ok(outcome)
    }

    async fn verdict(&self, key: &PullKey, pull: &Pull) -> Result<(Verdict, Outcome), GitHubError> {
        let head: String = pull.head.sha.chars().take(7).collect();
        let change = tree::read(&self.github, &self.blobs, &key.repo, pull, &self.judging.namespace).await;
        let PullChange { change, settings, base, head } = match change {
            Ok(change) => change,
            Err(ReadError::GitHub(error)) => return Err(error),
            Err(error @ ReadError::HeadChanged) => {
                return Ok((Verdict::retry_later(&error.to_string()), Outcome::HeadChanged));
            }
            Err(error @ ReadError::NoTestMerge) => {
                self.metrics.failure("merge");
                return Ok((Verdict::retry_later(&error.to_string()), Outcome::Failed(None)));
            }
            Err(ReadError::Undecided(why)) => {
                return Ok((Verdict::undecided(&head, &why), Outcome::AnsweredUntil(REEVALUATE_AFTER)));
            }
        };
        if change.leaves_objects_alone() {
            return Ok((Verdict::nothing_relevant(&head, change.not_judged.len()), Outcome::Answered));
        }
        let seconds = |span: Option<Duration>| span.and_then(|span| u32::try_from(span.as_secs()).ok());
        let change = match WireChange::of(&change) {
            Ok(change) => change,
            Err(error) => {
                let why = format!("the change cannot be sent: {error}");
                return Ok((Verdict::undecided(&head, &why), Outcome::Answered));
            }
        };
        let preview = Preview {
            base,
            head,
            window_seconds: seconds(self.judging.window),
            min_window_seconds: seconds(self.judging.min_window),
            exceptions_on_base_only: settings.exceptions.require_on_base,
            ranges: settings.ranges,
            cni: settings.cni,
            change,
        };
        match self.evaluator.preview(&preview).await {
            Ok(report) => {
                let verdict = Verdict::of_report(&report);
                let may_change = matches!(verdict.state, State::Pending | State::Error);
                let outcome = if may_change { Outcome::AnsweredUntil(REEVALUATE_AFTER) } else { Outcome::Answered };
                Ok((verdict, outcome))
            }
            Err(error) => {
                self.metrics.failure("evaluator");
                warn!(pull.repo = %key.repo, pull.number = key.number, %error, "{}#{} cannot be answered yet: {error}", key.repo, key.number);
                Ok((Verdict::retry_later(&public_reason(&error)), Outcome::Failed(None)))
            }
        }
    }

    /// Forgets the answer to a closed pull request, and posts the worst of the other answers to its head.
    async fn withdraw(&self, key: &PullKey) -> Result<(), GitHubError> {
        let changed = self.answers.lock().unwrap_or_else(PoisonError::into_inner).forget(key);
        for (sha, worst) in changed {
            self.post_status(&key.repo, &sha, worst).await?;
        }
        Ok(())
    }

    async fn post_status(&self, repo: &Repo, sha: &str, (state, description): Answer) -> Result<(), GitHubError> {
        let status = Status {
            state: state.as_str().to_owned(),
            context: self.judging.context.clone(),
            description: Some(description),
            target_url: self.judging.target_url.clone(),
        };
        post::status(&self.github, repo, sha, &status).await
    }
}

/// The reason for a failure of the evaluator, for a public status. It contains no address of the cluster; those are in the log.
fn public_reason(error: &EvaluatorError) -> String {
    match error {
        EvaluatorError::File(_) | EvaluatorError::Authorities { .. } => {
            "the reporter's token or CA certificate for the evaluator cannot be read".to_owned()
        }
        EvaluatorError::Unreachable { .. } => "the evaluator cannot be reached".to_owned(),
        EvaluatorError::Refused { status, .. } => format!("the evaluator answers with status {}", status.as_u16()),
        EvaluatorError::Answer { .. } => {
            "the evaluator's answer cannot be read; does it run another version of Foretell?".to_owned()
        }
    }
}

#[cfg(test)]
mod tests {
    use http::StatusCode;

    use super::*;

    #[test]
    fn a_public_reason_contains_no_address_path_or_message() {
        let internal = "evaluator.internal";
        let url = || format!("https://{internal}").parse().unwrap();
        let (path, text) = (|| internal.into(), || internal.to_owned());
        for (error, expected) in [
            (EvaluatorError::Unreachable { url: url(), problem: text() }, "the evaluator cannot be reached"),
            (
                EvaluatorError::Refused { url: url(), status: StatusCode::FORBIDDEN, message: text() },
                "the evaluator answers with status 403",
            ),
            (
                EvaluatorError::Answer { url: url(), problem: text() },
                "the evaluator's answer cannot be read; does it run another version of Foretell?",
            ),
            (
                EvaluatorError::Authorities { path: path(), problem: text() },
                "the reporter's token or CA certificate for the evaluator cannot be read",
            ),
        ] {
            assert_eq!(public_reason(&error), expected);
        }
    }
}
