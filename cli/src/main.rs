//! `foretell`: shows what a NetworkPolicy change would deny, judged by recorded traffic.

use std::process::ExitCode;

fn main() -> ExitCode {
    foretell_cli::run::run()
}
