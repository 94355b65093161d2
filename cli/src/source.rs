//! Where `foretell check` finds the two revisions of a change: in a Git repository or in two folders, as they stand or as a
//! command renders them.

mod folders;
mod git;
mod paths;
mod render;
mod settings;
mod trees;

use std::path::PathBuf;

use foretell_policy::change::revisions::{Change, ChangeBuilder};
use foretell_policy::change::settings::Settings;

use crate::messages;
use git::Repository;
use paths::PathFilter;

/// What is to be compared.
#[derive(Clone, Debug)]
pub struct Request {
    /// The two revisions.
    pub revisions: Revisions,
    /// `--path`: globs or folders outside of which no file is read; none: all files are.
    pub paths: Vec<String>,
    /// `--namespace`: where objects are that name no namespace.
    pub namespace: String,
    /// `--render`: a command for `sh -c` that prints the manifests of the tree it runs in.
    pub render: Option<String>,
}

/// The two revisions of a change.
#[derive(Clone, Debug)]
pub enum Revisions {
    /// Of a Git repository. What is judged is what merging `head` into `base` makes of `base`.
    Git {
        /// Any folder of it, or a bare one.
        repo: PathBuf,
        /// The revision into which is merged.
        base: String,
        /// The revision that is merged.
        head: String,
    },
    /// Of two folders; the second is taken to be merged already.
    Folders {
        /// Before the change.
        base: PathBuf,
        /// After it.
        head: PathBuf,
    },
}

/// A change that has been read.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// What the files say.
    pub change: Change,
    /// Of the base revision, so that a change cannot weaken its own gate.
    pub settings: Settings,
    /// The base as a person names it: an abbreviated commit, or a folder.
    pub base: String,
    /// The head, likewise.
    pub head: String,
}

/// Why a change could not be read. Each means that the gate could not decide.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// No `git` on `PATH`.
    #[error("cannot run git: {0}; install it, or compare two folders with --base-dir and --head-dir")]
    NoGit(#[source] std::io::Error),
    /// Git does not take the folder for a repository.
    #[error("{}: not a Git repository that can be read: {why}; name one with --repo", .repo.display())]
    NotARepository {
        /// As given.
        repo: PathBuf,
        /// What git says.
        why: String,
    },
    /// A revision that does not exist, or does not exist in this clone.
    #[error("{option} {revision:?}: no such commit in {}; check the spelling, or fetch it (in GitHub's checkout action: fetch-depth: 0)", .repo.display())]
    MissingRevision {
        /// `--base` or `--head`.
        option: &'static str,
        /// As given.
        revision: String,
        /// As given.
        repo: PathBuf,
    },
    /// The history that is at hand has no commit from which both come.
    #[error(
        "--base {base} and --head {head} have no commit in common in this shallow clone; fetch the history (git fetch --unshallow; in GitHub's checkout action: fetch-depth: 0)"
    )]
    ShallowClone {
        /// Abbreviated.
        base: String,
        /// Abbreviated.
        head: String,
    },
    /// There is no commit from which both come.
    #[error(
        "--base {base} and --head {head} have no commit in common, so nothing can be merged; name two revisions of one history"
    )]
    UnrelatedHistories {
        /// Abbreviated.
        base: String,
        /// Abbreviated.
        head: String,
    },
    /// The two cannot be merged as they are.
    #[error("merging {head} into {base} is a conflict in {}; resolve it in the branch first", .files.join(", "))]
    Conflict {
        /// Abbreviated.
        base: String,
        /// Abbreviated.
        head: String,
        /// The files in conflict.
        files: Vec<String>,
    },
    /// `git merge-tree --write-tree` came with 2.38.
    #[error(
        "{version} cannot merge without a work tree; install git 2.38 or newer, or bring the branch up to date with its base"
    )]
    OldGit {
        /// As it calls itself.
        version: String,
    },
    /// Git failed in a way that none of the others names.
    #[error("git {command} failed: {why}")]
    Git {
        /// What was run.
        command: String,
        /// What git says.
        why: String,
    },
    /// A file or folder that cannot be read.
    #[error("cannot read {}: {source}; {}", .path.display(), messages::mend(.source))]
    Unreadable {
        /// Of the file or folder.
        path: PathBuf,
        /// Of the operating system.
        source: std::io::Error,
    },
    /// A glob that does not parse.
    #[error("--path {path:?}: {why}")]
    BadPath {
        /// As given.
        path: String,
        /// What is wrong.
        why: String,
    },
    /// A spelling mistake here would let any change pass.
    #[error(
        "--path {path:?} matches no file at either revision; paths are relative to the root of the repository, * does not match a slash and ** does"
    )]
    NothingMatches {
        /// As given.
        path: String,
    },
    /// The command of `--render` failed.
    #[error("--render failed at the {revision} revision: {command:?} ended with {status}{}", render::indented(.stderr))]
    Render {
        /// `base` or `merged`.
        revision: &'static str,
        /// As given.
        command: String,
        /// `exit status: 1`
        status: String,
        /// The last lines that it wrote to its standard error.
        stderr: String,
    },
    /// The command of `--render` printed without end.
    #[error("--render printed more than {limit_mib} MiB at the {revision} revision: {command:?}")]
    RenderTooLarge {
        /// `base` or `merged`.
        revision: &'static str,
        /// As given.
        command: String,
        /// How much would have been read.
        limit_mib: usize,
    },
    /// No room, or no right, to make a temporary folder.
    #[error("cannot make a temporary folder: {0}; point TMPDIR at one that can be written")]
    Temporary(#[source] std::io::Error),
    /// The settings cannot be read.
    #[error("{file} at the base revision: {why}")]
    Settings {
        /// Path of the settings.
        file: &'static str,
        /// What is wrong, and where.
        why: String,
    },
}

/// Reads a change.
///
/// # Errors
/// [`SourceError`] wherever something that was asked for cannot be read; nothing is half-read then.
pub fn load(request: &Request) -> Result<Loaded, SourceError> {
    let Request { revisions, paths, namespace, render } = request;
    let mut filter = PathFilter::new(paths)?;
    let mut collation = ChangeBuilder::new(namespace);
    let (settings, base, head) = match revisions {
        Revisions::Git { repo, base, head } => {
            let repository = Repository::open(repo)?;
            let base = repository.commit("--base", base)?;
            let head = repository.commit("--head", head)?;
            let merged = repository.merged_tree(&base, &head)?;
            let settings = git::settings(&repository, &base)?;
            match render {
                Some(command) => {
                    let at_base = render::tree(&repository, &base.id, command, "base")?;
                    let at_merge = render::tree(&repository, &merged, command, "merged")?;
                    collation.rendered(&at_base, &at_merge);
                }
                None => trees::collate(&repository, &base.id, &merged, &mut filter, &mut collation)?,
            }
            (settings, base.short, head.short)
        }
        Revisions::Folders { base, head } => {
            let settings = folders::settings(base)?;
            match render {
                Some(command) => {
                    let at_base = render::folder(base, command, "base")?;
                    let at_merge = render::folder(head, command, "merged")?;
                    collation.rendered(&at_base, &at_merge);
                }
                None => folders::collate(base, head, &mut filter, &mut collation)?,
            }
            (settings, base.display().to_string(), head.display().to_string())
        }
    };
    if render.is_none() {
        filter.check_all_matched()?;
    }
    Ok(Loaded { change: collation.finish(), settings, base, head })
}
