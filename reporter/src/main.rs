//! The reporter.
use std::process::ExitCode;

use clap::Parser as _;
use foretell_reporter::{args::Args, run::run_until_asked_to_stop};

fn main() -> ExitCode {
    match run_until_asked_to_stop(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("foretell-reporter: {error:#}");
            ExitCode::FAILURE
        }
    }
}
