//! Takes pull requests from the queue and answers them.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::answer::Reporter;
use crate::metrics::Metrics;
use crate::queue::{Done, PullKey, Queue, Ticket};

/// Pull requests that are answered at a time.
pub const AT_ONCE: usize = 4;
/// How often something is tried that more tries are not likely to help.
const MOST_TRIES: u32 = 5;

/// Answers one after another until it is told to stop.
///
/// # Errors
/// Never: what fails is tried again.
pub async fn work(
    reporter: Arc<Reporter>,
    queue: Arc<Queue>,
    metrics: Metrics,
    stop: CancellationToken,
) -> anyhow::Result<()> {
    loop {
        let ticket = tokio::select! {
            () = stop.cancelled() => return Ok(()),
            ticket = queue.next() => ticket,
        };
        let answering = Arc::clone(&reporter);
        let key = ticket.key.clone();
        // A task of its own: one pull request that makes it panic must not keep all others from their answer.
        let mut answer = tokio::spawn(async move { answering.answer(&key).await });
        let answered = tokio::select! {
            answered = &mut answer => answered,
            () = stop.cancelled() => {
                // What is half done is done on the next start.
                answer.abort();
                return Ok(());
            }
        };
        let PullKey { repo, number } = &ticket.key;
        let done = match answered {
            Ok(Ok(done)) => done,
            Ok(Err(error)) => {
                metrics.failure("github");
                warn!(pull.repo = %repo, pull.number = number, %error, "{repo}#{number} could not be answered: {error}");
                after_failure(&ticket, error.is_transient(), error.retry_after())
            }
            Err(panic) => {
                metrics.failure("panic");
                error!(pull.repo = %repo, pull.number = number, %panic, "{repo}#{number} could not be answered: {panic}");
                after_failure(&ticket, false, None)
            }
        };
        queue.done(ticket, done);
        metrics.waiting.set(i64::try_from(queue.len()).unwrap_or(i64::MAX));
    }
}

fn after_failure(ticket: &Ticket, is_transient: bool, pause: Option<std::time::Duration>) -> Done {
    if !is_transient && ticket.failures() + 1 >= MOST_TRIES {
        return Done::GivenUp;
    }
    Done::Failed(pause)
}
