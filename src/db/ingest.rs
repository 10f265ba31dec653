//! Bulk load, as users see it.

use super::Db;
use crate::error::{Error, Result};
use crate::ingest::Writer;
use std::fmt;
use std::time::Duration;

/// What an ingest came to.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
/// let report = db.ingest([("a", vec![1; 10]), ("b", vec![2; 10_000])])?;
/// assert_eq!((report.entries, report.tables, report.rewrites), (2, 1, 0));
/// assert!(report.value_bytes > 0); // The large one stands beside the table.
/// assert_eq!(db.metrics().table_bytes, report.table_bytes);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct IngestReport {
    /// Entries.
    pub entries: u64,
    /// The tables that they are in.
    pub tables: usize,
    /// The length of those, in bytes.
    pub table_bytes: u64,
    /// Large values, which stand beside the tables, as they are stored, in bytes.
    pub value_bytes: u64,
    /// How often all was written anew: once for each other ingest, or each 2^28
    /// operations, that were finished while this one was under way; mostly 0.
    pub rewrites: u32,
}

/// A bulk load under way: see [`Db::start_ingest`].
///
/// Dropped unfinished it leaves nothing behind. It keeps the database open, as a clone
/// of the [`Db`] does.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
/// let mut ingest = db.start_ingest()?;
/// for n in 0..1000_u32 {
///     ingest.put(format!("key/{n:04}"), n.to_le_bytes())?;
/// }
/// assert_eq!(db.get("key/0007")?, None); // Not before the end.
/// assert_eq!(ingest.finish()?.entries, 1000);
/// assert!(db.get("key/0007")?.is_some());
/// # Ok(()) }
/// ```
pub struct Ingest {
    writer: Writer,
    db: Db,
}

impl fmt::Debug for Ingest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Ingest").field("entries", &self.writer.entries()).finish_non_exhaustive()
    }
}

impl Ingest {
    /// Adds an entry, whose key must be greater than that of the one before.
    ///
    /// See the example of [`Ingest`].
    ///
    /// # Errors
    /// - [`Error::InvalidArgument`]: the key is not; the text names the entry by its position;
    /// - [`Error::TooLarge`], [`Error::Io`], [`Error::Closed`], [`Error::Poisoned`].
    ///
    /// After any of them the ingest has failed: what it wrote is removed, and every
    /// further call fails with the same error.
    pub fn put(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        self.writer.put(key.as_ref(), value.as_ref(), None)
    }

    /// Adds an entry that lives for `ttl`, counted from this call (not from the end of
    /// the ingest).
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// use esker::sim::SimFs;
    /// use std::{sync::Arc, time::Duration};
    /// let fs = SimFs::new();
    /// let db = esker::Db::open_with_fs(Arc::new(fs.clone()), "/db", esker::Options::default())?;
    /// let mut ingest = db.start_ingest()?;
    /// ingest.put("a", "for ever")?;
    /// ingest.put_with_ttl("b", "for a minute", Duration::from_secs(60))?;
    /// ingest.finish()?;
    /// assert_eq!(db.iter().count(), 2);
    /// fs.sim_clock().advance(Duration::from_secs(60));
    /// assert_eq!(db.iter().count(), 1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Ingest::put`]; [`Error::InvalidArgument`] for a `ttl` of zero.
    pub fn put_with_ttl(
        &mut self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        ttl: Duration,
    ) -> Result<()> {
        if ttl.is_zero() {
            let e = Error::invalid("a time to live of zero; it must be greater");
            return Err(self.writer.fail(e));
        }
        let store = &self.db.inner.store;
        let expires_at_ms = store.expiry.deadline_ms(store.home.clock.as_ref(), ttl);
        self.writer.put(key.as_ref(), value.as_ref(), Some(expires_at_ms))
    }

    /// Makes all entries visible and durable, at once.
    ///
    /// See the example of [`Ingest`].
    ///
    /// # Errors
    /// [`Error::Indeterminate`]: nothing of it is visible, and after a crash all of it may be there, or
    /// nothing. [`Error::Io`], [`Error::Closed`], [`Error::Poisoned`], and what [`Ingest::put`]
    /// failed with: nothing has changed.
    pub fn finish(self) -> Result<IngestReport> {
        let Ingest { writer, db } = self;
        let done = db.inner.finish_ingest(writer)?;
        Ok(IngestReport {
            entries: done.entries,
            tables: done.tables,
            table_bytes: done.table_bytes,
            value_bytes: done.value_bytes,
            rewrites: done.rewrites,
        })
    }
}

impl Db {
    /// Loads `entries`, which come in ascending order of their keys, each once, as one
    /// commit: straight into tables, past the log and the memtable.
    ///
    /// On return all of it is visible and durable, whatever the policy, and so is everything
    /// committed before. It replaces what its keys had when it returns, but for commits that are made
    /// after it; snapshots taken before do not see it. Memory does not depend on how much is loaded. Reads and
    /// writes go on; at the end writers wait for what is in memory to be written out.
    ///
    /// Worth it from some thousand entries on: it flushes, and every call makes a table or more.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
    /// let report = db.ingest((0..1000).map(|n| (format!("key/{n:04}"), "value")))?;
    /// assert_eq!(report.entries, 1000);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`Ingest::put`] and [`Ingest::finish`].
    pub fn ingest<K, V>(&self, entries: impl IntoIterator<Item = (K, V)>) -> Result<IngestReport>
    where
        K: AsRef<[u8]>,
        V: AsRef<[u8]>,
    {
        let mut ingest = self.start_ingest()?;
        for (key, value) in entries {
            ingest.put(key, value)?;
        }
        ingest.finish()
    }

    /// Begins to load sorted entries as [`Db::ingest`] does, one by one: where they come from a source
    /// that may fail, or expire.
    ///
    /// See the example of [`Ingest`].
    ///
    /// # Errors
    /// [`Error::Closed`], [`Error::Poisoned`]; [`Error::InvalidArgument`] for the 134-millionth of a
    /// database: each takes 2^28 sequence numbers.
    pub fn start_ingest(&self) -> Result<Ingest> {
        self.inner.begin()?;
        Ok(Ingest { writer: self.inner.ingester.begin()?, db: self.clone() })
    }
}
