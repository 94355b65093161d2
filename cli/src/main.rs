//! `foretell`: what a NetworkPolicy change would deny, from the traffic that really flowed.

use std::process::ExitCode;

fn main() -> ExitCode {
    foretell_cli::run::run()
}
