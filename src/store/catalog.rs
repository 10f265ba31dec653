//! The one place where the set of tables changes: first in the manifest,
//! durably, then in the view of readers.

use super::Store;
use super::view::SealedMemtable;
use crate::error::{Error, Result};
use crate::format::{FileKind, Level, ManifestId, TableId};
use crate::manifest::{Edit, Manifest};
use crate::table::Table;
use parking_lot::Mutex;
use std::sync::Arc;

/// A change of the set of tables.
#[derive(Debug, Clone, Default)]
pub struct Change {
    /// What goes into the manifest, but for the tables: their durable names and bytes are
    /// the caller's affair (INV-1 of `manifest`).
    pub edit: Edit,
    /// Tables that are now part of the database.
    pub added: Vec<(Level, Arc<Table>)>,
    /// Tables that are no longer, or no longer where they were.
    pub removed: Vec<TableId>,
    /// The memtable whose content is in the tables added.
    pub flushed: Option<Arc<SealedMemtable>>,
}

/// The manifest in force, and the way to change it.
#[derive(Debug)]
pub struct Catalog {
    store: Arc<Store>,
    manifest: Mutex<Manifest>,
}

impl Catalog {
    /// Of `store`, whose manifest in force is `manifest`.
    #[must_use]
    pub fn new(store: Arc<Store>, manifest: Manifest) -> Self {
        Catalog { store, manifest: Mutex::new(manifest) }
    }

    /// Makes `change` durable, then puts it in force for readers. The files of tables
    /// that were removed go when their last reader has.
    ///
    /// # Errors
    /// [`Error::Io`] with an operation other than `sync`: nothing has changed, and it may be tried
    /// again. Else whether it is in force is open: the caller poisons.
    pub fn apply(&self, change: Change) -> Result<()> {
        let Change { mut edit, added, removed, flushed } = change;
        let store = &self.store;
        let mut manifest = self.manifest.lock();
        store.health.check_sound()?;
        let next = ManifestId(store.home.draw_file_id().0);
        edit.next_file = Some(store.home.next_file());
        edit.expiry_floor_ms = Some(store.expiry.get());
        edit.added = added.iter().map(|(level, table)| (*level, table.meta().clone())).collect();
        edit.removed = removed;
        let replaced = manifest.apply(&edit, next)?;
        let old = Arc::clone(&store.views.load().version);
        let kept: Vec<TableId> = added.iter().map(|(_, table)| table.meta().id).collect();
        store.views.install(flushed.as_ref(), old.with(added, &edit.removed));
        for (_, table) in old.tables() {
            let id = table.meta().id;
            if edit.removed.contains(&id) && !kept.contains(&id) {
                table.discard();
            }
        }
        if let Some(old) = replaced {
            store.remove(FileKind::Manifest(old));
        }
        Ok(())
    }

    /// Records the expiry floor, at close.
    ///
    /// # Errors
    /// As [`Manifest::apply`].
    pub fn record_expiry_floor(&self) -> Result<()> {
        let mut manifest = self.manifest.lock();
        let floor_ms = self.store.expiry.get();
        if floor_ms <= manifest.state().expiry_floor_ms {
            return Ok(());
        }
        let next = ManifestId(self.store.home.draw_file_id().0);
        let edit = Edit { expiry_floor_ms: Some(floor_ms), ..Edit::default() };
        if let Some(old) = manifest.apply(&edit, next)? {
            self.store.remove(FileKind::Manifest(old));
        }
        Ok(())
    }
}

/// Whether what failed with `e` may be tried again: nothing that was synced, and
/// nothing that says to be anything but a moment's refusal.
#[must_use]
pub fn may_be_retried(e: &Error) -> bool {
    matches!(e, Error::Io { op, .. } if *op != "sync")
}
