//! Command line. What each option is for, its unit and its default are in its doc comment, which clap prints as its help.

use clap::{Parser, Subcommand};

use self::check::Check;
use self::denials::Denials;
use self::evaluate::Evaluate;
use self::explain::Explain;
use self::generate::Generate;
use self::snapshot::Snapshot;

pub mod check;
pub mod cni;
pub mod denials;
pub mod evaluate;
pub mod explain;
pub mod generate;
pub mod observed;
pub mod snapshot;
mod value;

/// Show what a NetworkPolicy change would deny, from recorded traffic
#[derive(Debug, Parser)]
#[command(name = "foretell", version, max_term_width = 120, after_help = EXAMPLES)]
pub struct Cli {
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,
}

const EXAMPLES: &str = "Exit status:
  0  done; the change may merge (check), the connection is allowed (explain)
  1  the change is blocked or pending (check), the connection is denied (explain)
  2  an input cannot be used, or the answer is unknown

Examples:
  foretell snapshot --output cluster.yaml
  foretell check --repo . --base main --head my-branch \\
      --snapshot cluster.yaml --flows flows.ndjson
  foretell explain shop/checkout payments/Deployment/payments 8443 --snapshot cluster.yaml";

/// The commands, a variant each.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Judge a change of policies or workloads in Git, and decide whether it may merge
    Check(Box<Check>),
    /// Judge every flow by every audit policy of a snapshot, and print one verdict per line
    Evaluate(Evaluate),
    /// Say whether one pod, Service or address may reach another, and why
    Explain(Explain),
    /// Print an audit policy for a workload that allows its traffic in use and nothing else
    Generate(Generate),
    /// Print the objects of a live cluster that the other commands read
    Snapshot(Snapshot),
    /// List what the audit policies of a cluster would deny, as its evaluator reports it
    Denials(Denials),
    /// Print the CustomResourceDefinitions of AuditNetworkPolicy, AuditClusterNetworkPolicy and AuditException
    #[command(after_help = CRDS_EXAMPLES)]
    Crds,
    /// Print the JSON Schema of the report that `check --format json` prints
    #[command(after_help = REPORT_SCHEMA_EXAMPLES)]
    ReportSchema,
}

const CRDS_EXAMPLES: &str = "Examples:
  foretell crds | kubectl apply -f -";

const REPORT_SCHEMA_EXAMPLES: &str = "Examples:
  foretell report-schema > report.schema.json";

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Cli;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
