//! `foretell evaluate`: verdicts, flow by flow.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufWriter, Write};
use std::net::IpAddr;
use std::path::Path;
use std::sync::Arc;

use foretell_policy::cluster::Cluster;
use foretell_policy::compiled::Policy;
use foretell_policy::evaluation::evaluate;
use foretell_policy::flow::{Flow, Line, NodeReport};
use foretell_policy::population::Population;
use foretell_policy::report::words::{count, grouped};
use foretell_policy::verdict::VerdictName;
use foretell_policy::world::World;

use crate::args::{BadLines, Evaluate, Observed, VerdictFormat};
use crate::flows::{self, FlowsError, Lines};
use crate::progress::Progress;
use crate::run::Outcome;
use crate::snapshot::{self, SnapshotError};

/// Why `evaluate` ended early.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// The snapshot could not be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// Flows could not be read.
    #[error(transparent)]
    Flows(#[from] FlowsError),
    /// Verdicts could not be written.
    #[error("standard output: {0}")]
    Write(#[from] io::Error),
}

impl Outcome for EvaluateError {
    fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Write(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// What was said in all.
#[derive(Debug, Default)]
struct Totals {
    flows: u64,
    allow: u64,
    would_deny: u64,
    unresolved_subjects: u64,
    bad_lines: u64,
}

/// Runs the command and gives back its exit status.
///
/// # Errors
/// [`EvaluateError`] where an input cannot be used.
pub fn run(args: Evaluate) -> Result<u8, EvaluateError> {
    let Evaluate { observed, all, format: VerdictFormat::Ndjson } = args;
    let Observed { snapshot, flows, bad_lines, pod_cidrs } = observed;
    let progress = Progress::begin("Reading the snapshot");
    let objects = snapshot::read(&snapshot)?;
    let mut cluster = Cluster::build(&objects);
    for range in pod_cidrs {
        cluster.add_pod_range(range);
    }
    progress.next("Reading agents' reports");
    for path in flows.iter().filter(|path| flows::is_rereadable(path)) {
        read_node_addresses(path, &mut cluster)?;
    }
    let policies: Vec<Arc<Policy>> = objects
        .iter()
        .filter_map(Policy::of)
        .filter(|policy| all || !policy.reference.kind.is_enforced())
        .map(Arc::new)
        .collect();
    progress.next(format!("Judging flows by {}", count(policies.len() as u64, "policy", "policies")));

    let mut output = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let mut totals = Totals::default();
    for path in &flows {
        judge_file(path, bad_lines, &mut cluster, &policies, &mut output, &mut totals)?;
    }
    output.flush()?;
    drop(progress);
    totals.tell(policies.len());
    Ok(0)
}

/// An agent's report tells which addresses are its host's own, and flows that come before it need to know.
fn read_node_addresses(path: &Path, cluster: &mut Cluster) -> Result<(), FlowsError> {
    let mut by_node: BTreeMap<String, BTreeSet<IpAddr>> = BTreeMap::new();
    flows::reports(path, |report| {
        by_node.entry(report.node).or_default().extend(report.addresses);
    })?;
    for (node, addresses) in &by_node {
        cluster.add_node_addresses(node, &addresses.iter().copied().collect::<Vec<_>>());
    }
    Ok(())
}

fn judge_file(
    path: &Path,
    bad_lines: BadLines,
    cluster: &mut Cluster,
    policies: &[Arc<Policy>],
    output: &mut impl Write,
    totals: &mut Totals,
) -> Result<(), EvaluateError> {
    let mut lines = Lines::open(path, bad_lines)?;
    let mut ended = false;
    while !ended {
        let world = World::new(Arc::new(Population::as_recorded(cluster)), policies.to_vec());
        let report = judge_until_report(&mut lines, &world, output, totals)?;
        ended = report.is_none();
        // Only on standard input: a file's reports have been read before.
        if let Some(NodeReport { node, addresses, .. }) = report {
            cluster.add_node_addresses(&node, &addresses);
        }
    }
    totals.bad_lines += lines.skipped();
    Ok(())
}

/// Judges flows up to a report that tells of addresses which are not known yet.
fn judge_until_report(
    lines: &mut Lines,
    world: &World<'_>,
    output: &mut impl Write,
    totals: &mut Totals,
) -> Result<Option<NodeReport>, EvaluateError> {
    while let Some((number, line)) = lines.read_next()? {
        match line {
            Line::Flow(flow) => totals.judge(world, &flow, number - 1, output)?,
            Line::Report(report) if knows(world.cluster(), &report) => {}
            Line::Report(report) => return Ok(Some(report)),
        }
    }
    Ok(None)
}

fn knows(cluster: &Cluster, report: &NodeReport) -> bool {
    let nodes = cluster.nodes();
    let node = nodes.by_name(&report.node);
    let is_known =
        |ip: &IpAddr| ip.is_loopback() || node.is_some_and(|node| nodes.has_address(node, ip.to_canonical()));
    report.addresses.iter().all(is_known)
}

impl Totals {
    fn judge(&mut self, world: &World<'_>, flow: &Flow, index: u64, output: &mut impl Write) -> io::Result<()> {
        let evaluated = evaluate(world, flow, index);
        self.flows += 1;
        self.unresolved_subjects += u64::from(!evaluated.unresolved_subjects.is_empty());
        for line in &evaluated.lines {
            match line.verdict {
                VerdictName::Allow => self.allow += 1,
                VerdictName::WouldDeny => self.would_deny += 1,
            }
            serde_json::to_writer(&mut *output, line)?;
            output.write_all(b"\n")?;
        }
        Ok(())
    }

    /// Says what was done, on standard error: standard output holds verdicts and nothing else.
    fn tell(&self, policies: usize) {
        eprintln!(
            "foretell: {} judged by {}: {} allow, {} would deny.",
            count(self.flows, "flow", "flows"),
            count(policies as u64, "policy", "policies"),
            grouped(self.allow),
            grouped(self.would_deny),
        );
        if self.unresolved_subjects > 0 {
            eprintln!(
                "foretell: {} an end that is a pod which the snapshot does not know: what policies say of it cannot be told.",
                count(self.unresolved_subjects, "flow has", "flows have"),
            );
        }
        if self.bad_lines > 0 {
            eprintln!("foretell: {} skipped.", count(self.bad_lines, "unreadable line was", "unreadable lines were"));
        }
    }
}
