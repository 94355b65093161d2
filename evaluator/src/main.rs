//! The evaluator's program.
use std::process::ExitCode;

use clap::Parser as _;
use foretell_evaluator::{args::Args, run::run};

#[tokio::main]
async fn main() -> ExitCode {
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("foretell-evaluator: {error:#}");
            ExitCode::FAILURE
        }
    }
}
