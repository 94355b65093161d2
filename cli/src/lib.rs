//! The `foretell` command: reads files or queries an evaluator, and prints the answer. `foretell-policy` makes the decisions.
//!
//! Exit status of every command: 0 done (`check`: the change may merge; `explain`: the connection is allowed), 1 the change is
//! blocked or pending (`check`), the connection is denied (`explain`), 2 an input cannot be used or the answer is unknown.

pub mod args;
pub mod check;
pub mod denials;
pub mod error;
pub mod evaluate;
pub mod explain;
pub mod flows;
pub mod generate;
pub mod messages;
pub mod observation;
pub mod progress;
pub mod run;
pub mod snapshot;
pub mod source;
pub mod table;
