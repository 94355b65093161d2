//! Takes pull requests from the queue and answers them.

use std::sync::Arc;

use tokio_util::sync::CancellationToken;
use tracing::{error, warn};

use crate::answer::Reporter;
use crate::metrics::Metrics;
use crate::queue::{Outcome, PullKey, Queue, Ticket};

/// Number of pull requests that are answered at the same time.
pub const WORKERS: usize = 4;
/// Maximum number of attempts after failures that are not transient.
const MAX_ATTEMPTS: u32 = 5;

/// Answers one pull request after another until the stop signal.
///
/// # Errors
/// Never: failures are retried.
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
        // A separate task, so that a panic in one pull request does not stop the answers to others.
        let mut answer = tokio::spawn(async move { answering.answer(&key).await });
        let result = tokio::select! {
            result = &mut answer => result,
            () = stop.cancelled() => {
                // The next start answers this pull request.
                answer.abort();
                return Ok(());
            }
        };
        let PullKey { repo, number } = &ticket.key;
        let outcome = match result {
            Ok(Ok(outcome)) => outcome,
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
        queue.finish(ticket, outcome);
        metrics.waiting.set(i64::try_from(queue.len()).unwrap_or(i64::MAX));
    }
}

fn after_failure(ticket: &Ticket, is_transient: bool, pause: Option<std::time::Duration>) -> Outcome {
    if !is_transient && ticket.failures() + 1 >= MAX_ATTEMPTS {
        return Outcome::GivenUp;
    }
    Outcome::Failed(pause)
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::api::Repo;

    #[tokio::test(start_paused = true)]
    async fn transient_failures_are_always_retried_and_others_five_times() {
        let repo = Repo { installation: 1, owner: "o".to_owned(), name: "r".to_owned() };
        let queue = Queue::new(1);
        queue.offer(PullKey { repo, number: 1 }, None);
        let pause = Some(Duration::from_secs(7));
        for _ in 1..MAX_ATTEMPTS {
            let ticket = queue.next().await;
            assert_eq!(after_failure(&ticket, false, pause), Outcome::Failed(pause));
            queue.finish(ticket, Outcome::Failed(None));
        }
        let ticket = queue.next().await;
        assert_eq!(after_failure(&ticket, false, pause), Outcome::GivenUp);
        assert_eq!(after_failure(&ticket, true, None), Outcome::Failed(None));
    }
}
