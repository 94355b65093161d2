//! `foretell snapshot`

use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use foretell_service::span::{self, SpanError};
use jiff::SignedDuration;

/// `foretell snapshot`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Snapshot {
    /// Kubeconfig file [default: as kubectl finds it: KUBECONFIG, ~/.kube/config, a pod's service account]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// Context in the kubeconfig [default: its current context]
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// File to write; an existing file is replaced in one step; `-` is standard output
    #[arg(long, value_name = "FILE", default_value = "-", conflicts_with = "append")]
    pub output: PathBuf,
    /// Snapshot file to renew; pods in it that have gone since are kept; the file is created if it does not exist [default: none]
    #[arg(long, value_name = "FILE", value_parser = parse_file)]
    pub append: Option<PathBuf>,
    /// How long --append keeps pods that have gone, for example 14d; at least the --window and --min-window of your checks
    #[arg(long, value_name = "SPAN", default_value = "14d", value_parser = span::parse, requires = "append")]
    pub keep: SignedDuration,
    /// How long to wait for each answer of the API server, for example 90s
    #[arg(long, value_name = "SPAN", default_value = "60s", value_parser = parse_timeout)]
    pub request_timeout: Duration,
}

const EXAMPLES: &str = "Examples:
  foretell snapshot > cluster.yaml
  foretell snapshot --context prod --output cluster.yaml
  foretell snapshot --append cluster.yaml --keep 30d";

/// Reads the name of a file that is read and then written.
fn parse_file(text: &str) -> Result<PathBuf, String> {
    if text == "-" { Err("standard input cannot be written to; name a file".to_owned()) } else { Ok(text.into()) }
}

/// A timeout of zero would end every request at once.
fn parse_timeout(text: &str) -> Result<Duration, SpanError> {
    Ok(span::parse_within(text, SignedDuration::from_millis(1)..=SignedDuration::MAX)?.unsigned_abs())
}
