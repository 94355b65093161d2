//! Whether somebody asked for an end: SIGINT, SIGTERM or SIGHUP.

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use anyhow::bail;
use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};

/// How often what is waited for is looked at.
pub const GLANCE: Duration = Duration::from_millis(20);

/// Set by the first signal. What is set up is taken down on the way out, so a second one does no more.
#[derive(Clone, Debug)]
pub struct Stop(Arc<AtomicBool>);

impl Stop {
    /// Listens for signals from now on.
    ///
    /// # Errors
    /// Where the kernel refuses.
    pub fn on_signals() -> io::Result<Self> {
        let stop = Arc::new(AtomicBool::new(false));
        for signal in [SIGHUP, SIGINT, SIGTERM] {
            signal_hook::flag::register(signal, Arc::clone(&stop))?;
        }
        Ok(Self(stop))
    }

    /// Fails once somebody asked for an end.
    ///
    /// # Errors
    /// Then.
    pub fn check(&self) -> anyhow::Result<()> {
        if self.0.load(Ordering::Relaxed) {
            bail!("stopped by a signal; nothing was recorded");
        }
        Ok(())
    }

    /// Looks again and again until what is waited for has come about.
    ///
    /// # Errors
    /// Where it has not within the deadline, somebody asked for an end, or the look itself failed.
    pub fn wait(
        &self,
        deadline: Duration,
        what: &str,
        mut come_about: impl FnMut() -> anyhow::Result<bool>,
    ) -> anyhow::Result<()> {
        let began = Instant::now();
        while !come_about()? {
            self.check()?;
            if began.elapsed() > deadline {
                bail!("waited {deadline:?} in vain: {what}");
            }
            std::thread::sleep(GLANCE);
        }
        Ok(())
    }
}
