//! Reads a cluster's snapshot: YAML or JSON out of files, folders or standard input.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use foretell_policy::manifest::{self, DocumentError};
use foretell_policy::object::{self, Object, ObjectError, Origin};

use crate::flows;

/// A snapshot could not be read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// A file or folder cannot be opened or read.
    #[error("{}: cannot read the snapshot: {error}", path.display())]
    Read {
        /// Which.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// A document is no YAML or JSON.
    #[error("{}, document {document}: {error}; a snapshot is plain YAML or JSON, as kubectl get prints it", path.display())]
    Document {
        /// Which file.
        path: PathBuf,
        /// Its number, from 1.
        document: usize,
        /// What is wrong with it.
        error: DocumentError,
    },
    /// An object is not valid.
    #[error("{}, document {document}{item}: {error}", path.display())]
    Object {
        /// Which file.
        path: PathBuf,
        /// The document's number, from 1.
        document: usize,
        /// Its place in a List.
        item: String,
        /// What is wrong with it.
        error: ObjectError,
    },
}

/// Reads snapshots. Objects that the engine does not read are passed over.
///
/// # Errors
/// [`SnapshotError`] for the first file, document or object that cannot be read.
pub fn read(paths: &[PathBuf]) -> Result<Vec<Object>, SnapshotError> {
    let mut objects = Vec::new();
    for path in paths {
        if path.is_dir() {
            for file in manifests_below(path)? {
                read_file(&file, &mut objects)?;
            }
        } else {
            read_file(path, &mut objects)?;
        }
    }
    Ok(objects)
}

fn read_file(path: &Path, objects: &mut Vec<Object>) -> Result<(), SnapshotError> {
    let unreadable = |error| SnapshotError::Read { path: path.to_owned(), error };
    let mut text = String::new();
    let mut reader = flows::open(path).map_err(|error| match error {
        flows::FlowsError::Read { error, .. } => unreadable(error),
        other => unreadable(io::Error::other(other.to_string())),
    })?;
    reader.read_to_string(&mut text).map_err(unreadable)?;
    for document in manifest::documents(&text) {
        let value = document.value.map_err(|error| SnapshotError::Document {
            path: path.to_owned(),
            document: document.number,
            error,
        })?;
        let read = object::read(value, &Origin::Cluster).map_err(|error| SnapshotError::Object {
            path: path.to_owned(),
            document: document.number,
            item: if document.item.is_empty() { String::new() } else { format!(", {}", document.item) },
            error,
        })?;
        objects.extend(read);
    }
    Ok(())
}

/// The manifests below a folder, in order of their paths.
fn manifests_below(folder: &Path) -> Result<Vec<PathBuf>, SnapshotError> {
    let unreadable = |error| SnapshotError::Read { path: folder.to_owned(), error };
    let mut entries: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        entries.push(entry.map_err(unreadable)?.path());
    }
    entries.sort();
    let mut files = Vec::new();
    for path in entries {
        if path.is_dir() {
            files.extend(manifests_below(&path)?);
        } else if is_manifest(&path) {
            files.push(path);
        }
    }
    Ok(files)
}

fn is_manifest(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str()).unwrap_or_default();
    let name = name.strip_suffix(".gz").or_else(|| name.strip_suffix(".zst")).unwrap_or(name);
    [".yaml", ".yml", ".json"].iter().any(|ending| name.ends_with(ending))
}
