//! Answers pull requests: one comment that says what the change would deny, and a commit status that a branch rule can require.
//!
//! GitHub tells of a pull request by a signed webhook. The reporter reads the tree that merging makes (GitHub's own test
//! merge), tells what changes as `foretell check` does, asks the evaluator what that does to the traffic of the last days, and
//! answers. The settings are read from the base: a change cannot weaken its own gate.
//!
//! The rooms, in the order in which a delivery passes them: [`webhook`] tells whether it is GitHub's, [`queue`] keeps which
//! pull requests wait for an answer, [`work`] takes them from there, [`tree`] reads base and merge through [`github`],
//! [`answer`] asks the evaluator, [`verdict`] is what becomes of that on GitHub, [`comment`] and [`post`] bring it there.
//! [`heal`] answers, on start, what was opened while nobody listened.
//!
//! # What holds
//!
//! - Nothing is said of a head that is not the pull request's any more.
//! - A required status that is never posted blocks for ever: so one is posted wherever a delivery was taken, also where no
//!   policy changed, and where nothing could be decided.
//! - What fails for now is asked again, with growing pauses, until it is answered or a newer delivery takes its place.
//! - A delivery counts as done once it was answered, not once it was seen: redelivering one that failed helps.
//! - No secret and no token is in a log, in an answer or in a status.
pub mod answer;
pub mod api;
pub mod args;
pub mod comment;
pub mod github;
pub mod heal;
pub mod metrics;
pub mod post;
pub mod queue;
pub mod run;
pub mod tree;
pub mod verdict;
pub mod webhook;
pub mod work;
