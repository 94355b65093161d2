//! The `foretell` command.
pub mod source;
