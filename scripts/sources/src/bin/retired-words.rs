//! Finds retired words in what users read: see `scripts/retired-words`.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::ExitCode;
use std::{env, io};

use foretell_sources::files;
use foretell_sources::words::{self, Table, Text};

const TABLE: &str = "scripts/retired-words.txt";

fn main() -> ExitCode {
    let root = env::args_os().nth(1).unwrap_or_else(|| ".".into());
    match run(Path::new(&root)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("retired-words: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether no text below a root has a retired word.
fn run(root: &Path) -> io::Result<bool> {
    let invalid = |fault| io::Error::new(io::ErrorKind::InvalidData, format!("{TABLE}: {fault}"));
    let table: Table = words::read(&files::read(&root.join(TABLE))?).map_err(invalid)?;
    let mut counts: BTreeMap<String, usize> = BTreeMap::new();
    let mut read = 0;
    for path in files::below(root)? {
        let name = path.strip_prefix(root).unwrap_or(&path).to_string_lossy().into_owned();
        let Some(kind) = kind(&name) else { continue };
        read += 1;
        let content = files::read(&path)?;
        for text in texts(kind, content) {
            for hit in table.hits(&name, &text) {
                eprintln!("{name}:{}: \"{}\": write {}", hit.line, hit.phrase, hit.replacement);
                let part = name.split('/').next().unwrap_or_default();
                *counts.entry(part.to_owned()).or_default() += 1;
            }
        }
    }
    if counts.is_empty() {
        println!("No retired word is in what users read ({read} files).");
    } else {
        let parts: Vec<String> = counts.iter().map(|(part, count)| format!("{part} {count}")).collect();
        eprintln!("Retired words: {}. {TABLE} lists them, and where one may stay.", parts.join(", "));
    }
    Ok(counts.is_empty())
}

/// The part of a file that users read.
#[derive(Clone, Copy)]
enum Read {
    /// Its string literals.
    Strings,
    /// Its string literals, and doc comments, which clap shows as help.
    Help,
    Everything,
}

fn kind(name: &str) -> Option<Read> {
    let (folder, file) = name.rsplit_once('/').unwrap_or(("", name));
    let is_of_crate = format!("{folder}/").contains("/src/") && !name.starts_with("tests/");
    let end = file.rsplit_once('.').map_or("", |(_, end)| end);
    match end {
        "rs" if !is_of_crate => None,
        "rs" if file == "args.rs" || folder.ends_with("/args") => Some(Read::Help),
        "rs" => Some(Read::Strings),
        "md" => Some(if name.contains("/golden/") { return None } else { Read::Everything }),
        "yaml" if name.starts_with("manifests/") => Some(Read::Everything),
        "yml" if name == "action.yml" => Some(Read::Everything),
        "json" if name.starts_with("docs/") => Some(Read::Everything),
        _ if name == "Makefile" => Some(Read::Everything),
        _ if name.starts_with("scripts/tests/") => None,
        "" | "sh" if name.starts_with("scripts/") || name.starts_with("demo/") => Some(Read::Everything),
        _ => None,
    }
}

fn texts(kind: Read, content: String) -> Vec<Text> {
    match kind {
        Read::Everything => vec![(1, content)],
        Read::Strings => words::of_rust(&content, false),
        Read::Help => words::of_rust(&content, true),
    }
}
