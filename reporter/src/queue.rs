//! The pull requests that wait for an answer.
//!
//! A pull request waits once even if several deliveries name it: it is answered for its head at that time. No two workers
//! process the same pull request at the same time. Answered deliveries are remembered, so that a repeated one is ignored.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::api::Repo;

/// Maximum number of answered deliveries that are remembered. GitHub can redeliver for three days.
const MAX_REMEMBERED: usize = 20_000;
/// Maximum number of deliveries that are kept for a waiting pull request. Further ones are answered with it, but not
/// remembered.
const MAX_DELIVERIES: usize = 100;
/// The pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const MAX_PAUSE: Duration = Duration::from_mins(5);

/// A pull request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PullKey {
    /// Its repository.
    pub repo: Repo,
    /// Its number.
    pub number: u64,
}

/// The result of an offer to the queue.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum OfferResult {
    /// The pull request waits for its answer.
    Queued,
    /// The delivery was answered before.
    Duplicate,
    /// The queue is full.
    Full,
}

/// A pull request that a worker answers now.
#[derive(Debug)]
pub struct Ticket {
    /// The pull request.
    pub key: PullKey,
    deliveries: Vec<String>,
    failures: u32,
}

/// The outcome of answering a pull request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// It is answered.
    Answered,
    /// It is answered, and is evaluated again after this pause, because the answer can change without a delivery.
    AnsweredUntil(Duration),
    /// It is not answered, and is retried, at the earliest after this pause.
    Failed(Option<Duration>),
    /// Its head or base changed meanwhile, so it is answered again at once.
    HeadChanged,
    /// It is not answered, and is not retried. A redelivery is accepted.
    GivenUp,
}

/// The pull requests that wait, and those that are being answered.
#[derive(Debug)]
pub struct Queue {
    max: usize,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: HashMap<PullKey, WaitingPull>,
    in_progress: HashSet<PullKey>,
    answered: HashSet<String>,
    answered_in_order: VecDeque<String>,
}

#[derive(Debug)]
struct WaitingPull {
    deliveries: Vec<String>,
    failures: u32,
    due: Instant,
}

impl Queue {
    /// An empty queue for at most `max` pull requests.
    #[must_use]
    pub fn new(max: usize) -> Self {
        Self { max, state: Mutex::default(), changed: Notify::new() }
    }

    /// Adds a pull request, because of this delivery if there is one.
    pub fn offer(&self, key: PullKey, delivery: Option<&str>) -> OfferResult {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if delivery.is_some_and(|delivery| state.answered.contains(delivery)) {
            return OfferResult::Duplicate;
        }
        if state.waiting.len() >= self.max && !state.waiting.contains_key(&key) {
            return OfferResult::Full;
        }
        let now = Instant::now();
        let new = WaitingPull { deliveries: Vec::new(), failures: 0, due: now };
        let waiting = state.waiting.entry(key).or_insert(new);
        waiting.due = now;
        waiting.failures = 0;
        if waiting.deliveries.len() < MAX_DELIVERIES {
            waiting.deliveries.extend(delivery.map(str::to_owned));
        }
        drop(state);
        self.changed.notify_waiters();
        OfferResult::Queued
    }

    /// Number of pull requests that wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).waiting.len()
    }

    /// Whether no pull request waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Waits for the next pull request that is due. The caller must return the ticket with [`Self::finish`].
    pub async fn next(&self) -> Ticket {
        loop {
            // Subscribed before the check, so that no change in between is missed.
            let changed = self.changed.notified();
            let due = match self.take() {
                Ok(ticket) => return ticket,
                Err(due) => due,
            };
            match due {
                Some(due) => tokio::select! {
                    () = changed => {}
                    () = tokio::time::sleep_until(due) => {}
                },
                None => changed.await,
            }
        }
    }

    /// Takes the pull request that is due first, or returns when one will be due.
    fn take(&self) -> Result<Ticket, Option<Instant>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { waiting, in_progress, .. } = &mut *state;
        let free = waiting.iter().filter(|(key, _)| !in_progress.contains(key));
        let Some((key, first)) = free.min_by_key(|(_, waiting)| waiting.due) else { return Err(None) };
        if first.due > Instant::now() {
            return Err(Some(first.due));
        }
        let key = key.clone();
        let Some(WaitingPull { deliveries, failures, .. }) = waiting.remove(&key) else { return Err(None) };
        in_progress.insert(key.clone());
        Ok(Ticket { key, deliveries, failures })
    }

    /// Returns a ticket. A pull request that is retried waits even if the queue is full, because it was accepted before.
    pub fn finish(&self, ticket: Ticket, outcome: Outcome) {
        let Ticket { key, deliveries, failures } = ticket;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.in_progress.remove(&key);
        let (again, deliveries, failures) = match outcome {
            Outcome::Answered | Outcome::AnsweredUntil(_) => {
                state.remember(deliveries);
                let again = if let Outcome::AnsweredUntil(pause) = outcome { Some(pause) } else { None };
                (again, Vec::new(), 0)
            }
            Outcome::GivenUp => (None, Vec::new(), 0),
            Outcome::HeadChanged => (Some(Duration::ZERO), deliveries, failures),
            Outcome::Failed(requested) => {
                let pause = FIRST_PAUSE.saturating_mul(1 << failures.min(10)).min(MAX_PAUSE);
                (Some(pause.max(requested.unwrap_or_default())), deliveries, failures + 1)
            }
        };
        if let Some(pause) = again {
            // If a newer delivery already waits, it is due earlier and has no failures yet.
            let new = WaitingPull { deliveries: Vec::new(), failures, due: Instant::now() + pause };
            let waiting = state.waiting.entry(key).or_insert(new);
            let room = MAX_DELIVERIES.saturating_sub(waiting.deliveries.len());
            waiting.deliveries.extend(deliveries.into_iter().take(room));
        }
        drop(state);
        self.changed.notify_waiters();
    }
}

impl Ticket {
    /// Number of earlier failures.
    #[must_use]
    pub fn failures(&self) -> u32 {
        self.failures
    }
}

impl State {
    fn remember(&mut self, deliveries: Vec<String>) {
        for delivery in deliveries {
            if self.answered.insert(delivery.clone()) {
                self.answered_in_order.push_back(delivery);
            }
        }
        while self.answered_in_order.len() > MAX_REMEMBERED {
            if let Some(oldest) = self.answered_in_order.pop_front() {
                self.answered.remove(&oldest);
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(number: u64) -> PullKey {
        PullKey { repo: Repo { installation: 1, owner: "o".to_owned(), name: "r".to_owned() }, number }
    }

    #[tokio::test(start_paused = true)]
    async fn two_deliveries_for_a_pull_request_are_answered_together() {
        let queue = Queue::new(10);
        assert_eq!(queue.offer(key(1), Some("a")), OfferResult::Queued);
        assert_eq!(queue.offer(key(1), Some("b")), OfferResult::Queued);
        assert_eq!(queue.len(), 1);
        let ticket = queue.next().await;
        queue.finish(ticket, Outcome::Answered);
        assert_eq!(queue.offer(key(1), Some("a")), OfferResult::Duplicate);
        assert_eq!(queue.offer(key(1), Some("b")), OfferResult::Duplicate);
        assert!(queue.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_redelivery_after_a_failure_is_due_at_once() {
        let queue = Queue::new(10);
        queue.offer(key(1), Some("a"));
        let ticket = queue.next().await;
        queue.finish(ticket, Outcome::Failed(None));
        let before = Instant::now();
        assert_eq!(queue.offer(key(1), Some("a")), OfferResult::Queued);
        assert_eq!(queue.next().await.failures(), 0);
        assert_eq!(before.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_and_are_not_shorter_than_requested() {
        let queue = Queue::new(10);
        queue.offer(key(1), Some("a"));
        let mut pauses = Vec::new();
        for requested in [None, None, Some(Duration::from_mins(2)), None] {
            let ticket = queue.next().await;
            let before = Instant::now();
            queue.finish(ticket, Outcome::Failed(requested));
            let ticket = queue.next().await;
            pauses.push(before.elapsed().as_secs());
            queue.finish(ticket, Outcome::HeadChanged);
        }
        assert_eq!(pauses, [5, 10, 120, 40]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pull_request_is_not_answered_twice_at_the_same_time() {
        let queue = Queue::new(10);
        queue.offer(key(1), Some("a"));
        let ticket = queue.next().await;
        queue.offer(key(1), Some("b"));
        let second = tokio::time::timeout(Duration::from_mins(1), queue.next()).await;
        assert!(second.is_err());
        queue.finish(ticket, Outcome::Answered);
        assert_eq!(queue.next().await.key, key(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_accepts_only_pull_requests_that_already_wait() {
        let queue = Queue::new(1);
        assert_eq!(queue.offer(key(1), Some("a")), OfferResult::Queued);
        assert_eq!(queue.offer(key(2), Some("b")), OfferResult::Full);
        assert_eq!(queue.offer(key(1), Some("c")), OfferResult::Queued);
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_may_change_is_due_again_and_its_delivery_is_remembered() {
        let queue = Queue::new(10);
        queue.offer(key(1), Some("a"));
        let ticket = queue.next().await;
        let before = Instant::now();
        queue.finish(ticket, Outcome::AnsweredUntil(Duration::from_mins(15)));
        assert_eq!(queue.offer(key(1), Some("a")), OfferResult::Duplicate);
        assert_eq!(queue.next().await.key, key(1));
        assert_eq!(before.elapsed(), Duration::from_mins(15));
    }

    #[tokio::test(start_paused = true)]
    async fn a_pull_request_that_was_given_up_waits_again_only_after_a_redelivery() {
        let queue = Queue::new(10);
        queue.offer(key(1), Some("a"));
        let ticket = queue.next().await;
        queue.finish(ticket, Outcome::GivenUp);
        assert!(queue.is_empty());
        assert_eq!(queue.offer(key(1), Some("a")), OfferResult::Queued);
    }

    #[tokio::test(start_paused = true)]
    async fn a_changed_head_is_due_at_once_without_a_failure() {
        let queue = Queue::new(10);
        queue.offer(key(1), Some("a"));
        let ticket = queue.next().await;
        let before = Instant::now();
        queue.finish(ticket, Outcome::HeadChanged);
        assert_eq!(queue.next().await.failures(), 0);
        assert_eq!(before.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn a_pull_request_is_retried_even_if_the_queue_is_full() {
        let queue = Queue::new(1);
        queue.offer(key(1), Some("a"));
        let ticket = queue.next().await;
        assert_eq!(queue.offer(key(2), Some("b")), OfferResult::Queued);
        queue.finish(ticket, Outcome::Failed(None));
        assert_eq!(queue.len(), 2);
    }

    #[test]
    fn the_oldest_answered_deliveries_are_forgotten_first() {
        let mut state = State::default();
        state.remember((0..=MAX_REMEMBERED).map(|number| number.to_string()).collect());
        assert_eq!((state.answered.len(), state.answered_in_order.len()), (MAX_REMEMBERED, MAX_REMEMBERED));
        assert!(!state.answered.contains("0"));
        assert!(state.answered.contains("1") && state.answered.contains(&MAX_REMEMBERED.to_string()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_waiting_pull_request_keeps_a_limited_number_of_deliveries() {
        let queue = Queue::new(1);
        for number in 0..=MAX_DELIVERIES {
            assert_eq!(queue.offer(key(1), Some(&number.to_string())), OfferResult::Queued);
        }
        assert_eq!(queue.next().await.deliveries.len(), MAX_DELIVERIES);
    }
}
