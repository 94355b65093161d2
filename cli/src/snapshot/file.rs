//! The file that a snapshot is written to and read from again: it holds the former one or the new one, never half of either.

use std::fs::{self, Permissions};
use std::io::{self, Write as _};
use std::path::{Path, PathBuf};

use foretell_policy::manifest::documents as manifest;
use foretell_policy::snapshot::text::{Snapshot, SnapshotError};

use crate::messages;

/// A file could not be read or written.
#[derive(Debug, thiserror::Error)]
pub enum FileError {
    /// What is to be added to cannot be read.
    #[error("{}: cannot read the former snapshot: {error}; {}", path.display(), messages::mend(.error))]
    Read {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
    /// What is to be added to is something else.
    #[error("{}: {error}; it is left as it is: name another file, and a new snapshot is made", path.display())]
    Former {
        /// Which file.
        path: PathBuf,
        /// What is wrong with it.
        error: SnapshotError,
    },
    /// It cannot be replaced by a file.
    #[error("{}: is no file that can be replaced", path.display())]
    NotAFile {
        /// Which.
        path: PathBuf,
    },
    /// It cannot be written.
    #[error("{}: cannot write the snapshot: {error}; what was there before is still there", path.display())]
    Write {
        /// Which file.
        path: PathBuf,
        /// What the system says.
        error: io::Error,
    },
}

/// The snapshot in a file. `None`: there is no such file yet.
///
/// # Errors
/// [`FileError`] where it cannot be read or is none that can be added to.
pub fn read(path: &Path) -> Result<Option<Snapshot>, FileError> {
    if path.exists() && !path.is_file() {
        return Err(FileError::NotAFile { path: path.to_owned() });
    }
    let text = match fs::read_to_string(path) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        text => text.map_err(|error| FileError::Read { path: path.to_owned(), error })?,
    };
    let snapshot = Snapshot::from_documents(manifest::documents(&text));
    snapshot.map(Some).map_err(|error| FileError::Former { path: path.to_owned(), error })
}

/// Writes a file beside the one of this name and puts it in its place, with the permissions of the former one. A pipe or a
/// device is written to.
///
/// # Errors
/// [`FileError::Write`]: what was there before is there still.
pub fn replace(path: &Path, text: &str) -> Result<(), FileError> {
    put(path, text).map_err(|error| FileError::Write { path: path.to_owned(), error })
}

fn put(path: &Path, text: &str) -> io::Result<()> {
    // The file that a link leads to is replaced, not the link.
    let path = &fs::canonicalize(path).unwrap_or_else(|_| path.to_owned());
    let former = match fs::metadata(path) {
        Ok(metadata) if !metadata.is_file() => return fs::write(path, text),
        Ok(metadata) => Some(metadata.permissions()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => None,
        Err(error) => return Err(error),
    };
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    // It tells who runs where: it is for its owner until that one decides otherwise.
    let mut file = tempfile::Builder::new().prefix(".foretell-snapshot-").tempfile_in(folder)?;
    file.write_all(text.as_bytes())?;
    set(&file, former)?;
    file.as_file().sync_all()?;
    file.persist(path).map_err(|error| error.error)?;
    Ok(())
}

fn set(file: &tempfile::NamedTempFile, permissions: Option<Permissions>) -> io::Result<()> {
    permissions.map_or(Ok(()), |permissions| file.as_file().set_permissions(permissions))
}
