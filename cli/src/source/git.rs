//! Reads a Git repository through the `git` command, which supports every format, attribute and configuration.
//!
//! Nothing here writes to the work tree, the index or a ref. `git merge-tree` writes loose objects, as every fetch does.

use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};

use foretell_policy::change::settings::{FILE, Settings};

use super::error::SourceError;
use super::settings;

/// A repository that git can read.
pub(super) struct Repository {
    repo: PathBuf,
    git_dir: PathBuf,
}

/// A commit.
pub(super) struct Commit {
    /// The full hash.
    pub(super) id: String,
    /// The abbreviated hash.
    pub(super) short: String,
}

impl Repository {
    pub(super) fn open(repo: &Path) -> Result<Self, SourceError> {
        let found = Self { repo: repo.to_owned(), git_dir: PathBuf::new() };
        let output = found.output(&["rev-parse", "--absolute-git-dir"])?;
        if !output.status.success() {
            return Err(SourceError::NotARepository { repo: repo.to_owned(), why: message(&output) });
        }
        Ok(Self { git_dir: PathBuf::from(line(&output)), ..found })
    }

    /// Resolves the revision that `option` names.
    pub(super) fn commit(&self, option: &'static str, revision: &str) -> Result<Commit, SourceError> {
        let missing =
            || SourceError::MissingRevision { option, revision: revision.to_owned(), repo: self.repo.clone() };
        // No revision begins with a dash. git would read it as an option.
        if revision.is_empty() || revision.starts_with('-') {
            return Err(missing());
        }
        let name = format!("{revision}^{{commit}}");
        let output = self.output(&["rev-parse", "--verify", "--quiet", "--end-of-options", &name])?;
        let id = line(&output);
        if !output.status.success() || id.is_empty() {
            return Err(missing());
        }
        let short = line(&self.checked(&["rev-parse", "--short", &id])?);
        Ok(Commit { id, short })
    }

    /// The tree of the merge. The base as it becomes is judged, not the branch alone.
    pub(super) fn merged_tree(&self, base: &Commit, head: &Commit) -> Result<String, SourceError> {
        let (short_base, short_head) = (base.short.clone(), head.short.clone());
        let common = self.output(&["merge-base", &base.id, &head.id])?;
        if common.status.code() == Some(1) {
            let shallow = line(&self.checked(&["rev-parse", "--is-shallow-repository"])?) == "true";
            return Err(if shallow {
                SourceError::ShallowClone { base: short_base, head: short_head }
            } else {
                SourceError::UnrelatedHistories { base: short_base, head: short_head }
            });
        }
        if !common.status.success() {
            return Err(SourceError::Git { command: "merge-base".to_owned(), why: message(&common) });
        }
        let tip = match line(&common) {
            common if common == base.id => Some(head),
            common if common == head.id => Some(base),
            _ => None,
        };
        if let Some(tip) = tip {
            return Ok(line(&self.checked(&["rev-parse", "--verify", &format!("{}^{{tree}}", tip.id)])?));
        }
        let merge =
            self.output(&["merge-tree", "--write-tree", "--no-messages", "--name-only", "-z", &base.id, &head.id])?;
        let mut fields = merge.stdout.split(|&byte| byte == 0).map(|field| String::from_utf8_lossy(field).into_owned());
        match merge.status.code() {
            Some(0) => Ok(fields.next().unwrap_or_default().trim().to_owned()),
            Some(1) => {
                let files = fields.skip(1).filter(|file| !file.is_empty()).collect();
                Err(SourceError::Conflict { base: short_base, head: short_head, files })
            }
            _ => Err(self.merge_failure(&merge)?),
        }
    }

    fn merge_failure(&self, merge: &Output) -> Result<SourceError, SourceError> {
        let version = line(&self.checked(&["version"])?);
        Ok(if can_merge_trees(&version) {
            SourceError::Git { command: "merge-tree".to_owned(), why: message(merge) }
        } else {
            SourceError::OldGit { version }
        })
    }

    /// Checks a tree out into a folder, with an index of its own.
    pub(super) fn materialise(&self, tree: &str, index: &Path, folder: &Path) -> Result<(), SourceError> {
        // Files in LFS are not manifests: their pointers are enough.
        let plain = ["-c", "filter.lfs.process=", "-c", "filter.lfs.smudge=", "-c", "filter.lfs.required=false"];
        let checkout = [&plain[..], &["checkout-index", "--all", "--force"]].concat();
        for args in [&["read-tree", tree][..], &checkout] {
            let mut command = self.command(args);
            command.current_dir(folder).env("GIT_DIR", &self.git_dir).env("GIT_WORK_TREE", folder);
            command.env("GIT_INDEX_FILE", index);
            let output = command.output().map_err(SourceError::NoGit)?;
            checked(output, args)?;
        }
        Ok(())
    }

    /// Runs git. A failure is an error.
    pub(super) fn checked(&self, args: &[&str]) -> Result<Output, SourceError> {
        checked(self.output(args)?, args)
    }

    fn output(&self, args: &[&str]) -> Result<Output, SourceError> {
        self.command(args).output().map_err(SourceError::NoGit)
    }

    /// A git command that does not depend on the user: no pager, no prompt, no hook, no optional lock, English messages, names
    /// without quotes. In a hook, git's environment names the hook's repository: it is removed.
    pub(super) fn command(&self, args: &[&str]) -> Command {
        let mut command = Command::new("git");
        command.arg("--no-pager").arg("--no-optional-locks");
        if self.git_dir.as_os_str().is_empty() {
            command.arg("-C").arg(&self.repo);
        } else {
            // Outside of the work tree: its attributes would change how files are merged, and GitHub ignores them.
            command.current_dir(&self.git_dir).env("GIT_DIR", &self.git_dir);
        }
        for setting in ["core.quotePath=false", "core.hooksPath=/dev/null", "core.fsmonitor=false", "gc.auto=0"] {
            command.args(["-c", setting]);
        }
        if self.git_dir.as_os_str().is_empty() {
            command.env_remove("GIT_DIR");
        }
        for name in ["GIT_WORK_TREE", "GIT_INDEX_FILE", "GIT_COMMON_DIR", "GIT_PREFIX", "GIT_TRACE"] {
            command.env_remove(name);
        }
        command.env("LC_ALL", "C").env("GIT_TERMINAL_PROMPT", "0").stdin(Stdio::null());
        command.args(args);
        command
    }
}

/// Settings of a commit.
pub(super) fn settings(repository: &Repository, commit: &Commit) -> Result<Settings, SourceError> {
    let listed = repository.checked(&["ls-tree", "-z", "--full-tree", &commit.id, "--", FILE])?.stdout;
    if listed.is_empty() {
        return Ok(Settings::default());
    }
    if !listed.starts_with(b"100") {
        let why = "is not a plain file; write the settings into it".to_owned();
        return Err(SourceError::Settings { file: FILE, why });
    }
    let name = format!("{}:{}", commit.id, FILE);
    settings::read(&repository.checked(&["cat-file", "blob", &name])?.stdout)
}

fn checked(output: Output, args: &[&str]) -> Result<Output, SourceError> {
    if output.status.success() {
        return Ok(output);
    }
    Err(SourceError::Git { command: args.first().copied().unwrap_or_default().to_owned(), why: message(&output) })
}

/// The first line of what a command printed.
fn line(output: &Output) -> String {
    String::from_utf8_lossy(&output.stdout).lines().next().unwrap_or_default().to_owned()
}

/// Git's error message, in one line.
fn message(output: &Output) -> String {
    let stderr = String::from_utf8_lossy(&output.stderr);
    let lines: Vec<_> =
        stderr.lines().map(|line| line.trim_start_matches("fatal: ").trim()).filter(|l| !l.is_empty()).collect();
    if lines.is_empty() { output.status.to_string() } else { lines.join(" ") }
}

/// `git version 2.39.5`, `git version 2.39.5 (Apple Git-154)`
fn can_merge_trees(version: &str) -> bool {
    let number = version.split_whitespace().nth(2).unwrap_or_default();
    let mut parts = number.split('.').map(|part| part.parse::<u32>().unwrap_or_default());
    (parts.next().unwrap_or_default(), parts.next().unwrap_or_default()) >= (2, 38)
}

#[cfg(test)]
mod tests {
    use super::can_merge_trees;

    #[test]
    fn merging_trees_needs_git_2_38() {
        for (version, can) in [
            ("git version 2.39.5", true),
            ("git version 2.38.0-rc1", true),
            ("git version 2.37.9 (Apple Git-1)", false),
            ("git version 3.0.0", true),
            ("git version 1.9.5.msysgit.1", false),
            ("", false),
        ] {
            assert_eq!(can_merge_trees(version), can, "{version}");
        }
    }
}
