//! Falls once, and wakes everybody who waits for it.

use std::sync::{Condvar, Mutex, PoisonError};
use std::time::Duration;

/// Whether the play is over for one process.
#[derive(Debug, Default)]
pub struct Curtain {
    fallen: Mutex<bool>,
    falls: Condvar,
}

impl Curtain {
    /// Lets it fall.
    pub fn fall(&self) {
        *self.fallen.lock().unwrap_or_else(PoisonError::into_inner) = true;
        self.falls.notify_all();
    }

    /// Waits for so long, less when it falls. Returns whether it has fallen.
    #[must_use]
    pub fn wait(&self, most: Duration) -> bool {
        let fallen = self.fallen.lock().unwrap_or_else(PoisonError::into_inner);
        let waited = self.falls.wait_timeout_while(fallen, most, |fallen| !*fallen);
        *waited.unwrap_or_else(PoisonError::into_inner).0
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn whoever_waits_is_woken() {
        let curtain = Curtain::default();
        assert!(!curtain.wait(Duration::from_millis(1)));
        thread::scope(|scope| {
            let waiting = scope.spawn(|| curtain.wait(Duration::from_mins(1)));
            curtain.fall();
            assert!(waiting.join().unwrap());
        });
    }
}
