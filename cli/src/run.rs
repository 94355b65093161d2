//! Runs a command and turns its result into an exit status.

use std::io::{self, Write as _};
use std::process::ExitCode;

use clap::Parser as _;

use crate::args::{Cli, Command};
use crate::error::CommandError;
use crate::messages::say;
use crate::snapshot::take;
use crate::{check, denials, evaluate, explain, generate};

/// Exit status if an input cannot be used or the answer is unknown.
const UNUSABLE: u8 = 2;

/// The generated CustomResourceDefinitions. A test of `foretell-policy` compares them with its types.
const CRDS: &str = concat!(
    include_str!("../../manifests/crds/kguardian.dev_auditnetworkpolicies.yaml"),
    "---\n",
    include_str!("../../manifests/crds/kguardian.dev_auditclusternetworkpolicies.yaml"),
    "---\n",
    include_str!("../../manifests/crds/foretell.dev_auditexceptions.yaml"),
);

/// Runs the command that the process was started with.
#[must_use]
pub fn run() -> ExitCode {
    let Cli { command } = Cli::parse();
    let ended = match command {
        Command::Check(check) => check::run(*check).map_err(Failure::new),
        Command::Evaluate(evaluate) => evaluate::run(evaluate).map_err(Failure::new),
        Command::Explain(explain) => explain::run(explain).map_err(Failure::new),
        Command::Generate(generate) => generate::run(generate).map_err(Failure::new),
        Command::Snapshot(snapshot) => take::run(snapshot).map_err(Failure::new),
        Command::Denials(denials) => denials::run(denials).map_err(Failure::new),
        Command::Crds => print(CRDS),
        Command::ReportSchema => print(&schema()),
    };
    match ended {
        Ok(status) => ExitCode::from(status),
        // The reader of the output has closed it and needs no more.
        Err(Failure { broken_pipe: true, .. }) => ExitCode::SUCCESS,
        Err(Failure { message, .. }) => {
            say(message);
            ExitCode::from(UNUSABLE)
        }
    }
}

struct Failure {
    message: String,
    broken_pipe: bool,
}

impl Failure {
    #[expect(clippy::needless_pass_by_value, reason = "the signature that map_err wants")]
    fn new(error: impl CommandError) -> Self {
        Self { message: error.to_string(), broken_pipe: error.is_broken_pipe() }
    }
}

fn print(text: &str) -> Result<u8, Failure> {
    let written = io::stdout().lock().write_all(text.as_bytes());
    written.map(|()| 0).map_err(|error| Failure {
        message: format!("standard output: {error}"),
        broken_pipe: error.kind() == io::ErrorKind::BrokenPipe,
    })
}

fn schema() -> String {
    format!("{:#}\n", foretell_policy::report::data::Report::json_schema())
}
