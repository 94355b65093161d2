//! What is said on standard error.

use std::fmt;
use std::io::{self, Write as _};
use std::path::PathBuf;

/// Says something. Nothing can be done about a standard error that is closed.
pub fn say(what: impl fmt::Display) {
    let _ = writeln!(io::stderr(), "foretell: {what}");
}

/// What to do about a file that cannot be read.
#[must_use]
pub fn mend(error: &io::Error) -> &'static str {
    match error.kind() {
        io::ErrorKind::NotFound | io::ErrorKind::NotADirectory => "check the path",
        io::ErrorKind::PermissionDenied => "make it readable for this user",
        io::ErrorKind::IsADirectory => "name the files in it",
        io::ErrorKind::InvalidData
        | io::ErrorKind::InvalidInput
        | io::ErrorKind::UnexpectedEof
        | io::ErrorKind::Other => "the file is cut short or damaged: make it or copy it again",
        _ => "see that it is a file that can be read",
    }
}

/// Paths as a list for people.
#[must_use]
pub fn listed(paths: &[PathBuf]) -> String {
    paths.iter().map(|path| path.display().to_string()).collect::<Vec<_>>().join(", ")
}
