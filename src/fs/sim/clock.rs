//! A clock that stands still until it is told to move.

use crate::clock::Clock;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// 2024-01-01T00:00:00Z, so that a new clock shows a plausible date.
const START_MS: u64 = 1_704_067_200_000;

/// The clock of a [`SimFs`](super::SimFs): it moves only when told to.
///
/// Wall time ([`Clock::now_ms`]) may be set to anything; elapsed time
/// ([`Clock::elapsed`]) only ever grows, and only by [`SimClock::advance`].
///
/// ```
/// use esker::sim::SimFs;
/// use esker::Clock;
/// use std::time::Duration;
/// let clock = SimFs::new().sim_clock();
/// clock.set_ms(10_000);
/// clock.advance(Duration::from_millis(500));
/// assert_eq!(clock.now_ms(), 10_500);
/// clock.step_back(Duration::from_secs(3)); // As after a correction of the time.
/// assert_eq!(clock.now_ms(), 7_500);
/// assert_eq!(clock.elapsed(), Duration::from_millis(500)); // That never goes back.
/// ```
#[derive(Debug)]
pub struct SimClock {
    wall_ms: AtomicU64,
    elapsed_ns: AtomicU64,
}

impl Default for SimClock {
    fn default() -> Self {
        SimClock::starting_at(START_MS)
    }
}

impl SimClock {
    /// A clock that shows `wall_ms`, freshly started.
    pub(super) fn starting_at(wall_ms: u64) -> Self {
        SimClock { wall_ms: AtomicU64::new(wall_ms), elapsed_ns: AtomicU64::new(0) }
    }

    /// Sets wall time, in milliseconds since the Unix epoch, to any moment,
    /// an earlier one included. Elapsed time does not change.
    ///
    /// See the example of [`SimClock`].
    pub fn set_ms(&self, wall_ms: u64) {
        self.wall_ms.store(wall_ms, Ordering::Release);
    }

    /// Lets time pass: both wall time and elapsed time move on by `by`. Wall
    /// time counts whole milliseconds and drops the rest.
    ///
    /// See the example of [`SimClock`].
    pub fn advance(&self, by: Duration) {
        add(&self.wall_ms, u64::try_from(by.as_millis()).unwrap_or(u64::MAX));
        add(&self.elapsed_ns, u64::try_from(by.as_nanos()).unwrap_or(u64::MAX));
    }

    /// Steps wall time back by `by`, down to the epoch at most. Elapsed time
    /// does not change.
    ///
    /// See the example of [`SimClock`].
    pub fn step_back(&self, by: Duration) {
        let by_ms = u64::try_from(by.as_millis()).unwrap_or(u64::MAX);
        update(&self.wall_ms, |ms| ms.saturating_sub(by_ms));
    }
}

impl Clock for SimClock {
    fn now_ms(&self) -> u64 {
        self.wall_ms.load(Ordering::Acquire)
    }

    fn elapsed(&self) -> Duration {
        Duration::from_nanos(self.elapsed_ns.load(Ordering::Acquire))
    }
}

fn add(cell: &AtomicU64, by: u64) {
    update(cell, |now| now.saturating_add(by));
}

fn update(cell: &AtomicU64, step: impl Fn(u64) -> u64) {
    // The closure always answers `Some`, so the update always succeeds.
    let _ = cell.fetch_update(Ordering::AcqRel, Ordering::Acquire, |now| Some(step(now)));
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn wall_time_goes_anywhere_and_elapsed_time_only_on() {
        let clock = SimClock::default();
        assert_eq!(clock.now_ms(), START_MS);
        clock.advance(Duration::from_millis(1500));
        assert_eq!(clock.now_ms(), START_MS + 1500);
        assert_eq!(clock.elapsed(), Duration::from_millis(1500));
        clock.step_back(Duration::from_secs(60));
        assert_eq!(clock.now_ms(), START_MS - 58_500);
        clock.set_ms(5);
        clock.step_back(Duration::MAX);
        assert_eq!(clock.now_ms(), 0);
        assert_eq!(clock.elapsed(), Duration::from_millis(1500));
    }
}
