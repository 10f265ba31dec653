//! Snapshots that users hold.

use super::iter::Range;
use super::owned_bounds;
use crate::error::Result;
use crate::format::SeqNo;
use crate::read::{Bounds, Lookup, Reader, Scan, Value};
use crate::store::{Generation, Store, View};
use std::ops::RangeBounds;
use std::sync::Arc;

/// The database as it was at one moment, for as many reads as wanted.
///
/// Hold as many as wanted, for as long as wanted: it pins neither memory nor
/// files (but after a restore, [`crate::Db::restore_from`], all of what was there before), but what it sees, and what has been overwritten or deleted since, is kept
/// on disk until it is dropped; [`crate::Metrics`] says how much. Expiry goes on: an entry
/// whose time passes while the snapshot is held is hidden from then on.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
/// db.set("a", "1")?;
/// db.set("b", "2")?;
/// let snapshot = db.snapshot();
/// db.delete("a")?;
/// db.set("c", "3")?;
/// assert_eq!(snapshot.sequence_number(), 2);
/// assert!(snapshot.get("a")?.is_some() && snapshot.get("c")?.is_none());
/// assert_eq!(snapshot.iter().count(), 2);
/// assert_eq!(snapshot.range("b"..).count(), 1);
/// assert_eq!(snapshot.prefix("c").count(), 0);
/// assert_eq!(db.metrics().snapshots.count, 1);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Snapshot {
    store: Arc<Store>,
    /// A restore begins another.
    generation: Arc<Generation>,
    seq: SeqNo,
}

impl Clone for Snapshot {
    fn clone(&self) -> Self {
        self.store.snapshots.take_again(self.seq);
        let (store, generation) = (Arc::clone(&self.store), Arc::clone(&self.generation));
        Snapshot { store, generation, seq: self.seq }
    }
}

impl Drop for Snapshot {
    fn drop(&mut self) {
        self.store.snapshots.release(self.seq);
    }
}

impl Snapshot {
    pub(super) fn new(store: Arc<Store>) -> Self {
        let (generation, seq) = store.take_snapshot();
        Snapshot { store, generation, seq }
    }

    /// The value of `key`, `None` without one.
    ///
    /// See the example of [`Snapshot`].
    ///
    /// # Errors
    /// [`crate::Error::Io`], [`crate::Error::Corruption`], [`crate::Error::Closed`].
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Value>> {
        self.store.health.check_open()?;
        // Any view of the generation from now on holds what was visible before, and what of that
        // the snapshot sees is kept.
        let view = self.store.views.load();
        let view = view.of(&self.generation);
        let reader = Reader { store: &self.store, view, seq: self.seq };
        match reader.get(key.as_ref())? {
            Lookup::Found(value) => Ok(Some(value)),
            Lookup::Missing | Lookup::Expired => Ok(None),
        }
    }

    /// The entries whose key is within `bounds`.
    ///
    /// See the example of [`Snapshot`].
    pub fn range<K: AsRef<[u8]>>(&self, bounds: impl RangeBounds<K>) -> Range {
        Range::new(self.scan(owned_bounds(&bounds)))
    }

    /// All entries.
    ///
    /// See the example of [`Snapshot`].
    #[must_use]
    pub fn iter(&self) -> Range {
        self.prefix("")
    }

    /// The entries whose key starts with `prefix`.
    ///
    /// See the example of [`Snapshot`].
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Range {
        Range::new(self.scan(Bounds::prefix(prefix.as_ref())))
    }

    /// The number of the last operation that it sees, counted since the
    /// database was created; a bulk load skips some.
    ///
    /// See the example of [`Snapshot`].
    #[must_use]
    pub fn sequence_number(&self) -> u64 {
        self.seq.0
    }

    pub(super) fn seq(&self) -> SeqNo {
        self.seq
    }

    /// A view that has all that it sees.
    pub(super) fn pin_view(&self) -> Arc<View> {
        self.store.views.pin_of(&self.generation)
    }

    pub(super) fn scan(&self, bounds: Bounds) -> Scan {
        Scan::new(Arc::clone(&self.store), self.pin_view(), self.seq, bounds)
    }
}
