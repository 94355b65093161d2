//! The node agent.
use std::process::ExitCode;

use clap::Parser as _;
use foretell_capture::{args::Args, log, run::run};

fn main() -> ExitCode {
    let args = Args::parse();
    let log_to = args.log_to;
    match run(args) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            log::report_failure(log_to, &error);
            ExitCode::FAILURE
        }
    }
}
