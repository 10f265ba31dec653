//! What writers pay in time for their bytes while there is a limit.

use super::whole;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// A leader sleeps no shorter than this, since clocks and schedulers are no finer, and
/// no longer before it looks again whether it has to.
const STEP_MIN: Duration = Duration::from_millis(1);
pub(super) const STEP_MAX: Duration = Duration::from_millis(20);

/// A rate that may change at any moment, and what is owed at it.
#[derive(Debug)]
pub(super) struct Toll {
    /// Bytes a second; `u64::MAX` without a limit.
    rate: AtomicU64,
    /// Bytes that were written and not paid for yet; below zero where more was paid.
    owed: Mutex<f64>,
}

impl Default for Toll {
    fn default() -> Self {
        Toll { rate: AtomicU64::new(u64::MAX), owed: Mutex::new(0.0) }
    }
}

impl Toll {
    /// So many bytes a second from now on; `None`: no limit.
    pub(super) fn set(&self, rate: Option<f64>) {
        self.rate.store(rate.map_or(u64::MAX, whole), Ordering::Relaxed);
    }

    /// What was set last.
    #[inline]
    pub(super) fn rate(&self) -> Option<u64> {
        Some(self.rate.load(Ordering::Relaxed)).filter(|&rate| rate != u64::MAX)
    }

    /// Pays for `bytes`, for which `slept` has been slept already, for another reason. `sleep` as for
    /// [`super::Pressure::pay`].
    pub(super) fn pay(
        &self,
        bytes: u64,
        slept: Duration,
        mut sleep: impl FnMut(Duration) -> Option<Duration>,
    ) {
        let Some(rate) = self.rate() else { return };
        let mut owed = self.owed.lock();
        *owed += (bytes as f64 - rate as f64 * slept.as_secs_f64()).max(0.0);
        while let Some(rate) = self.rate() {
            let rate = rate as f64;
            let due = Duration::try_from_secs_f64(*owed / rate).unwrap_or_default();
            if due < STEP_MIN {
                return;
            }
            let step = due.min(STEP_MAX);
            let Some(slept) = sleep(step) else { break };
            // A clock that stands still must not keep us for ever.
            *owed -= rate * slept.max(step).as_secs_f64();
        }
        *owed = 0.0;
    }
}
