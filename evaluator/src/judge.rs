//! Asks the engine: what audit policies would deny, and what a change would do. Nothing here does any I/O.

pub mod assembled;
pub mod judged;
pub mod policies;
pub mod preview;
pub mod promotion;
mod report;
pub mod verdicts;
