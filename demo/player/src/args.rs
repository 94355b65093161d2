//! Command line.

use std::ffi::OsString;
use std::path::PathBuf;
use std::time::Duration;

use clap::{Parser, Subcommand};

/// Plays the traffic of a small shop on this machine and records it with the capture agent.
#[derive(Debug, Clone, Parser)]
#[command(name = "foretell-demo", version)]
pub struct Args {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Clone, Subcommand)]
pub enum Command {
    /// Plays a scenario and writes snapshot.yaml and flows.ndjson. Needs root, cgroup2 and a kernel with BTF.
    Play(Play),
    /// One process of a play: reads its part from standard input.
    #[command(hide = true)]
    Act,
    /// Becomes another program, which is asked to end when the play does, however that ends.
    #[command(hide = true)]
    Guarded(Guarded),
}

/// What is played, with what, and where the recording goes.
#[derive(Debug, Clone, clap::Args)]
pub struct Play {
    /// The cluster: a snapshot with ${start} and the like in place of times.
    #[arg(long, value_name = "FILE")]
    pub snapshot_template: PathBuf,

    /// Who listens where and who calls whom.
    #[arg(long, value_name = "FILE")]
    pub scenario: PathBuf,

    /// The capture agent.
    #[arg(long, value_name = "PROGRAM", default_value = "target/release/foretell-capture")]
    pub capture: PathBuf,

    /// Folder that snapshot.yaml and flows.ndjson are written to, once the play is over.
    #[arg(long, value_name = "DIR")]
    pub output: PathBuf,

    /// How long is played.
    #[arg(long, value_name = "N", default_value_t = 60, value_parser = clap::value_parser!(u16).range(1..=3600))]
    pub seconds: u16,

    /// Span over which the agent sums a flow into one line, in seconds.
    #[arg(long, value_name = "N", default_value_t = 10, value_parser = clap::value_parser!(u16).range(1..=600))]
    pub window: u16,
}

/// A program.
#[derive(Debug, Clone, clap::Args)]
pub struct Guarded {
    /// Which.
    pub program: PathBuf,

    /// Its arguments.
    #[arg(trailing_var_arg = true, allow_hyphen_values = true)]
    pub arguments: Vec<OsString>,
}

impl Play {
    /// How long is played.
    #[must_use]
    pub fn length(&self) -> Duration {
        Duration::from_secs(self.seconds.into())
    }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::*;

    #[test]
    fn the_command_line_is_consistent() {
        Args::command().debug_assert();
    }
}
