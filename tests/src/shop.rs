//! The repository of the demo's shop.

use std::fs;
use std::path::{Path, PathBuf};

use crate::machine;

/// The folder of its states: `base`, and files of later commits.
#[must_use]
pub fn repository() -> PathBuf {
    machine::root().join("demo/shop/repository")
}

/// The text of a file.
///
/// # Panics
/// If it cannot be read.
#[must_use]
pub fn text(path: &Path) -> String {
    fs::read_to_string(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}

/// The files below a folder, sorted by path, each with its path from the folder and its text.
///
/// # Panics
/// If one cannot be read.
#[must_use]
pub fn files_below(folder: &Path) -> Vec<(String, String)> {
    let (mut found, mut folders) = (Vec::new(), vec![folder.to_owned()]);
    while let Some(next) = folders.pop() {
        for path in fs::read_dir(&next).unwrap().map(|entry| entry.unwrap().path()) {
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push((path.strip_prefix(folder).unwrap().display().to_string(), text(&path)));
            }
        }
    }
    found.sort();
    found
}
