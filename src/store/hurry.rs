//! Deletes for which scans pay are given back sooner.
//!
//! A scan walks over each deleted entry that still stands between two that live: over a million of them for a tenth of a second and
//! more, each time, for as long as they stand there. `reclaim_within` is about space and may be a day. So a scan that
//! passed many in one step says so, and for a while what consists of deletes for a good part does not wait for its
//! time: a memtable is written out, and its table merged down until nothing is left of both.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// So many dead entries in one step of a scan are many: some milliseconds.
pub const DEAD_MANY: usize = 10_000;

/// How long a report counts. Who pays again reports again.
const LASTS: Duration = Duration::from_secs(10);

/// Whether scans have met many deletes lately.
#[derive(Debug, Default)]
pub struct Hurry {
    /// Until when, by the clock's elapsed time, in milliseconds; 0: nobody has ever.
    until_ms: AtomicU64,
}

impl Hurry {
    /// A scan has passed over [`DEAD_MANY`] dead entries or more, at `now`.
    pub fn report(&self, now: Duration) {
        let until = u64::try_from((now + LASTS).as_millis()).unwrap_or(u64::MAX);
        // Relaxed: it publishes nothing, and the next look is as good.
        self.until_ms.fetch_max(until, Ordering::Relaxed);
    }

    /// Whether there is a report that counts, at `now`.
    #[must_use]
    pub fn is_on(&self, now: Duration) -> bool {
        now.as_millis() < u128::from(self.until_ms.load(Ordering::Relaxed))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_report_counts_for_a_while() {
        let (hurry, second) = (Hurry::default(), Duration::from_secs(1));
        assert!(!hurry.is_on(Duration::ZERO));
        hurry.report(second);
        assert!(hurry.is_on(second) && hurry.is_on(10 * second));
        assert!(!hurry.is_on(11 * second));
        hurry.report(9 * second);
        hurry.report(8 * second); // Another thread, a little late.
        assert!(hurry.is_on(18 * second) && !hurry.is_on(19 * second));
    }
}
