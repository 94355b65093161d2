//! Reads what a pull request changes: compares the tree of its base with the tree of the merge.
//!
//! The merged tree is that of GitHub's own test merge, and the base is the first parent of that merge. So the two always belong
//! together, even if the branch gets new commits meanwhile. Files are treated as in `foretell check`: the same file names are
//! read, including files that the change does not touch.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use foretell_policy::change::revisions::{Change, ChangeBuilder, MOST_READ, Versions, may_hold_manifests};
use foretell_policy::change::settings::{FILE, Settings};
use futures::{StreamExt as _, TryStreamExt as _};

use crate::api::{Pull, Repo, Tree};
use crate::github::GitHub;
use crate::github::error::GitHubError;

/// How often the reporter checks whether GitHub has made the test merge.
const MERGE_POLLS: u32 = 6;
/// The pause before the second check. Before each further check it is one second longer.
const MERGE_PAUSE: Duration = Duration::from_secs(1);
/// Maximum number of simultaneous requests for files.
const MAX_REQUESTS: usize = 8;
/// Maximum number of files that are fetched for an answer. GitHub allows an installation 5,000 requests per hour.
const MAX_FETCHED: usize = 3000;
/// Maximum size of all files of an answer.
const MAX_BYTES: u64 = 256 << 20;
/// Maximum size of all files in the cache, and of each of them.
const MAX_CACHE_BYTES: usize = 64 << 20;
const MAX_CACHED_FILE: usize = 1 << 20;

/// The change of a pull request.
#[derive(Debug)]
pub struct PullChange {
    /// The changed and unchanged objects.
    pub change: Change,
    /// The settings at the base.
    pub settings: Settings,
    /// The abbreviated hash of the base.
    pub base: String,
    /// The abbreviated hash of the head.
    pub head: String,
}

/// Why a change could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// A request to GitHub failed.
    #[error(transparent)]
    GitHub(#[from] GitHubError),
    /// GitHub has not made its test merge yet.
    #[error("GitHub has not made a test merge of base and head yet")]
    NoTestMerge,
    /// The pull request has another head now.
    #[error("the pull request changed while it was read")]
    HeadChanged,
    /// No decision is possible. The reason is a sentence without a full stop.
    #[error("{0}")]
    Undecided(String),
}

/// A cache of recently read files by their hash. The content of a hash never changes.
#[derive(Debug, Default)]
pub struct BlobCache(Mutex<CachedFiles>);

#[derive(Debug, Default)]
struct CachedFiles {
    files: HashMap<String, Arc<[u8]>>,
    in_order: VecDeque<String>,
    bytes: usize,
}

impl BlobCache {
    fn get(&self, sha: &str) -> Option<Arc<[u8]>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).files.get(sha).cloned()
    }

    fn insert(&self, sha: &str, file: &Arc<[u8]>) {
        let mut cached = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if file.len() > MAX_CACHED_FILE || cached.files.contains_key(sha) {
            return;
        }
        cached.bytes += file.len();
        cached.files.insert(sha.to_owned(), Arc::clone(file));
        cached.in_order.push_back(sha.to_owned());
        while cached.bytes > MAX_CACHE_BYTES {
            let Some(oldest) = cached.in_order.pop_front() else { break };
            cached.bytes -= cached.files.remove(&oldest).map_or(0, |file| file.len());
        }
    }
}

/// Reads what a pull request changes.
///
/// # Errors
/// [`ReadError`].
pub async fn read(
    github: &GitHub,
    blobs: &BlobCache,
    repo: &Repo,
    pull: &Pull,
    namespace: &str,
) -> Result<PullChange, ReadError> {
    let TestMerge { base, merged } = test_merge(github, repo, pull).await?;
    let (at_base, at_merge) = (list_files(github, repo, &base).await?, list_files(github, repo, &merged).await?);
    let settings = settings(github, repo, &at_base).await?;
    let change = compare(github, blobs, repo, at_base, at_merge, namespace).await?;
    Ok(PullChange { change, settings, base: abbreviated(&base), head: abbreviated(&pull.head.sha) })
}

/// The commits of GitHub's test merge.
struct TestMerge {
    base: String,
    merged: String,
}

/// Waits for GitHub's test merge of exactly this head. If GitHub does not make one with the latest base, a test merge with an
/// older base is used.
async fn test_merge(github: &GitHub, repo: &Repo, pull: &Pull) -> Result<TestMerge, ReadError> {
    let mut now = pull.clone();
    let mut with_older_base = None;
    for poll in 0..MERGE_POLLS {
        if poll > 0 {
            tokio::time::sleep(MERGE_PAUSE * poll).await;
            now = github.pull(repo, pull.number).await?;
        }
        if now.head.sha != pull.head.sha {
            return Err(ReadError::HeadChanged);
        }
        match (now.mergeable, &now.merge_commit_sha) {
            (Some(false), _) => {
                let (base, head) = (&now.base.branch, abbreviated(&pull.head.sha));
                return Err(ReadError::Undecided(format!(
                    "merging {head} into {base} causes a conflict; resolve it in the branch"
                )));
            }
            (Some(true), Some(merged)) => {
                let commit = match github.commit(repo, merged).await {
                    Err(error) if error.is_missing() => continue,
                    commit => commit?,
                };
                let [base, head] = &commit.parents[..] else { continue };
                if head.sha != pull.head.sha {
                    continue;
                }
                let found = TestMerge { base: base.sha.clone(), merged: merged.clone() };
                if github.branch(repo, &now.base.branch).await? == base.sha {
                    return Ok(found);
                }
                with_older_base = Some(found);
            }
            _ => {}
        }
    }
    with_older_base.ok_or(ReadError::NoTestMerge)
}

/// A regular file.
#[derive(Clone, PartialEq, Eq)]
struct File {
    sha: String,
    size: u64,
}

/// The regular files of a commit that may contain manifests. Symbolic links and submodules are ignored.
async fn list_files(github: &GitHub, repo: &Repo, commit: &str) -> Result<BTreeMap<String, File>, ReadError> {
    let Tree { tree, truncated } = github.tree(repo, commit).await?;
    if truncated {
        return Err(ReadError::Undecided(
            "the repository has more files than GitHub lists at once; run `foretell check` in a workflow instead"
                .to_owned(),
        ));
    }
    let regular = tree.into_iter().filter(|entry| entry.mode.starts_with("100") && may_hold_manifests(&entry.path));
    Ok(regular.map(|entry| (entry.path, File { sha: entry.sha, size: entry.size })).collect())
}

async fn settings(github: &GitHub, repo: &Repo, at_base: &BTreeMap<String, File>) -> Result<Settings, ReadError> {
    let Some(file) = at_base.get(FILE) else { return Ok(Settings::default()) };
    let text = github.blob(repo, &file.sha).await?;
    Settings::read(&text).map_err(|error| ReadError::Undecided(format!("{FILE} at the base: {error}")))
}

/// Compares the objects in the files of base and merge.
async fn compare(
    github: &GitHub,
    blobs: &BlobCache,
    repo: &Repo,
    at_base: BTreeMap<String, File>,
    at_merge: BTreeMap<String, File>,
    namespace: &str,
) -> Result<Change, ReadError> {
    let sha = |file: Option<&File>| file.map(|file| file.sha.clone());
    let paths = at_base.keys().chain(at_merge.keys().filter(|path| !at_base.contains_key(*path)));
    let is_same = |path: &String| sha(at_base.get(path)) == sha(at_merge.get(path));
    if paths.clone().all(is_same) {
        // No file that may contain an object is changed, so no file has to be fetched.
        return Ok(Change::default());
    }
    let files: HashMap<&String, u64> =
        at_base.values().chain(at_merge.values()).map(|file| (&file.sha, file.size)).collect();
    let contents = fetch(github, blobs, repo, &files).await?;
    let paths: Vec<String> = paths.cloned().collect();
    let namespace = namespace.to_owned();
    // Parsing YAML takes long, and must not delay the answers to other pull requests.
    let change = tokio::task::spawn_blocking(move || {
        let mut builder = ChangeBuilder::new(&namespace);
        for path in paths {
            let (base, merged) = (at_base.get(&path), at_merge.get(&path));
            let text = |file: Option<&File>| file.and_then(|file| contents.get(&file.sha)).map(|text| &**text);
            if base.map(|file| &file.sha) == merged.map(|file| &file.sha) {
                if let Some(text) = text(base) {
                    builder.file(&path, Versions::Same(text));
                }
                continue;
            }
            let is_large = |file: Option<&File>| file.is_some_and(|file| file.size > MOST_READ);
            if is_large(base) || is_large(merged) {
                builder.file(&path, Versions::TooLarge);
            } else {
                builder.file(&path, Versions::Changed { base: text(base), merged: text(merged) });
            }
        }
        builder.finish()
    });
    change.await.map_err(|_| {
        ReadError::Undecided("an internal error occurred while the change was read; see the reporter's log".to_owned())
    })
}

/// Fetches the contents by hash, except those of large files.
async fn fetch(
    github: &GitHub,
    blobs: &BlobCache,
    repo: &Repo,
    files: &HashMap<&String, u64>,
) -> Result<HashMap<String, Arc<[u8]>>, ReadError> {
    let mut contents = HashMap::new();
    let mut wanted = HashSet::new();
    let mut bytes = 0;
    for (&sha, &size) in files.iter().filter(|&(_, &size)| size <= MOST_READ) {
        bytes += size;
        match blobs.get(sha) {
            Some(file) => drop(contents.insert(sha.clone(), file)),
            None => drop(wanted.insert(sha.clone())),
        }
    }
    if wanted.len() > MAX_FETCHED || bytes > MAX_BYTES {
        return Err(ReadError::Undecided(format!(
            "the repository has too many manifests to fetch ({} files, {} MiB); run `foretell check` in a workflow instead",
            files.len(),
            bytes >> 20
        )));
    }
    let fetched = futures::stream::iter(wanted).map(async |sha| {
        let file: Arc<[u8]> = github.blob(repo, &sha).await?.into();
        blobs.insert(&sha, &file);
        Ok::<_, GitHubError>((sha, file))
    });
    let fetched: Vec<_> = fetched.buffer_unordered(MAX_REQUESTS).try_collect().await?;
    contents.extend(fetched);
    Ok(contents)
}

/// The first seven digits of a commit's hash.
fn abbreviated(sha: &str) -> String {
    sha.chars().take(7).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_cache_is_bounded_and_forgets_the_oldest_files_first() {
        let blobs = BlobCache::default();
        let file: Arc<[u8]> = vec![0; MAX_CACHED_FILE].into();
        let capacity = MAX_CACHE_BYTES / MAX_CACHED_FILE;
        for number in 0..=capacity {
            blobs.insert(&number.to_string(), &file);
        }
        assert!(blobs.get("0").is_none());
        assert!(blobs.get("1").is_some() && blobs.get(&capacity.to_string()).is_some());
        blobs.insert("large", &vec![0; MAX_CACHED_FILE + 1].into());
        assert!(blobs.get("large").is_none());
    }
}
