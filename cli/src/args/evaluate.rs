//! `foretell evaluate`

use clap::{Args, ValueEnum};

use super::cni::CniArg;
use super::observed::Observed;

/// `foretell evaluate`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, mut_arg("cni", |arg| arg.default_value("upstream")))]
pub struct Evaluate {
    /// The cluster and its traffic, from files.
    #[command(flatten)]
    pub observed: Observed,
    /// Judge by enforced policies too, not by audit policies only
    #[arg(long, help_heading = "Judgement")]
    pub all: bool,
    /// The enforcer.
    #[command(flatten)]
    pub cni: CniArg,
    /// Form of the verdicts
    #[arg(long, value_enum, default_value_t = VerdictFormat::Ndjson, help_heading = "Output")]
    pub format: VerdictFormat,
}

const EXAMPLES: &str = "Examples:
  foretell evaluate --snapshot cluster.yaml --flows flows.ndjson
  foretell evaluate --snapshot cluster.yaml --flows node-*.ndjson.gz --all --bad-lines skip
  foretell evaluate --snapshot cluster.yaml --flows - < flows.ndjson";

/// Form of verdicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum VerdictFormat {
    /// One JSON object per line
    Ndjson,
}
