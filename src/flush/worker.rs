//! The flush worker.

use crate::error::{Error, Result};
use crate::event::Event;
use crate::format::{FileKind, Level, Properties, SegmentMeta, TableMeta};
use crate::fs::IoContext;
use crate::manifest::Edit;
use crate::store::{Applied, Catalog, Change, SealedMemtable, Store, WrittenTable, may_be_retried};
use std::sync::Arc;
use std::time::Duration;

/// How long the worker waits after a failure: it doubles from the first to the last.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Writes sealed memtables out, one after the other.
#[derive(Debug)]
pub struct Flusher {
    store: Arc<Store>,
    catalog: Arc<Catalog>,
    /// The table of the memtable at hand, kept from a failed attempt to the
    /// next (INV-3).
    table: Option<WrittenTable>,
}

/// How an attempt ended.
enum Attempt {
    Done,
    /// It may succeed later.
    Failed(Error),
    /// The database is poisoned, or told to end.
    Ended,
}

impl Flusher {
    /// Works for `store`, whose tables are those of `catalog`.
    #[must_use]
    pub fn new(store: Arc<Store>, catalog: Arc<Catalog>) -> Self {
        Flusher { store, catalog, table: None }
    }

    /// Works until told to end (`Views::stop`) or until the database is poisoned.
    pub fn run(&mut self) {
        while let Some(sealed) = self.store.views.next_to_flush() {
            if !self.flush_with_retries(&sealed) {
                break;
            }
            // Its log file, if nobody reads it any more.
            drop(sealed);
            self.store.remove_discarded();
        }
        self.store.views.stop();
    }

    /// Brings down what is sealed now, in the caller's thread: how it works
    /// where there are no threads. After a failure the next call goes on.
    pub fn run_inline(&mut self) {
        while let Some(sealed) = self.store.views.oldest_sealed() {
            match self.attempt(&sealed) {
                Attempt::Done => {}
                Attempt::Failed(e) => return self.store.views.report_failure(e),
                Attempt::Ended => return,
            }
        }
    }

    /// Brings one memtable down, however often it takes; false when the worker is to end.
    fn flush_with_retries(&mut self, sealed: &Arc<SealedMemtable>) -> bool {
        let mut pause = PAUSE_MIN;
        loop {
            match self.attempt(sealed) {
                Attempt::Done => return true,
                Attempt::Failed(e) => self.store.views.report_failure(e),
                Attempt::Ended => return false,
            }
            if self.store.views.pause(pause) {
                return false;
            }
            pause = PAUSE_MAX.min(pause * 2);
        }
    }

    fn attempt(&mut self, sealed: &Arc<SealedMemtable>) -> Attempt {
        // All commits that belong into it are in it once they are visible. If
        // one never will be, the handle is poisoned, and the attempt ends there.
        let _ = self.store.visible.wait_for(sealed.last_seq);
        self.store.emit(&Event::FlushBegan {
            entries: sealed.memtable.len(),
            memtable_bytes: sealed.memtable.used_bytes(),
        });
        let begun = self.store.home.clock.elapsed();
        let flushed = self
            .flush(sealed)
            .or_else(|e| if self.store.give_up_reserve(&e) { self.flush(sealed) } else { Err(e) });
        match flushed {
            Ok(table_bytes) => {
                let duration = self.store.since(begun);
                self.store.latencies.flush.record(duration);
                self.store.emit(&Event::FlushDone { table_bytes, duration });
                Attempt::Done
            }
            Err(e) if may_be_retried(&e) => {
                self.store.counters.flush_failures.add(1);
                self.store.emit(&Event::FlushFailed { error: e.clone(), will_retry: true });
                Attempt::Failed(e)
            }
            Err(e) => {
                self.store.emit(&Event::FlushFailed { error: e.clone(), will_retry: false });
                self.store.poison(e);
                Attempt::Ended
            }
        }
    }

    /// Returns the length of the table, 0 where there was nothing to write.
    fn flush(&mut self, sealed: &Arc<SealedMemtable>) -> Result<u64> {
        self.store.health.check_sound()?;
        if !self.store.views.is_wanted(sealed) {
            // A restore has replaced it. The edit that the table of an earlier attempt was to go with is
            // in no manifest any more.
            if let Some(table) = self.table.take() {
                self.store.remove(FileKind::Table(table.meta.id));
            }
            return Ok(0);
        }
        let home = &self.store.home;
        // Recovery relies on the header of the log that the manifest names, and
        // takes another for damage. First, while there is little in that file.
        if let Some(next) = sealed.next_file.lock().take() {
            next.sync()?;
        }
        if self.table.is_none() && !sealed.memtable.is_empty() {
            self.table = Some(self.store.write_table(&sealed.memtable)?);
        }
        let segment = self.table.as_ref().and_then(|table| segment(sealed, &table.meta));
        if let Some(segment) = &segment {
            // The table will point into it, and nothing else holds those values. The zeros ahead
            // of the records have served.
            let file = sealed.log_file.lock().clone();
            if let Some(file) = file {
                file.cut(segment.file_bytes)?;
                file.sync()?;
            }
        }
        // Also for the sake of the next log file: its name must be durable
        // before an edit relies on it.
        home.fs.sync_dir(&home.dir).during("sync", &home.dir)?;
        let is_segment = segment.is_some();
        let opened = self.table.as_ref().map(|table| self.store.open_table(&table.meta));
        let edit = Edit {
            log_min: Some(sealed.next_log),
            log_base: Some(sealed.next_base),
            last_seq: Some(sealed.last_seq),
            ..Edit::default()
        };
        let applied = self.catalog.apply(Change {
            edit,
            added: opened.into_iter().map(|table| (Level::ZERO, table)).collect(),
            segments: segment.into_iter().map(|meta| (meta, Arc::clone(&sealed.values))).collect(),
            flushed: Some(Arc::clone(sealed)),
            ..Change::default()
        })?;
        if applied == Applied::Superseded {
            self.table = None;
            return Ok(0);
        }
        let (mut table_bytes, mut has_pointers) = (0, false);
        if let Some(WrittenTable { meta, has_pointers: has }) = self.table.take() {
            has_pointers = has;
            table_bytes = meta.size_bytes;
            self.store.counters.flushes.add(1);
            self.store.counters.flush_written_bytes.add(meta.size_bytes);
        }
        self.store.unsynced_logs.forget(sealed.log);
        drop(sealed.log_file.lock().take());
        if !has_pointers {
            self.store.remove(FileKind::Log(sealed.log));
        } else if !is_segment {
            // Readers that still have the memtable may find values there.
            sealed.values.discard();
        }
        Ok(table_bytes)
    }
}

/// The log file of `sealed` as a segment, if `table`, into which the memtable was written,
/// points to values there.
fn segment(sealed: &SealedMemtable, table: &TableMeta) -> Option<SegmentMeta> {
    let Properties { references, entries, expiring, largest_expiry_ms, .. } = &table.properties;
    debug_assert!(references.iter().all(|(id, _)| id.0 == sealed.log.0), "only its own log");
    let &(id, _) = references.first()?;
    let file_bytes = sealed.next_base - sealed.base;
    // Where all of its entries expire, so do those that point to values.
    let largest_expiry_ms = if entries == expiring { *largest_expiry_ms } else { 0 };
    Some(SegmentMeta { id, moved_to: None, file_bytes, largest_expiry_ms })
}
