//! `foretell check`: may a change merge?

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, Write as _};
use std::net::IpAddr;
use std::path::Path;

use foretell_policy::cluster::Cluster;
use foretell_policy::evidence::{FileWatch, Watch};
use foretell_policy::flow::Line;
use foretell_policy::judgement::{Inputs, judge};
use foretell_policy::report::{Report, markdown};
use foretell_policy::traffic::Traffic;
use jiff::{SignedDuration, Timestamp};

use crate::args::{BadLines, Check, Compared, Manifests, Observed, ObservedError, ReportFormat};
use crate::flows::{FlowsError, Lines};
use crate::progress::Progress;
use crate::run::Outcome;
use crate::snapshot::{self, SnapshotError};
use crate::source::{self, Loaded, Request, Revisions, SourceError};
use crate::table;

/// Why `check` could not even begin to decide.
#[derive(Debug, thiserror::Error)]
pub enum CheckError {
    /// The command line names neither a repository nor two folders.
    #[error("name a repository with --repo, --base and --head, or two folders with --base-dir and --head-dir")]
    NothingToCompare,
    /// The window begins before time does.
    #[error("--window: {0} back from --at is out of range; choose a shorter one")]
    Window(SignedDuration),
    /// The command line asks for what cannot be.
    #[error(transparent)]
    Observed(#[from] ObservedError),
    /// The change could not be read.
    #[error(transparent)]
    Source(#[from] SourceError),
    /// The snapshot could not be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// Flows could not be read.
    #[error(transparent)]
    Flows(#[from] FlowsError),
    /// The report could not be written.
    #[error("standard output: {0}")]
    Write(#[from] io::Error),
    /// The report could not be put into JSON.
    #[error("report: {0}")]
    Json(#[from] serde_json::Error),
}

impl Outcome for CheckError {
    fn is_broken_pipe(&self) -> bool {
        // A gate that was not read to its end has not said that the change may merge.
        false
    }
}

/// Runs the command and gives back its exit status.
///
/// # Errors
/// [`CheckError`] where an input cannot be used: nothing is printed then.
pub fn run(args: Check) -> Result<u8, CheckError> {
    let Check { compared, manifests, observed, window, min_window, at, format } = args;
    observed.check()?;
    let at = at.unwrap_or_else(Timestamp::now);
    let from = at.checked_sub(window).map_err(|_| CheckError::Window(window))?;
    let progress = Progress::begin("Reading the change");
    let Loaded { change, settings, base, head } = source::load(&request(compared, manifests)?)?;
    progress.next("Reading the snapshot");
    let objects = snapshot::read(&observed.snapshot)?;
    let mut cluster = Cluster::build(&objects);
    for range in &observed.pod_cidrs {
        cluster.add_pod_range(*range);
    }
    progress.next("Reading flows");
    let Recorded { traffic, watch, node_addresses, bad_lines } = record(&observed, &cluster, from, at)?;
    for (node, addresses) in node_addresses {
        cluster.add_node_addresses(&node, &addresses.into_iter().collect::<Vec<_>>());
    }
    progress.next("Judging");
    let report = judge(&Inputs {
        cluster: &cluster,
        snapshot: &objects,
        change: &change,
        traffic: &traffic,
        watch: &watch,
        base,
        head,
        at,
        from,
        min_window,
        exceptions_on_base_only: settings.exceptions.require_on_base,
        bad_lines,
    });
    drop(progress);
    print(&report, format)?;
    Ok(report.exit_status)
}

fn request(compared: Compared, manifests: Manifests) -> Result<Request, CheckError> {
    let Compared { repo, base, head, base_dir, head_dir } = compared;
    let revisions = match (repo, base, head, base_dir, head_dir) {
        (Some(repo), Some(base), Some(head), None, None) => Revisions::Git { repo, base, head },
        (None, None, None, Some(base), Some(head)) => Revisions::Folders { base, head },
        _ => return Err(CheckError::NothingToCompare),
    };
    let Manifests { paths, namespace, render } = manifests;
    Ok(Request { revisions, paths, namespace, render })
}

/// What files of flows tell.
struct Recorded {
    traffic: Traffic,
    watch: Watch,
    node_addresses: BTreeMap<String, BTreeSet<IpAddr>>,
    bad_lines: u64,
}

fn record(observed: &Observed, cluster: &Cluster, from: Timestamp, at: Timestamp) -> Result<Recorded, FlowsError> {
    let mut recording = Recorded {
        traffic: Traffic::default(),
        watch: Watch::default(),
        node_addresses: BTreeMap::new(),
        bad_lines: 0,
    };
    for path in &observed.flows {
        recording.add_file(path, observed.bad_lines, cluster, from, at)?;
    }
    Ok(recording)
}

impl Recorded {
    fn add_file(
        &mut self,
        path: &Path,
        bad_lines: BadLines,
        cluster: &Cluster,
        from: Timestamp,
        at: Timestamp,
    ) -> Result<(), FlowsError> {
        let mut lines = Lines::open(path, bad_lines)?;
        let mut watch = FileWatch::default();
        while let Some((_, line)) = lines.read_next()? {
            match line {
                Line::Flow(flow) => {
                    watch.add_flow(&flow, at);
                    self.traffic.add(&flow, cluster, from, at);
                }
                Line::Report(report) => {
                    watch.add_report(&report, from, at);
                    self.node_addresses.entry(report.node).or_default().extend(report.addresses);
                }
            }
        }
        self.bad_lines += lines.skipped();
        self.watch.add_file(watch);
        Ok(())
    }
}

fn print(report: &Report, format: ReportFormat) -> Result<(), CheckError> {
    let text = match format {
        ReportFormat::Markdown => markdown::render(report),
        ReportFormat::Json => format!("{}\n", serde_json::to_string_pretty(report)?),
        ReportFormat::Table => table::render(report),
    };
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    Ok(output.flush()?)
}
