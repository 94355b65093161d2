//! The node agent.
use std::process::ExitCode;

use clap::Parser as _;
use foretell_capture::{args::Args, run::run};

fn main() -> ExitCode {
    match run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("foretell-capture: {error:#}");
            ExitCode::FAILURE
        }
    }
}
