//! Checks the order of imports: see `scripts/imports`.

use std::path::Path;
use std::process::ExitCode;
use std::{env, io};

use foretell_sources::{files, imports, order};

const TABLE: &str = "scripts/import-order.txt";

fn main() -> ExitCode {
    let root = env::args_os().nth(1).unwrap_or_else(|| ".".into());
    match run(Path::new(&root)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("imports: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether every import below a root keeps the order.
fn run(root: &Path) -> io::Result<bool> {
    let invalid = |reason: String| io::Error::new(io::ErrorKind::InvalidData, reason);
    let table = order::read(&files::read(&root.join(TABLE))?).map_err(|fault| invalid(format!("{TABLE}: {fault}")))?;
    let mut faults = Vec::new();
    let mut count = 0;
    for sources in &table {
        let folder = root.join(&sources.path);
        let mut read = Vec::new();
        for path in files::below(&folder)? {
            if path.extension().is_some_and(|end| end == "rs") {
                let name = path.strip_prefix(&folder).unwrap_or(&path).display().to_string();
                read.push((name, files::read(&path)?));
            }
        }
        count += read.len();
        faults.extend(imports::faults(sources, &read));
    }
    for sources in unlisted(root, &table)? {
        faults.push(format!("{sources} is not in {TABLE}: add [{sources}]"));
    }
    for fault in &faults {
        eprintln!("{fault}");
    }
    if faults.is_empty() {
        println!("The imports of {count} files in {} crates keep their order, without circles.", table.len());
    }
    Ok(faults.is_empty())
}

/// The sources of members of the workspace that the table does not name.
fn unlisted(root: &Path, table: &[order::Sources]) -> io::Result<Vec<String>> {
    let manifest = root.join("Cargo.toml");
    if !manifest.exists() {
        return Ok(Vec::new());
    }
    let manifest = files::read(&manifest)?;
    let members = manifest.lines().find_map(|line| line.strip_prefix("members = ")).unwrap_or_default();
    let sources = members.split('"').skip(1).step_by(2).map(|member| format!("{member}/src"));
    Ok(sources.filter(|path| !table.iter().any(|known| known.path == *path)).collect())
}
