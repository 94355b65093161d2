//! Reads the files of two folders.

use std::collections::BTreeSet;
use std::fs;
use std::io;
use std::path::Path;

use foretell_policy::change::revisions::{ChangeBuilder, MOST_READ, Versions};
use foretell_policy::change::settings::{FILE, Settings};

use super::error::SourceError;
use super::paths::PathFilter;
use super::settings;

/// Adds the files of two folders to a change.
pub(super) fn add_files(
    base: &Path,
    head: &Path,
    filter: &mut PathFilter,
    change: &mut ChangeBuilder,
) -> Result<(), SourceError> {
    let (mut at_base, mut at_head) = (BTreeSet::new(), BTreeSet::new());
    walk(base, "", filter, &mut at_base)?;
    walk(head, "", filter, &mut at_head)?;
    for path in at_base.union(&at_head) {
        let base = at_base.contains(path).then(|| read(&base.join(path))).transpose()?;
        let merged = at_head.contains(path).then(|| read(&head.join(path))).transpose()?;
        match (&base, &merged) {
            (Some(None), _) | (_, Some(None)) => change.file(path, Versions::TooLarge),
            (Some(Some(base)), Some(Some(merged))) if base == merged => change.file(path, Versions::Same(base)),
            (base, merged) => change.file(
                path,
                Versions::Changed {
                    base: base.as_ref().and_then(|text| text.as_deref()),
                    merged: merged.as_ref().and_then(|text| text.as_deref()),
                },
            ),
        }
    }
    Ok(())
}

/// The settings of the base folder.
pub(super) fn settings(base: &Path) -> Result<Settings, SourceError> {
    let path = base.join(FILE);
    match fs::read(&path) {
        Ok(text) => settings::read(&text),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Settings::default()),
        Err(source) => Err(SourceError::Unreadable { path, source }),
    }
}

/// Finds files below a folder. Symbolic links are not followed: they may lead out of the folder, or form a loop.
fn walk(root: &Path, folder: &str, filter: &mut PathFilter, found: &mut BTreeSet<String>) -> Result<(), SourceError> {
    let path = root.join(folder);
    let unreadable = |source| SourceError::Unreadable { path: path.clone(), source };
    for entry in fs::read_dir(&path).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        // A report cannot show a name that is not UTF-8, and no tool of Kubernetes creates one.
        let Ok(name) = entry.file_name().into_string() else { continue };
        let name = if folder.is_empty() { name } else { format!("{folder}/{name}") };
        let kind = entry.file_type().map_err(unreadable)?;
        if kind.is_dir() && entry.file_name() != ".git" {
            walk(root, &name, filter, found)?;
        } else if kind.is_file() && filter.wants(&name) {
            found.insert(name);
        }
    }
    Ok(())
}

/// `None`: the file is too large.
fn read(path: &Path) -> Result<Option<Vec<u8>>, SourceError> {
    let unreadable = |source| SourceError::Unreadable { path: path.to_owned(), source };
    if fs::metadata(path).map_err(unreadable)?.len() > MOST_READ {
        return Ok(None);
    }
    fs::read(path).map(Some).map_err(unreadable)
}
