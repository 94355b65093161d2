//! Runs the command that renders manifests, such as `kustomize build` or `helm template`.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{ChildStderr, Command, Stdio};

use super::error::SourceError;
use super::git::Repository;

/// The most that a command may print: several times the manifests of the largest clusters.
const MAX_OUTPUT_MIB: usize = 256;

/// How many lines of the command's standard error an error shows.
const SHOWN_LINES: usize = 20;

/// Runs a command in a checkout of a tree, in a temporary folder.
pub(super) fn tree(
    repository: &Repository,
    tree: &str,
    command: &str,
    revision: &'static str,
) -> Result<Vec<u8>, SourceError> {
    let temporary = tempfile::Builder::new().prefix("foretell-").tempdir().map_err(SourceError::Temporary)?;
    let checkout = temporary.path().join("tree");
    std::fs::create_dir(&checkout).map_err(SourceError::Temporary)?;
    repository.materialise(tree, &temporary.path().join("index"), &checkout)?;
    folder(&checkout, command, revision)
}

/// Runs a command in a folder. Its standard error is passed on, and the last lines are kept.
pub(super) fn folder(folder: &Path, command: &str, revision: &'static str) -> Result<Vec<u8>, SourceError> {
    let unreadable = |source| SourceError::Unreadable { path: folder.to_owned(), source };
    // A missing folder would otherwise be reported as a missing shell.
    std::fs::read_dir(folder).map_err(unreadable)?;
    let mut process = Command::new("sh")
        .args(["-c", command])
        .current_dir(folder)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .map_err(unreadable)?;
    let last_lines = process.stderr.take().map(|stderr| std::thread::spawn(move || pass_on(stderr)));

    let mut printed = Vec::new();
    let limit = MAX_OUTPUT_MIB << 20;
    let read = match process.stdout.take() {
        Some(stdout) => stdout.take(limit as u64 + 1).read_to_end(&mut printed),
        None => Ok(0),
    };
    let is_too_large = printed.len() > limit;
    if is_too_large || read.is_err() {
        // An error means that it has ended already.
        let _ = process.kill();
    }
    let status = process.wait().map_err(unreadable)?;
    let stderr = last_lines.and_then(|lines| lines.join().ok()).unwrap_or_default();
    read.map_err(unreadable)?;
    let command = command.to_owned();
    if is_too_large {
        return Err(SourceError::RenderTooLarge { revision, command, limit_mib: MAX_OUTPUT_MIB });
    }
    if !status.success() {
        return Err(SourceError::Render { revision, command, status: status.to_string(), stderr });
    }
    Ok(printed)
}

/// Passes the standard error of a command on and returns its last lines.
fn pass_on(stderr: ChildStderr) -> String {
    let mut kept = std::collections::VecDeque::new();
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    while matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
        // A closed standard error does not change the result.
        let _ = io::stderr().write_all(&line);
        if kept.len() == SHOWN_LINES {
            kept.pop_front();
        }
        kept.push_back(String::from_utf8_lossy(&line).trim_end().to_owned());
        line.clear();
    }
    Vec::from(kept).join("\n")
}
