//! What was opened or pushed while nobody listened: on start every open pull request is answered once. What is said of it
//! already is not written again.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

use crate::answer::Reporter;
use crate::github::GitHub;
use crate::github::error::GitHubError;
use crate::queue::{Offered, PullKey, Queue};

/// How much is looked through: of an installation, the pull requests of a repository that changed last.
const MOST_INSTALLATIONS: usize = 100;
const MOST_REPOSITORIES: usize = 500;
const MOST_PULLS: usize = 100;
/// Pause where GitHub fails, or the queue is full.
const PAUSE: Duration = Duration::from_secs(10);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// Offers all open pull requests to the queue, then waits to be told to stop.
///
/// # Errors
/// Never: what fails is tried again.
pub async fn heal(reporter: Arc<Reporter>, queue: Arc<Queue>, stop: CancellationToken) -> anyhow::Result<()> {
    let mut pause = PAUSE;
    let healed = async {
        loop {
            match offer_all(reporter.github(), &queue).await {
                Ok(offered) => {
                    info!(pulls.open = offered, "Found {offered} open pull requests on start");
                    break;
                }
                Err(error) => warn!(%error, "Open pull requests cannot be listed yet: {error}"),
            }
            tokio::time::sleep(pause).await;
            pause = (pause * 2).min(LONGEST_PAUSE);
        }
    };
    tokio::select! {
        () = stop.cancelled() => return Ok(()),
        () = healed => {}
    }
    stop.cancelled().await;
    Ok(())
}

async fn offer_all(github: &GitHub, queue: &Queue) -> Result<usize, GitHubError> {
    let mut offered = 0;
    for installation in github.installations(MOST_INSTALLATIONS).await? {
        for repo in github.repositories(installation, MOST_REPOSITORIES).await? {
            let pulls = match github.open_pulls(&repo, MOST_PULLS).await {
                // One repository that may not be read does not hide the others.
                Err(error) if !error.is_transient() => {
                    warn!(pull.repo = %repo, %error, "{repo}: open pull requests cannot be listed: {error}");
                    continue;
                }
                pulls => pulls?,
            };
            for pull in pulls {
                let key = PullKey { repo: repo.clone(), number: pull.number };
                while queue.offer(key.clone(), None) == Offered::Full {
                    tokio::time::sleep(PAUSE).await;
                }
                offered += 1;
            }
        }
    }
    Ok(offered)
}
