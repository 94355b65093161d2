//! The file of a snapshot. A write replaces it as a whole, so that it has the previous snapshot or the new one, never a part.

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use foretell_objects::manifest::documents as manifest;
use foretell_policy::snapshot::text::{Snapshot, SnapshotError};

use crate::messages;

/// Why the file of a snapshot cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// The previous snapshot cannot be read.
    #[error("{}: cannot read the previous snapshot: {error}; {}", path.display(), messages::how_to_fix(.error))]
    Read {
        /// The file.
        path: PathBuf,
        /// Error of the operating system.
        error: io::Error,
    },
    /// The file is not a snapshot that can be renewed.
    #[error("{}: {error}; the file was not changed: choose another one", path.display())]
    Previous {
        /// The file.
        path: PathBuf,
        /// Problem with it.
        error: SnapshotError,
    },
    /// The path is a folder, a pipe or a device.
    #[error("{}: is not a regular file; choose another one", path.display())]
    NotAFile {
        /// The file.
        path: PathBuf,
    },
    /// The file cannot be written.
    #[error("{}: cannot write the snapshot: {error}; an existing file was not changed", path.display())]
    Write {
        /// The file.
        path: PathBuf,
        /// Error of the operating system.
        error: io::Error,
    },
}

/// The snapshot in a file. `None`: there is no such file yet.
///
/// # Errors
/// [`FileError`] if it cannot be read, or is not a snapshot that can be renewed.
pub fn read(path: &Path) -> Result<Option<Snapshot>, FileError> {
    if path.exists() && !path.is_file() {
        return Err(FileError::NotAFile { path: path.to_owned() });
    }
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(|error| FileError::Read { path: path.to_owned(), error })?,
    };
    let snapshot = Snapshot::from_documents(manifest::documents(&text));
    snapshot.map(Some).map_err(|error| FileError::Previous { path: path.to_owned(), error })
}

/// Writes a new file in the same folder and renames it to `path`, with the permissions of the previous file. A pipe or a device
/// is written to directly.
///
/// # Errors
/// [`FileError::Write`]. An existing file is unchanged then.
pub fn replace(path: &Path, text: &str) -> Result<(), FileError> {
    put(path, text).map_err(|error| FileError::Write { path: path.to_owned(), error })
}

fn put(path: &Path, text: &str) -> io::Result<()> {
    // The file that a link leads to is replaced, not the link.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let permissions = match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => return fs::write(path, text),
        Ok(metadata) => Some(metadata.permissions()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // A snapshot shows what runs where: a new file is readable by its owner only.
    let mut file = tempfile::Builder::new().prefix(".foretell-snapshot-").tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    set(&file, permissions)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

fn set(file: &tempfile::NamedTempFile, permissions: Option<Permissions>) -> io::Result<()> {
    permissions.map_or(Ok(()), |permissions| file.as_file().set_permissions(permissions))
}
