//! Runs the program with its arguments.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use anyhow::Context as _;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::args::Args;
use crate::call::{CallOptions, keep_calling};
use crate::serve;

/// Listens and calls, until every call was made `--times` times, or for ever.
///
/// # Errors
/// If a port cannot be bound.
pub fn run(args: Args) -> anyhow::Result<()> {
    let Args { listen, call, from, times, linger } = args;
    exit_on_signals().context("cannot listen for signals")?;
    for port in listen {
        let at = serve::start(from, port).with_context(|| format!("--listen {port}: cannot bind the port"))?;
        eprintln!("listening on {at}/{:?}", port.protocol);
    }
    let callers: Vec<_> = call
        .into_iter()
        .map(|call| thread::spawn(move || keep_calling(&call, CallOptions { from, times }, |line| eprintln!("{line}"))))
        .collect();
    for caller in callers {
        // A caller never panics.
        let _result = caller.join();
    }
    if times.is_some() {
        thread::sleep(linger);
        return Ok(());
    }
    loop {
        thread::park();
    }
}

/// The first process of a container has no default signal handlers. Without these, a pod would run until it is killed.
fn exit_on_signals() -> std::io::Result<()> {
    for signal in [SIGTERM, SIGINT] {
        flag::register_conditional_shutdown(signal, 0, Arc::new(AtomicBool::new(true)))?;
    }
    Ok(())
}
