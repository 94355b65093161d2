//! The requests of GitHub's API that the reporter uses, and the fields of the answers that it reads.

use data_encoding::BASE64;
use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use crate::github::error::GitHubError;
use crate::github::{Credentials, GitHub};

/// Maximum number of comments of a pull request that are searched for the reporter's own.
const MAX_COMMENTS: usize = 3000;

/// A repository, and the App's installation that has access to it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Repo {
    /// Id of the App's installation.
    pub installation: u64,
    /// Account that owns it.
    pub owner: String,
    /// Its name.
    pub name: String,
}

/// A pull request.
#[derive(Clone, Debug, Deserialize)]
pub struct Pull {
    /// Its number.
    pub number: u64,
    /// `open` or `closed`.
    pub state: String,
    /// The branch with the changes.
    pub head: Tip,
    /// The branch into which it is to be merged.
    pub base: Tip,
    /// Whether it can be merged without a conflict; absent if GitHub has not tried yet.
    #[serde(default)]
    pub mergeable: Option<bool>,
    /// Commit of GitHub's test merge.
    #[serde(default)]
    pub merge_commit_sha: Option<String>,
}

/// A branch and its latest commit.
#[derive(Clone, Debug, Deserialize)]
pub struct Tip {
    /// Name of the branch.
    #[serde(rename = "ref")]
    pub branch: String,
    /// Hash of its latest commit.
    pub sha: String,
}

/// A commit.
#[derive(Clone, Debug, Deserialize)]
pub struct Commit {
    /// Its parents. The first parent of a test merge is the base.
    pub parents: Vec<Id>,
}

/// A reference to a git object.
#[derive(Clone, Debug, Deserialize)]
pub struct Id {
    /// Hash of the object.
    pub sha: String,
}

#[derive(Deserialize)]
struct Reference {
    object: Id,
}

/// The files of a commit.
#[derive(Clone, Debug, Deserialize)]
pub struct Tree {
    /// Files and folders.
    pub tree: Vec<TreeEntry>,
    /// Whether GitHub omitted entries.
    #[serde(default)]
    pub truncated: bool,
}

/// A file or a folder.
#[derive(Clone, Debug, Deserialize)]
pub struct TreeEntry {
    /// Path from the root of the repository.
    pub path: String,
    /// File mode of git: `100644` is a regular file.
    pub mode: String,
    /// Hash of the content.
    #[serde(default)]
    pub sha: String,
    /// Size of a file in bytes.
    #[serde(default)]
    pub size: u64,
}

#[derive(Deserialize)]
struct Blob {
    content: String,
    encoding: String,
}

/// A comment.
#[derive(Clone, Debug, Deserialize)]
pub struct Comment {
    /// Its id.
    pub id: u64,
    /// Its author.
    #[serde(default)]
    pub user: Option<User>,
    /// Its text in Markdown.
    #[serde(default)]
    pub body: Option<String>,
}

/// A GitHub account.
#[derive(Clone, Debug, Deserialize)]
pub struct User {
    /// Name of the account.
    pub login: String,
}

#[derive(Serialize)]
struct CommentBody<'a> {
    body: &'a str,
}

/// A commit status.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Status {
    /// `success`, `failure`, `pending` or `error`.
    pub state: String,
    /// Its name, which GitHub calls context.
    pub context: String,
    /// Text that GitHub shows next to the state.
    #[serde(default)]
    pub description: Option<String>,
    /// URL of its link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub target_url: Option<String>,
}

#[derive(Deserialize)]
struct App {
    slug: String,
}

#[derive(Deserialize)]
struct Installation {
    id: u64,
    #[serde(default)]
    suspended_at: Option<String>,
}

#[derive(Deserialize)]
struct Repositories {
    repositories: Vec<ListedRepository>,
}

impl From<Repositories> for Vec<ListedRepository> {
    fn from(page: Repositories) -> Self {
        page.repositories
    }
}

#[derive(Deserialize)]
struct ListedRepository {
    name: String,
    owner: User,
    #[serde(default)]
    archived: bool,
}

impl Repo {
    fn credentials(&self) -> Credentials {
        Credentials::Installation(self.installation)
    }

    fn path(&self, rest: &str) -> String {
        format!("/repos/{}/{}/{rest}", segment(&self.owner), segment(&self.name))
    }
}

impl std::fmt::Display for Repo {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}/{}", self.owner, self.name)
    }
}

/// Everything but RFC 3986's unreserved characters and the slash, which names of branches have.
const NOT_IN_A_PATH: &AsciiSet = &NON_ALPHANUMERIC.remove(b'-').remove(b'.').remove(b'_').remove(b'~').remove(b'/');

/// A part of a path, percent-encoded.
fn segment(text: &str) -> PercentEncode<'_> {
    utf8_percent_encode(text, NOT_IN_A_PATH)
}

/// Each request fails with [`GitHubError`].
#[expect(clippy::missing_errors_doc, reason = "documented once for the whole block")]
impl GitHub {
    /// Login of the account that is the author of the App's comments.
    pub async fn login(&self) -> Result<String, GitHubError> {
        let app: App = self.get(Credentials::App, "/app").await?;
        Ok(format!("{}[bot]", app.slug))
    }

    /// Ids of the App's installations that are not suspended.
    pub async fn installations(&self, max: usize) -> Result<Vec<u64>, GitHubError> {
        let all = self.list::<Installation, Vec<_>>(Credentials::App, "/app/installations", max).await?;
        Ok(all.into_iter().filter(|it| it.suspended_at.is_none()).map(|it| it.id).collect())
    }

    /// The repositories of an installation that are not archived.
    pub async fn repositories(&self, installation: u64, max: usize) -> Result<Vec<Repo>, GitHubError> {
        let credentials = Credentials::Installation(installation);
        let all = self.list::<ListedRepository, Repositories>(credentials, "/installation/repositories", max).await?;
        let live = all.into_iter().filter(|it| !it.archived);
        Ok(live.map(|it| Repo { installation, owner: it.owner.login, name: it.name }).collect())
    }

    /// The open pull requests of a repository, the most recently updated first.
    pub async fn open_pulls(&self, repo: &Repo, max: usize) -> Result<Vec<Pull>, GitHubError> {
        let path = repo.path("pulls?state=open&sort=updated&direction=desc");
        self.list::<Pull, Vec<_>>(repo.credentials(), &path, max).await
    }

    /// Reads a pull request.
    pub async fn pull(&self, repo: &Repo, number: u64) -> Result<Pull, GitHubError> {
        self.get(repo.credentials(), &repo.path(&format!("pulls/{number}"))).await
    }

    /// Reads a commit.
    pub async fn commit(&self, repo: &Repo, sha: &str) -> Result<Commit, GitHubError> {
        self.get(repo.credentials(), &repo.path(&format!("git/commits/{}", segment(sha)))).await
    }

    /// Hash of the latest commit of a branch.
    pub async fn branch(&self, repo: &Repo, branch: &str) -> Result<String, GitHubError> {
        let path = repo.path(&format!("git/ref/heads/{}", segment(branch)));
        let reference: Reference = self.get(repo.credentials(), &path).await?;
        Ok(reference.object.sha)
    }

    /// The files and folders of a commit.
    pub async fn tree(&self, repo: &Repo, commit: &str) -> Result<Tree, GitHubError> {
        self.get(repo.credentials(), &repo.path(&format!("git/trees/{}?recursive=1", segment(commit)))).await
    }

    /// The content of a file.
    pub async fn blob(&self, repo: &Repo, sha: &str) -> Result<Vec<u8>, GitHubError> {
        let path = repo.path(&format!("git/blobs/{}", segment(sha)));
        let Blob { content, encoding } = self.get(repo.credentials(), &path).await?;
        let answer = |problem: String| GitHubError::Answer { request: format!("GET {path}"), problem };
        if encoding != "base64" {
            return Err(answer(format!("the content is encoded as {encoding} instead of base64")));
        }
        let lines: Vec<u8> = content.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        BASE64.decode(&lines).map_err(|error| answer(error.to_string()))
    }

    /// The comments of a pull request, the oldest first.
    pub async fn comments(&self, repo: &Repo, number: u64) -> Result<Vec<Comment>, GitHubError> {
        let path = repo.path(&format!("issues/{number}/comments"));
        self.list::<Comment, Vec<_>>(repo.credentials(), &path, MAX_COMMENTS).await
    }

    /// Creates a comment. The request is not repeated: if there is no answer, GitHub may have created the comment, and the next
    /// attempt finds it.
    pub async fn create_comment(&self, repo: &Repo, number: u64, body: &str) -> Result<Comment, GitHubError> {
        let path = repo.path(&format!("issues/{number}/comments"));
        self.create(repo.credentials(), &path, &CommentBody { body }).await
    }

    /// Replaces the text of a comment.
    pub async fn edit_comment(&self, repo: &Repo, id: u64, body: &str) -> Result<Comment, GitHubError> {
        let path = repo.path(&format!("issues/comments/{id}"));
        self.send_idempotent(repo.credentials(), Method::PATCH, &path, &CommentBody { body }).await
    }

    /// The latest statuses of a commit, the newest first.
    pub async fn statuses(&self, repo: &Repo, sha: &str) -> Result<Vec<Status>, GitHubError> {
        let path = repo.path(&format!("commits/{}/statuses?per_page=100", segment(sha)));
        self.get(repo.credentials(), &path).await
    }

    /// Posts a status. The latest status of each name counts.
    pub async fn post_status(&self, repo: &Repo, sha: &str, status: &Status) -> Result<Status, GitHubError> {
        let path = repo.path(&format!("statuses/{}", segment(sha)));
        self.send_idempotent(repo.credentials(), Method::POST, &path, status).await
    }
}

#[cfg(test)]
mod tests {
    use super::segment;

    #[test]
    fn a_branch_cannot_leave_its_path() {
        assert_eq!(segment("feature/a#b?c d%é").to_string(), "feature/a%23b%3Fc%20d%25%C3%A9");
    }
}
