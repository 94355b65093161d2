//! `foretell evaluate`: the verdict of each policy on each flow.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{self, BufWriter, Write};
use std::net::IpAddr;
use std::sync::Arc;

use foretell_objects::model::flow::{Flow, Line};
use foretell_objects::model::policy_ref::PolicyRef;
use foretell_objects::model::words::{count, grouped};
use foretell_objects::resource::object::Object;
use foretell_policy::cluster::detected::{recognise, remark};
use foretell_policy::cluster::inventory::Cluster;
use foretell_policy::engine::identities::Identities;
use foretell_policy::engine::world::World;
use foretell_policy::explain::evaluation::VerdictName;
use foretell_policy::explain::evaluation::evaluate;
use foretell_policy::policy::admin_policy::AdminPolicy;
use foretell_policy::policy::network_policy::Policy;
use jiff::Timestamp;

use crate::args::cni::CniArg;
use crate::args::evaluate::{Evaluate, VerdictFormat};
use crate::args::observed::{BadLines, Observed, ObservedError};
use crate::error::CommandError;
use crate::flows::{FlowsError, Recording};
use crate::messages::say;
use crate::progress::Progress;
use crate::snapshot::{self, SnapshotError};

/// Why `evaluate` ended early.
#[derive(Debug, thiserror::Error)]
pub enum EvaluateError {
    /// The options contradict each other.
    #[error(transparent)]
    Observed(#[from] ObservedError),
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

impl CommandError for EvaluateError {
    fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Write(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// Counts over all flows.
#[derive(Debug, Default)]
struct Totals {
    flows: u64,
    allow: u64,
    would_deny: u64,
    unknown: u64,
    unresolved_subjects: u64,
    bad_lines: u64,
}

/// Runs the command and returns its exit status.
///
/// # Errors
/// [`EvaluateError`] if an input cannot be used.
pub fn run(args: Evaluate) -> Result<u8, EvaluateError> {
    let Evaluate { observed, all, cni: CniArg { cni }, format: VerdictFormat::Ndjson } = args;
    let cni = cni.unwrap_or_default();
    observed.check()?;
    let Observed { snapshot, flows, bad_lines, pod_cidrs } = observed;
    let progress = Progress::begin("Reading the snapshot");
    let objects = snapshot::read(&snapshot)?.objects;
    let mut cluster = Cluster::build(&objects);
    for range in pod_cidrs {
        cluster.add_pod_range(range);
    }
    progress.next("Reading agents' reports");
    let mut recordings = Vec::new();
    for path in &flows {
        let recording = Recording::open(path)?;
        add_node_addresses(&recording, bad_lines, &mut cluster)?;
        recordings.push(recording);
    }
    let policies = policies(&objects, all);
    let admin_policies = if all { admin_policies(&objects) } else { Vec::new() };
    let judging = policies.len() + admin_policies.len();
    progress.next(format!("Judging flows by {}", count(judging as u64, "policy", "policies")));

    let world = World::in_dialect(cni, &cluster, Arc::new(Identities::as_recorded(&cluster)), policies)
        .with_admin_policies(admin_policies);
    let mut output = BufWriter::with_capacity(1 << 16, io::stdout().lock());
    let mut totals = Totals::default();
    for recording in &recordings {
        let mut lines = recording.lines(bad_lines)?;
        while let Some((number, line)) = lines.read_next()? {
            if let Line::Flow(flow) = line {
                totals.judge(&world, &flow, number - 1, &mut output)?;
            }
        }
        totals.bad_lines += lines.skipped();
    }
    output.flush()?;
    drop(progress);
    totals.summarise(judging, all);
    let now = Timestamp::now();
    if let Some(remark) = recognise(&cluster, now).and_then(|recognised| remark(&recognised, cni)) {
        say(format_args!("{remark}."));
    }
    Ok(0)
}

/// The policies to judge by. If two have the same name the last one counts, as for every object of a snapshot.
pub(crate) fn policies(objects: &[Object], all: bool) -> Vec<Arc<Policy>> {
    let policies = objects.iter().filter_map(Policy::of);
    let chosen = policies.filter(|policy| all || !policy.reference.kind.is_enforced());
    let by_reference: BTreeMap<PolicyRef, Policy> = chosen.map(|policy| (policy.reference.clone(), policy)).collect();
    by_reference.into_values().map(Arc::new).collect()
}

/// The admin policies. All of them are enforced.
pub(crate) fn admin_policies(objects: &[Object]) -> Vec<Arc<AdminPolicy>> {
    let policies = objects.iter().filter_map(AdminPolicy::of);
    let by_reference: BTreeMap<PolicyRef, AdminPolicy> =
        policies.map(|policy| (policy.reference.clone(), policy)).collect();
    by_reference.into_values().map(Arc::new).collect()
}

/// Adds the addresses of nodes from the agents' reports. Flows that come before a report in the file need them too.
fn add_node_addresses(recording: &Recording, bad_lines: BadLines, cluster: &mut Cluster) -> Result<(), FlowsError> {
    let mut by_node: BTreeMap<String, BTreeSet<IpAddr>> = BTreeMap::new();
    recording.look_through(bad_lines, |report| {
        by_node.entry(report.node).or_default().extend(report.addresses);
    })?;
    for (node, addresses) in &by_node {
        cluster.add_node_addresses(node, &addresses.iter().copied().collect::<Vec<_>>());
    }
    Ok(())
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
                VerdictName::Unknown => self.unknown += 1,
            }
            serde_json::to_writer(&mut *output, line)?;
            output.write_all(b"\n")?;
        }
        Ok(())
    }

    /// Prints the counts on standard error: standard output has nothing but verdicts.
    fn summarise(&self, policies: usize, all: bool) {
        say(format_args!(
            "{} judged by {}: {} allow, {} would deny.",
            count(self.flows, "flow", "flows"),
            count(policies as u64, "policy", "policies"),
            grouped(self.allow),
            grouped(self.would_deny),
        ));
        if self.unknown > 0 {
            let verdicts = count(self.unknown, "verdict is", "verdicts are");
            say(format_args!("{verdicts} unknown: a rule depends on something that traffic does not show."));
        }
        match (policies, all) {
            (0, true) => say("The snapshot has no policy."),
            (0, false) => say("The snapshot has no audit policy; --all judges by enforced policies too."),
            _ => {}
        }
        if self.unresolved_subjects > 0 {
            say(format_args!(
                "{} an end that is a pod missing from the snapshot: which policies select it is unknown.",
                count(self.unresolved_subjects, "flow has", "flows have"),
            ));
        }
        if self.bad_lines > 0 {
            say(format_args!("{} skipped.", count(self.bad_lines, "unreadable line was", "unreadable lines were")));
        }
    }
}
