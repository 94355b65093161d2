//! The parts of a process that run side by side: it ends when it is asked to, or when one of them ends unasked.

use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How long parts may take to end once they were asked to.
const GRACE: Duration = Duration::from_secs(20);

/// What runs.
#[derive(Debug)]
pub struct Tasks {
    stop: CancellationToken,
    running: JoinSet<(&'static str, anyhow::Result<()>)>,
}

impl Tasks {
    /// Nothing yet; SIGTERM and SIGINT ask to stop, and a second signal ends the process at once.
    ///
    /// # Errors
    /// Where signals cannot be listened for.
    pub fn new() -> anyhow::Result<Self> {
        let stop = CancellationToken::new();
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let asked = stop.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                if asked.is_cancelled() {
                    warn!("Asked to stop twice: ends at once");
                    std::process::exit(1);
                }
                info!("Asked to stop");
                asked.cancel();
            }
        });
        Ok(Self { stop, running: JoinSet::new() })
    }

    /// What tells the parts to end.
    #[must_use]
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Runs a part. It ends when it is told to, and not before.
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        self.running.spawn(async move { (name, task.await) });
    }

    /// Waits until the process is asked to stop, and then until all parts have ended.
    ///
    /// # Errors
    /// Where a part ended unasked, failed, panicked, or does not end.
    pub async fn run(mut self) -> anyhow::Result<()> {
        let mut first = Ok(());
        while let Some(ended) = self.running.join_next().await {
            let asked = self.stop.is_cancelled();
            let result = match ended {
                Ok((name, result)) => {
                    let result = result.with_context(|| format!("{name} failed"));
                    if asked { result } else { result.and_then(|()| Err(anyhow::anyhow!("{name} ended unasked"))) }
                }
                Err(panic) => Err(anyhow::Error::new(panic).context("a part of the process panicked")),
            };
            if first.is_ok() {
                first = result;
            }
            if !asked {
                self.stop.cancel();
            }
            if self.stop.is_cancelled() {
                break;
            }
        }
        let rest = async { while self.running.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, rest).await.is_err() && first.is_ok() {
            first = Err(anyhow::anyhow!("some parts had not ended {} s after they were told to", GRACE.as_secs()));
        }
        first
    }
}
