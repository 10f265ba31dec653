//! Back-pressure: how fast writers may go while compaction is behind.
//!
//! A writer that is never held back fills level 0 for as long as it likes, and then
//! every read pays; one that is only ever stopped waits for seconds. So the debt is
//! measured whenever the tables or the memtables change, and what may be written is a
//! multiple of what compaction drains: twice as much when the debt begins to count, as
//! much half-way, next to nothing at the end. There the two meet.
//!
//! What is allowed ([`allowed_rate`]) is a pure function of the debt; the leader of a
//! group pays for its bytes ([`Pressure::pay`]).

use crate::format::codec::to_u64;
use crate::options::Options;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::Duration;

/// Level 0 is merged down from this many tables on.
pub const LEVEL_0_TABLES: usize = 5;

/// Tables in level 0 from which on writers are slowed, and at which they stop.
const LEVEL_0_SOFT: usize = 8;
const LEVEL_0_HARD: usize = 36;

/// Bytes by which the levels may exceed their sizes: from which on writers are slowed,
/// and at which they are slowed the most; in sizes of the base level.
const EXCESS_SOFT: u64 = 16;
const EXCESS_HARD: u64 = 64;

/// Bytes a second below which nobody is slowed: a write then takes a while, but is
/// not a hang.
const RATE_MIN: f64 = 256.0 * 1024.0;

/// What is assumed to be drained until it has been measured.
const LEVEL_0_GUESS: f64 = 16.0 * 1024.0 * 1024.0;
const FLUSH_GUESS: f64 = 64.0 * 1024.0 * 1024.0;

/// How much an earlier measurement still weighs beside the next.
const DRAIN_WEIGHT: f64 = 0.75;

/// A leader sleeps no shorter than this, since clocks and schedulers are no finer, and
/// no longer before it looks again whether it has to.
const STEP_MIN: Duration = Duration::from_millis(1);
const STEP_MAX: Duration = Duration::from_millis(20);

/// What is still to be done in the background.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Debt {
    /// Tables in level 0; 0 where nobody merges them (see [`Pressure`]).
    pub level_0_tables: usize,
    /// Memtables that wait to be written out.
    pub sealed: usize,
    /// As many of them as there may be.
    pub sealed_max: usize,
    /// Bytes by which levels exceed their sizes.
    pub excess_bytes: u64,
    /// The size of the base level.
    pub base_bytes: u64,
}

/// What is drained, in bytes of keys and values a second.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drains {
    /// Out of level 0.
    pub level_0: f64,
    /// Out of the memtables.
    pub memtables: f64,
}

impl Debt {
    /// How far each part has come from where writers are slowed (0) to where they stop
    /// (1, and no more); `None` for a part that slows nobody. First what compaction drains.
    fn severities(&self) -> [Option<f64>; 2] {
        let level_0 = part(to_u64(self.level_0_tables), to_u64(LEVEL_0_SOFT), to_u64(LEVEL_0_HARD));
        let base = self.base_bytes;
        let (soft, hard) = (base.saturating_mul(EXCESS_SOFT), base.saturating_mul(EXCESS_HARD));
        let excess = part(self.excess_bytes, soft, hard);
        // With all of them waiting there is still the active one to be filled.
        let (soft, hard) = ((self.sealed_max / 2).max(1), self.sealed_max + 1);
        let memtables = part(to_u64(self.sealed), to_u64(soft), to_u64(hard));
        [level_0.into_iter().chain(excess).reduce(f64::max), memtables]
    }

    /// As [`Debt::severities`], the worse of the two; 0 where nobody is slowed.
    #[must_use]
    pub fn severity(&self) -> f64 {
        self.severities().into_iter().flatten().fold(0.0, f64::max)
    }
}

/// How far `now` has come from `soft` to `hard`, where it is beyond `soft`.
fn part(now: u64, soft: u64, hard: u64) -> Option<f64> {
    (now >= soft && soft < hard).then(|| ((now - soft) as f64 / (hard - soft) as f64).min(1.0))
}

/// How many bytes a second may be written. `None`: no limit.
#[must_use]
pub fn allowed_rate(debt: &Debt, drains: Drains) -> Option<f64> {
    let [level_0, memtables] = debt.severities();
    let rate = |severity: f64, drain: f64| (drain * 2.0 * (1.0 - severity)).max(RATE_MIN);
    let level_0 = level_0.map(|severity| rate(severity, drains.level_0));
    let memtables = memtables.map(|severity| rate(severity, drains.memtables));
    level_0.into_iter().chain(memtables).reduce(f64::min)
}

/// What was drained lately, in bytes of keys and values, and in which time.
#[derive(Debug, Default)]
struct Drain {
    bytes: f64,
    seconds: f64,
    /// Since when there has been something to drain, or when some of it last was.
    since: Option<Duration>,
}

impl Drain {
    fn rate(&self) -> Option<f64> {
        (self.seconds > 0.0).then(|| self.bytes / self.seconds)
    }

    /// `bytes` have gone; `is_left`: there is something left to drain.
    fn note(&mut self, now: Duration, bytes: u64, is_left: bool) {
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

/// What changed, in bytes of keys and values.
#[derive(Debug, Clone, Copy, Default)]
pub struct Drained {
    /// What has left level 0 for another.
    pub level_0_bytes: u64,
    /// What has left the memtables.
    pub memtable_bytes: u64,
}

/// What has been measured, and what follows from it.
///
/// Level 0 counts for nothing where nobody merges it: without `auto_compaction`, and
/// while compaction fails or leaves a damaged table alone. Writers would be
/// slowed, or wait, for what does not come; so reads slow down instead.
#[derive(Debug)]
pub struct Pressure {
    /// The file system allows threads, and compaction is on.
    is_merged: bool,
    /// Nobody is slowed where there are no threads: the work is done by the writers.
    is_on: bool,
    is_hindered: AtomicBool,
    state: Mutex<State>,
    /// Bytes a second that may be written; `u64::MAX` without a limit.
    rate: AtomicU64,
    /// Bytes that were written and not paid for yet; below zero where more was paid.
    owed: Mutex<f64>,
}

#[derive(Debug, Default)]
struct State {
    debt: Debt,
    level_0: Drain,
    memtables: Drain,
}

impl State {
    fn drains(&self) -> Drains {
        Drains {
            level_0: self.level_0.rate().unwrap_or(LEVEL_0_GUESS),
            memtables: self.memtables.rate().unwrap_or(FLUSH_GUESS),
        }
    }
}

impl Pressure {
    /// Without any debt.
    #[must_use]
    pub fn new(options: &Options, allows_threads: bool) -> Self {
        let debt = Debt {
            sealed_max: options.memtables_max - 1,
            base_bytes: options.level_base_bytes(),
            ..Debt::default()
        };
        Pressure {
            is_merged: options.auto_compaction && allows_threads,
            is_on: allows_threads,
            is_hindered: AtomicBool::new(false),
            state: Mutex::new(State { debt, ..State::default() }),
            rate: AtomicU64::new(u64::MAX),
            owed: Mutex::new(0.0),
        }
    }

    /// Level 0 has `tables` now, and `sealed` memtables wait. `now`: the clock's
    /// elapsed time.
    pub fn measure(&self, now: Duration, tables: usize, sealed: usize, drained: Drained) {
        self.change(|State { debt, level_0, memtables }| {
            debt.level_0_tables = tables;
            debt.sealed = sealed;
            level_0.note(now, drained.level_0_bytes, tables >= LEVEL_0_TABLES);
            memtables.note(now, drained.memtable_bytes, sealed > 0);
        });
    }

    /// Compaction finds the levels below 0 so many bytes too large.
    pub fn measure_excess(&self, excess_bytes: u64) {
        self.change(|state| state.debt.excess_bytes = excess_bytes);
    }

    /// Says whether compaction can do what it should.
    pub fn set_hindered(&self, is_hindered: bool) {
        if self.is_hindered.swap(is_hindered, Ordering::AcqRel) != is_hindered {
            self.change(|_| ());
        }
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        change(&mut state);
        let rate = self.rate_of(&state).map_or(u64::MAX, whole);
        self.rate.store(rate, Ordering::Relaxed);
    }

    fn rate_of(&self, state: &State) -> Option<f64> {
        if !self.is_on {
            return None;
        }
        allowed_rate(&self.counted(&state.debt), state.drains())
    }

    /// The debt, without what nobody pays back.
    fn counted(&self, debt: &Debt) -> Debt {
        if self.is_merged && !self.is_hindered.load(Ordering::Acquire) {
            *debt
        } else {
            Debt { level_0_tables: 0, excess_bytes: 0, ..*debt }
        }
    }

    /// Whether level 0 has as many tables as it may have, and somebody merges them.
    pub fn is_level_0_full(&self) -> bool {
        let state = self.state.lock();
        self.counted(&state.debt).level_0_tables >= LEVEL_0_HARD
    }

    /// Bytes a second that may be written at the moment; `None` without a limit.
    pub fn rate(&self) -> Option<u64> {
        Some(self.rate.load(Ordering::Relaxed)).filter(|&rate| rate != u64::MAX)
    }

    /// Bytes a second that lately left level 0 while it had something to merge; `None`
    /// before the first.
    pub fn drained(&self) -> Option<u64> {
        self.state.lock().level_0.rate().map(whole)
    }

    /// How far the debt has come to where writers stop, in percent.
    pub fn debt_percent(&self) -> u64 {
        whole(self.counted(&self.state.lock().debt).severity() * 100.0)
    }

    /// For the leader of a group of `bytes`: sleeps as long as they and what is still
    /// owed take at the rate that is allowed, and looks at that again after each step.
    /// `sleep` returns how long it slept; `None` means to wait no longer.
    pub fn pay(&self, bytes: u64, mut sleep: impl FnMut(Duration) -> Option<Duration>) {
        if self.rate().is_none() {
            return;
        }
        let mut owed = self.owed.lock();
        *owed += bytes as f64;
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

fn whole(number: f64) -> u64 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "rates and percentages are positive, and far below the limit"
    )]
    let whole = number.round() as u64;
    whole
}

#[cfg(test)]
mod tests;
