//! What was recorded: files of the cluster's objects and of its flows.

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use ipnet::IpNet;

/// The cluster and its traffic, from files.
#[derive(Debug, Args)]
#[command(next_help_heading = "Recorded traffic")]
pub struct Observed {
    /// Objects of the cluster, as `foretell snapshot` prints them: files or folders of YAML or JSON; `-` is standard input
    #[arg(long, value_name = "PATH", required = true, num_args = 1.., requires = "flows")]
    pub snapshot: Vec<PathBuf>,
    /// Recorded flows: files of NDJSON, plain, gzip or zstd; `-` is standard input, which is read to its end first
    #[arg(long, value_name = "FILE", required = true, num_args = 1.., requires = "snapshot")]
    pub flows: Vec<PathBuf>,
    /// What to do with a line that is not a flow
    #[arg(long, value_enum, default_value_t = BadLines::Refuse)]
    pub bad_lines: BadLines,
    /// Range of addresses of pods, such as 10.1.0.0/16, if the Nodes do not state it; may be repeated [default: none]
    #[arg(long = "pod-cidr", value_name = "CIDR")]
    pub pod_cidrs: Vec<IpNet>,
}

/// A command line that clap accepts and that cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum ObservedError {
    /// Standard input can be read once.
    #[error(
        "`-`, standard input, is named more than once in --snapshot and --flows: save all but one to a file and name that"
    )]
    StandardInputTwice,
}

impl Observed {
    /// Checks what clap cannot.
    ///
    /// # Errors
    /// [`ObservedError`] if standard input is named more than once.
    pub fn check(&self) -> Result<(), ObservedError> {
        standard_input_once(self.snapshot.iter().chain(&self.flows))
    }
}

/// Checks that at most one of the files is standard input.
///
/// # Errors
/// [`ObservedError::StandardInputTwice`]
pub fn standard_input_once<'a>(paths: impl IntoIterator<Item = &'a PathBuf>) -> Result<(), ObservedError> {
    let times = paths.into_iter().filter(|path| path.as_os_str() == "-").count();
    if times > 1 { Err(ObservedError::StandardInputTwice) } else { Ok(()) }
}

/// What to do with a line that is not a flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BadLines {
    /// Stop at the first, with exit status 2
    Refuse,
    /// Skip it, count it and name the first ten
    Skip,
}
