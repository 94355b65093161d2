//! Puts the program together from its arguments.

use std::sync::Arc;
use std::sync::atomic::AtomicBool;
use std::thread;

use anyhow::Context as _;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

use crate::args::Args;
use crate::call::{Manner, keep_calling};
use crate::serve;

/// Listens and calls, until every call was made as often as asked for, or for ever.
///
/// # Errors
/// Where a port cannot be bound.
pub fn run(args: Args) -> anyhow::Result<()> {
    let Args { listen, call, from, times, linger } = args;
    end_at_once_when_told().context("cannot listen for signals")?;
    for port in listen {
        let at = serve::start(from, port).with_context(|| format!("--listen {port}: cannot be bound"))?;
        eprintln!("listening on {at}/{:?}", port.protocol);
    }
    let callers: Vec<_> = call
        .into_iter()
        .map(|call| thread::spawn(move || keep_calling(&call, Manner { from, times }, |news| eprintln!("{news}"))))
        .collect();
    for caller in callers {
        // It ends in no other way than by being done.
        let _done = caller.join();
    }
    if times.is_some() {
        thread::sleep(linger);
        return Ok(());
    }
    loop {
        thread::park();
    }
}

/// The first process of a container has no default way to end: without this a pod would be waited for until it is killed.
fn end_at_once_when_told() -> std::io::Result<()> {
    for signal in [SIGTERM, SIGINT] {
        flag::register_conditional_shutdown(signal, 0, Arc::new(AtomicBool::new(true)))?;
    }
    Ok(())
}
