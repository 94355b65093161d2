//! Converts the monotonic time of the kernel's records into wall-clock time for flows.

use jiff::{SignedDuration, Timestamp};
use rustix::time::{ClockId, clock_gettime};

/// Both clocks, read at the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Nanoseconds of `CLOCK_MONOTONIC`, which `bpf_ktime_get_ns` reads too.
    pub monotonic: u64,
    /// The wall clock.
    pub wall: Timestamp,
}

impl Moment {
    /// Reads both clocks.
    #[must_use]
    pub fn now() -> Self {
        let time = clock_gettime(ClockId::Monotonic);
        let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
        let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or_default();
        Self { monotonic: seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds), wall: Timestamp::now() }
    }

    /// The wall-clock time of a monotonic time near this moment. If the wall clock is stepped, all times of a window move by
    /// the same amount.
    #[must_use]
    pub fn wall_of(&self, monotonic: u64) -> Timestamp {
        let ago = i128::from(self.monotonic) - i128::from(monotonic);
        let ago = SignedDuration::from_nanos(i64::try_from(ago).unwrap_or_default());
        self.wall.checked_sub(ago).unwrap_or(self.wall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_time_and_monotonic_time_are_equally_far_from_the_moment() {
        let moment = Moment { monotonic: 5_000_000_000, wall: "2026-11-21T01:40:10Z".parse().unwrap() };
        assert_eq!(moment.wall_of(3_000_000_000).to_string(), "2026-11-21T01:40:08Z");
        assert_eq!(moment.wall_of(5_500_000_000).to_string(), "2026-11-21T01:40:10.5Z");
        assert_eq!(moment.wall_of(u64::MAX).to_string(), "2026-11-21T01:40:10Z");
    }
}
