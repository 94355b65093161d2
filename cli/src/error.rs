//! What the errors of all commands have in common.

use std::fmt;

/// An error that ends a command.
pub trait CommandError: fmt::Display {
    /// Whether the reader of standard output has closed it, and no more output is needed. The command then ends without a
    /// message and with exit status 0.
    fn is_broken_pipe(&self) -> bool;
}
