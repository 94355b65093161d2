//! Reads the files of two Git trees. One process reads the blobs, and reads equal ones once.

use std::collections::{BTreeMap, HashMap};
use std::io::{self, BufRead, BufReader, BufWriter, Read, Write};
use std::process::{Child, ChildStdout, Stdio};
use std::rc::Rc;
use std::thread::JoinHandle;

use foretell_policy::change::revisions::{ChangeBuilder, MOST_READ, Versions};

use super::error::SourceError;
use super::git::Repository;
use super::paths::PathFilter;

/// The blobs of a path at the two revisions.
#[derive(Default)]
struct Blobs {
    base: Option<Rc<str>>,
    merged: Option<Rc<str>>,
}

/// Adds the files of two trees to a change.
pub(super) fn add_files(
    repository: &Repository,
    base: &str,
    merged: &str,
    filter: &mut PathFilter,
    change: &mut ChangeBuilder,
) -> Result<(), SourceError> {
    let mut files: BTreeMap<String, Blobs> = BTreeMap::new();
    list(repository, base, filter, |path, blob| files.entry(path).or_default().base = Some(blob))?;
    list(repository, merged, filter, |path, blob| files.entry(path).or_default().merged = Some(blob))?;

    let mut uses: HashMap<Rc<str>, usize> = HashMap::new();
    let mut wanted: Vec<Rc<str>> = Vec::new();
    for Blobs { base, merged } in files.values() {
        let second = merged.as_ref().filter(|merged| base.as_ref() != Some(merged));
        for blob in base.iter().chain(second) {
            let count = uses.entry(Rc::clone(blob)).or_default();
            *count += 1;
            if *count == 1 {
                wanted.push(Rc::clone(blob));
            }
        }
    }
    let mut reader = BlobReader::start(repository, &wanted)?;
    // Contents that a later path needs too.
    let mut kept: HashMap<Rc<str>, Content> = HashMap::new();
    let mut content = |blob: &Rc<str>| -> Result<Content, SourceError> {
        let content = match kept.remove(blob) {
            Some(content) => content,
            None => reader.next(blob)?,
        };
        if let Some(count) = uses.get_mut(blob) {
            *count -= 1;
            if *count > 0 {
                kept.insert(Rc::clone(blob), content.clone());
            }
        }
        Ok(content)
    };
    for (path, Blobs { base, merged }) in &files {
        if base == merged {
            let content = base.as_ref().map(&mut content).transpose()?;
            if let Some(Content::Text(text)) = content {
                change.file(path, Versions::Same(&text));
            }
            continue;
        }
        let base = base.as_ref().map(&mut content).transpose()?;
        let merged = merged.as_ref().map(&mut content).transpose()?;
        let versions = match (&base, &merged) {
            (Some(Content::TooLarge), _) | (_, Some(Content::TooLarge)) => Versions::TooLarge,
            _ => Versions::Changed {
                base: base.as_ref().and_then(Content::text),
                merged: merged.as_ref().and_then(Content::text),
            },
        };
        change.file(path, versions);
    }
    Ok(())
}

/// Finds the plain files of a tree that are to be read. Symbolic links and submodules are skipped.
fn list(
    repository: &Repository,
    tree: &str,
    filter: &mut PathFilter,
    mut found: impl FnMut(String, Rc<str>),
) -> Result<(), SourceError> {
    let listed = repository.checked(&["ls-tree", "-r", "-z", "--full-tree", tree])?.stdout;
    for entry in listed.split(|&byte| byte == 0).filter(|entry| entry.starts_with(b"100")) {
        // `100644 blob 3b18e512dba79e4c8300dd08aeb37f8e728b8dad<TAB>path`
        let Some(tab) = entry.iter().position(|&byte| byte == b'\t') else { continue };
        let path = String::from_utf8_lossy(&entry[tab + 1..]);
        if filter.wants(&path) {
            let blob = String::from_utf8_lossy(&entry[..tab]).rsplit(' ').next().unwrap_or_default().into();
            found(path.into_owned(), blob);
        }
    }
    Ok(())
}

/// The content of a blob.
#[derive(Clone)]
enum Content {
    Text(Rc<[u8]>),
    TooLarge,
}

impl Content {
    fn text(&self) -> Option<&[u8]> {
        match self {
            Self::Text(text) => Some(text),
            Self::TooLarge => None,
        }
    }
}

/// One `git cat-file --batch`. All blobs are requested ahead, so that there is no round trip for each.
struct BlobReader {
    process: Child,
    output: BufReader<ChildStdout>,
    requests: Option<JoinHandle<()>>,
}

impl BlobReader {
    fn start(repository: &Repository, wanted: &[Rc<str>]) -> Result<Self, SourceError> {
        let mut command = repository.command(&["cat-file", "--batch", "--buffer"]);
        command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::null());
        let mut process = command.spawn().map_err(SourceError::NoGit)?;
        let (Some(input), Some(output)) = (process.stdin.take(), process.stdout.take()) else {
            return Err(failed("its pipes are gone".to_owned()));
        };
        let wanted: String = wanted.iter().flat_map(|blob| [&**blob, "\n"]).collect();
        let requests = std::thread::spawn(move || {
            // If git ends early, reading its output fails and reports it.
            let _ = BufWriter::new(input).write_all(wanted.as_bytes());
        });
        Ok(Self { process, output: BufReader::with_capacity(1 << 16, output), requests: Some(requests) })
    }

    /// Content of the next wanted blob, which must be `blob`.
    fn next(&mut self, blob: &str) -> Result<Content, SourceError> {
        let lost = |error: io::Error| failed(format!("{blob} cannot be read: {error}"));
        let mut header = String::new();
        self.output.read_line(&mut header).map_err(lost)?;
        // `3b18e512dba79e4c8300dd08aeb37f8e728b8dad blob 13`
        let mut fields = header.split_whitespace();
        let (Some(id), Some("blob"), Some(Ok(size))) =
            (fields.next(), fields.next(), fields.next().map(str::parse::<u64>))
        else {
            let why = format!("{blob} cannot be read ({}); fetch it, the clone may be a partial one", header.trim());
            return Err(failed(why));
        };
        if id != blob {
            return Err(failed(format!("it returned {id} in place of {blob}")));
        }
        let content = if size > MOST_READ {
            io::copy(&mut (&mut self.output).take(size), &mut io::sink()).map_err(lost)?;
            Content::TooLarge
        } else {
            let mut text = vec![0; usize::try_from(size).unwrap_or_default()];
            self.output.read_exact(&mut text).map_err(lost)?;
            Content::Text(text.into())
        };
        self.output.read_exact(&mut [0]).map_err(lost)?;
        Ok(content)
    }
}

impl Drop for BlobReader {
    fn drop(&mut self) {
        // Git has ended, unless reading failed. The rest of its output is not needed then.
        let _ = self.process.kill();
        let _ = self.process.wait();
        if let Some(requests) = self.requests.take() {
            let _ = requests.join();
        }
    }
}

fn failed(why: String) -> SourceError {
    SourceError::Git { command: "cat-file".to_owned(), why }
}
