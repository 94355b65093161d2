//! From a pull request to its answer.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use foretell_policy::report::preview::{Preview, WireChange};
use foretell_service::evaluator::{Evaluator, EvaluatorError};
use tokio::sync::OnceCell;
use tracing::{info, warn};

use crate::api::{Pull, Repo, Status};
use crate::args::JudgingArgs;
use crate::github::GitHub;
use crate::github::error::GitHubError;
use crate::metrics::Metrics;
use crate::post;
use crate::queue::{Done, PullKey};
use crate::tree::{self, Blobs, ReadError, Reading};
use crate::verdict::{State, Verdict};

/// When an answer is looked at again that may become another one by itself: nodes are watched for longer, agents come back,
/// the base moves out of a conflict.
const LOOK_AGAIN: Duration = Duration::from_mins(15);
/// Heads of which is remembered what was said.
const REMEMBERED_HEADS: usize = 10_000;

/// What pull requests are answered with.
#[derive(Debug)]
pub struct Reporter {
    github: GitHub,
    evaluator: Evaluator,
    judging: JudgingArgs,
    metrics: Metrics,
    blobs: Blobs,
    login: OnceCell<String>,
    said: Mutex<HashMap<Head, Told>>,
}

/// A commit, and what was said of it by each pull request that has it as its head: a status is the commit's.
type Head = (Repo, String);
type Told = BTreeMap<u64, (State, String)>;

impl Reporter {
    /// It does not ask anybody yet.
    #[must_use]
    pub fn new(github: GitHub, evaluator: Evaluator, judging: JudgingArgs, metrics: Metrics) -> Self {
        let (blobs, login, said) = (Blobs::default(), OnceCell::new(), Mutex::default());
        Self { github, evaluator, judging, metrics, blobs, login, said }
    }

    /// GitHub.
    #[must_use]
    pub fn github(&self) -> &GitHub {
        &self.github
    }

    /// Answers a pull request as it stands.
    ///
    /// # Errors
    /// [`GitHubError`]. Where the evaluator fails, that is said on the pull request.
    pub async fn answer(&self, key: &PullKey) -> Result<Done, GitHubError> {
        let pull = match self.github.pull(&key.repo, key.number).await {
            Err(error) if error.is_missing() => {
                warn!(pull.repo = %key.repo, pull.number = key.number, "{}#{} is not there any more, or not for this App", key.repo, key.number);
                return Ok(Done::Answered);
            }
            pull => pull?,
        };
        if pull.state != "open" {
            self.withdraw(key).await?;
            return Ok(Done::Answered);
        }
        let (verdict, done) = self.verdict(key, &pull).await?;
        if done == Done::Moved {
            return Ok(done);
        }
        let now = self.github.pull(&key.repo, key.number).await?;
        if now.state != "open" || now.head.sha != pull.head.sha || now.base.branch != pull.base.branch {
            return Ok(Done::Moved);
        }
        let login = self.login.get_or_try_init(|| self.github.login()).await?;
        post::comment(&self.github, key, login, &self.judging.context, &verdict.comment).await?;
        let worst = self.remember(key, &pull.head.sha, verdict.state, verdict.description);
        self.post_status(&key.repo, &pull.head.sha, worst).await?;
        self.metrics.answer(verdict.state.as_str());
        info!(
            pull.repo = %key.repo, pull.number = key.number, pull.head = %pull.head.sha, answer.state = verdict.state.as_str(),
            "{}#{} is answered: {}", key.repo, key.number, verdict.state.as_str()
        );
        Ok(done)
    }

    async fn verdict(&self, key: &PullKey, pull: &Pull) -> Result<(Verdict, Done), GitHubError> {
        let head: String = pull.head.sha.chars().take(7).collect();
        let reading = tree::read(&self.github, &self.blobs, &key.repo, pull, &self.judging.namespace).await;
        let Reading { change, settings, base, head } = match reading {
            Ok(reading) => reading,
            Err(ReadError::GitHub(error)) => return Err(error),
            Err(error @ ReadError::Moved) => return Ok((Verdict::not_now(&error.to_string()), Done::Moved)),
            Err(error @ ReadError::NotYet) => {
                self.metrics.failure("merge");
                return Ok((Verdict::not_now(&error.to_string()), Done::Failed(None)));
            }
            Err(ReadError::Undecided(why)) => {
                return Ok((Verdict::undecided(&head, &why), Done::AnsweredUntil(LOOK_AGAIN)));
            }
        };
        if change.leaves_objects_alone() {
            return Ok((Verdict::untouched(&head, change.not_judged.len()), Done::Answered));
        }
        let seconds = |span: Option<Duration>| span.and_then(|span| u32::try_from(span.as_secs()).ok());
        let change = match WireChange::of(&change) {
            Ok(change) => change,
            Err(error) => {
                let why = format!("the change cannot be sent: {error}");
                return Ok((Verdict::undecided(&head, &why), Done::Answered));
            }
        };
        let preview = Preview {
            base,
            head,
            window_seconds: seconds(self.judging.window),
            min_window_seconds: seconds(self.judging.min_window),
            exceptions_on_base_only: settings.exceptions.require_on_base,
            cni: settings.cni,
            change,
        };
        match self.evaluator.preview(&preview).await {
            Ok(report) => {
                let verdict = Verdict::of_report(&report);
                let may_change = matches!(verdict.state, State::Pending | State::Error);
                let done = if may_change { Done::AnsweredUntil(LOOK_AGAIN) } else { Done::Answered };
                Ok((verdict, done))
            }
            Err(error) => {
                self.metrics.failure("evaluator");
                warn!(pull.repo = %key.repo, pull.number = key.number, %error, "{}#{} waits for the evaluator: {error}", key.repo, key.number);
                Ok((Verdict::not_now(&told(&error)), Done::Failed(None)))
            }
        }
    }

    /// Takes note of what is said of a head, and gives the worst of what all its pull requests are told.
    fn remember(&self, key: &PullKey, sha: &str, state: State, description: String) -> (State, String) {
        let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
        said.retain(|(repo, head), of_head| {
            if *repo == key.repo && head != sha {
                of_head.remove(&key.number);
            }
            !of_head.is_empty()
        });
        if said.len() >= REMEMBERED_HEADS {
            said.clear();
        }
        let of_head = said.entry((key.repo.clone(), sha.to_owned())).or_default();
        of_head.insert(key.number, (state, description.clone()));
        worst(of_head).unwrap_or((state, description))
    }

    /// A pull request is closed: what it was told does not count any more.
    async fn withdraw(&self, key: &PullKey) -> Result<(), GitHubError> {
        let mut left = Vec::new();
        {
            let mut said = self.said.lock().unwrap_or_else(PoisonError::into_inner);
            for ((repo, sha), of_head) in said.iter_mut().filter(|((repo, _), _)| *repo == key.repo) {
                if of_head.remove(&key.number).is_some() {
                    left.extend(worst(of_head).map(|worst| (repo.clone(), sha.clone(), worst)));
                }
            }
            said.retain(|_, of_head| !of_head.is_empty());
        }
        for (repo, sha, worst) in left {
            self.post_status(&repo, &sha, worst).await?;
        }
        Ok(())
    }

    async fn post_status(
        &self,
        repo: &Repo,
        sha: &str,
        (state, description): (State, String),
    ) -> Result<(), GitHubError> {
        let status = Status {
            state: state.as_str().to_owned(),
            context: self.judging.context.clone(),
            description: Some(description),
            target_url: self.judging.target_url.clone(),
        };
        post::status(&self.github, repo, sha, &status).await
    }
}

fn worst(of_head: &Told) -> Option<(State, String)> {
    of_head.values().max_by_key(|(state, _)| *state).cloned()
}

/// What is told in public of an evaluator that does not answer: addresses of a cluster stay in the log.
fn told(error: &EvaluatorError) -> String {
    match error {
        EvaluatorError::File(_) | EvaluatorError::Authorities { .. } => {
            "the reporter lacks what it needs to ask the evaluator".to_owned()
        }
        EvaluatorError::Unreachable { .. } => "the evaluator cannot be reached".to_owned(),
        EvaluatorError::Refused { status, .. } => format!("the evaluator answers {}", status.as_u16()),
        EvaluatorError::Answer { .. } => "the evaluator's answer cannot be read; is it of another version?".to_owned(),
    }
}
