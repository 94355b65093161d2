//! `foretell check`

use std::path::PathBuf;

use clap::{Arg, ArgGroup, Args, ValueEnum};
use foretell_service::evaluator::EvaluatorArgs;
use foretell_service::span;
use jiff::{SignedDuration, Timestamp};

use super::cni::CniArg;
use super::observed::Observed;
use super::value::parse_time;

/// `foretell check`
#[derive(Debug, Args)]
#[command(after_help = EXAMPLES)]
#[command(group = ArgGroup::new("known by").args(["snapshot", "url"]).required(true))]
// `mut_arg` moves an argument behind the others: in this order the help names files before the evaluator.
#[command(mut_arg("snapshot", |arg| arg.required(false)), mut_arg("flows", |arg| arg.required(false)))]
#[command(mut_arg("bad_lines", |arg| arg.conflicts_with("url")), mut_arg("pod_cidrs", |arg| arg.conflicts_with("url")))]
#[command(mut_arg("url", |arg| arg.required(false)), mut_arg("token_file", |arg| arg.required(false)))]
#[command(mut_arg("ca_file", |arg| arg), mut_arg("cni", with_default))]
pub struct Check {
    /// The revisions or folders to compare.
    #[command(flatten)]
    pub compared: Compared,
    /// The manifests to read.
    #[command(flatten)]
    pub manifests: Manifests,
    /// The cluster and its traffic, from files.
    #[command(flatten)]
    pub observed: Option<Observed>,
    /// The evaluator that judges, in place of files.
    #[command(flatten)]
    pub evaluator: Option<EvaluatorArgs>,
    /// How far back from --at traffic counts, for example 36h or 7d
    #[arg(long, value_name = "SPAN", default_value = "7d", value_parser = span::parse, help_heading = "Judgement")]
    pub window: SignedDuration,
    /// How long the nodes of the affected pods must have been watched, for example 7d; less is "pending", with exit status 1
    /// [default: no minimum]
    #[arg(long, value_name = "SPAN", value_parser = span::parse, help_heading = "Judgement")]
    pub min_window: Option<SignedDuration>,
    /// Time of the judgement, by which the window ends and exceptions expire, for example 2026-11-21T02:00:00Z [default: now];
    /// an evaluator uses its own clock
    #[arg(long, value_name = "TIME", value_parser = parse_time, conflicts_with = "url", help_heading = "Judgement")]
    pub at: Option<Timestamp>,
    /// The enforcer.
    #[command(flatten)]
    pub cni: CniArg,
    /// Form of the report
    #[arg(long, value_enum, default_value_t = ReportFormat::Markdown, help_heading = "Output")]
    pub format: ReportFormat,
}

const EXAMPLES: &str = "Exit status:
  0  the change may merge
  1  it is blocked, or pending because of --min-window
  2  an input cannot be used, or the evidence is not enough to decide

Examples:
  foretell check --repo . --base main --head my-branch \\
      --snapshot cluster.yaml --flows flows.ndjson
  foretell check --base-dir before --head-dir after \\
      --snapshot cluster.yaml --flows node-*.ndjson.zst --format table
  foretell check --repo . --base main --head my-branch --path 'policies/**' \\
      --snapshot cluster.yaml --flows flows.ndjson --window 14d --min-window 3d
  foretell check --repo . --base main --head my-branch --render 'kustomize build overlays/prod' \\
      --evaluator https://foretell-evaluator.foretell.svc --token-file token --ca-file ca.crt";

fn with_default(cni: Arg) -> Arg {
    let what = cni.get_help().cloned().unwrap_or_default();
    cni.help(format!("{what} [default: `cni` in .foretell.yaml at the base, else the evaluator's own, else upstream]"))
}

/// The two sides of a change.
#[derive(Debug, Args)]
#[command(next_help_heading = "Change")]
pub struct Compared {
    /// Git repository that has both revisions
    #[arg(long, value_name = "DIR", requires_all = ["base", "head"], required_unless_present = "base_dir", conflicts_with_all = ["base_dir", "head_dir"])]
    pub repo: Option<PathBuf>,
    /// Revision that the change would be merged into
    #[arg(long, value_name = "REV", requires = "repo")]
    pub base: Option<String>,
    /// Revision of the change; the result of merging it into --base is judged
    #[arg(long, value_name = "REV", requires = "repo")]
    pub head: Option<String>,
    /// Folder with the manifests before the change, in place of a repository
    #[arg(long, value_name = "DIR", requires = "head_dir")]
    pub base_dir: Option<PathBuf>,
    /// Folder with the manifests after the change, in place of a repository
    #[arg(long, value_name = "DIR", requires = "base_dir")]
    pub head_dir: Option<PathBuf>,
}

/// Which manifests are read, and how.
#[derive(Debug, Args)]
#[command(next_help_heading = "Manifests")]
pub struct Manifests {
    /// Read only files that match this glob; a folder's name matches everything below it; may be repeated [default: all files]
    #[arg(long = "path", value_name = "GLOB", conflicts_with = "render")]
    pub paths: Vec<String>,
    /// Namespace of objects that do not name one
    #[arg(long, value_name = "NS", default_value = "default")]
    pub namespace: String,
    /// Command that prints the manifests, run by `sh -c` in the root of each revision, such as kustomize or helm template
    /// [default: none, the files are read]
    #[arg(long, value_name = "CMD")]
    pub render: Option<String>,
}

/// Form of a report.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum ReportFormat {
    /// For a comment on a pull request
    Markdown,
    /// All data, for programs; `foretell report-schema` prints its JSON Schema
    Json,
    /// For a terminal
    Table,
}
