//! Why a change cannot be read.

use std::path::PathBuf;

use crate::messages;

/// Why a change cannot be read. The gate cannot decide then.
#[derive(Debug, thiserror::Error)]
pub enum SourceError {
    /// No `git` on `PATH`.
    #[error("cannot run git: {0}; install it, or compare two folders with --base-dir and --head-dir")]
    NoGit(#[source] std::io::Error),
    /// The folder is not a repository that git can read.
    #[error("{}: not a Git repository that can be read: {why}; name one with --repo", .repo.display())]
    NotARepository {
        /// Value of the option.
        repo: PathBuf,
        /// Git's message.
        why: String,
    },
    /// A revision that does not exist, or does not exist in this clone.
    #[error("{option} {revision:?}: no such commit in {}; check the spelling, or fetch it (in GitHub's checkout action: fetch-depth: 0)", .repo.display())]
    MissingRevision {
        /// `--base` or `--head`.
        option: &'static str,
        /// Value of the option.
        revision: String,
        /// Value of the option.
        repo: PathBuf,
    },
    /// The clone is shallow, and has no common ancestor of the two.
    #[error(
        "--base {base} and --head {head} have no commit in common in this shallow clone; fetch the history (git fetch --unshallow; in GitHub's checkout action: fetch-depth: 0)"
    )]
    ShallowClone {
        /// Abbreviated commit.
        base: String,
        /// Abbreviated commit.
        head: String,
    },
    /// The two have no common ancestor.
    #[error(
        "--base {base} and --head {head} have no commit in common, so nothing can be merged; name two revisions of one history"
    )]
    UnrelatedHistories {
        /// Abbreviated commit.
        base: String,
        /// Abbreviated commit.
        head: String,
    },
    /// The two cannot be merged without a conflict.
    #[error("merging {head} into {base} causes a conflict in {}; resolve it in the branch first", .files.join(", "))]
    Conflict {
        /// Abbreviated commit.
        base: String,
        /// Abbreviated commit.
        head: String,
        /// The files in conflict.
        files: Vec<String>,
    },
    /// The installed git lacks `git merge-tree --write-tree`, which came with 2.38.
    #[error(
        "{version} cannot merge without a work tree; install git 2.38 or newer, or bring the branch up to date with its base"
    )]
    OldGit {
        /// Output of `git version`.
        version: String,
    },
    /// Any other failure of git.
    #[error("git {command} failed: {why}")]
    Git {
        /// Git's subcommand.
        command: String,
        /// Git's message.
        why: String,
    },
    /// A file or folder that cannot be read.
    #[error("cannot read {}: {source}; {}", .path.display(), messages::how_to_fix(.source))]
    Unreadable {
        /// The file or folder.
        path: PathBuf,
        /// Error of the operating system.
        source: std::io::Error,
    },
    /// A glob that does not parse.
    #[error("--path {path:?}: {why}")]
    BadPath {
        /// Value of the option.
        path: String,
        /// Problem with the glob.
        why: String,
    },
    /// No file matches. A spelling mistake would otherwise let any change merge.
    #[error(
        "--path {path:?} matches no file at either revision; paths are relative to the root of the repository, * does not match a slash and ** does"
    )]
    NothingMatches {
        /// Value of the option.
        path: String,
    },
    /// The command of `--render` failed.
    #[error("--render failed at the {revision} revision: {command:?} ended with {status}{}", indented(.stderr))]
    Render {
        /// `base` or `merged`.
        revision: &'static str,
        /// Value of the option.
        command: String,
        /// `exit status: 1`
        status: String,
        /// The last lines of its standard error.
        stderr: String,
    },
    /// The command of `--render` printed more than any cluster has.
    #[error("--render printed more than {limit_mib} MiB at the {revision} revision: {command:?}")]
    RenderTooLarge {
        /// `base` or `merged`.
        revision: &'static str,
        /// Value of the option.
        command: String,
        /// The most that is read.
        limit_mib: usize,
    },
    /// No space, or no permission, for a temporary folder.
    #[error("cannot create a temporary folder: {0}; set TMPDIR to a folder that can be written")]
    Temporary(#[source] std::io::Error),
    /// The settings cannot be read.
    #[error("{file} at the base revision: {why}")]
    Settings {
        /// Path of the settings.
        file: &'static str,
        /// Problem with the settings, and its place.
        why: String,
    },
}

/// The lines below a message, indented; empty if there are none.
fn indented(lines: &str) -> String {
    if lines.is_empty() { String::new() } else { format!(":\n  {}", lines.replace('\n', "\n  ")) }
}
