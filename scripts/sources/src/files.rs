//! Files of the checkout.

use std::path::{Path, PathBuf};
use std::{fs, io};

/// The files below a folder, sorted. Folders named `target` and hidden folders are skipped.
///
/// # Errors
/// If a folder cannot be read.
pub fn below(folder: &Path) -> io::Result<Vec<PathBuf>> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(next) = folders.pop() {
        for entry in fs::read_dir(&next).map_err(|error| named(&next, &error))? {
            let entry = entry?;
            let name = entry.file_name();
            let is_skipped = name == "target" || name.as_encoded_bytes().starts_with(b".");
            match entry.file_type()? {
                kind if kind.is_dir() && !is_skipped => folders.push(entry.path()),
                kind if kind.is_file() => found.push(entry.path()),
                _ => {}
            }
        }
    }
    found.sort();
    Ok(found)
}

/// Reads a text file; an error names the file.
///
/// # Errors
/// If it cannot be read or is not UTF-8.
pub fn read(path: &Path) -> io::Result<String> {
    fs::read_to_string(path).map_err(|error| named(path, &error))
}

fn named(path: &Path, error: &io::Error) -> io::Error {
    io::Error::new(error.kind(), format!("{}: {error}", path.display()))
}
