//! Writes an answer to GitHub, unless the same answer is already there.

use tracing::info;

use crate::api::{Repo, Status};
use crate::comment::{find, with_marker};
use crate::github::GitHub;
use crate::github::error::GitHubError;
use crate::queue::PullKey;
use crate::verdict::CommentAction;

/// Creates or updates the reporter's comment, or leaves it unchanged.
///
/// # Errors
/// [`GitHubError`].
pub async fn comment(
    github: &GitHub,
    key: &PullKey,
    login: &str,
    context: &str,
    action: &CommentAction,
) -> Result<(), GitHubError> {
    let text = match action {
        CommentAction::Keep => return Ok(()),
        CommentAction::UpdateExisting(text) | CommentAction::Write(text) => text,
    };
    let comments = github.comments(&key.repo, key.number).await?;
    match (find(&comments, login, context), action) {
        (Some(existing), _) if existing.fingerprint == text.fingerprint => {}
        (Some(existing), _) => {
            github.edit_comment(&key.repo, existing.id, &with_marker(context, text)).await?;
        }
        (None, CommentAction::Write(_)) => {
            github.create_comment(&key.repo, key.number, &with_marker(context, text)).await?;
        }
        (None, _) => {}
    }
    Ok(())
}

/// Posts a status, unless the latest status of its name is the same.
///
/// # Errors
/// [`GitHubError`].
pub async fn status(github: &GitHub, repo: &Repo, sha: &str, status: &Status) -> Result<(), GitHubError> {
    let posted = github.statuses(repo, sha).await?;
    let latest = posted.iter().find(|posted| posted.context.eq_ignore_ascii_case(&status.context));
    if latest.is_some_and(|latest| latest == status) {
        return Ok(());
    }
    github.post_status(repo, sha, status).await?;
    info!(status.state = %status.state, commit.sha = %sha, "{repo}: posted status {} for {sha}", status.state);
    Ok(())
}
