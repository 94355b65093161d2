//! One process of a play: enters its cgroup, listens, calls, and ends with its standard input.

use std::fs;
use std::io::{self, BufRead as _, Write as _};
use std::sync::mpsc;
use std::thread;
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};

use crate::call;
use crate::curtain::Curtain;
use crate::part::{BEGIN, Errand, Part, READY, REST, RESTING, TROUBLE};
use crate::serve;

/// Longer than any play.
const FOR_EVER: Duration = Duration::from_hours(24);

/// Plays the part that standard input hands over, as one line of JSON.
///
/// # Errors
/// Where there is no part, or its sockets cannot be made.
pub fn act() -> anyhow::Result<()> {
    let mut line = String::new();
    io::stdin().lock().read_line(&mut line)?;
    let part: Part =
        serde_json::from_str(&line).context("standard input holds no part: `play` starts this, not a person")?;
    // Before the first socket: a socket stays in the cgroup that it was made in.
    fs::write(part.cgroup.join("cgroup.procs"), "0").context("cannot enter the cgroup")?;
    for server in &part.servers {
        serve::start(server).with_context(|| format!("cannot listen at {}/{}", server.at, server.protocol))?;
    }
    say(READY);

    let curtain = Curtain::default();
    let (begin, begins) = mpsc::channel();
    thread::scope(|scope| {
        scope.spawn(|| follow(&begin, &curtain));
        if begins.recv().is_err() {
            bail!("was never told to begin");
        }
        if let Some(errand) = &part.errand {
            run_errand(errand, &curtain);
            // The thread that reads standard input is not waited for: this process ends before the play does.
            std::process::exit(0);
        }
        thread::scope(|scope| {
            for round in &part.rounds {
                scope.spawn(|| call::go_round(round, &curtain, |error| trouble(&error.to_string())));
            }
        });
        while !curtain.wait(FOR_EVER) {}
        say(RESTING);
        Ok(())
    })
}

/// Does what it is told. The end of standard input is the end of the process, whatever it is doing: nobody is there to be
/// played for.
fn follow(begin: &mpsc::Sender<()>, curtain: &Curtain) {
    for line in io::stdin().lock().lines() {
        match line.as_deref() {
            Ok(BEGIN) => {
                let _waits = begin.send(());
            }
            Ok(REST) => curtain.fall(),
            _ => break,
        }
    }
    std::process::exit(0);
}

fn run_errand(errand: &Errand, curtain: &Curtain) {
    let began = Instant::now();
    for dial in &errand.dials {
        if let Err(problem) = call::call(dial) {
            trouble(&format!("{dial}: {problem}"));
        }
    }
    let _over = curtain.wait(errand.ends_after.saturating_sub(began.elapsed()));
}

fn trouble(what: &str) {
    say(&format!("{TROUBLE}{what}"));
}

/// A line on standard output; lost where nobody reads any more.
fn say(line: &str) {
    let mut out = io::stdout().lock();
    let _unheard = writeln!(out, "{line}").and_then(|()| out.flush());
}
