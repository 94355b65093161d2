//! Commands of `foretell` in documents have arguments that it takes. `scripts/documented-commands` checks the rest of them.
#![allow(clippy::unwrap_used, clippy::panic, reason = "tests fail by panicking")]

use std::fs;
use std::path::Path;

use clap::Parser as _;
use clap::error::ErrorKind;
use foretell_cli::args::Cli;
use foretell_sources::documents::blocks;
use foretell_sources::files;
use foretell_tests::machine::root;

/// The problem with a command, if it is one of `foretell`. A word `…` stands for arguments that the document leaves out.
fn problem(words: &[String]) -> Option<String> {
    let program = Path::new(words.first()?).file_name()?;
    if program != "foretell" {
        return None;
    }
    let written: Vec<&String> = words.iter().filter(|word| *word != "…").collect();
    let is_shortened = written.len() < words.len();
    let error = Cli::try_parse_from(written).err()?;
    let may_be = !error.use_stderr() || (is_shortened && error.kind() == ErrorKind::MissingRequiredArgument);
    (!may_be).then(|| error.to_string())
}

#[test]
fn foretell_takes_the_arguments_that_documents_give_it() {
    let mut problems = Vec::new();
    for path in files::below(root()).unwrap() {
        if path.extension().is_none_or(|end| end != "md") {
            continue;
        }
        for command in blocks(&fs::read_to_string(&path).unwrap()).iter().flat_map(|block| &block.commands) {
            for problem in command.words().iter().filter_map(|words| problem(words)) {
                problems.push(format!("{}:{}: {}\n{problem}", path.display(), command.line, command.text));
            }
        }
    }
    assert!(problems.is_empty(), "{}", problems.join("\n"));
}

#[test]
fn arguments_that_foretell_does_not_take_are_a_problem() {
    let problem = |command: &str| problem(&command.split(' ').map(str::to_owned).collect::<Vec<_>>());
    assert_eq!(problem("foretell --version"), None);
    assert_eq!(problem("kubectl get pods"), None);
    assert_eq!(problem("foretell check … --format json"), None);
    assert!(problem("foretell check … --bogus").unwrap().contains("--bogus"));
    assert!(problem("foretell check --bogus").unwrap().contains("--bogus"));
    assert!(problem("target/release/foretell nothing").unwrap().contains("nothing"));
}
