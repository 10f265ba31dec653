//! Time, as the engine asks for it: wall time for expiry, elapsed time for intervals.
//!
//! A trait, so that the simulated file system can step it backwards.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A source of time.
pub trait Clock: Send + Sync + Debug {
    /// Wall time in milliseconds since the Unix epoch. May step backwards.
    fn now_ms(&self) -> u64;

    /// Time since some fixed moment. Never steps backwards.
    fn elapsed(&self) -> Duration;
}

/// The machine's clock.
#[derive(Debug)]
pub struct SystemClock {
    start: Instant,
}

impl Default for SystemClock {
    fn default() -> Self {
        SystemClock { start: Instant::now() }
    }
}

impl Clock for SystemClock {
    fn now_ms(&self) -> u64 {
        // Before 1970 counts as the epoch itself: expiry then simply waits.
        let since_epoch = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
        u64::try_from(since_epoch.as_millis()).unwrap_or(u64::MAX)
    }

    fn elapsed(&self) -> Duration {
        self.start.elapsed()
    }
}

/// When entries expire, made to hold when the clock steps back.
///
/// An entry is alive while `now < expiry`. Every expiry that was once *seen*
/// as past raises a floor under `now`, so that what a reader was told is
/// expired never comes alive again, whatever the clock does.
#[derive(Debug, Default)]
pub struct ExpiryFloor {
    floor_ms: AtomicU64,
}

impl ExpiryFloor {
    /// Starts from a floor read back from disk.
    #[must_use]
    pub fn new(floor_ms: u64) -> Self {
        ExpiryFloor { floor_ms: AtomicU64::new(floor_ms) }
    }

    /// True when an entry that expires at `expires_at_ms` is expired now.
    pub fn is_expired(&self, clock: &dyn Clock, expires_at_ms: u64) -> bool {
        if expires_at_ms == u64::MAX {
            return false; // The overflow value: never expires.
        }
        if expires_at_ms <= self.floor_ms.load(Ordering::Acquire) {
            return true;
        }
        if expires_at_ms <= clock.now_ms() {
            self.raise(expires_at_ms);
            return true;
        }
        false
    }

    /// The time from which a new entry's lifetime counts: the clock's, or the
    /// floor where the clock has stepped back behind it, since an entry that
    /// expires below the floor would never be seen.
    pub fn now_ms(&self, clock: &dyn Clock) -> u64 {
        clock.now_ms().max(self.get())
    }

    /// Lifts the floor to at least `floor_ms`.
    pub fn raise(&self, floor_ms: u64) {
        self.floor_ms.fetch_max(floor_ms, Ordering::AcqRel);
    }

    /// The floor: every entry that expires at or before it has been seen expired.
    pub fn get(&self) -> u64 {
        self.floor_ms.load(Ordering::Acquire)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[derive(Debug)]
    struct Settable(AtomicU64);
    impl Clock for Settable {
        fn now_ms(&self) -> u64 {
            self.0.load(Ordering::Relaxed)
        }
        fn elapsed(&self) -> Duration {
            Duration::ZERO
        }
    }

    #[test]
    fn seen_as_expired_stays_expired() {
        let clock = Settable(AtomicU64::new(99));
        let floor = ExpiryFloor::default();
        assert!(!floor.is_expired(&clock, 100));
        clock.0.store(100, Ordering::Relaxed);
        assert!(floor.is_expired(&clock, 100), "alive only while now < expiry");
        clock.0.store(10, Ordering::Relaxed);
        assert!(floor.is_expired(&clock, 100));
        assert!(!floor.is_expired(&clock, 101));
        assert!(!floor.is_expired(&clock, u64::MAX));
    }
}
