//! The reporter answers pull requests with one comment that lists what the change would deny, and with a commit status that a
//! branch rule can require.
//!
//! GitHub announces a pull request with a signed webhook delivery. The reporter reads the tree of GitHub's own test merge,
//! determines what changes as `foretell check` does, queries the evaluator for the effect on recent traffic, and posts the
//! answer. It reads the settings from the base, so a change cannot weaken its own gate.
//!
//! The modules, in the order in which a delivery passes through them: [`webhook`] checks the signature, [`queue`] keeps the pull
//! requests that wait for an answer, [`work`] takes them from it, [`tree`] reads base and merge through [`github`], [`answer`]
//! queries the evaluator, [`verdict`] turns the report into state and comment, [`comment`] and [`post`] write them to GitHub.
//! On start, [`catch_up`] offers all open pull requests to the queue.
//!
//! # Guarantees
//!
//! - No answer is posted for a commit that is no longer the head of the pull request.
//! - A required status that is never posted blocks a merge for ever. So a status is posted for every accepted delivery, even if
//!   no policy changed or no decision is possible.
//! - Temporary failures are retried with growing pauses, until the pull request is answered or a newer delivery replaces it.
//! - A delivery counts as processed when it is answered, not when it arrives. Redelivering one that failed starts it again.
//! - Logs, answers and statuses contain no secret and no token.
pub mod answer;
pub mod answers;
pub mod api;
pub mod args;
pub mod catch_up;
pub mod comment;
pub mod github;
pub mod metrics;
pub mod post;
pub mod queue;
pub mod run;
pub mod tree;
pub mod verdict;
pub mod webhook;
pub mod work;
