//! Manifests as a command prints them: `kustomize build`, `helm template`, anything.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::path::Path;
use std::process::{ChildStderr, Command, Stdio};

use super::SourceError;
use super::git::Repository;

/// How much a command may print: the manifests of the largest clusters, several times over.
const MAX_OUTPUT_MIB: usize = 256;

/// How many lines of its complaint are shown.
const SHOWN_LINES: usize = 20;

/// Runs a command in a checkout of a tree, in a folder that is gone afterwards.
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

/// Runs a command in a folder. What it writes to its standard error passes through, and its end is kept.
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
    let complaint = process.stderr.take().map(|stderr| std::thread::spawn(move || last_lines(stderr)));

    let mut printed = Vec::new();
    let limit = MAX_OUTPUT_MIB << 20;
    let read = match process.stdout.take() {
        Some(stdout) => stdout.take(limit as u64 + 1).read_to_end(&mut printed),
        None => Ok(0),
    };
    let is_too_large = printed.len() > limit;
    if is_too_large || read.is_err() {
        // Nothing more can be said where it has ended by itself.
        let _ = process.kill();
    }
    let status = process.wait().map_err(unreadable)?;
    let stderr = complaint.and_then(|lines| lines.join().ok()).unwrap_or_default();
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

/// Passes a command's complaints on and keeps the last of them.
fn last_lines(stderr: ChildStderr) -> String {
    let mut kept = std::collections::VecDeque::new();
    let mut reader = BufReader::new(stderr);
    let mut line = Vec::new();
    while matches!(reader.read_until(b'\n', &mut line), Ok(1..)) {
        // Whether anybody reads our standard error changes nothing.
        let _ = io::stderr().write_all(&line);
        if kept.len() == SHOWN_LINES {
            kept.pop_front();
        }
        kept.push_back(String::from_utf8_lossy(&line).trim_end().to_owned());
        line.clear();
    }
    Vec::from(kept).join("\n")
}

/// Below the message, each line indented; nothing where nothing was said.
pub(super) fn indented(lines: &str) -> String {
    if lines.is_empty() { String::new() } else { format!(":\n  {}", lines.replace('\n', "\n  ")) }
}
