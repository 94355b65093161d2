//! The `foretell` command: it reads files, asks the engine and prints. Everything that it answers, `foretell-policy` answers.
//!
//! Exit status of every command: 0 done (`check`: may merge; `explain`: may reach), 1 blocked (`check`), may not reach (`explain`),
//! 2 an input could not be used or the answer could not be decided.

pub mod args;
pub mod check;
pub mod denials;
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
