//! Snapshots that users hold.

use super::iter::Range;
use super::owned_bounds;
use crate::error::Result;
use crate::format::SeqNo;
use crate::read::{Bounds, Lookup, Reader, Scan, Value};
use crate::store::{Store, View};
use std::ops::RangeBounds;
use std::sync::Arc;

/// The database as it was at one moment, for as many reads as wanted.
///
/// It pins the memtables and tables of that moment until it is dropped; their
/// files stay on disk meanwhile. Expiry goes on: an entry whose time passes
/// while the snapshot is held is hidden from then on.
#[derive(Debug, Clone)]
pub struct Snapshot {
    store: Arc<Store>,
    view: Arc<View>,
    seq: SeqNo,
}

impl Snapshot {
    pub(super) fn new(store: Arc<Store>) -> Self {
        // In this order: see INV-1 of `read`. And once more if a memtable was
        // sealed in between: the number may then be of a commit that is not
        // in the view, and would say too much.
        loop {
            let view = store.views.pin();
            let seq = store.visible.load();
            if Arc::ptr_eq(&view, &store.views.load()) {
                return Snapshot { store, view, seq };
            }
        }
    }

    /// The value of `key`, `None` without one.
    ///
    /// # Errors
    /// [`crate::Error::Io`], [`crate::Error::Corruption`], [`crate::Error::Closed`].
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Value>> {
        self.store.health.check_open()?;
        let reader = Reader { store: &self.store, view: &self.view, seq: self.seq };
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
    /// database was created.
    #[must_use]
    pub fn sequence_number(&self) -> u64 {
        self.seq.0
    }

    fn scan(&self, bounds: Bounds) -> Range {
        let (store, view) = (Arc::clone(&self.store), Arc::clone(&self.view));
        Range::new(Scan::new(store, view, self.seq, bounds))
    }
}
