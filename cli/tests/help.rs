//! The help of every command: complete, with examples that parse, and as the golden files say.
//!
//! `FORETELL_UPDATE_GOLDEN=1 cargo test -p foretell-cli --test help` writes the golden files again.
#![allow(clippy::panic, clippy::unwrap_used, reason = "helpers of tests")]

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::{env, fs};

use clap::{Arg, Command, CommandFactory as _, Parser as _};
use foretell_cli::args::Cli;

/// Columns of the rendered help.
const WIDTH: usize = 100;

/// Every command with its full name, `foretell` itself first. No environment variable of this machine shows in them.
fn commands() -> Vec<(String, Command)> {
    fn add(name: String, command: Command, found: &mut Vec<(String, Command)>) {
        for subcommand in command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help") {
            add(format!("{name} {}", subcommand.get_name()), subcommand.clone(), found);
        }
        found.push((name, command));
    }
    fn hide_environment(command: Command) -> Command {
        command.mut_args(|arg| arg.hide_env_values(true)).mut_subcommands(hide_environment).term_width(WIDTH)
    }
    let mut command = hide_environment(Cli::command());
    command.build();
    let mut found = Vec::new();
    add("foretell".to_owned(), command, &mut found);
    found.sort_by(|(one, _), (other, _)| one.cmp(other));
    found
}

fn arguments(command: &Command) -> impl Iterator<Item = &Arg> {
    command.get_arguments().filter(|arg| !["help", "version"].contains(&arg.get_id().as_str()))
}

fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/help")
}

#[test]
fn the_help_of_every_command_is_as_the_golden_files_say() {
    let rendered: BTreeMap<String, String> = commands()
        .into_iter()
        .map(|(name, mut command)| {
            let help = command.render_long_help().to_string();
            let lines: Vec<&str> = help.lines().map(str::trim_end).collect();
            (format!("{}.txt", name.replace(' ', "-")), lines.join("\n") + "\n")
        })
        .collect();
    if env::var_os("FORETELL_UPDATE_GOLDEN").is_some() {
        let _ = fs::remove_dir_all(folder());
        fs::create_dir_all(folder()).unwrap();
        for (name, help) in &rendered {
            fs::write(folder().join(name), help).unwrap();
        }
    }
    for (name, help) in &rendered {
        let golden = fs::read_to_string(folder().join(name)).unwrap_or_default();
        assert!(golden == *help, "{name} is out of date: FORETELL_UPDATE_GOLDEN=1 writes it again. Now:\n{help}");
    }
    let files = fs::read_dir(folder()).unwrap().map(|file| file.unwrap().file_name().into_string().unwrap());
    assert_eq!(files.collect::<BTreeSet<_>>(), rendered.into_keys().collect(), "a golden file without a command");
}

#[test]
fn every_command_argument_and_value_says_what_it_is_for() {
    for (name, command) in commands() {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        assert!(about.len() > 20, "{name}: {about:?}");
        for arg in arguments(&command) {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            assert!(help.len() > 10 && !help.ends_with('.'), "{name} {}: {help:?}", arg.get_id());
            for value in arg.get_possible_values().iter().filter(|_| arg.get_action().takes_values()) {
                let help = value.get_help().map(ToString::to_string).unwrap_or_default();
                assert!(
                    help.len() > 10 && !help.ends_with('.'),
                    "{name} {} {}: {help:?}",
                    arg.get_id(),
                    value.get_name()
                );
            }
        }
    }
}

#[test]
fn every_optional_argument_with_a_value_says_its_default() {
    for (name, command) in commands() {
        for arg in arguments(&command).filter(|arg| arg.get_action().takes_values() && !arg.is_required_set()) {
            let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
            let says = help.contains("[default: ") || !arg.get_default_values().is_empty();
            // Of these one set or the other is required, or they may be repeated and are empty.
            let of_a_set = ["repo", "base", "head", "base_dir", "head_dir", "snapshot", "flows", "url", "token_file"];
            assert!(says || of_a_set.contains(&arg.get_id().as_str()), "{name} {}: {help}", arg.get_id());
        }
    }
}

#[test]
fn every_command_has_examples_and_each_of_them_parses() {
    for (name, command) in commands() {
        let after = command.get_after_help().map(ToString::to_string).unwrap_or_default();
        let (_, examples) = after.split_once("Examples:\n").unwrap_or_else(|| panic!("{name} has no examples"));
        let long = after.lines().find(|line| line.len() > WIDTH);
        assert_eq!(long, None, "{name}: clap would wrap it");
        let joined = examples.replace("\\\n", " ");
        let examples: Vec<&str> = joined.lines().map(str::trim).collect();
        assert!(!examples.is_empty(), "{name}");
        for example in examples {
            let words = words(example);
            assert!(example.starts_with(&format!("{name} ")) || example == name, "{name}: {example}");
            if let Err(error) = Cli::try_parse_from(words) {
                panic!("{example}\n{error}");
            }
        }
    }
}

/// The words of a line as a shell parts them, up to a pipe or a redirection.
fn words(line: &str) -> Vec<String> {
    let mut words = Vec::new();
    for (place, part) in line.split('\'').enumerate() {
        if place % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.split_whitespace().map(str::to_owned));
        }
    }
    let end = words.iter().position(|word| ["|", ">", "<"].contains(&word.as_str())).unwrap_or(words.len());
    words.truncate(end);
    words
}

#[test]
fn every_form_of_the_help_option_prints_help() {
    let run = |words: &[&str]| {
        let output = std::process::Command::new(env!("CARGO_BIN_EXE_foretell")).args(words).output().unwrap();
        (output.status.code(), String::from_utf8(output.stdout).unwrap(), String::from_utf8(output.stderr).unwrap())
    };
    for (name, _) in commands() {
        let words: Vec<&str> = name.split(' ').skip(1).collect();
        let usage = format!("Usage: {name}");
        for words in
            [[&words[..], &["--help"]].concat(), [&words[..], &["-h"]].concat(), [&["help"], &words[..]].concat()]
        {
            let (status, stdout, stderr) = run(&words);
            assert_eq!((status, stderr.as_str()), (Some(0), ""), "{words:?}");
            assert!(stdout.contains(&usage), "{words:?}: {stdout}");
        }
    }
    let version = format!("foretell {}\n", env!("CARGO_PKG_VERSION"));
    assert_eq!(run(&["--version"]), (Some(0), version, String::new()));
    let (status, stdout, stderr) = run(&[]);
    assert_eq!((status, stdout.as_str()), (Some(2), ""));
    assert!(stderr.contains("Usage: foretell"), "{stderr}");
}
