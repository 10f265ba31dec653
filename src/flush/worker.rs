//! The flush worker.

use crate::error::{Error, Result};
use crate::format::{FileKind, ManifestId, TableMeta};
use crate::fs::IoContext;
use crate::manifest::{Edit, Manifest};
use crate::store::{SealedMemtable, Store, Version};
use crate::table::Table;
use std::sync::Arc;
use std::time::Duration;

/// How long the worker waits after a failure: it doubles from the first to the last.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// Writes sealed memtables out, one after the other.
#[derive(Debug)]
pub struct Flusher {
    store: Arc<Store>,
    manifest: Manifest,
    /// The table of the memtable at hand, kept from a failed attempt to the
    /// next (INV-3).
    table: Option<TableMeta>,
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
    /// Works for `store`, whose manifest in force is `manifest`.
    #[must_use]
    pub fn new(store: Arc<Store>, manifest: Manifest) -> Self {
        Flusher { store, manifest, table: None }
    }

    /// Works until told to end (`Views::stop`) or until the database is poisoned.
    pub fn run(&mut self) {
        while let Some(sealed) = self.store.views.next_to_flush() {
            if !self.flush_with_retries(&sealed) {
                break;
            }
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
        match self.flush(sealed) {
            Ok(()) => Attempt::Done,
            Err(e) if matches!(&e, Error::Io { op, .. } if *op != "sync") => {
                self.store.counters.flush_failures.add(1);
                Attempt::Failed(e)
            }
            Err(e) => {
                let poisoned = self.store.health.poison(e);
                self.store.views.abort(poisoned);
                Attempt::Ended
            }
        }
    }

    fn flush(&mut self, sealed: &Arc<SealedMemtable>) -> Result<()> {
        self.store.health.check_sound()?;
        let home = &self.store.home;
        // Recovery relies on the header of the log that the manifest names, and
        // takes another for damage. First, while there is little in that file.
        if let Some(next) = sealed.next_file.lock().take() {
            next.sync()?;
        }
        if self.table.is_none() && !sealed.memtable.is_empty() {
            self.table = Some(self.store.write_table(&sealed.memtable)?);
        }
        // Also for the sake of the next log file: its name must be durable
        // before an edit relies on it.
        home.fs.sync_dir(&home.dir).during("sync", &home.dir)?;
        let opened = match &self.table {
            Some(meta) => Some(self.store.open_table(meta)?),
            None => None,
        };
        let next = ManifestId(home.draw_file_id().0);
        let edit = Edit {
            log_min: Some(sealed.next_log),
            log_base: Some(sealed.next_base),
            opens: None,
            next_file: Some(home.next_file()),
            last_seq: Some(sealed.last_seq),
            expiry_floor_ms: Some(self.store.expiry.get()),
            added: self.table.iter().map(|meta| (0, meta.clone())).collect(),
            removed: Vec::new(),
        };
        let replaced = self.manifest.apply(&edit, next)?;
        self.table = None;
        self.install(sealed, opened);
        self.store.unsynced_logs.forget(sealed.log);
        self.store.remove(FileKind::Log(sealed.log));
        if let Some(old) = replaced {
            self.store.remove(FileKind::Manifest(old));
        }
        Ok(())
    }

    fn install(&self, sealed: &Arc<SealedMemtable>, table: Option<Arc<Table>>) {
        let current = Arc::clone(&self.store.views.load().version);
        let version = match table {
            Some(table) => {
                self.store.counters.flushes.add(1);
                self.store.counters.flush_written_bytes.add(table.meta().size_bytes);
                current.with(table)
            }
            None => Version::new(current.tables().to_vec()),
        };
        self.store.views.install(sealed, version);
    }

    /// Records the expiry floor, at close.
    ///
    /// # Errors
    /// As `Manifest::apply`.
    pub fn record_expiry_floor(&mut self) -> Result<()> {
        let floor_ms = self.store.expiry.get();
        if floor_ms <= self.manifest.state().expiry_floor_ms {
            return Ok(());
        }
        let next = ManifestId(self.store.home.draw_file_id().0);
        let edit = Edit { expiry_floor_ms: Some(floor_ms), ..Edit::default() };
        if let Some(old) = self.manifest.apply(&edit, next)? {
            self.store.remove(FileKind::Manifest(old));
        }
        Ok(())
    }
}
