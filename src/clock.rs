//! Time, as the engine asks for it: wall time for expiry, elapsed time for intervals.
//!
//! A trait, so that the simulated file system can step it backwards.

use std::fmt::Debug;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

/// A source of time.
///
/// ```
/// use esker::{Clock, Engine, MemoryEngine};
/// use std::sync::{Arc, atomic::{AtomicU64, Ordering}};
/// use std::time::Duration;
/// /// One that the test moves.
/// #[derive(Debug, Default)]
/// struct Hand(AtomicU64);
/// impl Clock for Hand {
///     fn now_ms(&self) -> u64 {
///         self.0.load(Ordering::Relaxed)
///     }
///     fn elapsed(&self) -> Duration {
///         Duration::from_millis(self.now_ms())
///     }
/// }
/// let clock = Arc::new(Hand::default());
/// let engine = MemoryEngine::with_clock(clock.clone());
/// engine.set_service("web", b"{}", Duration::from_millis(30))?;
/// clock.0.store(29, Ordering::Relaxed);
/// assert_eq!(engine.list_services()?, ["web"]);
/// clock.0.store(30, Ordering::Relaxed);
/// assert!(engine.list_services()?.is_empty());
/// # Ok::<(), esker::Error>(())
/// ```
pub trait Clock: Send + Sync + Debug {
    /// Wall time in milliseconds since the Unix epoch. May step backwards.
    ///
    /// See the example of [`Clock`].
    fn now_ms(&self) -> u64;

    /// Time since some fixed moment. Never steps backwards.
    ///
    /// See the example of [`Clock`].
    fn elapsed(&self) -> Duration;
}

/// The machine's clock.
///
/// ```
/// use esker::{Clock, SystemClock};
/// let clock = SystemClock::default();
/// assert!(clock.now_ms() > 1_700_000_000_000); // After 2023.
/// let before = clock.elapsed();
/// assert!(clock.elapsed() >= before);
/// ```
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

    /// When an entry that is set now with this time to live expires, in
    /// milliseconds since the Unix epoch. A fraction of a millisecond counts as
    /// a whole one, so that nothing is gone before its time; what does not fit
    /// saturates at `u64::MAX`, which never expires.
    ///
    /// Where the clock has stepped back below the floor, time is taken to stand
    /// at the floor: an entry set then must not be born expired.
    pub fn deadline_ms(&self, clock: &dyn Clock, ttl: Duration) -> u64 {
        let ttl_ms = u64::try_from(ttl.as_nanos().div_ceil(1_000_000)).unwrap_or(u64::MAX);
        clock.now_ms().max(self.get()).saturating_add(ttl_ms)
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

    #[test]
    fn deadlines_round_up_saturate_and_clear_the_floor() {
        let clock = Settable(AtomicU64::new(100));
        let floor = ExpiryFloor::default();
        assert_eq!(floor.deadline_ms(&clock, Duration::from_millis(900)), 1_000);
        assert_eq!(floor.deadline_ms(&clock, Duration::from_nanos(1)), 101);
        assert_eq!(floor.deadline_ms(&clock, Duration::MAX), u64::MAX);
        floor.raise(500);
        assert_eq!(floor.deadline_ms(&clock, Duration::from_millis(7)), 507);
    }
}
