//! What the reporter asks of GitHub, and what it reads of the answers.

use data_encoding::BASE64;
use http::Method;
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, PercentEncode, utf8_percent_encode};
use serde::{Deserialize, Serialize};

use crate::github::error::GitHubError;
use crate::github::{GitHub, Speaker};

/// Comments of one pull request that are looked through for ours.
const MOST_COMMENTS: usize = 3000;

/// A repository, and the installation by which the App reaches it.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Repo {
    /// Number of the App's installation.
    pub installation: u64,
    /// Its owner.
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
    /// What is to be merged.
    pub head: Tip,
    /// Into what.
    pub base: Tip,
    /// Whether it can be merged; absent: GitHub has not tried yet.
    #[serde(default)]
    pub mergeable: Option<bool>,
    /// GitHub's test merge.
    #[serde(default)]
    pub merge_commit_sha: Option<String>,
}

/// A branch and where it stands.
#[derive(Clone, Debug, Deserialize)]
pub struct Tip {
    /// The branch.
    #[serde(rename = "ref")]
    pub branch: String,
    /// Its commit.
    pub sha: String,
}

/// A commit.
#[derive(Clone, Debug, Deserialize)]
pub struct Commit {
    /// Its parents; of a merge the base comes first.
    pub parents: Vec<Id>,
}

/// A thing by its hash.
#[derive(Clone, Debug, Deserialize)]
pub struct Id {
    /// The hash.
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
    /// Whether GitHub left some out.
    #[serde(default)]
    pub truncated: bool,
}

/// A file or a folder.
#[derive(Clone, Debug, Deserialize)]
pub struct TreeEntry {
    /// From the root.
    pub path: String,
    /// As git has it: `100644` is a plain file.
    pub mode: String,
    /// The blob.
    #[serde(default)]
    pub sha: String,
    /// Of a file, in bytes.
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
    /// Its number.
    pub id: u64,
    /// Who wrote it.
    #[serde(default)]
    pub user: Option<User>,
    /// Its text.
    #[serde(default)]
    pub body: Option<String>,
}

/// Who wrote something.
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
    /// Its name.
    pub context: String,
    /// What is shown beside it.
    #[serde(default)]
    pub description: Option<String>,
    /// Where it links to.
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
    fn speaker(&self) -> Speaker {
        Speaker::Installation(self.installation)
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

/// What can be asked. Each fails with [`GitHubError`].
#[expect(clippy::missing_errors_doc, reason = "said once above")]
impl GitHub {
    /// The account that the App writes by.
    pub async fn login(&self) -> Result<String, GitHubError> {
        let app: App = self.get(Speaker::App, "/app").await?;
        Ok(format!("{}[bot]", app.slug))
    }

    /// Where the App is installed and not suspended.
    pub async fn installations(&self, most: usize) -> Result<Vec<u64>, GitHubError> {
        let all = self.list::<Installation, Vec<_>>(Speaker::App, "/app/installations", most).await?;
        Ok(all.into_iter().filter(|it| it.suspended_at.is_none()).map(|it| it.id).collect())
    }

    /// The repositories of an installation.
    pub async fn repositories(&self, installation: u64, most: usize) -> Result<Vec<Repo>, GitHubError> {
        let speaker = Speaker::Installation(installation);
        let all = self.list::<ListedRepository, Repositories>(speaker, "/installation/repositories", most).await?;
        let live = all.into_iter().filter(|it| !it.archived);
        Ok(live.map(|it| Repo { installation, owner: it.owner.login, name: it.name }).collect())
    }

    /// The open pull requests of a repository, the one that changed last first.
    pub async fn open_pulls(&self, repo: &Repo, most: usize) -> Result<Vec<Pull>, GitHubError> {
        let path = repo.path("pulls?state=open&sort=updated&direction=desc");
        self.list::<Pull, Vec<_>>(repo.speaker(), &path, most).await
    }

    /// A pull request.
    pub async fn pull(&self, repo: &Repo, number: u64) -> Result<Pull, GitHubError> {
        self.get(repo.speaker(), &repo.path(&format!("pulls/{number}"))).await
    }

    /// A commit.
    pub async fn commit(&self, repo: &Repo, sha: &str) -> Result<Commit, GitHubError> {
        self.get(repo.speaker(), &repo.path(&format!("git/commits/{}", segment(sha)))).await
    }

    /// The commit at which a branch stands.
    pub async fn branch(&self, repo: &Repo, branch: &str) -> Result<String, GitHubError> {
        let path = repo.path(&format!("git/ref/heads/{}", segment(branch)));
        let reference: Reference = self.get(repo.speaker(), &path).await?;
        Ok(reference.object.sha)
    }

    /// All files of a commit.
    pub async fn tree(&self, repo: &Repo, commit: &str) -> Result<Tree, GitHubError> {
        self.get(repo.speaker(), &repo.path(&format!("git/trees/{}?recursive=1", segment(commit)))).await
    }

    /// The content of a file.
    pub async fn blob(&self, repo: &Repo, sha: &str) -> Result<Vec<u8>, GitHubError> {
        let path = repo.path(&format!("git/blobs/{}", segment(sha)));
        let Blob { content, encoding } = self.get(repo.speaker(), &path).await?;
        let answer = |problem: String| GitHubError::Answer { request: format!("GET {path}"), problem };
        if encoding != "base64" {
            return Err(answer(format!("content in {encoding}")));
        }
        let lines: Vec<u8> = content.bytes().filter(|byte| !byte.is_ascii_whitespace()).collect();
        BASE64.decode(&lines).map_err(|error| answer(error.to_string()))
    }

    /// The comments of a pull request, the oldest first.
    pub async fn comments(&self, repo: &Repo, number: u64) -> Result<Vec<Comment>, GitHubError> {
        let path = repo.path(&format!("issues/{number}/comments"));
        self.list::<Comment, Vec<_>>(repo.speaker(), &path, MOST_COMMENTS).await
    }

    /// Writes a comment. It is sent once: where no answer came it may have been written, and has to be looked for.
    pub async fn create_comment(&self, repo: &Repo, number: u64, body: &str) -> Result<Comment, GitHubError> {
        let path = repo.path(&format!("issues/{number}/comments"));
        self.create(repo.speaker(), &path, &CommentBody { body }).await
    }

    /// Writes a comment anew.
    pub async fn edit_comment(&self, repo: &Repo, id: u64, body: &str) -> Result<Comment, GitHubError> {
        let path = repo.path(&format!("issues/comments/{id}"));
        self.put_in_place(repo.speaker(), Method::PATCH, &path, &CommentBody { body }).await
    }

    /// The latest statuses of a commit, the newest first.
    pub async fn statuses(&self, repo: &Repo, sha: &str) -> Result<Vec<Status>, GitHubError> {
        let path = repo.path(&format!("commits/{}/statuses?per_page=100", segment(sha)));
        self.get(repo.speaker(), &path).await
    }

    /// Posts a status; the latest of a name is the one that counts.
    pub async fn post_status(&self, repo: &Repo, sha: &str, status: &Status) -> Result<Status, GitHubError> {
        let path = repo.path(&format!("statuses/{}", segment(sha)));
        self.put_in_place(repo.speaker(), Method::POST, &path, status).await
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
