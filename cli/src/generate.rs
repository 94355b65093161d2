//! `foretell generate`: a policy for a workload, made from its traffic.

use std::collections::BTreeMap;
use std::io::{self, Write as _};

use foretell_objects::model::dialect::Dialect;
use foretell_objects::model::flow::Direction;
use foretell_policy::change::revisions::Change;
use foretell_policy::cluster::workload::Workload;
use foretell_policy::judge::generate::{GenerateError, generate};
use foretell_policy::judge::judgement::Inputs;
use jiff::{SignedDuration, Timestamp};

use crate::args::generate::{Generate, Restricts};
use crate::args::observed::ObservedError;
use crate::error::CommandError;
use crate::messages::say;
use crate::observation::{Observation, ObservationError, observe};
use crate::progress::Progress;

/// Why no policy can be generated.
#[derive(Debug, thiserror::Error)]
pub enum GenerateFailure {
    /// The window begins before the first time that can be represented.
    #[error("--window {0:#} reaches too far back from --at; choose a shorter one")]
    Window(SignedDuration),
    /// The options contradict each other.
    #[error(transparent)]
    Observed(#[from] ObservedError),
    /// The recording could not be read.
    #[error(transparent)]
    Observation(#[from] ObservationError),
    /// The workload has no pod, or the name of the policy is invalid.
    #[error(transparent)]
    Generate(#[from] GenerateError),
    /// The policy could not be written.
    #[error("standard output: {0}")]
    Write(#[from] io::Error),
}

impl CommandError for GenerateFailure {
    fn is_broken_pipe(&self) -> bool {
        matches!(self, Self::Write(error) if error.kind() == io::ErrorKind::BrokenPipe)
    }
}

/// Runs the command and returns its exit status.
///
/// # Errors
/// [`GenerateFailure`]
pub fn run(args: Generate) -> Result<u8, GenerateFailure> {
    let Generate { workload: (kind, workload), namespace, restricts, name, observed, window, at } = args;
    observed.check()?;
    let at = at.unwrap_or_else(Timestamp::now);
    let from = at.checked_sub(window).map_err(|_| GenerateFailure::Window(window))?;
    let directions = match restricts {
        Restricts::Both => &Direction::BOTH[..],
        Restricts::Ingress => &[Direction::Ingress],
        Restricts::Egress => &[Direction::Egress],
    };
    let progress = Progress::begin("Reading the recording");
    let Observation { objects, cluster, traffic, watch, bad_lines } = observe(&observed, from, at, &progress)?;
    progress.next("Judging");
    let inputs = Inputs {
        cluster: &cluster,
        snapshot: &objects,
        change: &Change::default(),
        traffic: &traffic,
        watch: &watch,
        base: "nothing".to_owned(),
        head: "generated".to_owned(),
        at,
        from,
        min_window: None,
        exceptions_on_base_only: false,
        bad_lines,
        dialect: Dialect::UPSTREAM,
        ranges: BTreeMap::new(),
    };
    let name = name.unwrap_or_else(|| workload.clone());
    let workload = Workload { namespace, kind, name: workload };
    let generated = generate(&inputs, &workload, directions, &name)?;
    drop(progress);
    if generated.fix().is_none() {
        say(format!("no traffic in use of {workload} was recorded: the policy allows nothing"));
    }
    let mut output = io::stdout().lock();
    output.write_all(generated.to_yaml().as_bytes())?;
    output.flush()?;
    Ok(0)
}
