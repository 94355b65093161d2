//! `foretell explain`

use std::path::PathBuf;

use clap::{Args, ValueEnum};
use foretell_objects::model::flow::Protocol;
use foretell_policy::explain::explanation::ends::EndName;
use ipnet::IpNet;
use jiff::Timestamp;

use super::cni::CniArg;
use super::value::parse_time;

/// `foretell explain`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES, override_usage = USAGE, mut_arg("cni", |arg| arg.default_value("upstream")))]
pub struct Explain {
    /// Source of the connection: NAMESPACE/KIND/NAME, NAMESPACE/NAME, an IP address or a range of them
    #[arg(value_name = "FROM", value_parser = parse_end)]
    pub from: EndName,
    /// Destination of the connection: the same forms as FROM, or NAMESPACE/svc/NAME
    #[arg(value_name = "TO", value_parser = parse_end)]
    pub to: EndName,
    /// Destination port, with its protocol unless it is TCP: 8443, 53/UDP; for a Service, the Service's port
    #[arg(value_name = "PORT[/PROTOCOL]", value_parser = parse_port)]
    pub port: (u16, Protocol),
    /// Objects of the cluster, as `foretell snapshot` prints them: files or folders of YAML or JSON; `-` is standard input
    #[arg(long, value_name = "PATH", required = true, num_args = 1..)]
    pub snapshot: Vec<PathBuf>,
    /// Range of addresses of pods, such as 10.1.0.0/16, if the Nodes do not state it; may be repeated [default: none]
    #[arg(long = "pod-cidr", value_name = "CIDR")]
    pub pod_cidrs: Vec<IpNet>,
    /// The enforcer.
    #[command(flatten)]
    pub cni: CniArg,
    /// Time of the connection: only pods that run at this time count, for example 2026-11-21T02:00:00Z [default: now]
    #[arg(long, value_name = "TIME", value_parser = parse_time, help_heading = "Judgement")]
    pub at: Option<Timestamp>,
    /// Form of the answer
    #[arg(long, value_enum, default_value_t = ExplanationFormat::Text, help_heading = "Output")]
    pub format: ExplanationFormat,
}

/// clap would put the options first, and `--snapshot` takes every value that follows it.
const USAGE: &str = "foretell explain <FROM> <TO> <PORT[/PROTOCOL]> --snapshot <PATH>... [OPTIONS]";

const EXAMPLES: &str = "Exit status:
  0  the connection is allowed
  1  it is denied
  2  an input cannot be used, a name is ambiguous, or the answer is unknown

Examples:
  foretell explain shop/checkout payments/Deployment/payments 8443 --snapshot cluster.yaml
  foretell explain shop/checkout kube-system/Service/kube-dns 53/UDP --snapshot cluster.yaml
  foretell explain shop/checkout 203.0.113.7 443 --snapshot cluster.yaml --format json";

/// Form of an explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExplanationFormat {
    /// For a terminal
    Text,
    /// All data, for programs; see docs/explanation.md
    Json,
}

fn parse_end(text: &str) -> Result<EndName, String> {
    text.parse().map_err(str::to_owned)
}

/// Reads `8443`, `53/udp`.
fn parse_port(text: &str) -> Result<(u16, Protocol), String> {
    let (number, protocol) = text.split_once('/').unwrap_or((text, "TCP"));
    let wrong = || "write a number from 1 to 65535, and after a slash TCP, UDP or SCTP: 8443, 53/UDP".to_owned();
    let number = number.parse().ok().filter(|number| *number > 0).ok_or_else(wrong)?;
    let protocol = match protocol.to_ascii_uppercase().as_str() {
        "TCP" => Protocol::Tcp,
        "UDP" => Protocol::Udp,
        "SCTP" => Protocol::Sctp,
        _ => return Err(wrong()),
    };
    Ok((number, protocol))
}
