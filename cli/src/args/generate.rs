//! `foretell generate`

use clap::{Args, ValueEnum};
use foretell_policy::cluster::workload::kind_named;
use foretell_service::span;
use jiff::{SignedDuration, Timestamp};

use super::cni::CniArg;
use super::observed::Observed;
use super::value::parse_time;

/// `foretell generate`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, mut_arg("cni", |arg| arg.default_value("upstream")))]
pub struct Generate {
    /// The workload: Deployment/checkout, StatefulSet/db, CronJob/nightly, Pod/one
    #[arg(value_name = "KIND/NAME", value_parser = parse_workload)]
    pub workload: (String, String),
    /// Namespace of the workload
    #[arg(short, long, value_name = "NS", default_value = "default")]
    pub namespace: String,
    /// Which traffic of the workload the policy restricts
    #[arg(long, value_enum, default_value_t = Restricts::Both)]
    pub restricts: Restricts,
    /// Name of the policy [default: the workload's name]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// The cluster and its traffic, from files.
    #[command(flatten)]
    pub observed: Observed,
    /// The enforcer.
    #[command(flatten)]
    pub cni: CniArg,
    /// How far back from --at traffic counts, for example 36h or 7d
    #[arg(long, value_name = "SPAN", default_value = "7d", value_parser = span::parse, help_heading = "Recorded traffic")]
    pub window: SignedDuration,
    /// End of the window, for example 2026-11-21T02:00:00Z [default: now]
    #[arg(long, value_name = "TIME", value_parser = parse_time, help_heading = "Recorded traffic")]
    pub at: Option<Timestamp>,
}

const EXAMPLES: &str = "Examples:
  foretell generate Deployment/checkout -n shop --snapshot cluster.yaml --flows flows.ndjson
  foretell generate StatefulSet/db -n data --restricts ingress --window 14d \\
      --snapshot cluster.yaml --flows flows.ndjson";

/// Which traffic of its pods a policy restricts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Restricts {
    /// Both directions
    Both,
    /// Incoming traffic
    Ingress,
    /// Outgoing traffic
    Egress,
}

fn parse_workload(text: &str) -> Result<(String, String), String> {
    let wrong = || "write a kind, a slash and a name, for example Deployment/checkout".to_owned();
    let (kind, name) =
        text.split_once('/').filter(|(kind, name)| !kind.is_empty() && !name.is_empty()).ok_or_else(wrong)?;
    Ok((kind_named(kind).to_owned(), name.to_owned()))
}
