//! Which pull requests wait for an answer.
//!
//! Each waits once, however many deliveries name it: the answer is of its head as it is then. Nobody works on one pull
//! request twice at a time. Deliveries that were answered are remembered, so that one that comes again is not.

use std::collections::{HashMap, HashSet, VecDeque};
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::Notify;
use tokio::time::Instant;

use crate::api::Repo;

/// Answered deliveries that are remembered. GitHub keeps deliveries for three days.
const REMEMBERED: usize = 20_000;
/// Deliveries that one waiting pull request keeps; those beyond are answered with it and not remembered.
const KEPT_DELIVERIES: usize = 100;
/// The pause after the first failure; it doubles with each further one.
const FIRST_PAUSE: Duration = Duration::from_secs(5);
const LONGEST_PAUSE: Duration = Duration::from_mins(5);

/// A pull request.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct PullKey {
    /// Where.
    pub repo: Repo,
    /// Its number.
    pub number: u64,
}

/// What became of an offer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Offered {
    /// It waits.
    Waits,
    /// It was answered before.
    Answered,
    /// Too many wait.
    Full,
}

/// A pull request that is to be answered now.
#[derive(Debug)]
pub struct Ticket {
    /// Which.
    pub key: PullKey,
    deliveries: Vec<String>,
    failures: u32,
}

/// What becomes of a ticket.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Done {
    /// It is answered.
    Answered,
    /// It is answered, and to be looked at again after a while: the answer may become another one by itself.
    AnsweredUntil(Duration),
    /// It is not answered, and to be tried again: not before this pause, if there is one.
    Failed(Option<Duration>),
    /// It moved while it was being answered.
    Moved,
    /// It is not answered, and trying again is no use. A delivery that comes again is taken.
    GivenUp,
}

/// The queue.
#[derive(Debug)]
pub struct Queue {
    most: usize,
    state: Mutex<State>,
    changed: Notify,
}

#[derive(Debug, Default)]
struct State {
    waiting: HashMap<PullKey, Waiting>,
    under_way: HashSet<PullKey>,
    answered: HashSet<String>,
    answered_in_order: VecDeque<String>,
}

#[derive(Debug)]
struct Waiting {
    deliveries: Vec<String>,
    failures: u32,
    due: Instant,
}

impl Queue {
    /// Holds so many at most.
    #[must_use]
    pub fn new(most: usize) -> Self {
        Self { most, state: Mutex::default(), changed: Notify::new() }
    }

    /// A pull request is to be answered, because of this delivery if there is one.
    pub fn offer(&self, key: PullKey, delivery: Option<&str>) -> Offered {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        if delivery.is_some_and(|delivery| state.answered.contains(delivery)) {
            return Offered::Answered;
        }
        if state.waiting.len() >= self.most && !state.waiting.contains_key(&key) {
            return Offered::Full;
        }
        let now = Instant::now();
        let new = Waiting { deliveries: Vec::new(), failures: 0, due: now };
        let waiting = state.waiting.entry(key).or_insert(new);
        waiting.due = now;
        waiting.failures = 0;
        if waiting.deliveries.len() < KEPT_DELIVERIES {
            waiting.deliveries.extend(delivery.map(str::to_owned));
        }
        drop(state);
        self.changed.notify_waiters();
        Offered::Waits
    }

    /// How many wait.
    #[must_use]
    pub fn len(&self) -> usize {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).waiting.len()
    }

    /// Whether none waits.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// The next one that is due. Whoever takes it gives it back by [`Self::done`].
    pub async fn next(&self) -> Ticket {
        loop {
            // Asked for before looking, so that nothing that happens in between is missed.
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

    /// The one that is due first, or when one will be.
    fn take(&self) -> Result<Ticket, Option<Instant>> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let State { waiting, under_way, .. } = &mut *state;
        let free = waiting.iter().filter(|(key, _)| !under_way.contains(key));
        let Some((key, first)) = free.min_by_key(|(_, waiting)| waiting.due) else { return Err(None) };
        if first.due > Instant::now() {
            return Err(Some(first.due));
        }
        let key = key.clone();
        let Some(Waiting { deliveries, failures, .. }) = waiting.remove(&key) else { return Err(None) };
        under_way.insert(key.clone());
        Ok(Ticket { key, deliveries, failures })
    }

    /// Gives a ticket back. One that has to be tried again waits on even where the queue is full: it was taken before.
    pub fn done(&self, ticket: Ticket, done: Done) {
        let Ticket { key, deliveries, failures } = ticket;
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.under_way.remove(&key);
        let (again, deliveries, failures) = match done {
            Done::Answered | Done::AnsweredUntil(_) => {
                state.remember(deliveries);
                let again = if let Done::AnsweredUntil(pause) = done { Some(pause) } else { None };
                (again, Vec::new(), 0)
            }
            Done::GivenUp => (None, Vec::new(), 0),
            Done::Moved => (Some(Duration::ZERO), deliveries, failures),
            Done::Failed(asked) => {
                let pause = FIRST_PAUSE.saturating_mul(1 << failures.min(10)).min(LONGEST_PAUSE);
                (Some(pause.max(asked.unwrap_or_default())), deliveries, failures + 1)
            }
        };
        if let Some(pause) = again {
            // Where a newer delivery waits already it comes sooner, and starts afresh.
            let new = Waiting { deliveries: Vec::new(), failures, due: Instant::now() + pause };
            let waiting = state.waiting.entry(key).or_insert(new);
            let room = KEPT_DELIVERIES.saturating_sub(waiting.deliveries.len());
            waiting.deliveries.extend(deliveries.into_iter().take(room));
        }
        drop(state);
        self.changed.notify_waiters();
    }
}

impl Ticket {
    /// How often it failed before.
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
        while self.answered_in_order.len() > REMEMBERED {
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
    async fn deliveries_of_one_pull_request_are_answered_once() {
        let queue = Queue::new(10);
        assert_eq!(queue.offer(key(1), Some("a")), Offered::Waits);
        assert_eq!(queue.offer(key(1), Some("b")), Offered::Waits);
        assert_eq!(queue.len(), 1);
        let ticket = queue.next().await;
        queue.done(ticket, Done::Answered);
        assert_eq!(queue.offer(key(1), Some("a")), Offered::Answered);
        assert_eq!(queue.offer(key(1), Some("b")), Offered::Answered);
        assert!(queue.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn a_delivery_that_failed_may_come_again() {
        let queue = Queue::new(10);
        queue.offer(key(1), Some("a"));
        let ticket = queue.next().await;
        queue.done(ticket, Done::Failed(None));
        let before = Instant::now();
        assert_eq!(queue.offer(key(1), Some("a")), Offered::Waits);
        assert_eq!(queue.next().await.failures(), 0);
        assert_eq!(before.elapsed(), Duration::ZERO);
    }

    #[tokio::test(start_paused = true)]
    async fn pauses_grow_and_heed_what_was_asked() {
        let queue = Queue::new(10);
        queue.offer(key(1), Some("a"));
        let mut pauses = Vec::new();
        for asked in [None, None, Some(Duration::from_mins(2)), None] {
            let ticket = queue.next().await;
            let before = Instant::now();
            queue.done(ticket, Done::Failed(asked));
            let ticket = queue.next().await;
            pauses.push(before.elapsed().as_secs());
            queue.done(ticket, Done::Moved);
        }
        assert_eq!(pauses, [5, 10, 120, 40]);
    }

    #[tokio::test(start_paused = true)]
    async fn one_pull_request_is_not_worked_on_twice_at_a_time() {
        let queue = Queue::new(10);
        queue.offer(key(1), Some("a"));
        let ticket = queue.next().await;
        queue.offer(key(1), Some("b"));
        let second = tokio::time::timeout(Duration::from_mins(1), queue.next()).await;
        assert!(second.is_err());
        queue.done(ticket, Done::Answered);
        assert_eq!(queue.next().await.key, key(1));
    }

    #[tokio::test(start_paused = true)]
    async fn a_full_queue_takes_no_other_and_forgets_none() {
        let queue = Queue::new(1);
        assert_eq!(queue.offer(key(1), Some("a")), Offered::Waits);
        assert_eq!(queue.offer(key(2), Some("b")), Offered::Full);
        assert_eq!(queue.offer(key(1), Some("c")), Offered::Waits);
    }
}
