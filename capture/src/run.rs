//! Builds the agent from its arguments and runs it until a signal stops it.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Instant;

use anyhow::Context as _;
use foretell_service::evaluator::Evaluator;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;
use tracing::info;

use crate::agent::{Agent, Parts};
use crate::args::Args;
use crate::clock::Moment;
use crate::output::{Output, Writer};
use crate::probe::{self, Probe, Sizes};
use crate::registry::Registry;
use crate::ship::Shipper;
use crate::{host, log, mount};

/// For this long after the programs are attached, the first datagram of a flow may be the answer to a datagram that was sent
/// before. Connection tracking forgets an unanswered datagram after 30 s and an answered one after 120 s.
const UNSETTLED_NANOSECONDS: u64 = 120_000_000_000;

/// Runs the agent. Returns after a signal, when the last window is written.
///
/// # Errors
/// If there is no cgroup to attach to, the kernel refuses, or lines cannot be written.
pub fn run(args: Args) -> anyhow::Result<()> {
    let Args {
        output,
        evaluator,
        queue_bytes,
        cgroup,
        node: name,
        window,
        duration,
        max_flows,
        ring_bytes,
        log: filter,
        log_to,
    } = args;
    log::begin(log_to, &filter)?;

    probe::must_be_built_in()?;
    let stop = stop_on_signals().context("cannot listen for signals")?;
    let name = name.unwrap_or_else(host::name);
    let node = mount::find(cgroup.as_deref())?;
    let output = output.as_ref().map(Output::open).transpose()?;
    let shipper =
        evaluator.map(|evaluator| Shipper::start(Evaluator::new(evaluator), &name, queue_bytes)).transpose()?;
    let writer = Writer::new(output, shipper);
    let settled = Moment::now().monotonic.saturating_add(UNSETTLED_NANOSECONDS);
    let probe = Probe::attach(&node, Sizes { flows: max_flows, ring_bytes }, settled)?;
    let programs = probe.program_ids();
    let path = node.path.display().to_string();
    let registry = Registry::new(node);
    let mut agent = Agent::begin(Parts { node: name.clone(), probe, registry, writer, window, max_flows, settled })?;
    info!(node.name = %name, cgroup.path = %path, ?programs, "Observing the flows of {path} on node {name}");

    let started = Instant::now();
    agent.watch(|| stop.load(Ordering::Relaxed) || duration.is_some_and(|duration| started.elapsed() >= duration))
}

/// The first signal requests an orderly stop; the second ends the process at once.
fn stop_on_signals() -> io::Result<Arc<AtomicBool>> {
    let stop = Arc::new(AtomicBool::new(false));
    for signal in [SIGTERM, SIGINT] {
        // The order matters: the first signal finds the flag unset, and then sets it.
        flag::register_conditional_shutdown(signal, 1, Arc::clone(&stop))?;
        flag::register(signal, Arc::clone(&stop))?;
    }
    Ok(stop)
}
