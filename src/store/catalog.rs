//! The one place where the set of tables changes: first in the manifest,
//! durably, then in the view of readers.

use super::Store;
use super::pressure::Drained;
use super::segments::Segments;
use super::version::Version;
use super::view::SealedMemtable;
use crate::error::{Error, Result};
use crate::format::{
    FileKind, Level, LogId, ManifestId, SegmentId, SegmentMeta, SeqNo, TableId, TableMeta,
};
use crate::manifest::{Edit, Manifest, State};
use crate::table::Table;
use crate::vlog::ValueFile;
use log::warn;
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
    /// Segments that are new, or stand in another file from now on. Those to which nothing points
    /// any more, after the change, go by themselves.
    pub segments: Vec<(SegmentMeta, Arc<ValueFile>)>,
    /// Segments that go though entries point to them: all of those have expired.
    pub segments_dropped: Vec<SegmentId>,
    /// The memtable whose content is in the tables added.
    pub flushed: Option<Arc<SealedMemtable>>,
    /// [`Version::restores`] of the version that it was worked out on; `None`: of whichever is in force.
    pub worked_out_on: Option<u64>,
}

/// What became of a change.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Applied {
    /// It is in force.
    InForce,
    /// A restore has replaced what it was to change. The files that were written for it go.
    Superseded,
}

/// What a restore puts in the place of everything.
#[derive(Debug, Clone)]
pub struct Replacement {
    /// All numbers up to this one have been given out.
    pub last_seq: SeqNo,
    /// The log file from which on records count, and the position at which it begins.
    pub log: (LogId, u64),
    /// Everything that expires by then has been seen expired.
    pub expiry_floor_ms: u64,
    /// The tables, which do not overlap.
    pub tables: Vec<Arc<Table>>,
    /// The segments to which they point.
    pub segments: Vec<(SegmentMeta, Arc<ValueFile>)>,
}

/// The manifest in force, and the way to change it.
#[derive(Debug)]
pub struct Catalog {
    pub(super) store: Arc<Store>,
    pub(super) manifest: Mutex<Manifest>,
}

impl Catalog {
    /// Of `store`, whose manifest in force is `manifest`.
    #[must_use]
    pub fn new(store: Arc<Store>, manifest: Manifest) -> Self {
        Catalog { store, manifest: Mutex::new(manifest) }
    }

    /// Has `make` put a manifest of this run in force, in the place of the one in which it found everything.
    ///
    /// # Errors
    /// What `make` fails with.
    pub fn begin(&self, make: impl FnOnce() -> Result<Manifest>) -> Result<()> {
        let mut manifest = self.manifest.lock();
        *manifest = make()?;
        Ok(())
    }

    /// Notes in the manifest that all is in tables and the log is empty, for the next open; at close, as the last of all.
    pub fn mark_closed(&self) {
        if let Err(e) = self.manifest.lock().mark_closed() {
            // Nothing is missing; the next open is one of the slower kind.
            warn!(target: "esker::files", "the end of this run could not be noted: {e}");
        }
    }

    /// Makes `change` durable, then puts it in force for readers. The files of tables and
    /// segments that were removed go when their last reader has.
    ///
    /// # Errors
    /// [`Error::Io`] with an operation other than `sync`: nothing has changed, and it may be tried
    /// again. Else whether it is in force is open: the caller poisons.
    pub fn apply(&self, change: Change) -> Result<Applied> {
        let store = &self.store;
        let mut manifest = self.manifest.lock();
        store.health.check_sound()?;
        if self.is_superseded(&change) {
            // Their files go with them, once nobody reads them.
            change.added.iter().for_each(|(_, table)| table.discard());
            change.segments.iter().for_each(|(_, file)| file.discard());
            return Ok(Applied::Superseded);
        }
        let Change { mut edit, added, removed, segments, segments_dropped, flushed, .. } = change;
        let next = ManifestId(store.home.draw_file_id().0);
        edit.next_file = Some(store.home.next_file());
        edit.expiry_floor_ms = Some(store.expiry.get());
        edit.added = added.iter().map(|(level, table)| (*level, table.meta().clone())).collect();
        edit.removed = removed;
        let old = Arc::clone(&store.views.load().version);
        let (after, gone) = {
            let is_removed = |meta: &&TableMeta| edit.removed.contains(&meta.id);
            let removed = old.metas().map(|(_, meta)| meta).filter(is_removed);
            let added = edit.added.iter().map(|(_, meta)| meta);
            old.segments().after(&segments, added, removed, &segments_dropped)
        };
        let is_put = |id| after.get(id).is_some();
        edit.segments = segments.iter().map(|(meta, _)| meta.clone()).collect();
        edit.segments.retain(|meta| is_put(meta.id));
        edit.segments_removed = gone;
        let replaced = manifest.apply(&edit, next)?;
        let kept: Vec<TableId> = added.iter().map(|(_, table)| table.meta().id).collect();
        let grown = segments.iter().filter(|(meta, _)| meta.is_at_home() && is_put(meta.id));
        let grown_bytes: u64 = grown.map(|(meta, _)| meta.file_bytes).sum();
        let taken_bytes = old.segments().total().stored_bytes + grown_bytes;
        let space_bytes = taken_bytes.saturating_sub(after.total().stored_bytes);
        let drained = Drained { space_bytes, ..drained(&edit, &old, flushed.is_some()) };
        let files_gone = old.segments().files_gone(&after);
        // Written for nothing: all that it holds has gone meanwhile.
        let unused = segments
            .iter()
            .map(|(_, file)| file)
            .filter(|file| after.iter().all(|segment| segment.meta.file() != file.kind()));
        let unused: Vec<_> = unused.cloned().collect();
        let version = old.with(added, &edit.removed).with_segments(after);
        store.views.install(flushed.as_ref(), version);
        files_gone.iter().chain(&unused).for_each(|file| file.discard());
        store.measure_pressure(drained);
        for (_, table) in old.tables() {
            let id = table.meta().id;
            if edit.removed.contains(&id) && !kept.contains(&id) {
                table.discard();
            }
        }
        if let Some(old) = replaced {
            store.remove(FileKind::Manifest(old));
        }
        Ok(Applied::InForce)
    }

    /// Whether `change` is one of what a restore has replaced.
    fn is_superseded(&self, change: &Change) -> bool {
        let restores = self.store.views.load().version.restores();
        let is_of_another = change.worked_out_on.is_some_and(|on| on != restores);
        let flushed = change.flushed.as_ref();
        is_of_another || flushed.is_some_and(|sealed| !self.store.views.is_wanted(sealed))
    }

    /// Makes `replacement` durable in the place of all tables, segments and memtables, with one edit, then
    /// puts it in force for readers. The active memtable must be empty, and nobody may commit
    /// meanwhile. Files of what was replaced go when their last reader has.
    ///
    /// # Errors
    /// As [`Catalog::apply`].
    pub fn replace(&self, replacement: Replacement) -> Result<()> {
        let Replacement { last_seq, log, expiry_floor_ms, tables, segments } = replacement;
        let store = &self.store;
        let mut manifest = self.manifest.lock();
        store.health.check_sound()?;
        let next = ManifestId(store.home.draw_file_id().0);
        let expiry_floor_ms = expiry_floor_ms.max(store.expiry.get());
        let old = Arc::clone(&store.views.load().version);
        let added = tables.iter().map(|table| (Level::LAST, table.meta().clone()));
        let edit = Edit {
            log_min: Some(log.0),
            log_base: Some(log.1),
            last_seq: Some(last_seq),
            next_file: Some(store.home.next_file()),
            expiry_floor_ms: Some(expiry_floor_ms),
            added: added.collect(),
            removed: manifest.state().tables.keys().copied().collect(),
            segments: segments.iter().map(|(meta, _)| meta.clone()).collect(),
            segments_removed: manifest.state().segments.keys().copied().collect(),
            // What has changed since then cannot be told any more.
            followed: (!manifest.state().followed.is_empty()).then(Vec::new),
            ..Edit::default()
        };
        let replaced = manifest.apply(&edit, next)?;
        store.expiry.raise(expiry_floor_ms);
        store.followed.set(Vec::new());
        let version = Version::new(tables.into_iter().map(|table| (Level::LAST, table)));
        let new_segments = Segments::of(&segments, version.metas().map(|(_, meta)| meta));
        let version = version.with_segments(new_segments).in_place_of(&old);
        let last = store.views.replace(version);
        old.tables().for_each(|(_, table)| table.discard());
        old.segments().iter().for_each(|segment| segment.file.discard());
        for sealed in &last.sealed {
            store.unsynced_logs.forget(sealed.log);
            sealed.values.discard();
        }
        store.measure_pressure(Drained::default());
        if let Some(old) = replaced {
            store.remove(FileKind::Manifest(old));
        }
        Ok(())
    }

    /// What the manifest says, and the version that goes with it, which keeps the files from being removed.
    pub fn pin(&self) -> (State, Arc<Version>) {
        let manifest = self.manifest.lock();
        (manifest.state().clone(), Arc::clone(&self.store.views.load().version))
    }

    /// Whether the manifest has the expiry floor.
    pub fn has_expiry_floor(&self) -> bool {
        self.store.expiry.get() <= self.manifest.lock().state().expiry_floor_ms
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

/// What `edit`, on top of the version `old`, takes out of memtables and level 0.
fn drained(edit: &Edit, old: &Version, is_flush: bool) -> Drained {
    let level_0 = edit.added.iter().filter(|(level, _)| *level == Level::ZERO);
    let added_bytes = level_0.map(|(_, meta)| meta.properties.raw_bytes).sum();
    if is_flush {
        return Drained { memtable_bytes: added_bytes, ..Drained::default() };
    }
    let removed = old.level(Level::ZERO).iter().map(|table| table.meta());
    let removed = removed.filter(|meta| edit.removed.contains(&meta.id));
    let removed_bytes: u64 = removed.map(|meta| meta.properties.raw_bytes).sum();
    // What is merged within level 0 has not left it.
    let level_0_bytes = if added_bytes > 0 { 0 } else { removed_bytes };
    Drained { level_0_bytes, ..Drained::default() }
}

/// Whether what failed with `e` may be tried again: nothing that was synced, and
/// nothing that says to be anything but a moment's refusal.
#[must_use]
pub fn may_be_retried(e: &Error) -> bool {
    matches!(e, Error::Io { op, .. } if *op != "sync")
}
