//! What a pull request changes: the tree of its base against the tree that merging makes.
//!
//! The merged tree is GitHub's own test merge, and the base is that merge's first parent: the two belong together, whatever
//! the branch does meanwhile. Files are told as `foretell check` tells them: the same names are read, and a file that the change
//! leaves as it is counts too.

use std::collections::{BTreeMap, HashMap, HashSet, VecDeque};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use foretell_policy::change::revisions::{Change, ChangeBuilder, MOST_READ, Versions, may_hold_manifests};
use foretell_policy::change::settings::{FILE, Settings};
use futures::{StreamExt as _, TryStreamExt as _};

use crate::api::{Pull, Repo, Tree};
use crate::github::GitHub;
use crate::github::error::GitHubError;

/// How often GitHub is asked whether it has made the test merge, and the pause before the second time; it grows by itself.
const MERGE_POLLS: u32 = 6;
const MERGE_PAUSE: Duration = Duration::from_secs(1);
/// Requests for files at a time.
const AT_ONCE: usize = 8;
/// Files that are fetched for one answer: an hour's requests of an installation are 5,000.
const MOST_FETCHED: usize = 3000;
/// Bytes of all files of one answer.
const MOST_BYTES: u64 = 256 << 20;
/// Bytes of files that are kept for the next answer, and of the largest of them.
const KEPT_BYTES: usize = 64 << 20;
const KEPT_FILE: usize = 1 << 20;

/// A change that has been read.
#[derive(Debug)]
pub struct Reading {
    /// What the files say.
    pub change: Change,
    /// The base's.
    pub settings: Settings,
    /// The base as a person names it.
    pub base: String,
    /// The head, likewise.
    pub head: String,
}

/// Why a change could not be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// GitHub does not answer as it should.
    #[error(transparent)]
    GitHub(#[from] GitHubError),
    /// GitHub has not made its test merge yet.
    #[error("GitHub has not merged base and head for a test yet")]
    NotYet,
    /// The pull request is another one by now.
    #[error("the pull request moved while it was read")]
    Moved,
    /// Nothing can be said of it, as a sentence without its end.
    #[error("{0}")]
    Undecided(String),
}

/// Files by their hash, the ones that were read last. What a hash names never changes.
#[derive(Debug, Default)]
pub struct Blobs(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    files: HashMap<String, Arc<[u8]>>,
    in_order: VecDeque<String>,
    bytes: usize,
}

impl Blobs {
    fn get(&self, sha: &str) -> Option<Arc<[u8]>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner).files.get(sha).cloned()
    }

    fn keep(&self, sha: &str, file: &Arc<[u8]>) {
        let mut kept = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if file.len() > KEPT_FILE || kept.files.contains_key(sha) {
            return;
        }
        kept.bytes += file.len();
        kept.files.insert(sha.to_owned(), Arc::clone(file));
        kept.in_order.push_back(sha.to_owned());
        while kept.bytes > KEPT_BYTES {
            let Some(oldest) = kept.in_order.pop_front() else { break };
            kept.bytes -= kept.files.remove(&oldest).map_or(0, |file| file.len());
        }
    }
}

/// Reads what a pull request changes.
///
/// # Errors
/// [`ReadError`].
pub async fn read(
    github: &GitHub,
    blobs: &Blobs,
    repo: &Repo,
    pull: &Pull,
    namespace: &str,
) -> Result<Reading, ReadError> {
    let Merge { base, merged } = merge(github, repo, pull).await?;
    let (at_base, at_merge) = (listed(github, repo, &base).await?, listed(github, repo, &merged).await?);
    let settings = settings(github, repo, &at_base).await?;
    let change = collate(github, blobs, repo, at_base, at_merge, namespace).await?;
    Ok(Reading { change, settings, base: short(&base), head: short(&pull.head.sha) })
}

/// GitHub's test merge.
struct Merge {
    base: String,
    merged: String,
}

/// Waits for GitHub's test merge of exactly this head. One of an older base will do where GitHub makes no newer one.
async fn merge(github: &GitHub, repo: &Repo, pull: &Pull) -> Result<Merge, ReadError> {
    let mut now = pull.clone();
    let mut of_older_base = None;
    for poll in 0..MERGE_POLLS {
        if poll > 0 {
            tokio::time::sleep(MERGE_PAUSE * poll).await;
            now = github.pull(repo, pull.number).await?;
        }
        if now.head.sha != pull.head.sha {
            return Err(ReadError::Moved);
        }
        match (now.mergeable, &now.merge_commit_sha) {
            (Some(false), _) => {
                let (base, head) = (&now.base.branch, short(&pull.head.sha));
                return Err(ReadError::Undecided(format!(
                    "merging {head} into {base} is a conflict; resolve it in the branch"
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
                let found = Merge { base: base.sha.clone(), merged: merged.clone() };
                if github.branch(repo, &now.base.branch).await? == base.sha {
                    return Ok(found);
                }
                of_older_base = Some(found);
            }
            _ => {}
        }
    }
    of_older_base.ok_or(ReadError::NotYet)
}

/// A plain file.
#[derive(Clone, PartialEq, Eq)]
struct File {
    sha: String,
    size: u64,
}

/// The plain files of a commit that may matter. Symbolic links and submodules are none.
async fn listed(github: &GitHub, repo: &Repo, commit: &str) -> Result<BTreeMap<String, File>, ReadError> {
    let Tree { tree, truncated } = github.tree(repo, commit).await?;
    if truncated {
        return Err(ReadError::Undecided(
            "the repository has more files than GitHub lists at once; run `foretell check` in a workflow".to_owned(),
        ));
    }
    let plain = tree.into_iter().filter(|entry| entry.mode.starts_with("100") && may_hold_manifests(&entry.path));
    Ok(plain.map(|entry| (entry.path, File { sha: entry.sha, size: entry.size })).collect())
}

async fn settings(github: &GitHub, repo: &Repo, at_base: &BTreeMap<String, File>) -> Result<Settings, ReadError> {
    let Some(file) = at_base.get(FILE) else { return Ok(Settings::default()) };
    let text = github.blob(repo, &file.sha).await?;
    Settings::read(&text).map_err(|error| ReadError::Undecided(format!("{FILE} at the base: {error}")))
}

async fn collate(
    github: &GitHub,
    blobs: &Blobs,
    repo: &Repo,
    at_base: BTreeMap<String, File>,
    at_merge: BTreeMap<String, File>,
    namespace: &str,
) -> Result<Change, ReadError> {
    let sha = |file: Option<&File>| file.map(|file| file.sha.clone());
    let paths = at_base.keys().chain(at_merge.keys().filter(|path| !at_base.contains_key(*path)));
    let is_same = |path: &String| sha(at_base.get(path)) == sha(at_merge.get(path));
    if paths.clone().all(is_same) {
        // Nothing that could hold an object is touched: there is nothing to be fetched either.
        return Ok(Change::default());
    }
    let files: HashMap<&String, u64> =
        at_base.values().chain(at_merge.values()).map(|file| (&file.sha, file.size)).collect();
    let contents = fetch(github, blobs, repo, &files).await?;
    let paths: Vec<String> = paths.cloned().collect();
    let namespace = namespace.to_owned();
    // Reading YAML takes its time, and others are to be answered meanwhile.
    let change = tokio::task::spawn_blocking(move || {
        let mut collation = ChangeBuilder::new(&namespace);
        for path in paths {
            let (base, merged) = (at_base.get(&path), at_merge.get(&path));
            let text = |file: Option<&File>| file.and_then(|file| contents.get(&file.sha)).map(|text| &**text);
            if base.map(|file| &file.sha) == merged.map(|file| &file.sha) {
                if let Some(text) = text(base) {
                    collation.file(&path, Versions::Same(text));
                }
                continue;
            }
            let is_large = |file: Option<&File>| file.is_some_and(|file| file.size > MOST_READ);
            if is_large(base) || is_large(merged) {
                collation.file(&path, Versions::TooLarge);
            } else {
                collation.file(&path, Versions::Changed { base: text(base), merged: text(merged) });
            }
        }
        collation.finish()
    });
    change.await.map_err(|_| ReadError::Undecided("reading the change failed; the reporter's log says why".to_owned()))
}

/// The contents by hash, of files that are not too large.
async fn fetch(
    github: &GitHub,
    blobs: &Blobs,
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
    if wanted.len() > MOST_FETCHED || bytes > MOST_BYTES {
        return Err(ReadError::Undecided(format!(
            "the repository holds {} manifests with {} MiB, which are too many to be fetched; run `foretell check` in a workflow",
            files.len(),
            bytes >> 20
        )));
    }
    let fetched = futures::stream::iter(wanted).map(async |sha| {
        let file: Arc<[u8]> = github.blob(repo, &sha).await?.into();
        blobs.keep(&sha, &file);
        Ok::<_, GitHubError>((sha, file))
    });
    let fetched: Vec<_> = fetched.buffer_unordered(AT_ONCE).try_collect().await?;
    contents.extend(fetched);
    Ok(contents)
}

/// A commit as a person names it.
fn short(sha: &str) -> String {
    sha.chars().take(7).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn kept_files_are_bounded_and_the_oldest_go_first() {
        let blobs = Blobs::default();
        let file: Arc<[u8]> = vec![0; KEPT_FILE].into();
        let most = KEPT_BYTES / KEPT_FILE;
        for number in 0..=most {
            blobs.keep(&number.to_string(), &file);
        }
        assert!(blobs.get("0").is_none());
        assert!(blobs.get("1").is_some() && blobs.get(&most.to_string()).is_some());
        blobs.keep("large", &vec![0; KEPT_FILE + 1].into());
        assert!(blobs.get("large").is_none());
    }
}
