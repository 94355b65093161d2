//! `foretell-demo`: see the library.

use std::process::ExitCode;

use clap::Parser as _;
use foretell_demo::args::Args;
use foretell_demo::run;

fn main() -> ExitCode {
    match run::run(Args::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("foretell-demo: {error:#}");
            ExitCode::FAILURE
        }
    }
}
