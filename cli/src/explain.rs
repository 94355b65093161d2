//! `foretell explain`: whether a connection is allowed, and why.

use std::io::{self, Write as _};
use std::sync::Arc;

use foretell_policy::cluster::inventory::Cluster;
use foretell_policy::engine::identities::Identities;
use foretell_policy::engine::world::World;
use foretell_policy::explain::explanation::ends::ExplainError;
use foretell_policy::explain::explanation::query::{ExplainQuery, explain};
use foretell_policy::policy::network_policy::Policy;
use jiff::Timestamp;

use crate::args::cni::CniArg;
use crate::args::explain::{Explain, ExplanationFormat};
use crate::args::observed::{ObservedError, standard_input_once};
use crate::error::CommandError;
use crate::evaluate::{admin_policies, policies};
use crate::progress::Progress;
use crate::snapshot::{self, SnapshotError};

mod text;

/// Why a connection cannot be explained.
#[derive(Debug, thiserror::Error)]
pub enum ExplainFailure {
    /// The options contradict each other.
    #[error(transparent)]
    Observed(#[from] ObservedError),
    /// The snapshot could not be read.
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    /// A name is unknown or ambiguous.
    #[error(transparent)]
    Explain(#[from] ExplainError),
    /// The answer could not be written.
    #[error("standard output: {0}")]
    Write(#[from] io::Error),
    /// The answer could not be put into JSON.
    #[error("explanation: {0}")]
    Json(#[from] serde_json::Error),
}

impl CommandError for ExplainFailure {
    fn is_broken_pipe(&self) -> bool {
        // A reader that closed the output may not have read the answer, and exit status 0 would say that it is allowed.
        false
    }
}

/// Runs the command and returns its exit status.
///
/// # Errors
/// [`ExplainFailure`]
pub fn run(args: Explain) -> Result<u8, ExplainFailure> {
    let Explain { from, to, port: (port, protocol), snapshot, pod_cidrs, cni: CniArg { cni }, at, format } = args;
    standard_input_once(&snapshot)?;
    let progress = Progress::begin("Reading the snapshot");
    let objects = snapshot::read(&snapshot)?.objects;
    let mut cluster = Cluster::build(&objects);
    for range in pod_cidrs {
        cluster.add_pod_range(range);
    }
    progress.next("Judging");
    let (enforced, audited): (Vec<Arc<Policy>>, Vec<Arc<Policy>>) =
        policies(&objects, true).into_iter().partition(|policy| policy.reference.kind.is_enforced());
    let identities = Arc::new(Identities::as_recorded(&cluster));
    let world = World::in_dialect(cni.unwrap_or_default(), &cluster, identities, enforced)
        .with_admin_policies(admin_policies(&objects));
    let query = ExplainQuery { from, to, protocol, port, at: at.unwrap_or_else(Timestamp::now) };
    let explanation = explain(&world, &audited, &query)?;
    drop(progress);
    let text = match format {
        ExplanationFormat::Text => text::render(&explanation),
        ExplanationFormat::Json => format!("{}\n", serde_json::to_string_pretty(&explanation)?),
    };
    let mut output = io::stdout().lock();
    output.write_all(text.as_bytes())?;
    output.flush()?;
    Ok(explanation.exit_status)
}
