//! From the command line to what it asks for.

use crate::args::{Args, Command};
use crate::{act, capture, play};

/// Does what the command line says.
///
/// # Errors
/// Where the play cannot be set up, does not go as the scenario says, or is stopped.
pub fn run(args: Args) -> anyhow::Result<()> {
    let Args { command } = args;
    match command {
        Command::Play(args) => play::play(&args),
        Command::Act => act::act(),
        Command::Guarded(args) => capture::guarded(&args),
    }
}
