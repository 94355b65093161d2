//! The answers by head commit. Several pull requests can have the same head, but a status belongs to the commit, so the worst
//! answer to any of them is posted.

use std::collections::{BTreeMap, HashMap};

use crate::api::Repo;
use crate::queue::PullKey;
use crate::verdict::State;

/// Maximum number of heads whose answers are remembered.
const MAX_HEADS: usize = 10_000;

/// State and description of a status.
pub type Answer = (State, String);

/// The answers by the head of the pull request.
#[derive(Debug, Default)]
pub struct Answers {
    heads: HashMap<Head, BTreeMap<u64, Answer>>,
}

/// A commit that is the head of pull requests.
type Head = (Repo, String);

impl Answers {
    /// Remembers the answer to a pull request with this head, and returns the worst answer to all pull requests with it. The
    /// answer to an earlier head of the pull request is forgotten.
    pub fn record(&mut self, key: &PullKey, sha: &str, answer: Answer) -> Answer {
        self.heads.retain(|(repo, head), pulls| {
            if *repo == key.repo && head != sha {
                pulls.remove(&key.number);
            }
            !pulls.is_empty()
        });
        if self.heads.len() >= MAX_HEADS {
            self.heads.clear();
        }
        let pulls = self.heads.entry((key.repo.clone(), sha.to_owned())).or_default();
        pulls.insert(key.number, answer.clone());
        worst(pulls).unwrap_or(answer)
    }

    /// Forgets the answer to a closed pull request. Returns its heads that other pull requests have too, with their worst
    /// answers.
    pub fn forget(&mut self, key: &PullKey) -> Vec<(String, Answer)> {
        let mut changed = Vec::new();
        for ((_, sha), pulls) in self.heads.iter_mut().filter(|((repo, _), _)| *repo == key.repo) {
            if pulls.remove(&key.number).is_some() {
                changed.extend(worst(pulls).map(|worst| (sha.clone(), worst)));
            }
        }
        self.heads.retain(|_, pulls| !pulls.is_empty());
        changed
    }
}

fn worst(pulls: &BTreeMap<u64, Answer>) -> Option<Answer> {
    pulls.values().max_by_key(|(state, _)| *state).cloned()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key(name: &str, number: u64) -> PullKey {
        PullKey { repo: Repo { installation: 1, owner: "acme".to_owned(), name: name.to_owned() }, number }
    }

    fn answer(state: State, description: &str) -> Answer {
        (state, description.to_owned())
    }

    #[test]
    fn the_worst_answer_to_pull_requests_with_the_same_head_counts() {
        let mut answers = Answers::default();
        let (good, bad) = (answer(State::Success, "good"), answer(State::Failure, "bad"));
        assert_eq!(answers.record(&key("shop", 1), "a", bad.clone()), bad);
        assert_eq!(answers.record(&key("shop", 2), "a", good.clone()), bad);
        assert_eq!(answers.record(&key("shop", 1), "a", good.clone()), good);
    }

    #[test]
    fn a_closed_pull_request_no_longer_counts() {
        let mut answers = Answers::default();
        let (good, bad) = (answer(State::Success, "good"), answer(State::Failure, "bad"));
        answers.record(&key("shop", 1), "a", bad);
        answers.record(&key("shop", 2), "a", good.clone());
        assert_eq!(answers.forget(&key("shop", 1)), [("a".to_owned(), good)]);
        assert_eq!(answers.forget(&key("shop", 1)), [], "it is forgotten");
        assert_eq!(answers.forget(&key("shop", 2)), [], "no other pull request has the head");
        assert!(answers.heads.is_empty());
    }

    #[test]
    fn the_answer_to_an_earlier_head_is_forgotten() {
        let mut answers = Answers::default();
        let (good, bad) = (answer(State::Success, "good"), answer(State::Failure, "bad"));
        answers.record(&key("shop", 1), "a", bad);
        answers.record(&key("shop", 1), "b", good.clone());
        assert_eq!(answers.record(&key("shop", 2), "a", good.clone()), good);
    }

    #[test]
    fn repositories_are_independent_of_each_other() {
        let mut answers = Answers::default();
        let (good, bad) = (answer(State::Success, "good"), answer(State::Failure, "bad"));
        answers.record(&key("shop", 1), "a", bad.clone());
        assert_eq!(answers.record(&key("fork", 1), "a", good.clone()), good);
        assert_eq!(answers.forget(&key("fork", 1)), []);
        assert_eq!(answers.record(&key("shop", 2), "a", good), bad);
    }

    #[test]
    fn the_number_of_remembered_heads_is_limited() {
        let mut answers = Answers::default();
        for number in 0..=MAX_HEADS as u64 {
            answers.heads.insert(
                (key("shop", 0).repo, number.to_string()),
                BTreeMap::from([(number, answer(State::Success, ""))]),
            );
        }
        answers.record(&key("shop", 1), "head", answer(State::Success, ""));
        assert_eq!(answers.heads.len(), 1);
    }
}
