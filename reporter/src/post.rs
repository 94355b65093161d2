//! Brings an answer to GitHub, and writes nothing that stands there already.

use tracing::info;

use crate::api::{Repo, Status};
use crate::comment::{find, marked};
use crate::github::GitHub;
use crate::github::error::GitHubError;
use crate::queue::PullKey;
use crate::verdict::Said;

/// Writes, corrects or leaves our comment.
///
/// # Errors
/// [`GitHubError`].
pub async fn comment(
    github: &GitHub,
    key: &PullKey,
    login: &str,
    context: &str,
    said: &Said,
) -> Result<(), GitHubError> {
    let text = match said {
        Said::Unchanged => return Ok(()),
        Said::Corrected(text) | Said::Written(text) => text,
    };
    let comments = github.comments(&key.repo, key.number).await?;
    match (find(&comments, login, context), said) {
        (Some(standing), _) if standing.fingerprint == text.fingerprint => {}
        (Some(standing), _) => {
            github.edit_comment(&key.repo, standing.id, &marked(context, text)).await?;
        }
        (None, Said::Written(_)) => {
            github.create_comment(&key.repo, key.number, &marked(context, text)).await?;
        }
        (None, _) => {}
    }
    Ok(())
}

/// Posts a status, unless it stands.
///
/// # Errors
/// [`GitHubError`].
pub async fn status(github: &GitHub, repo: &Repo, sha: &str, status: &Status) -> Result<(), GitHubError> {
    let posted = github.statuses(repo, sha).await?;
    let standing = posted.iter().find(|posted| posted.context.eq_ignore_ascii_case(&status.context));
    if standing.is_some_and(|standing| standing == status) {
        return Ok(());
    }
    github.post_status(repo, sha, status).await?;
    info!(status.state = %status.state, commit.sha = %sha, "{repo}: {sha} is {}", status.state);
    Ok(())
}
