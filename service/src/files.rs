//! Files that others replace while the service runs: tokens, certificates.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// A file could not be read.
#[derive(Debug, thiserror::Error)]
#[error("{}: {problem}", path.display())]
pub struct FileError {
    /// The file's path.
    pub path: PathBuf,
    /// Why it cannot be used.
    pub problem: String,
}

/// The bytes of a file. Callers read it again each time: kubelet renews a volume by swapping a symbolic link, so that
/// inotify on the file reports nothing.
///
/// # Errors
/// [`FileError`], with the path.
pub fn read(path: &Path) -> Result<Vec<u8>, FileError> {
    fs::read(path).map_err(|error| unreadable(path, &error))
}

/// The text of a file without surrounding white space: a token is often followed by a line feed.
///
/// # Errors
/// [`FileError`] if the file cannot be read or is empty.
pub fn read_token(path: &Path) -> Result<String, FileError> {
    let text = fs::read_to_string(path).map_err(|error| unreadable(path, &error))?;
    match text.trim() {
        "" => {
            Err(FileError { path: path.to_owned(), problem: "the file is empty; it must contain a token".to_owned() })
        }
        token => Ok(token.to_owned()),
    }
}

fn unreadable(path: &Path, error: &io::Error) -> FileError {
    FileError { path: path.to_owned(), problem: error.to_string() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_read_without_white_space_and_an_error_names_the_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("token");
        assert!(read_token(&path).unwrap_err().to_string().starts_with(&format!("{}: ", path.display())));
        fs::write(&path, "  abc\n").unwrap();
        assert_eq!(read_token(&path).unwrap(), "abc");
        assert_eq!(read(&path).unwrap(), b"  abc\n");
        fs::write(&path, " \n").unwrap();
        assert!(read_token(&path).unwrap_err().to_string().contains("the file is empty"));
    }
}
