//! What a backup of the store copies values from, and what holds it back.

use crate::archive::{BackupOptions, BackupProgress, Feed};
use crate::error::{Error, Result};
use crate::format::{SeqNo, ValuePointer};
use crate::store::{Store, View};
use std::ops::ControlFlow;
use std::sync::Arc;
use std::time::Duration;

/// Less than this is owed on: a sleep is not worth it.
const SLEEP_MIN: Duration = Duration::from_millis(5);

/// After as much sleep it looks whether there is still time for it.
const SLEEP_MAX: Duration = Duration::from_millis(100);

/// A value that stands apart in a backup.
#[derive(Debug)]
pub enum Large {
    /// It is in the value log.
    InValueLog(ValuePointer),
    /// It was in a table.
    Here(Vec<u8>),
}

/// Feeds a backup of one view.
pub struct StoreFeed<'a, 'b> {
    store: &'a Store,
    view: Arc<View>,
    options: &'a mut BackupOptions<'b>,
    bytes_total: u64,
    begun: Duration,
}

impl<'a, 'b> StoreFeed<'a, 'b> {
    /// Of what `view` has that is newer than `after`.
    pub fn new(
        store: &'a Store,
        view: Arc<View>,
        after: SeqNo,
        options: &'a mut BackupOptions<'b>,
    ) -> Self {
        let tables = view.version.metas().map(|(_, meta)| &meta.properties);
        let tables = tables.filter(|properties| properties.largest_seq > after);
        let bytes_total = tables.map(|p| p.raw_bytes.saturating_add(p.value_bytes())).sum();
        let begun = store.home.clock.elapsed();
        StoreFeed { store, view, options, bytes_total, begun }
    }

    fn check_wanted(&self) -> Result<()> {
        self.store.health.check_open()?;
        if self.store.views.is_stopped() && self.store.health.check_sound().is_ok() {
            return Err(Error::Closed);
        }
        Ok(())
    }

    /// Sleeps as long as more has been written than may be by now.
    fn keep_pace(&self, bytes: u64) -> Result<()> {
        let rate = self.options.bytes_per_second;
        if rate == 0 || !self.store.home.fs.allows_threads() {
            return Ok(());
        }
        let due = Duration::from_secs_f64(bytes as f64 / rate as f64);
        loop {
            let ahead = due.saturating_sub(self.store.since(self.begun));
            if ahead < SLEEP_MIN {
                return Ok(());
            }
            std::thread::sleep(ahead.min(SLEEP_MAX));
            self.check_wanted()?;
        }
    }
}

impl Feed for StoreFeed<'_, '_> {
    type Value = Large;

    fn read(&mut self, value: &Large, into: &mut [u8]) -> Result<()> {
        match value {
            Large::InValueLog(pointer) => self.view.read_stored(pointer, into),
            Large::Here(bytes) => {
                into.copy_from_slice(bytes);
                Ok(())
            }
        }
    }

    fn has_written(&mut self, bytes: u64) -> Result<()> {
        self.check_wanted()?;
        if let Some(tell) = &mut self.options.progress
            && let ControlFlow::Break(()) = tell(BackupProgress::new(bytes, self.bytes_total))
        {
            return Err(Error::Cancelled);
        }
        self.keep_pace(bytes)
    }
}
