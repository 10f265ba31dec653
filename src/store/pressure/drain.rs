//! How fast something is drained, while there is something to drain.

use std::time::Duration;

/// How much an earlier measurement still weighs beside the next.
const DRAIN_WEIGHT: f64 = 0.75;

/// What was drained lately, in bytes, and in which time.
#[derive(Debug, Default)]
pub(super) struct Drain {
    bytes: f64,
    seconds: f64,
    /// Since when there has been something to drain, or when some of it last was.
    since: Option<Duration>,
}

impl Drain {
    /// Bytes a second; `None` before the first.
    pub(super) fn rate(&self) -> Option<f64> {
        (self.seconds > 0.0).then(|| self.bytes / self.seconds)
    }

    /// `bytes` have gone; `is_left`: there is something left to drain.
    pub(super) fn note(&mut self, now: Duration, bytes: u64, is_left: bool) {
        if bytes > 0 {
            let since = self.since.take().unwrap_or(now);
            let seconds = now.saturating_sub(since).as_secs_f64();
            if seconds > 0.0 {
                self.bytes = self.bytes * DRAIN_WEIGHT + bytes as f64;
                self.seconds = self.seconds * DRAIN_WEIGHT + seconds;
            }
        }
        self.since = if is_left { self.since.or(Some(now)) } else { None };
    }
}
