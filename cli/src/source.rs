//! Reads the two revisions of a change: from a Git repository or from two folders, as files or as a command renders them.

pub mod error;
mod folders;
mod git;
mod paths;
mod render;
mod settings;
mod trees;

use std::path::PathBuf;

use foretell_policy::change::revisions::{Change, ChangeBuilder};
use foretell_policy::change::settings::Settings;

use self::error::SourceError;
use self::git::Repository;
use self::paths::PathFilter;

/// The revisions to compare, and how they are read.
#[derive(Clone, Debug)]
pub struct Request {
    /// The two revisions.
    pub revisions: Revisions,
    /// `--path`: globs and folders whose files are read; empty: all files.
    pub paths: Vec<String>,
    /// `--namespace`: namespace of objects that do not name one.
    pub namespace: String,
    /// `--render`: command for `sh -c` that prints the manifests of the folder in which it runs.
    pub render: Option<String>,
}

/// The two revisions of a change.
#[derive(Clone, Debug)]
pub enum Revisions {
    /// Two commits of a Git repository. The change is from `base` to the merge of `head` into `base`.
    Git {
        /// Any folder of the repository; it may be bare.
        repo: PathBuf,
        /// The revision that the change would be merged into.
        base: String,
        /// The revision that would be merged.
        head: String,
    },
    /// Two folders. The second is taken as the result of the merge.
    Folders {
        /// Folder of the state before the change.
        base: PathBuf,
        /// Folder of the state after the change.
        head: PathBuf,
    },
}

/// A change that has been read.
#[derive(Clone, Debug)]
pub struct Loaded {
    /// The objects before and after the change.
    pub change: Change,
    /// Settings of the base revision, so that a change cannot weaken its own gate.
    pub settings: Settings,
    /// Name of the base in reports: an abbreviated commit, or a folder.
    pub base: String,
    /// Name of the head in reports.
    pub head: String,
}

/// Reads a change.
///
/// # Errors
/// [`SourceError`] if anything that was named cannot be read.
pub fn load(request: &Request) -> Result<Loaded, SourceError> {
    let Request { revisions, paths, namespace, render } = request;
    let mut filter = PathFilter::new(paths)?;
    let mut change = ChangeBuilder::new(namespace);
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
                    change.rendered(&at_base, &at_merge);
                }
                None => trees::add_files(&repository, &base.id, &merged, &mut filter, &mut change)?,
            }
            (settings, base.short, head.short)
        }
        Revisions::Folders { base, head } => {
            let settings = folders::settings(base)?;
            match render {
                Some(command) => {
                    let at_base = render::folder(base, command, "base")?;
                    let at_merge = render::folder(head, command, "merged")?;
                    change.rendered(&at_base, &at_merge);
                }
                None => folders::add_files(base, head, &mut filter, &mut change)?,
            }
            (settings, base.display().to_string(), head.display().to_string())
        }
    };
    if render.is_none() {
        filter.check_all_matched()?;
    }
    Ok(Loaded { change: change.finish(), settings, base, head })
}
