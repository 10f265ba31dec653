//! Snapshots that users hold.

use super::iter::Range;
use super::owned_bounds;
use crate::error::Result;
use crate::format::SeqNo;
use crate::read::{Bounds, Lookup, Reader, Scan, Value};
use crate::store::Store;
use std::ops::RangeBounds;
use std::sync::Arc;

/// The database as it was at one moment, for as many reads as wanted.
///
/// Hold as many as wanted, for as long as wanted: it pins neither memory nor
/// files, but what it sees, and what has been overwritten or deleted since, is kept
/// on disk until it is dropped; [`crate::Metrics`] says how much. Expiry goes on: an entry
/// whose time passes while the snapshot is held is hidden from then on.
#[derive(Debug)]
pub struct Snapshot {
    store: Arc<Store>,
    seq: SeqNo,
}

impl Clone for Snapshot {
    fn clone(&self) -> Self {
        self.store.snapshots.take_again(self.seq);
        Snapshot { store: Arc::clone(&self.store), seq: self.seq }
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.store.snapshots.release(self.seq);
    }
}

impl Snapshot {
    pub(super) fn new(store: Arc<Store>) -> Self {
        let seq = store.snapshots.take(&store.visible, store.home.clock.elapsed());
        Snapshot { store, seq }
    }

    /// The value of `key`, `None` without one.
    ///
    /// # Errors
    /// [`crate::Error::Io`], [`crate::Error::Corruption`], [`crate::Error::Closed`].
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Value>> {
        self.store.health.check_open()?;
        // Any view from now on holds what was visible before, and what of that
        // the snapshot sees is kept.
        let view = self.store.views.load();
        let reader = Reader { store: &self.store, view: &view, seq: self.seq };
        match reader.get(key.as_ref())? {
            Lookup::Found(value) => Ok(Some(value)),
            Lookup::Missing | Lookup::Expired => Ok(None),
        }
    }

    /// The entries whose key is within `bounds`.
    pub fn range<K: AsRef<[u8]>>(&self, bounds: impl RangeBounds<K>) -> Range {
        self.scan(owned_bounds(&bounds))
    }

    /// All entries.
    #[must_use]
    pub fn iter(&self) -> Range {
        self.prefix("")
    }

    /// The entries whose key starts with `prefix`.
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Range {
        self.scan(Bounds::prefix(prefix.as_ref()))
    }

    /// The number of the last operation that it sees, counted since the
    /// database was created; a bulk load skips some.
    #[must_use]
    pub fn sequence_number(&self) -> u64 {
        self.seq.0
    }

    fn scan(&self, bounds: Bounds) -> Range {
        Range::new(self.new_scan(bounds))
    }

    pub(super) fn new_scan(&self, bounds: Bounds) -> Scan {
        let (store, view) = (Arc::clone(&self.store), self.store.views.pin());
        Scan::new(store, view, self.seq, bounds)
    }
}
