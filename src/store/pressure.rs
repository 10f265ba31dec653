//! Back-pressure: how fast writers may go while compaction is behind.
//!
//! A writer that is never held back fills level 0 for as long as it likes, and then
//! every read pays; one that is only ever stopped waits for seconds. So the debt is
//! measured whenever the tables or the memtables change, and what may be written is a
//! multiple of what compaction drains: twice as much when the debt begins to count, as
//! much half-way, next to nothing at the end. There the two meet.
//!
//! Large values have a debt of their own, the garbage on the disk ([`Space`]): who writes them is
//! slowed in the last quarter of what `space_amp_max` allows, and everybody stops at its end. What is
//! drained of it is what collections and merges give back. Other writes are not slowed for it.
//!
//! What is allowed ([`allowed_rate`], [`allowed_value_rate`]) is a pure function of the debt; the leader
//! of a group pays for its bytes ([`Pressure::pay`]).

mod drain;
mod space;
mod toll;

pub use space::Space;

use crate::format::codec::to_u64;
use crate::options::Options;
use drain::Drain;
use parking_lot::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use toll::Toll;

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
const SPACE_GUESS: f64 = 64.0 * 1024.0 * 1024.0;

/// What is still to be done in the background.
#[derive(Debug, Clone, Copy, Default, PartialEq)]
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
    /// What the files with large values take; nothing where nobody collects.
    pub space: Space,
}

/// What is drained, in bytes a second: of keys and values, or of files with large values.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Drains {
    /// Out of level 0.
    pub level_0: f64,
    /// Out of the memtables.
    pub memtables: f64,
    /// Off the disk, of garbage among large values.
    pub space: f64,
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

    /// As [`Debt::severities`], the worst of all, space included; 0 where nobody is slowed.
    #[must_use]
    pub fn severity(&self) -> f64 {
        self.severities().into_iter().chain([self.space.severity()]).flatten().fold(0.0, f64::max)
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
    let level_0 = level_0.map(|severity| rate(severity, drains.level_0));
    let memtables = memtables.map(|severity| rate(severity, drains.memtables));
    level_0.into_iter().chain(memtables).reduce(f64::min)
}

/// How many bytes of large values, as stored, may be written a second, beside what
/// [`allowed_rate`] says of all. `None`: no limit.
#[must_use]
pub fn allowed_value_rate(debt: &Debt, drains: Drains) -> Option<f64> {
    debt.space.severity().map(|severity| rate(severity, drains.space))
}

fn rate(severity: f64, drain: f64) -> f64 {
    (drain * 2.0 * (1.0 - severity)).max(RATE_MIN)
}

/// What changed, in bytes of keys and values, but where it says something else.
#[derive(Debug, Clone, Copy, Default)]
pub struct Drained {
    /// What has left level 0 for another.
    pub level_0_bytes: u64,
    /// What has left the memtables.
    pub memtable_bytes: u64,
    /// What the files with large values take less, in bytes.
    pub space_bytes: u64,
}

/// What has been measured, and what follows from it.
///
/// Level 0 counts for nothing where nobody merges it: without `auto_compaction`, and
/// while compaction fails or leaves a damaged table alone. Writers would be
/// slowed, or wait, for what does not come; so reads slow down instead. So it is with space
/// and collections.
#[derive(Debug)]
pub struct Pressure {
    /// The file system allows threads, and compaction is on.
    is_merged: bool,
    /// Nobody is slowed where there are no threads: the work is done by the writers.
    is_on: bool,
    is_hindered: AtomicBool,
    /// Garbage among large values cannot be collected at the moment, or not all of it.
    is_collection_hindered: AtomicBool,
    state: Mutex<State>,
    /// For all bytes of keys and values.
    all: Toll,
    /// For those of large values.
    values: Toll,
}

#[derive(Debug, Default)]
struct State {
    debt: Debt,
    level_0: Drain,
    memtables: Drain,
    space: Drain,
}

impl State {
    fn drains(&self) -> Drains {
        Drains {
            level_0: self.level_0.rate().unwrap_or(LEVEL_0_GUESS),
            memtables: self.memtables.rate().unwrap_or(FLUSH_GUESS),
            space: self.space.rate().unwrap_or(SPACE_GUESS),
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
            is_collection_hindered: AtomicBool::new(false),
            state: Mutex::new(State { debt, ..State::default() }),
            all: Toll::default(),
            values: Toll::default(),
        }
    }

    /// Level 0 has `tables` now, and `sealed` memtables wait. `now`: the clock's
    /// elapsed time.
    pub fn measure(&self, now: Duration, tables: usize, sealed: usize, drained: Drained) {
        self.change(|State { debt, level_0, memtables, .. }| {
            debt.level_0_tables = tables;
            debt.sealed = sealed;
            level_0.note(now, drained.level_0_bytes, tables >= LEVEL_0_TABLES);
            memtables.note(now, drained.memtable_bytes, sealed > 0);
        });
    }

    /// The files with large values take `space` now, of which `drained_bytes` have just gone.
    pub fn measure_space(&self, now: Duration, space: Space, drained_bytes: u64) {
        self.change(|state| {
            state.debt.space = space;
            state.space.note(now, drained_bytes, space.is_in_danger());
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

    /// Says whether garbage can be collected as it should.
    pub fn set_collection_hindered(&self, is_hindered: bool) {
        if self.is_collection_hindered.swap(is_hindered, Ordering::AcqRel) != is_hindered {
            self.change(|_| ());
        }
    }

    /// What was said last.
    pub fn is_collection_hindered(&self) -> bool {
        self.is_collection_hindered.load(Ordering::Acquire)
    }

    fn change(&self, change: impl FnOnce(&mut State)) {
        let mut state = self.state.lock();
        change(&mut state);
        // Nobody is slowed without threads.
        let (debt, drains) = (self.counted(&state.debt), state.drains());
        self.all.set(allowed_rate(&debt, drains).filter(|_| self.is_on));
        self.values.set(allowed_value_rate(&debt, drains).filter(|_| self.is_on));
    }

    /// The debt, without what nobody pays back.
    fn counted(&self, debt: &Debt) -> Debt {
        let mut counted = *debt;
        if !self.is_merged || self.is_hindered.load(Ordering::Acquire) {
            (counted.level_0_tables, counted.excess_bytes) = (0, 0);
        }
        if !self.is_merged || self.is_collection_hindered() {
            counted.space = Space::default();
        }
        counted
    }

    /// Whether level 0 has as many tables as it may have, and somebody merges them.
    pub fn is_level_0_full(&self) -> bool {
        let state = self.state.lock();
        self.counted(&state.debt).level_0_tables >= LEVEL_0_HARD
    }

    /// Bytes a second that may be written at the moment; `None` without a limit.
    pub fn rate(&self) -> Option<u64> {
        self.all.rate()
    }

    /// Of them, of large values, as stored.
    pub fn value_rate(&self) -> Option<u64> {
        self.values.rate()
    }

    /// Whether either has a limit.
    #[inline]
    pub fn is_limited(&self) -> bool {
        self.all.rate().or(self.values.rate()).is_some()
    }

    /// Bytes a second that lately left level 0 while it had something to merge; `None`
    /// before the first.
    pub fn drained(&self) -> Option<u64> {
        self.state.lock().level_0.rate().map(whole)
    }

    /// Bytes a second that lately left the files with large values while space was in danger; `None`
    /// before the first.
    pub fn drained_space(&self) -> Option<u64> {
        self.state.lock().space.rate().map(whole)
    }

    /// How far the debt has come to where writers stop, in percent.
    pub fn debt_percent(&self) -> u64 {
        whole(self.counted(&self.state.lock().debt).severity() * 100.0)
    }

    /// For the leader of a group of `bytes`, of which large values take `value_bytes`: sleeps as long
    /// as they and what is still owed take at the rates that are allowed, and looks at those again after
    /// each step. `sleep` returns how long it slept; `None` means to wait no longer.
    pub fn pay(
        &self,
        bytes: u64,
        value_bytes: u64,
        mut sleep: impl FnMut(Duration) -> Option<Duration>,
    ) {
        let mut slept = Duration::ZERO;
        self.all.pay(bytes, Duration::ZERO, |step| {
            let took = sleep(step)?;
            slept += took.max(step);
            Some(took)
        });
        // Who writes no large values owes nothing for those of others.
        if value_bytes > 0 {
            self.values.pay(value_bytes, slept, sleep);
        }
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
