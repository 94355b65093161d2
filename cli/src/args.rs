//! Command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{ArgGroup, Args, Parser, Subcommand, ValueEnum};
use foretell_policy::cluster::workload::kind_named;
use foretell_policy::explain::explanation::ends::EndName;
use foretell_policy::model::dialect::Dialect;
use foretell_policy::model::flow::Protocol;
use foretell_service::evaluator::EvaluatorArgs;
use ipnet::IpNet;
use jiff::{SignedDuration, Span, SpanRelativeTo, Timestamp};

/// What a NetworkPolicy change would deny, from the traffic that really flowed
#[derive(Debug, Parser)]
#[command(name = "foretell", version, max_term_width = 120)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Judge a change of policies or workloads in Git: exit status 0 may merge, 1 blocked, 2 could not decide
    Check(Box<Check>),
    /// Judge every flow by every policy of a snapshot and print the verdicts, a line each
    Evaluate(Evaluate),
    /// Say whether one may reach another, and why: exit status 0 it may, 1 it may not, 2 that cannot be told
    Explain(Explain),
    /// Print an audit policy for a workload that allows the traffic in use, and nothing else
    Generate(Generate),
    /// Print a live cluster's objects, as far as `check` and `evaluate` read them
    Snapshot(Snapshot),
    /// List what the cluster's audit policies would deny, as its evaluator knows
    Denials(Denials),
    /// Print the definitions of AuditNetworkPolicy, AuditClusterNetworkPolicy and AuditException, for kubectl apply
    Crds,
    /// Print the JSON Schema of the report that `check --format json` prints
    ReportSchema,
}

/// `foretell check`
#[derive(Debug, Args)]
#[command(group = ArgGroup::new("known by").args(["snapshot", "url"]).required(true))]
#[command(mut_arg("url", |arg| arg.required(false)), mut_arg("token_file", |arg| arg.required(false)))]
#[command(mut_arg("snapshot", |arg| arg.required(false)), mut_arg("flows", |arg| arg.required(false)))]
#[command(mut_arg("bad_lines", |arg| arg.conflicts_with("url")), mut_arg("pod_cidrs", |arg| arg.conflicts_with("url")))]
pub struct Check {
    /// The revisions or folders to compare.
    #[command(flatten)]
    pub compared: Compared,
    /// What manifests are read.
    #[command(flatten)]
    pub manifests: Manifests,
    /// What flowed, and where, by files.
    #[command(flatten)]
    pub observed: Option<Observed>,
    /// Who knows what flowed, and where.
    #[command(flatten)]
    pub evaluator: Option<EvaluatorArgs>,
    /// How far back traffic counts, from --at
    #[arg(long, value_name = "SPAN", default_value = "7d", value_parser = parse_span)]
    pub window: SignedDuration,
    /// How long the nodes of the pods concerned must have been watched; less is "pending", exit status 1
    #[arg(long, value_name = "SPAN", value_parser = parse_span)]
    pub min_window: Option<SignedDuration>,
    /// The clock for window, expiry and ages [default: now]; an evaluator's is its own
    #[arg(long, value_name = "TIME", value_parser = parse_time, conflicts_with = "url")]
    pub at: Option<Timestamp>,
    /// What enforces the policies: upstream, antrea, aws-vpc-cni, azure-npm, calico, cilium, kube-network-policies, kube-router,
    /// ovn-kubernetes or weave; for Cilium with policy-cidr-match-mode also cilium,policy-cidr-match-mode=nodes (pods, pods+nodes)
    /// [default: `cni` in the base's .foretell.yaml, else upstream, or as the evaluator was told]
    #[arg(long, env = "FORETELL_CNI", value_name = "CNI")]
    pub cni: Option<Dialect>,
    /// Form of the report
    #[arg(long, value_enum, default_value_t = ReportFormat::Markdown)]
    pub format: ReportFormat,
}

/// The two sides of a change.
#[derive(Debug, Args)]
pub struct Compared {
    /// The Git repository
    #[arg(long, value_name = "DIR", requires_all = ["base", "head"], required_unless_present = "base_dir", conflicts_with_all = ["base_dir", "head_dir"])]
    pub repo: Option<PathBuf>,
    /// The revision that the change would be merged into
    #[arg(long, value_name = "REV", requires = "repo")]
    pub base: Option<String>,
    /// The revision of the change; what is judged is its merge into the base
    #[arg(long, value_name = "REV", requires = "repo")]
    pub head: Option<String>,
    /// A folder that stands for the base, in place of a repository
    #[arg(long, value_name = "DIR", requires = "head_dir")]
    pub base_dir: Option<PathBuf>,
    /// A folder that stands for the merged change
    #[arg(long, value_name = "DIR", requires = "base_dir")]
    pub head_dir: Option<PathBuf>,
}

/// Which manifests are read, and how.
#[derive(Debug, Args)]
pub struct Manifests {
    /// Read only files that match; a folder's name takes everything below it. May be given several times
    #[arg(long = "path", value_name = "GLOB", conflicts_with = "render")]
    pub paths: Vec<String>,
    /// Namespace of objects that name none
    #[arg(long, value_name = "NS", default_value = "default")]
    pub namespace: String,
    /// Command that prints the manifests, run by `sh -c` in the root of both revisions: kustomize, helm template, ...
    #[arg(long, value_name = "CMD")]
    pub render: Option<String>,
}

/// What flowed, and where.
#[derive(Debug, Args)]
pub struct Observed {
    /// The cluster's objects: files or folders of YAML or JSON; `-` is standard input
    #[arg(long, value_name = "PATH", required = true, num_args = 1.., requires = "flows")]
    pub snapshot: Vec<PathBuf>,
    /// Recorded flows as NDJSON, plain, gzip or zstd; `-` is standard input, read to its end before anything is judged
    #[arg(long, value_name = "FILE", required = true, num_args = 1.., requires = "snapshot")]
    pub flows: Vec<PathBuf>,
    /// What to do about a line that is no flow
    #[arg(long, value_enum, default_value_t = BadLines::Refuse)]
    pub bad_lines: BadLines,
    /// A range from which pods get addresses, where the snapshot's Nodes do not tell. May be given several times
    #[arg(long = "pod-cidr", value_name = "CIDR")]
    pub pod_cidrs: Vec<IpNet>,
}

/// What of [`Observed`] cannot be.
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
    /// [`ObservedError`]
    pub fn check(&self) -> Result<(), ObservedError> {
        let named = self.snapshot.iter().chain(&self.flows).filter(|path| path.as_os_str() == "-").count();
        if named > 1 { Err(ObservedError::StandardInputTwice) } else { Ok(()) }
    }
}

/// `foretell evaluate`
#[derive(Debug, Args)]
pub struct Evaluate {
    /// What flowed, and where.
    #[command(flatten)]
    pub observed: Observed,
    /// Judge by enforced NetworkPolicies too, not only by audit policies
    #[arg(long)]
    pub all: bool,
    /// What enforces the policies: upstream, antrea, aws-vpc-cni, azure-npm, calico, cilium, kube-network-policies, kube-router,
    /// ovn-kubernetes or weave; for Cilium with policy-cidr-match-mode also cilium,policy-cidr-match-mode=nodes (pods, pods+nodes)
    #[arg(long, env = "FORETELL_CNI", value_name = "CNI", default_value_t = Dialect::UPSTREAM)]
    pub cni: Dialect,
    /// Form of the verdicts
    #[arg(long, value_enum, default_value_t = VerdictFormat::Ndjson)]
    pub format: VerdictFormat,
}

/// `foretell explain`
#[derive(Debug, Args)]
#[command(after_help = EXPLAIN_EXAMPLES, override_usage = EXPLAIN_USAGE)]
pub struct Explain {
    /// Who would open the connection: NAMESPACE/KIND/NAME, NAMESPACE/NAME or an address
    #[arg(value_name = "FROM", value_parser = parse_end)]
    pub from: EndName,
    /// Who would answer: the same, or NAMESPACE/Service/NAME
    #[arg(value_name = "TO", value_parser = parse_end)]
    pub to: EndName,
    /// The port that is dialled: 8443, 53/UDP; of a Service its own
    #[arg(value_name = "PORT[/PROTOCOL]", value_parser = parse_port)]
    pub port: (u16, Protocol),
    /// The cluster's objects: files or folders of YAML or JSON; `-` is standard input
    #[arg(long, value_name = "PATH", required = true, num_args = 1..)]
    pub snapshot: Vec<PathBuf>,
    /// A range from which pods get addresses, where the snapshot's Nodes do not tell. May be given several times
    #[arg(long = "pod-cidr", value_name = "CIDR")]
    pub pod_cidrs: Vec<IpNet>,
    /// What enforces the policies: upstream, antrea, aws-vpc-cni, azure-npm, calico, cilium, kube-network-policies, kube-router,
    /// ovn-kubernetes or weave; for Cilium with policy-cidr-match-mode also cilium,policy-cidr-match-mode=nodes (pods, pods+nodes)
    #[arg(long, env = "FORETELL_CNI", value_name = "CNI", default_value_t = Dialect::UPSTREAM)]
    pub cni: Dialect,
    /// Pods that live at this time are meant [default: now]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub at: Option<Timestamp>,
    /// Form of the answer
    #[arg(long, value_enum, default_value_t = ExplanationFormat::Text)]
    pub format: ExplanationFormat,
}

/// Whoever names the snapshot first names everything that follows as one.
const EXPLAIN_USAGE: &str = "foretell explain <FROM> <TO> <PORT[/PROTOCOL]> --snapshot <PATH>... [OPTIONS]";

const EXPLAIN_EXAMPLES: &str = "Examples:
  foretell explain shop/checkout payments/Deployment/payments 8443 --snapshot cluster.yaml
  foretell explain shop/checkout kube-system/Service/kube-dns 53/UDP --snapshot cluster.yaml
  foretell explain shop/checkout 203.0.113.7 443 --snapshot cluster.yaml --format json";

/// Form of an explanation.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ExplanationFormat {
    /// For a terminal.
    Text,
    /// Everything, for programs; see docs/explanation.md.
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

/// `foretell generate`
#[derive(Debug, Args)]
pub struct Generate {
    /// The workload: Deployment/checkout, StatefulSet/db, CronJob/nightly, Pod/one, ...
    #[arg(value_name = "KIND/NAME", value_parser = parse_workload)]
    pub workload: (String, String),
    /// Its namespace
    #[arg(short, long, value_name = "NS", default_value = "default")]
    pub namespace: String,
    /// Which of its traffic the policy restricts
    #[arg(long, value_enum, default_value_t = Restricts::Both)]
    pub restricts: Restricts,
    /// Name of the policy [default: the workload's]
    #[arg(long, value_name = "NAME")]
    pub name: Option<String>,
    /// What flowed, and where.
    #[command(flatten)]
    pub observed: Observed,
    /// How far back traffic counts, from --at
    #[arg(long, value_name = "SPAN", default_value = "7d", value_parser = parse_span)]
    pub window: SignedDuration,
    /// The end of the window [default: now]
    #[arg(long, value_name = "TIME", value_parser = parse_time)]
    pub at: Option<Timestamp>,
}

/// Which traffic of its pods a policy restricts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Restricts {
    /// Both directions
    Both,
    /// What comes in
    Ingress,
    /// What goes out
    Egress,
}

fn parse_workload(text: &str) -> Result<(String, String), String> {
    let wrong = || "write it like Deployment/checkout".to_owned();
    let (kind, name) =
        text.split_once('/').filter(|(kind, name)| !kind.is_empty() && !name.is_empty()).ok_or_else(wrong)?;
    Ok((kind_named(kind).to_owned(), name.to_owned()))
}

/// `foretell denials`
#[derive(Debug, Args)]
pub struct Denials {
    /// Who is asked.
    #[command(flatten)]
    pub evaluator: EvaluatorArgs,
    /// Only those of policies of this namespace
    #[arg(short, long, value_name = "NS")]
    pub namespace: Option<String>,
    /// Only those of policies of this name
    #[arg(long, value_name = "NAME")]
    pub policy: Option<String>,
    /// Only those in this state
    #[arg(long, value_enum)]
    pub state: Option<DenialState>,
    /// Form of the list
    #[arg(long, value_enum, default_value_t = ListFormat::Table)]
    pub format: ListFormat,
}

/// Whether a denial holds a promotion up.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum DenialState {
    /// In use, and accepted by no exception.
    Unresolved,
    /// In use, and accepted.
    Accepted,
    /// In use by guess.
    Guessed,
    /// Attempts alone.
    NotInUse,
    /// Of a workload that is gone.
    Gone,
}

/// Form of a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ListFormat {
    /// For a terminal.
    Table,
    /// For programs.
    Json,
}

/// `foretell snapshot`
#[derive(Debug, Args)]
pub struct Snapshot {
    /// The kubeconfig [default: as kubectl finds it: KUBECONFIG, ~/.kube/config, a pod's service account]
    #[arg(long, value_name = "FILE")]
    pub kubeconfig: Option<PathBuf>,
    /// The context in the kubeconfig [default: its current one]
    #[arg(long, value_name = "NAME")]
    pub context: Option<String>,
    /// Where to write it; a file is replaced at once and whole, `-` is standard output
    #[arg(long, value_name = "FILE", default_value = "-", conflicts_with = "append")]
    pub output: PathBuf,
    /// Renew the snapshot in this file and keep in it the pods that have gone since; without such a file it is made
    #[arg(long, value_name = "FILE", value_parser = parse_file)]
    pub append: Option<PathBuf>,
    /// How long --append keeps pods that have gone: no shorter than the --window and --min-window of your checks
    #[arg(long, value_name = "SPAN", default_value = "14d", value_parser = parse_span, requires = "append")]
    pub keep: SignedDuration,
    /// How long to wait for each answer of the API server
    #[arg(long, value_name = "SPAN", default_value = "60s", value_parser = parse_timeout)]
    pub request_timeout: Duration,
}

/// Form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// As it stands in a pull request.
    Markdown,
    /// Everything, for programs; see `foretell report-schema`.
    Json,
    /// For a terminal.
    Table,
}

/// Form of verdicts.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum VerdictFormat {
    /// A JSON object a line.
    Ndjson,
}

/// What to do about a line that is no flow.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum BadLines {
    /// Stop at the first, exit status 2.
    Refuse,
    /// Leave it out, count it and name it.
    Skip,
}

/// Reads a time as RFC 3339 writes it.
fn parse_time(text: &str) -> Result<Timestamp, String> {
    text.parse().map_err(|error| format!("{error}; write for example 2026-11-21T02:00:00Z"))
}

/// Reads `7d`, `36h`, `1w 2d`. A day is 24 hours.
fn parse_span(text: &str) -> Result<SignedDuration, String> {
    let example = "write for example 7d, 36h or 90m";
    // What jiff says of a text that is no span is longer than it helps.
    let span: Span = text.parse().map_err(|_: jiff::Error| format!("is no span of time; {example}"))?;
    let duration = span
        .to_duration(SpanRelativeTo::days_are_24_hours())
        .map_err(|_| format!("months and years differ in length; {example}"))?;
    if duration.is_negative() { Err(format!("is negative; {example}")) } else { Ok(duration) }
}

/// Reads the name of a file that is read and then written.
fn parse_file(text: &str) -> Result<PathBuf, String> {
    if text == "-" { Err("standard input cannot be written to; name a file".to_owned()) } else { Ok(text.into()) }
}

/// Reads how long to wait; waiting for nothing gets no answer.
fn parse_timeout(text: &str) -> Result<Duration, String> {
    let wait = parse_span(text)?.unsigned_abs();
    if wait.is_zero() { Err("no answer comes in no time; write for example 60s".to_owned()) } else { Ok(wait) }
}

#[cfg(test)]
mod tests {
    use clap::CommandFactory as _;

    use super::Cli;

    #[test]
    fn command_line_is_consistent() {
        Cli::command().debug_assert();
    }
}
