//! Waiting for a condition.

use std::thread;
use std::time::{Duration, Instant};

/// How long anything that a cluster does may take. Machines that run tests can be slow.
pub const PATIENCE: Duration = Duration::from_mins(2);

/// Asks until there is an answer, and returns it.
///
/// # Panics
/// With the last reason, once `PATIENCE` is over.
pub fn until<T>(what: &str, mut asked: impl FnMut() -> Result<T, String>) -> T {
    let deadline = Instant::now() + PATIENCE;
    loop {
        match asked() {
            Ok(answer) => return answer,
            Err(reason) if Instant::now() > deadline => panic!("after {PATIENCE:?} still not: {what}: {reason}"),
            Err(_) => thread::sleep(Duration::from_millis(200)),
        }
    }
}
