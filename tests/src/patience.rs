//! Waiting for a condition.

use std::thread;
use std::time::{Duration, Instant};

/// How long a test waits for a cluster. Machines that run tests can be slow.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// Repeats a check until it succeeds, and returns its result.
///
/// # Panics
/// With the last error, after `PATIENCE`.
pub fn until<T>(what: &str, mut check: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match check() {
            Ok(result) => return result,
            Err(reason) if Instant::now() > deadline => panic!("not within {PATIENCE:?}: {what}: {reason}"),
            Err(_) => thread::sleep(Duration::from_millis(200)),
        }
    }
}
