//! Reads a recording: a snapshot of the cluster, and files of flows.

use std::collections::{BTreeMap, BTreeSet};
use std::net::IpAddr;
use std::path::Path;

use foretell_objects::model::flow::Line;
use foretell_objects::resource::object::Object;
use foretell_policy::cluster::evidence::{FileWatch, Watch};
use foretell_policy::cluster::inventory::Cluster;
use foretell_policy::cluster::traffic::Traffic;
use jiff::Timestamp;

use crate::args::observed::{BadLines, Observed};
use crate::flows::{FlowsError, Lines};
use crate::progress::Progress;
use crate::snapshot::{self, Contents, SnapshotError};

/// A recording, in the form in which the engine reads it.
pub struct Observation {
    /// The snapshot's objects.
    pub objects: Vec<Object>,
    /// Index of the objects, with the addresses of nodes from the agents' reports.
    pub cluster: Cluster,
    /// Traffic of the window.
    pub traffic: Traffic,
    /// Which nodes were watched, and when.
    pub watch: Watch,
    /// Number of lines that were skipped.
    pub bad_lines: u64,
}

/// Why a recording cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ObservationError {
    /// The snapshot cannot be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// The flows cannot be read.
    #[error(transparent)]
    Flows(#[from] FlowsError),
}

/// Reads the recording of the window from `from` to `at`.
///
/// # Errors
/// [`ObservationError`]
pub fn observe(
    observed: &Observed,
    from: Timestamp,
    at: Timestamp,
    progress: &Progress,
) -> Result<Observation, ObservationError> {
    progress.next("Reading the snapshot");
    let Contents { objects, other_policies } = snapshot::read(&observed.snapshot)?;
    let mut cluster = Cluster::build(&objects);
    cluster.add_other_policies(other_policies);
    for range in &observed.pod_cidrs {
        cluster.add_pod_range(*range);
    }
    progress.next("Reading flows");
    let FlowRecords { traffic, watch, node_addresses, bad_lines } = read_flows(observed, &cluster, from, at)?;
    for (node, addresses) in node_addresses {
        cluster.add_node_addresses(&node, &addresses.into_iter().collect::<Vec<_>>());
    }
    Ok(Observation { objects, cluster, traffic, watch, bad_lines })
}

/// The content of files of flows.
struct FlowRecords {
    traffic: Traffic,
    watch: Watch,
    node_addresses: BTreeMap<String, BTreeSet<IpAddr>>,
    bad_lines: u64,
}

fn read_flows(
    observed: &Observed,
    cluster: &Cluster,
    from: Timestamp,
    at: Timestamp,
) -> Result<FlowRecords, FlowsError> {
    let mut records = FlowRecords {
        traffic: Traffic::default(),
        watch: Watch::default(),
        node_addresses: BTreeMap::new(),
        bad_lines: 0,
    };
    for path in &observed.flows {
        records.add_file(path, observed.bad_lines, cluster, from, at)?;
    }
    Ok(records)
}

impl FlowRecords {
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
