//! Messages on standard error.

use std::fmt;
use std::io::{self, Write as _};
use std::path::PathBuf;

/// Writes a line to standard error. If that is closed there is no other place for the message.
pub fn say(message: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "foretell: {message}");
}

/// How to fix a file that cannot be read.
#[must_use]
pub fn how_to_fix(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => "check the path",
        io::ErrorKind::PermissionDenied => "make it readable for this user",
        io::ErrorKind::IsADirectory => "name the files in it",
        io::ErrorKind::InvalidData
        | io::ErrorKind::InvalidInput
        | io::ErrorKind::UnexpectedEof
        | io::ErrorKind::Other => "the file is truncated or damaged: create it or copy it again",
        _ => "check that it is a readable file",
    }
}

/// Paths as one text, separated by commas.
#[must_use]
pub fn listed(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
