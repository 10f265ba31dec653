//! What a leader waits for before it takes a group into memory and log.

use super::pipeline::Pipeline;
use crate::error::Result;
use crate::event::StallReason;
use crate::store::{Store, View};

impl Pipeline {
    /// Waits until the log that an open would have to replay takes another `bytes`, or there
    /// is none but what the current file holds.
    pub(super) fn await_replay(&self, bytes: u64) -> Result<()> {
        let Store { views, options, home, .. } = &*self.store;
        let end = self.log.end_position().saturating_add(bytes);
        let must_wait = |view: &View| {
            let oldest = view.sealed.last();
            oldest.is_some_and(|sealed| end - sealed.base > options.log_replay_bytes_max)
        };
        // Where there are no threads, we write the memtable out ourselves, after this.
        if !options.wal_enabled || !must_wait(&views.load()) || !home.fs.allows_threads() {
            return Ok(());
        }
        views.check_flushing()?;
        self.store.stall(StallReason::LogReplay, || views.wait_for_flushes(must_wait))
    }

    /// Waits until fewer than `sealed_max` memtables are sealed.
    pub(super) fn await_room(&self, sealed_max: usize) -> Result<()> {
        let Store { views, .. } = &*self.store;
        if views.has_room(sealed_max) {
            return Ok(());
        }
        views.check_flushing()?;
        self.store.stall(StallReason::Memtables, || views.wait_for_room(sealed_max))
    }

    /// Waits as long as level 0 has too many tables and somebody merges them. With the
    /// database closed or poisoned nobody does any more.
    pub(super) fn await_level_0(&self) {
        let Store { views, pressure, health, .. } = &*self.store;
        let is_in_use = || health.check_open().and_then(|()| health.check_sound()).is_ok();
        if pressure.is_level_0_full() && is_in_use() {
            let must_wait = || pressure.is_level_0_full() && is_in_use();
            self.store.stall(StallReason::Level0, || views.wait_while(must_wait));
        }
    }

    /// Waits as long as the disk holds more garbage than it may and somebody collects it.
    pub(super) fn await_space(&self) {
        let Store { views, health, home, options, pressure, .. } = &*self.store;
        let must_wait = || {
            let is_in_use = health.check_open().and_then(|()| health.check_sound()).is_ok();
            is_in_use
                && !pressure.is_collection_hindered()
                && self.store.space(&views.load().version).is_exhausted()
        };
        if options.auto_compaction && home.fs.allows_threads() && must_wait() {
            self.store.stall(StallReason::Space, || views.wait_while(must_wait));
        }
    }
}
