//! Remembers the API server's answers for a short time.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use sha2::{Digest as _, Sha256};

use crate::access::caller::Caller;
use crate::refusal::Refusal;

/// How long an answer is reused. A revoked token is accepted for this long.
const LIFETIME: Duration = Duration::from_secs(30);
/// Most answers that are kept. Anyone can send tokens, so the number must have a limit.
const CAPACITY: usize = 4096;

/// What the API server is asked. The token is kept as its hash.
#[derive(Clone, PartialEq, Eq, Hash)]
pub(super) struct Question {
    token: [u8; 32],
    verb: String,
    path: String,
}

impl Question {
    pub(super) fn new(token: &str, verb: &str, path: &str) -> Self {
        Self { token: Sha256::digest(token.as_bytes()).into(), verb: verb.to_owned(), path: path.to_owned() }
    }
}

type Answer = Result<Caller, Refusal>;

/// The answers, each with the time at which it was given.
#[derive(Default)]
pub(super) struct AnswerCache(HashMap<Question, (Instant, Answer)>);

impl AnswerCache {
    pub(super) fn get(&self, question: &Question, now: Instant) -> Option<Answer> {
        let (since, answer) = self.0.get(question)?;
        is_fresh(*since, now).then(|| answer.clone())
    }

    /// Keeps an answer, unless it is a server error: that says nothing about the caller.
    pub(super) fn insert(&mut self, question: Question, answer: Answer, now: Instant) {
        if matches!(&answer, Err(refusal) if refusal.status.is_server_error()) {
            return;
        }
        if self.0.len() >= CAPACITY {
            self.0.retain(|_, (since, _)| is_fresh(*since, now));
        }
        if self.0.len() >= CAPACITY {
            self.0.clear();
        }
        self.0.insert(question, (now, answer));
    }
}

fn is_fresh(since: Instant, now: Instant) -> bool {
    now.duration_since(since) < LIFETIME
}

#[cfg(test)]
mod tests {
    use super::*;

    fn caller() -> Caller {
        Caller { name: "a".to_owned(), node: None, is_operator: false }
    }

    fn question(token: &str) -> Question {
        Question::new(token, "get", "/x")
    }

    #[test]
    fn an_answer_expires() {
        let start = Instant::now();
        let mut cache = AnswerCache::default();
        cache.insert(question("a"), Ok(caller()), start);
        let just_before = start + Duration::from_millis(29_999);
        assert_eq!(cache.get(&question("a"), just_before), Some(Ok(caller())));
        assert_eq!(cache.get(&question("a"), start + LIFETIME), None);
    }

    #[test]
    fn refusals_are_kept_and_server_errors_are_not() {
        let start = Instant::now();
        let mut cache = AnswerCache::default();
        for (refusal, is_kept) in [
            (Refusal::unauthorized("x"), true),
            (Refusal::forbidden("x"), true),
            (Refusal::unavailable("x"), false),
            (Refusal::internal(&"x"), false),
        ] {
            cache.insert(question("a"), Err(refusal.clone()), start);
            assert_eq!(cache.get(&question("a"), start), is_kept.then(|| Err(refusal.clone())), "{refusal:?}");
            cache = AnswerCache::default();
        }
    }

    #[test]
    fn a_full_cache_drops_expired_answers_and_all_of_them_if_none_has_expired() {
        let start = Instant::now();
        let mut cache = AnswerCache::default();
        cache.insert(question("old"), Ok(caller()), start);
        let later = start + LIFETIME;
        for number in 1..CAPACITY {
            cache.insert(question(&number.to_string()), Ok(caller()), later);
        }
        cache.insert(question("new"), Ok(caller()), later);
        assert_eq!(cache.0.len(), CAPACITY, "the expired one made room");
        assert!(cache.get(&question("1"), later).is_some());
        cache.insert(question("newer"), Ok(caller()), later);
        assert_eq!(cache.0.len(), 1);
        assert!(cache.get(&question("newer"), later).is_some());
    }
}
