//! Reads a snapshot of a cluster: YAML or JSON from files, folders or standard input. `take` creates one.

use std::fs;
use std::io::{self, Read as _};
use std::path::{Path, PathBuf};

use foretell_objects::manifest::document::DocumentError;
use foretell_objects::manifest::documents as manifest;
use foretell_objects::resource::object::Object;
use foretell_objects::resource::object::fault::ObjectError;
use foretell_objects::resource::object::origin::Origin;
use foretell_objects::resource::other_policy::OtherPolicy;
use foretell_objects::resource::read;
use foretell_policy::snapshot::text as snapshot;

use crate::{flows, messages};

pub mod connection;
mod discovery;
pub mod file;
pub mod list;
mod proxy;
pub mod request;
pub mod take;

/// Why a snapshot cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum SnapshotError {
    /// A file or folder cannot be opened or read.
    #[error("{}: cannot read the snapshot: {error}; {}", path.display(), messages::how_to_fix(.error))]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Error of the operating system.
        error: io::Error,
    },
    /// A file is not UTF-8.
    #[error("{}, line {line}: not UTF-8; a snapshot is plain YAML or JSON, as foretell snapshot and kubectl get print it: save it as UTF-8", path.display())]
    NotText {
        /// The file.
        path: PathBuf,
        /// The line, from 1.
        line: usize,
    },
    /// There is no object in it.
    #[error("{}: the snapshot has no object that Foretell reads; create one with foretell snapshot --output FILE (in folders, .yaml, .yml and .json files are read)", messages::listed(.paths))]
    Empty {
        /// The files and folders that were named.
        paths: Vec<PathBuf>,
    },
    /// A document is neither YAML nor JSON.
    #[error("{}, document {document}: {error}; a snapshot is plain YAML or JSON, as foretell snapshot and kubectl get print it", path.display())]
    Document {
        /// The file.
        path: PathBuf,
        /// Number of the document, from 1.
        document: usize,
        /// Problem with it.
        error: DocumentError,
    },
    /// A part of the snapshot is missing.
    #[error("{}: {error}; take a new snapshot", path.display())]
    Incomplete {
        /// The file.
        path: PathBuf,
        /// The missing part.
        error: snapshot::SnapshotError,
    },
    /// An object is not valid.
    #[error("{}, document {document}{item}: {error}", path.display())]
    Object {
        /// The file.
        path: PathBuf,
        /// Number of the document, from 1.
        document: usize,
        /// Place of the object in a List; empty outside of one.
        item: String,
        /// Problem with it.
        error: ObjectError,
    },
}

/// What a snapshot contains.
#[derive(Default)]
pub struct Contents {
    /// The objects that the engine reads.
    pub objects: Vec<Object>,
    /// Policies of CNIs' and meshes' own kinds.
    pub other_policies: Vec<OtherPolicy>,
}

/// Reads snapshots. Objects of kinds that the engine does not read are skipped.
///
/// # Errors
/// [`SnapshotError`] for the first file, document or object that cannot be read.
pub fn read(paths: &[PathBuf]) -> Result<Contents, SnapshotError> {
    let mut contents = Contents::default();
    for path in paths {
        if path.is_dir() {
            for file in manifests_below(path)? {
                read_file(&file, &mut contents)?;
            }
        } else {
            read_file(path, &mut contents)?;
        }
    }
    if contents.objects.is_empty() {
        return Err(SnapshotError::Empty { paths: paths.to_owned() });
    }
    Ok(contents)
}

fn read_file(path: &Path, contents: &mut Contents) -> Result<(), SnapshotError> {
    let unreadable = |error| SnapshotError::Read { path: path.to_owned(), error };
    let mut text = Vec::new();
    flows::open(path).and_then(|mut reader| reader.read_to_end(&mut text)).map_err(unreadable)?;
    let text = String::from_utf8(text).map_err(|error| {
        let before = &error.as_bytes()[..error.utf8_error().valid_up_to()];
        let line = before.split(|&byte| byte == b'\n').count();
        SnapshotError::NotText { path: path.to_owned(), line }
    })?;
    let documents = manifest::documents(&text);
    snapshot::check_complete(documents.iter().filter_map(|document| document.value.as_ref().ok()))
        .map_err(|error| SnapshotError::Incomplete { path: path.to_owned(), error })?;
    for document in documents {
        let value = document.value.map_err(|error| SnapshotError::Document {
            path: path.to_owned(),
            document: document.number,
            error,
        })?;
        if let Some(policy) = OtherPolicy::read(&value, "default") {
            contents.other_policies.push(policy);
            continue;
        }
        let read = read::read(value, &Origin::Cluster).map_err(|error| SnapshotError::Object {
            path: path.to_owned(),
            document: document.number,
            item: if document.item.is_empty() { String::new() } else { format!(", {}", document.item) },
            error,
        })?;
        contents.objects.extend(read);
    }
    Ok(())
}

/// The manifests below a folder, in order of their paths. Hidden entries are skipped, because a mounted `ConfigMap` keeps its
/// versions there. Links to folders are skipped, because they may form a loop.
fn manifests_below(folder: &Path) -> Result<Vec<PathBuf>, SnapshotError> {
    let unreadable = |error| SnapshotError::Read { path: folder.to_owned(), error };
    let mut entries: Vec<PathBuf> = Vec::new();
    for entry in fs::read_dir(folder).map_err(unreadable)? {
        let entry = entry.map_err(unreadable)?;
        let is_hidden = entry.file_name().as_encoded_bytes().starts_with(b".");
        let is_linked_folder = entry.file_type().map_err(unreadable)?.is_symlink() && entry.path().is_dir();
        if !is_hidden && !is_linked_folder {
            entries.push(entry.path());
        }
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
