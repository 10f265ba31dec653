//! The handle that users hold: everything below, as one thing.
//!
//! Place on the data's path: both its ends. It starts the workers, routes
//! calls to the pipeline and the readers, and ends it all.
//!
//! INV-1: after `close` returned no thread of ours runs, the directory is
//! unlocked, and every call is [`Error::Closed`].
//! INV-2: dropping the last handle ends the threads and unlocks; it flushes nothing.
//!
//! Concurrency: a [`Db`] is cheap to clone, and all calls may come from any thread.

mod backup;
mod batch;
mod increments;
mod ingest;
mod inner;
mod iter;
mod read_only;
mod run;
mod snapshot;
mod transaction;
mod transfer;
mod verify;
mod workers;

pub use backup::{verify_backup, verify_backup_from};
pub use batch::WriteBatch;
pub use increments::verify_backup_chain;
pub use ingest::{Ingest, IngestReport};
pub use iter::{Keys, Range};
pub use snapshot::Snapshot;
pub use transaction::{DbTransaction, TransactionKeys, TransactionRange};
pub(crate) use transfer::Entries;

use crate::compaction::KeyRange;
use crate::error::{Error, Result};
use crate::fs::{Fs, disk::DiskFs};
use crate::gc::Collected;
use crate::options::{Options, SyncPolicy, WriteOptions};
use crate::read::{Bounds, Lookup, Reader, Value};
use crate::store::{Layout, Metrics};
use inner::Inner;
use std::ops::RangeBounds;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// An open database: ordered byte keys, byte values.
///
/// Cheap to clone; clones are the same database. See [`Options`] for what can
/// be set and [`SyncPolicy`] for what `Ok` from a write means.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// use esker::{Db, Options};
/// let db = Db::open(dir.path(), Options::default())?;
/// db.set("config/host", "10.0.0.1")?;
/// db.set("config/port", "8080")?;
/// assert_eq!(db.get("config/host")?.as_deref(), Some(&b"10.0.0.1"[..]));
/// let keys: Result<Vec<_>, _> = db.prefix("config/").keys().collect();
/// assert_eq!(keys?.len(), 2);
/// db.close()?;
/// # Ok(()) }
/// ```
#[derive(Debug, Clone)]
pub struct Db {
    inner: Arc<Inner>,
}

impl Db {
    /// Opens the database in the directory `path`, which is made if need be.
    ///
    /// What a crash left is recovered first; what was found is in
    /// [`Metrics::recovery`]. On return everything that reads show is durable. After a [`Db::close`] there is
    /// nothing to recover, and nothing is written before the first write: what an open is
    /// refused for else, a full disk say, is told to that write. Nor is a thread started before it, unless there is something to
    /// be merged, collected or scrubbed, now or with time: then they start, and write, a tenth of a second after the open.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// use esker::{Db, Error, Options};
    /// let db = Db::open(dir.path(), Options::default())?;
    /// db.set("key", "value")?;
    /// // One handle at a time.
    /// assert!(matches!(Db::open(dir.path(), Options::default()), Err(Error::Locked { .. })));
    /// db.close()?;
    ///
    /// let existing = Options { create_if_missing: false, ..Options::default() };
    /// assert!(Db::open(dir.path().join("elsewhere"), existing.clone()).is_err());
    /// assert!(Db::open(dir.path(), existing)?.get("key")?.is_some());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// - [`Error::Locked`]: another handle, here or in another process, has it open; nothing was changed;
    /// - [`Error::Corruption`]: a file is not what was written; no file of the database was changed;
    /// - [`Error::UnsupportedFormat`]: a newer version wrote it;
    /// - [`Error::InvalidArgument`]: an option is out of its range, or there is no database
    ///   and `create_if_missing` is off;
    /// - [`Error::Io`].
    pub fn open(path: impl AsRef<Path>, options: Options) -> Result<Db> {
        Db::open_with_fs(Arc::new(DiskFs::new()), path, options)
    }

    /// Opens the database in the directory `path` of another file system: a
    /// simulated one, say.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// use esker::sim::{CrashModel, SimFs}; // Of the feature `sim`.
    /// use esker::{Db, Options};
    /// use std::sync::Arc;
    /// let fs = SimFs::new();
    /// let db = Db::open_with_fs(Arc::new(fs.clone()), "/db", Options::default())?;
    /// db.set("key", "value")?;
    /// // The power goes; what was synced is on the disk.
    /// let disk = fs.crash_image(&CrashModel::SyncedOnly);
    /// let db = Db::open_with_fs(Arc::new(disk), "/db", Options::default())?;
    /// assert_eq!(db.get("key")?.as_deref(), Some(&b"value"[..]));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Db::open`].
    pub fn open_with_fs(fs: Arc<dyn Fs>, path: impl AsRef<Path>, options: Options) -> Result<Db> {
        Ok(Db { inner: Arc::new(Inner::open(fs, path.as_ref(), options)?) })
    }

    /// The value of `key`, `None` without one (never set, deleted or expired).
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
    /// db.set("key", "value")?;
    /// let value = db.get("key")?.expect("it was set");
    /// assert_eq!(value.as_ref(), b"value");
    /// assert_eq!(db.get("other")?, None);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Io`], [`Error::Corruption`] (damage is never read as absence), [`Error::Closed`].
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Value>> {
        match self.lookup(key.as_ref())? {
            Lookup::Found(value) => Ok(Some(value)),
            Lookup::Missing | Lookup::Expired => Ok(None),
        }
    }

    /// Looks `key` up, telling an expired entry from a missing one.
    pub(crate) fn lookup(&self, key: &[u8]) -> Result<Lookup> {
        let store = &self.inner.store;
        store.health.check_open()?;
        // In this order: see INV-1 of `read`.
        let view = store.views.load();
        let seq = store.visible.load();
        Reader { store, view: &view, seq }.get(key)
    }

    /// On which file system, and how, it was opened.
    #[cfg(feature = "sim")]
    pub(crate) fn origin(&self) -> (Arc<dyn Fs>, Options) {
        let store = &self.inner.store;
        (Arc::clone(&store.home.fs), store.options.clone())
    }

    /// [`Error::Closed`] once the database is closed.
    pub(crate) fn check_open(&self) -> Result<()> {
        self.inner.store.health.check_open()
    }

    /// Sets `key` to `value`. Keys have at most 65,535 bytes, values 1 GiB.
    ///
    /// On return the value is visible to every reader, and as durable as the
    /// policy says ([`Options::sync_policy`]).
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
    /// db.set("key", "old")?;
    /// db.set([0xff, 0x00], "keys are bytes")?;
    /// db.set("key", "new")?;
    /// assert_eq!(db.get("key")?.as_deref(), Some(&b"new"[..]));
    /// assert!(matches!(db.set([0; 65_536], ""), Err(esker::Error::TooLarge { what: "key", .. })));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// - [`Error::TooLarge`], [`Error::Io`], [`Error::Closed`], [`Error::Poisoned`]: nothing was written;
    /// - [`Error::Indeterminate`]: the write or the sync failed midway; it is
    ///   not visible, and after a crash may be there or not.
    pub fn set(&self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        let mut batch = WriteBatch::new();
        batch.set(key, value);
        self.write(batch)
    }

    /// Sets `key` to `value` for `ttl` from now: it is alive while
    /// `now < set time + ttl`, in milliseconds.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// use esker::sim::SimFs; // Whose clock moves when it is told to.
    /// use std::{sync::Arc, time::Duration};
    /// let fs = SimFs::new();
    /// let db = esker::Db::open_with_fs(Arc::new(fs.clone()), "/db", esker::Options::default())?;
    /// db.set_with_ttl("session", "alice", Duration::from_secs(30))?;
    /// fs.sim_clock().advance(Duration::from_secs(29));
    /// assert!(db.get("session")?.is_some());
    /// fs.sim_clock().advance(Duration::from_secs(1));
    /// assert_eq!(db.get("session")?, None);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Db::set`]; [`Error::InvalidArgument`] for a `ttl` of zero.
    pub fn set_with_ttl(
        &self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        ttl: Duration,
    ) -> Result<()> {
        let mut batch = WriteBatch::new();
        batch.set_with_ttl(key, value, ttl);
        self.write(batch)
    }

    /// Deletes `key`; one that is not there is fine.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
    /// db.set("key", "value")?;
    /// db.delete("key")?;
    /// db.delete("never set")?;
    /// assert_eq!(db.get("key")?, None);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Db::set`].
    pub fn delete(&self, key: impl AsRef<[u8]>) -> Result<()> {
        let mut batch = WriteBatch::new();
        batch.delete(key);
        self.write(batch)
    }

    /// Commits `batch`: all of it or nothing, at any size, as durable as the
    /// policy says. An empty one writes nothing; where the policy asks for a
    /// sync, it makes what was committed before durable all the same.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
    /// let mut batch = esker::WriteBatch::new();
    /// batch.set("from", "90");
    /// batch.set("to", "110");
    /// db.write(batch)?;
    /// assert!(db.get("from")?.is_some() && db.get("to")?.is_some());
    ///
    /// let mut batch = esker::WriteBatch::new();
    /// batch.delete("from");
    /// batch.set([0; 65_536], "a key that is too long");
    /// assert!(db.write(batch).is_err());
    /// assert!(db.get("from")?.is_some()); // All of it or nothing.
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Db::set`]; what was wrong with an operation when it was added.
    pub fn write(&self, batch: WriteBatch) -> Result<()> {
        self.write_with(batch, WriteOptions::default())
    }

    /// Commits `batch` under `options` in place of the database's policy.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// use esker::{Db, Options, SyncPolicy, WriteBatch, WriteOptions};
    /// let options = Options { sync_policy: SyncPolicy::Never, ..Options::default() };
    /// let db = Db::open(dir.path(), options)?;
    /// db.set("cache", "may get lost")?;
    /// let mut batch = WriteBatch::new();
    /// batch.set("order", "may not");
    /// let before = db.metrics().log_syncs;
    /// db.write_with(batch, WriteOptions { sync: Some(true) })?;
    /// assert_eq!(db.metrics().log_syncs, before + 1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Db::write`].
    pub fn write_with(&self, batch: WriteBatch, options: WriteOptions) -> Result<()> {
        let store = &self.inner.store;
        store.health.check_open()?;
        let batch = batch.prepare(&store.expiry, store.home.clock.as_ref())?;
        let by_policy = store.options.sync_policy == SyncPolicy::Always;
        self.inner.commit(batch, options.sync.unwrap_or(by_policy), None).map(|_| ())
    }

    /// The entries whose key is within `bounds`, in order, from either end,
    /// as they are now.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
    /// for key in ["a", "b", "c"] {
    ///     db.set(key, key)?;
    /// }
    /// let (last, _) = db.range("a".."c").next_back().expect("two keys")?;
    /// assert_eq!(last, b"b");
    /// # Ok(()) }
    /// ```
    pub fn range<K: AsRef<[u8]>>(&self, bounds: impl RangeBounds<K>) -> Range {
        self.snapshot().range(bounds)
    }

    /// All entries, in order, from either end, as they are now.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
    /// for key in ["b", "c", "a"] {
    ///     db.set(key, key.to_uppercase())?;
    /// }
    /// let entries = db.iter();
    /// db.delete("a")?; // What it sees was fixed before.
    /// let values: Vec<_> = entries.map(|entry| Ok(entry?.1)).collect::<esker::Result<_>>()?;
    /// assert_eq!(values, [b"A", b"B", b"C"]);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn iter(&self) -> Range {
        self.snapshot().iter()
    }

    /// The entries whose key starts with `prefix`, in order, from either end,
    /// as they are now.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
    /// for key in ["user/2", "user/10", "users", "zone/1"] {
    ///     db.set(key, "")?;
    /// }
    /// let keys: Vec<_> = db.prefix("user/").keys().collect::<Result<_, _>>()?;
    /// assert_eq!(keys.iter().map(|key| &key[..]).collect::<Vec<_>>(), [&b"user/10"[..], b"user/2"]);
    /// # Ok(()) }
    /// ```
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> Range {
        self.snapshot().prefix(prefix)
    }

    /// The database as it is now, for as many reads as wanted.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
    /// db.set("key", "old")?;
    /// let before = db.snapshot();
    /// db.set("key", "new")?;
    /// assert_eq!(before.get("key")?.as_deref(), Some(&b"old"[..]));
    /// assert_eq!(db.get("key")?.as_deref(), Some(&b"new"[..]));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn snapshot(&self) -> Snapshot {
        Snapshot::new(Arc::clone(&self.inner.store))
    }

    /// Makes every commit that returned before this call durable, whatever the policy.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// use esker::sim::{CrashModel, SimFs};
    /// use esker::{Db, Options, SyncPolicy};
    /// use std::sync::Arc;
    /// let fs = SimFs::new();
    /// let options = Options { sync_policy: SyncPolicy::Never, ..Options::default() };
    /// let db = Db::open_with_fs(Arc::new(fs.clone()), "/db", options.clone())?;
    /// db.set("a", "1")?;
    /// db.persist()?;
    /// db.set("b", "2")?;
    /// let disk = fs.crash_image(&CrashModel::SyncedOnly);
    /// let db = Db::open_with_fs(Arc::new(disk), "/db", options)?;
    /// assert!(db.get("a")?.is_some() && db.get("b")?.is_none());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Poisoned`] when a sync failed, now or before; [`Error::Closed`].
    /// Without a log ([`Options::wal_enabled`]) as [`Db::flush`].
    pub fn persist(&self) -> Result<()> {
        self.inner.store.health.check_open()?;
        if self.inner.store.options.wal_enabled {
            self.inner.pipeline.persist()
        } else {
            self.flush()
        }
    }

    /// As [`Db::persist`], and writes the memtables out as tables.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
    /// db.set("key", "value")?;
    /// assert_eq!(db.metrics().tables, 0);
    /// db.flush()?;
    /// assert_eq!(db.metrics().tables, 1);
    /// assert!(db.get("key")?.is_some());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Io`]: it could not be done now and is tried again in the
    /// background; nothing is lost. [`Error::Poisoned`], [`Error::Closed`].
    pub fn flush(&self) -> Result<()> {
        self.inner.store.health.check_open()?;
        self.inner.flush()
    }

    /// Writes the memtables out and merges all tables down as far as they go, so that what
    /// was overwritten or deleted, or has expired, gives its space back, as far as no
    /// snapshot sees it. Reads and writes go on; what is written meanwhile is not waited for.
    ///
    /// It can take long. Closing the database interrupts it; what was done by then stays.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
    /// db.set("key", "value")?;
    /// db.flush()?;
    /// db.delete("key")?;
    /// db.flush()?; // What deletes it stands in a second table.
    /// db.compact()?;
    /// assert_eq!(db.metrics().tables, 0);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Corruption`] when a table is damaged: it stays as it is, and the others
    /// are merged as far as it is not in the way. [`Error::Io`], [`Error::Poisoned`], [`Error::Closed`].
    pub fn compact(&self) -> Result<()> {
        self.compact_range::<&[u8]>(..)
    }

    /// As [`Db::compact`], for the tables that have keys within `bounds`.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
    /// for key in ["a", "z"] {
    ///     for value in ["old", "new"] {
    ///         db.set(key, value)?;
    ///         db.flush()?;
    ///     }
    /// }
    /// db.compact_range("a"..="b")?;
    /// let layout = db.layout();
    /// let above = layout.levels[0].tables.iter();
    /// assert!(above.clone().all(|table| table.smallest_key == b"z"));
    /// assert!(layout.levels[1..].iter().any(|level| !level.tables.is_empty()));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Db::compact`].
    pub fn compact_range<K: AsRef<[u8]>>(&self, bounds: impl RangeBounds<K>) -> Result<()> {
        self.inner.store.health.check_open()?;
        let low = bounds.start_bound().map(AsRef::as_ref);
        let high = bounds.end_bound().map(AsRef::as_ref);
        self.inner.compact(KeyRange { low, high })
    }

    /// Gives back the space of large values that nothing points to any more, where it is a twentieth
    /// of a file or more (the background waits for [`Options::value_garbage_percent`]); tells what it did. What was
    /// overwritten or deleted is pointed to until tables are merged: [`Db::compact`] before this gives
    /// back all that can be. Reads, writes and iterators go on.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
    /// db.set("photo", [7; 10_000])?;
    /// db.set("other", [8; 10_000])?;
    /// db.flush()?;
    /// db.delete("photo")?;
    /// db.compact()?; // Until then a table points to it.
    /// let collected: esker::Collected = db.collect_garbage()?;
    /// assert_eq!((collected.files, collected.values), (1, 1)); // `other` was copied.
    /// assert!(collected.freed_bytes > 0);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Corruption`] when a file is damaged: it stays as it is, others are collected all the
    /// same. [`Error::Io`], [`Error::Poisoned`], [`Error::Closed`].
    pub fn collect_garbage(&self) -> Result<Collected> {
        self.inner.store.health.check_open()?;
        self.inner.collect_garbage()
    }

    /// How things stand.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
    /// db.set("key", "value")?;
    /// db.flush()?;
    /// let metrics = db.metrics();
    /// assert_eq!((metrics.last_seq, metrics.tables), (1, 1));
    /// assert!(metrics.to_string().contains("level"));
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn metrics(&self) -> Metrics {
        self.inner.metrics()
    }

    /// What it is made of: every table with its keys, every file with large values. As many entries as there are files, so
    /// rather for a person than for a loop.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
    /// db.set("small", "value")?;
    /// db.set("large", [7; 10_000])?;
    /// db.flush()?;
    /// let layout = db.layout();
    /// let table = &layout.levels[0].tables[0];
    /// assert!(table.value_bytes > 0 && table.bytes < 10_000);
    /// assert_eq!(layout.value_files.len(), 1);
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn layout(&self) -> Layout {
        self.inner.store.layout()
    }

    /// The number that tells it from every other database; a checkpoint has that of its original.
    #[cfg(feature = "server")]
    pub(crate) fn identity(&self) -> u64 {
        self.inner.store.home.database.0
    }

    /// Writes everything out, ends the background threads and unlocks the
    /// directory. Idempotent. Afterwards every call, on every clone, is [`Error::Closed`].
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
    /// let clone = db.clone();
    /// db.set("key", "value")?;
    /// db.close()?;
    /// db.close()?; // Once more is fine.
    /// assert!(matches!(clone.get("key"), Err(esker::Error::Closed)));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::Io`] or [`Error::Poisoned`] when not everything could be
    /// written out; the database is closed all the same, and what its
    /// log holds is recovered by the next open.
    pub fn close(&self) -> Result<()> {
        self.inner.close()
    }
}

/// Any range of keys as ours.
fn owned_bounds<K: AsRef<[u8]>>(bounds: &impl RangeBounds<K>) -> Bounds {
    Bounds::new(bounds.start_bound().map(AsRef::as_ref), bounds.end_bound().map(AsRef::as_ref))
}

#[expect(dead_code, reason = "only has to compile")]
fn assert_shared_between_threads(db: Db) -> impl Send + Sync + Clone {
    db
}

#[expect(dead_code, reason = "only has to compile")]
fn assert_error(e: Error) -> impl Send + Sync + std::error::Error {
    e
}
