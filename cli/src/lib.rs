//! The `foretell` command.
