//! On start, answers every open pull request once, including those that were opened or pushed while the reporter did not run.
//! A comment or a status that exists already is not written again.

use std::sync::Arc;
use std::time::Duration;

use backon::{ExponentialBuilder, Retryable as _};
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::answer::Reporter;
use crate::github::GitHub;
use crate::github::error::GitHubError;
use crate::queue::{OfferResult, PullKey, Queue};

/// Limits of what is listed. Of a repository's pull requests, the most recently updated ones are listed.
const MAX_INSTALLATIONS: usize = 100;
const MAX_REPOSITORIES: usize = 500;
const MAX_PULLS: usize = 100;
/// The first pause after a failure of GitHub, and the pause if the queue is full.
const PAUSE: Duration = Duration::from_secs(10);
const MAX_PAUSE: Duration = Duration::from_mins(5);

/// Offers all open pull requests to the queue, then waits for the stop signal.
///
/// # Errors
/// Never: failures are retried.
pub async fn catch_up(reporter: Arc<Reporter>, queue: Arc<Queue>, stop: CancellationToken) -> anyhow::Result<()> {
    let pauses = ExponentialBuilder::new().with_min_delay(PAUSE).with_max_delay(MAX_PAUSE).without_max_times();
    let offer = (|| offer_all(reporter.github(), &queue))
        .retry(pauses)
        .notify(|error, _| warn!(%error, "Open pull requests cannot be listed yet: {error}"));
    tokio::select! {
        () = stop.cancelled() => return Ok(()),
        offered = offer => {
            let offered = offered?;
            info!(pulls.open = offered, "Found {offered} open pull requests on start");
        }
    }
    stop.cancelled().await;
    Ok(())
}

/// Offers every open pull request once, and returns their number.
async fn offer_all(github: &GitHub, queue: &Queue) -> Result<usize, GitHubError> {
    let mut offered = 0;
    for installation in github.installations(MAX_INSTALLATIONS).await? {
        for repo in github.repositories(installation, MAX_REPOSITORIES).await? {
            let pulls = match github.open_pulls(&repo, MAX_PULLS).await {
                // A repository that cannot be read must not hide the others.
                Err(error) if !error.is_transient() => {
                    warn!(pull.repo = %repo, %error, "{repo}: open pull requests cannot be listed: {error}");
                    continue;
                }
                pulls => pulls?,
            };
            for pull in pulls {
                let key = PullKey { repo: repo.clone(), number: pull.number };
                while queue.offer(key.clone(), None) == OfferResult::Full {
                    tokio::time::sleep(PAUSE).await;
                }
                offered += 1;
            }
        }
    }
    Ok(offered)
}
