//! `foretell denials`

use clap::{Args, ValueEnum};
use foretell_service::evaluator::EvaluatorArgs;

/// `foretell denials`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
pub struct Denials {
    /// The evaluator that keeps the denials.
    #[command(flatten)]
    pub evaluator: EvaluatorArgs,
    /// List only denials by policies in this namespace [default: all]
    #[arg(short, long, value_name = "NS", help_heading = "Filters")]
    pub namespace: Option<String>,
    /// List only denials by policies with this name [default: all]
    #[arg(long, value_name = "NAME", help_heading = "Filters")]
    pub policy: Option<String>,
    /// List only denials in this state [default: all]
    #[arg(long, value_enum, help_heading = "Filters")]
    pub state: Option<DenialState>,
    /// Form of the list
    #[arg(long, value_enum, default_value_t = ListFormat::Table, help_heading = "Output")]
    pub format: ListFormat,
}

const EXAMPLES: &str = "Examples:
  foretell denials --evaluator https://foretell-evaluator.foretell.svc \\
      --token-file token --ca-file ca.crt
  foretell denials --evaluator https://localhost:8443 --token-file token --ca-file ca.crt \\
      --namespace shop --state unresolved --format json";

/// Whether a denial prevents the promotion of its policy.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DenialState {
    /// In use, and no exception accepts it
    Unresolved,
    /// In use, and exceptions accept it
    Accepted,
    /// In use, if the side that listens was guessed right
    Guessed,
    /// Only refused and unanswered attempts were recorded
    NotInUse,
    /// The workload that would be denied no longer exists
    Gone,
}

/// Form of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    /// For a terminal
    Table,
    /// All data, for programs
    Json,
}
