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
}

impl Flusher {
    /// Works for `store`, whose manifest in force is `manifest`.
    #[must_use]
    pub fn new(store: Arc<Store>, manifest: Manifest) -> Self {
        Flusher { store, manifest }
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

    /// Brings one memtable down, however often it takes; false when the worker is to end.
    fn flush_with_retries(&mut self, sealed: &Arc<SealedMemtable>) -> bool {
        // All commits that belong into it are in it once they are visible. If
        // one never will be, the handle is poisoned, and the attempt ends there.
        let _ = self.store.visible.wait_for(sealed.last_seq);
        let mut table = None;
        let mut pause = PAUSE_MIN;
        loop {
            let e = match self.flush(sealed, &mut table) {
                Ok(()) => return true,
                Err(e) => e,
            };
            if !matches!(&e, Error::Io { op, .. } if *op != "sync") {
                let poisoned = self.store.health.poison(e);
                self.store.views.abort(poisoned);
                return false;
            }
            self.store.counters.flush_failures.add(1);
            self.store.views.report_failure(e, pause);
            if self.store.views.is_stopped() {
                return false;
            }
            pause = PAUSE_MAX.min(pause * 2);
        }
    }

    /// One attempt; `table` keeps what a failed one achieved (INV-3).
    fn flush(&mut self, sealed: &Arc<SealedMemtable>, table: &mut Option<TableMeta>) -> Result<()> {
        self.store.health.check_sound()?;
        let home = &self.store.home;
        // Recovery relies on the header of the log that the manifest names, and
        // takes another for damage. First, while there is little in that file.
        if let Some(next) = sealed.next_file.lock().take() {
            next.file.sync_data().during("sync", &next.path)?;
        }
        if table.is_none() && !sealed.memtable.is_empty() {
            *table = Some(self.store.write_table(&sealed.memtable)?);
        }
        // Also for the sake of the next log file: its name must be durable
        // before an edit relies on it.
        home.fs.sync_dir(&home.dir).during("sync", &home.dir)?;
        let opened = match &*table {
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
            added: table.iter().map(|meta| (0, meta.clone())).collect(),
            removed: Vec::new(),
        };
        let replaced = self.manifest.apply(&edit, next)?;
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
