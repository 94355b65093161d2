//! The kernel stamps with the monotonic clock; flows carry wall-clock time.

use jiff::{SignedDuration, Timestamp};
use rustix::time::{ClockId, clock_gettime};

/// Both clocks, read in the same moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Moment {
    /// Nanoseconds of `CLOCK_MONOTONIC`, which `bpf_ktime_get_ns` reads too.
    pub monotonic: u64,
    /// The wall clock.
    pub wall: Timestamp,
}

impl Moment {
    /// Now.
    #[must_use]
    pub fn now() -> Self {
        let time = clock_gettime(ClockId::Monotonic);
        let seconds = u64::try_from(time.tv_sec).unwrap_or_default();
        let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or_default();
        Self { monotonic: seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds), wall: Timestamp::now() }
    }

    /// The wall-clock time of a stamp near this moment. A stepped wall clock moves all stamps of a window alike.
    #[must_use]
    pub fn wall_of(&self, stamp: u64) -> Timestamp {
        let ago = i128::from(self.monotonic) - i128::from(stamp);
        let ago = SignedDuration::from_nanos(i64::try_from(ago).unwrap_or_default());
        self.wall.checked_sub(ago).unwrap_or(self.wall)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_stamp_lies_as_far_from_now_as_the_monotonic_clock_says() {
        let moment = Moment { monotonic: 5_000_000_000, wall: "2026-11-21T01:40:10Z".parse().unwrap() };
        assert_eq!(moment.wall_of(3_000_000_000).to_string(), "2026-11-21T01:40:08Z");
        assert_eq!(moment.wall_of(5_500_000_000).to_string(), "2026-11-21T01:40:10.5Z");
        assert_eq!(moment.wall_of(u64::MAX).to_string(), "2026-11-21T01:40:10Z");
    }
}
