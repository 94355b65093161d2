//! The tasks of a process. The process ends when it is asked to stop, or when one of its tasks ends before that.

use std::time::Duration;

use anyhow::Context as _;
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;
use tracing::{info, warn};

/// How long tasks may take to end after they were asked to stop.
const GRACE: Duration = Duration::from_secs(20);

/// The running tasks.
#[derive(Debug)]
pub struct Tasks {
    stop: CancellationToken,
    running: JoinSet<(&'static str, anyhow::Result<()>)>,
}

impl Tasks {
    /// No tasks yet. SIGTERM and SIGINT ask the tasks to stop; a second signal ends the process at once.
    ///
    /// # Errors
    /// Signal handlers cannot be installed.
    pub fn new() -> anyhow::Result<Self> {
        let stop = CancellationToken::new();
        let (mut terminate, mut interrupt) = (signal(SignalKind::terminate())?, signal(SignalKind::interrupt())?);
        let on_signal = stop.clone();
        tokio::spawn(async move {
            loop {
                tokio::select! {
                    _ = terminate.recv() => {}
                    _ = interrupt.recv() => {}
                }
                if on_signal.is_cancelled() {
                    warn!("Second signal: exits at once");
                    std::process::exit(1);
                }
                info!("Asked to stop");
                on_signal.cancel();
            }
        });
        Ok(Self { stop, running: JoinSet::new() })
    }

    /// Is cancelled when the tasks should end.
    #[must_use]
    pub fn stop(&self) -> CancellationToken {
        self.stop.clone()
    }

    /// Starts a task. It must not end before [`Tasks::stop`] is cancelled.
    pub fn spawn(&mut self, name: &'static str, task: impl Future<Output = anyhow::Result<()>> + Send + 'static) {
        self.running.spawn(async move { (name, task.await) });
    }

    /// Waits until the process is asked to stop, and then until all tasks have ended.
    ///
    /// # Errors
    /// A task ended too early, failed, panicked, or did not end after it was asked to stop.
    pub async fn run(mut self) -> anyhow::Result<()> {
        let mut first = Ok(());
        while let Some(ended) = self.running.join_next().await {
            let is_stopping = self.stop.is_cancelled();
            let result = match ended {
                Ok((name, Ok(()))) if !is_stopping => Err(anyhow::anyhow!("{name} ended unexpectedly")),
                Ok((name, result)) => result.with_context(|| format!("{name} failed")),
                Err(panic) => Err(anyhow::Error::new(panic).context("a task panicked")),
            };
            if first.is_ok() {
                first = result;
            }
            if !is_stopping {
                self.stop.cancel();
            }
            if self.stop.is_cancelled() {
                break;
            }
        }
        let rest = async { while self.running.join_next().await.is_some() {} };
        if tokio::time::timeout(GRACE, rest).await.is_err() && first.is_ok() {
            first = Err(anyhow::anyhow!("some tasks did not end within {} s of being asked to stop", GRACE.as_secs()));
        }
        first
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    async fn end_of(task: impl Future<Output = anyhow::Result<()>> + Send + 'static, is_asked: bool) -> String {
        let mut tasks = Tasks::new().unwrap();
        let stop = tasks.stop();
        let waiting = stop.clone();
        tasks.spawn("the other", async move {
            waiting.cancelled().await;
            Ok(())
        });
        if is_asked {
            stop.cancel();
        }
        tasks.spawn("the task", task);
        match tasks.run().await {
            Ok(()) => String::new(),
            Err(error) => format!("{error:#}"),
        }
    }

    #[tokio::test]
    async fn a_task_that_ends_too_early_ends_the_process_and_is_named() {
        assert_eq!(end_of(async { Ok(()) }, false).await, "the task ended unexpectedly");
        assert_eq!(end_of(async { anyhow::bail!("no disk") }, false).await, "the task failed: no disk");
        assert!(end_of(async { panic!("oh") }, false).await.starts_with("a task panicked"));
    }

    #[tokio::test]
    async fn tasks_that_end_when_asked_end_the_process_without_an_error() {
        assert_eq!(end_of(async { Ok(()) }, true).await, "");
    }
}
