//! Finds dependencies that no source names: see `scripts/unused-dependencies`.

use std::path::Path;
use std::process::ExitCode;
use std::{env, io};

use foretell_sources::{dependencies, files, rust};

fn main() -> ExitCode {
    let root = env::args_os().nth(1).unwrap_or_else(|| ".".into());
    match run(Path::new(&root)) {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::FAILURE,
        Err(error) => {
            eprintln!("unused-dependencies: {error}");
            ExitCode::from(2)
        }
    }
}

/// Whether every dependency is used.
fn run(root: &Path) -> io::Result<bool> {
    let shared = files::read(&root.join("Cargo.toml"))?;
    let members = shared.lines().find_map(|line| line.strip_prefix("members = ")).unwrap_or_default();
    let (mut manifests, mut count, mut is_clean) = (Vec::new(), 0, true);
    let mut refuse = |reason: String| {
        eprintln!("{reason}");
        is_clean = false;
    };
    for member in members.split('"').skip(1).step_by(2) {
        let folder = root.join(member);
        let mut sources = Vec::new();
        for path in files::below(&folder)? {
            if path.extension().is_some_and(|end| end == "rs") {
                sources.push(rust::tokens(&files::read(&path)?));
            }
        }
        let manifest = files::read(&folder.join("Cargo.toml"))?;
        for declared in dependencies::declared(&manifest) {
            count += 1;
            if !sources.iter().any(|tokens| dependencies::names(tokens, &declared.name)) {
                refuse(format!("{member}/Cargo.toml:{}: no source uses {}: remove it", declared.line, declared.name));
            }
        }
        manifests.push(manifest);
    }
    let taken = dependencies::taken(&manifests);
    for declared in dependencies::declared(&shared) {
        if declared.is_shared && !taken.contains(&declared.name) {
            refuse(format!("Cargo.toml:{}: no member depends on {}: remove it", declared.line, declared.name));
        }
    }
    if is_clean {
        println!("Sources use each of the {count} dependencies that the members declare.");
    }
    Ok(is_clean)
}
