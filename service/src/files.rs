//! Files that somebody else replaces now and then: tokens, certificates.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// A file could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct FileError {
    /// Which.
    pub path: PathBuf,
    /// Why not.
    pub problem: String,
}

/// The bytes of a file. Asked for again each time: a kubelet swaps a symbolic link when it renews a volume, of which nobody
/// who watches the file hears.
///
/// # Errors
/// [`FileError`], with the path.
pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    fs::read(path).map_err(|error| unreadable(path, &error))
}

/// The text of a file without white space around it; tokens are written with a line feed as often as without.
///
/// # Errors
/// [`FileError`] where it cannot be read, or is empty.
pub fn read_token(path: &Path) -> Result<String, FileError> {
    let text = fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    match text.trim() {
        "" => Err(FileError { path: path.to_owned(), problem: "holds no token".to_owned() }),
        token => Ok(token.to_owned()),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> FileError {
    FileError { path: path.to_owned(), problem: error.to_string() }
}
