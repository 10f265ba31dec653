//! Transactions that users hold.

use super::batch::{WriteBatch, check_lifetime};
use super::snapshot::Snapshot;
use super::{Db, owned_bounds};
use crate::commit::{check_key, check_value};
use crate::error::{Error, Result};
use crate::options::{SyncPolicy, WriteOptions};
use crate::read::{Bounds, Key, Value};
use crate::txn::{Entries, Overlay, ReadSet, Reads, Row, RowKeys, Stored, Write, Writes};
use std::cell::RefCell;
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::ops::RangeBounds;
use std::sync::Arc;
use std::time::Duration;

/// How often [`Db::transact`] runs its closure at most.
const ATTEMPTS_MAX: u32 = 64;

/// After so many attempts who contends waits for those who have contended as long: chance may pass over one of
/// thirty writers of one key 64 times, and does where each attempt takes a slow disk's sync.
const ATTEMPTS_FREE: u32 = 8;

/// The longest such wait. It ends in any case: whoever is waited for may wait for us, from within its closure.
const TURN_WAIT_MAX: Duration = Duration::from_secs(1);

/// The longest pause between two attempts.
const PAUSE_MAX: Duration = Duration::from_millis(10);

/// Reads and writes that take effect together, at one moment of the commit order, or not at all.
///
/// It reads the database as it was when it began ([`Db::transaction`]), and its own writes over
/// that; nobody else sees those before [`DbTransaction::commit`] returned. Transactions are
/// **serializable**: what those that commit have read and written is what they would have if
/// they had run one after the other, in the order of their commits.
///
/// To that end a commit fails with [`Error::Conflict`], and writes nothing, when a key that the
/// transaction has read, or a range as far as it has walked it, has been written since it began:
/// by another transaction, a plain write, a batch or a bulk load; newly inserted keys count (no
/// phantoms), deletes too, and the same value again. A key that the transaction had written itself when it
/// asked for it is not read from the database. Expiry is not a write. One that only
/// reads always commits, as of its beginning; one that only writes never conflicts, the later
/// commit holds. See [`Db::transact`] for one that is run again by itself.
///
/// Memory: its writes, the keys it has read one by one, and two keys for each iterator. It holds a
/// [`Snapshot`], with what that keeps on disk, and keeps the database open as a clone of the [`Db`] does.
/// Dropping it is a rollback.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
/// db.set("stock", "1")?;
/// let mut first = db.transaction();
/// let mut second = db.transaction();
/// for tx in [&mut first, &mut second] {
///     if tx.get("stock")?.as_deref() == Some(b"1") {
///         tx.set("stock", "0")?;
///     }
/// }
/// first.commit()?;
/// assert!(matches!(second.commit(), Err(esker::Error::Conflict)));
/// # Ok(()) }
/// ```
pub struct DbTransaction {
    db: Db,
    /// `None` once it is over.
    open: Option<Open>,
    began_at: u64,
    committed_at: Option<u64>,
}

struct Open {
    snapshot: Snapshot,
    epoch: u64,
    writes: Writes,
    reads: RefCell<Reads>,
}

impl fmt::Debug for DbTransaction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        // Neither keys nor values.
        f.debug_struct("DbTransaction")
            .field("began_at", &self.began_at)
            .field("writes", &self.open.as_ref().map(|open| open.writes.len()))
            .finish_non_exhaustive()
    }
}

impl DbTransaction {
    fn begin(db: Db) -> Self {
        // Before the snapshot: see `Transactions::invalidate_all`.
        let epoch = db.inner.store.transactions.epoch();
        let snapshot = db.snapshot();
        let began_at = snapshot.sequence_number();
        let (writes, reads) = (Writes::default(), RefCell::default());
        let open = Some(Open { snapshot, epoch, writes, reads });
        DbTransaction { db, open, began_at, committed_at: None }
    }

    /// The value of `key`, `None` without one: what this transaction has last made of it, or what it
    /// was when the transaction began.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
    /// db.set("key", "old")?;
    /// let mut tx = db.transaction();
    /// db.set("key", "new")?;
    /// assert_eq!(tx.get("key")?.as_deref(), Some(&b"old"[..])); // As it was at the beginning.
    /// tx.set("key", "own")?;
    /// assert_eq!(tx.get("key")?.as_deref(), Some(&b"own"[..]));
    /// assert!(matches!(tx.commit(), Err(esker::Error::Conflict))); // What it read is no more so.
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::TransactionClosed`], [`Error::Closed`], [`Error::Io`], [`Error::Corruption`].
    pub fn get(&self, key: impl AsRef<[u8]>) -> Result<Option<Value>> {
        let (key, open) = (key.as_ref(), self.open()?);
        match open.writes.get(key) {
            Some(Write::Set(value, _)) => Ok(Some(Value::copy(value))),
            Some(Write::Delete) => Ok(None),
            None => {
                // First noted, then read: INV-1 of `txn`.
                open.reads.borrow_mut().add_key(&self.db.inner.store, key);
                open.snapshot.get(key)
            }
        }
    }

    /// The entries whose key is within `bounds`, in order, from either end, with the transaction's
    /// own writes. As far as it is walked the range counts as read, each key in it, whether there or not,
    /// written by the transaction itself or not: up to the last key that was given out, or to the end of
    /// the range when the iterator came to it.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
    /// db.set("seat/1", "alice")?;
    /// let mut tx = db.transaction();
    /// tx.set("seat/2", "bob")?;
    /// assert_eq!(tx.range("seat/".."seat0").count(), 2);
    /// db.set("seat/3", "carol")?; // A phantom, in a range that was read.
    /// assert!(matches!(tx.commit(), Err(esker::Error::Conflict)));
    /// # Ok(()) }
    /// ```
    pub fn range<K: AsRef<[u8]>>(&self, bounds: impl RangeBounds<K>) -> TransactionRange<'_> {
        self.entries(owned_bounds(&bounds))
    }

    /// All entries: [`DbTransaction::range`] without ends.
    ///
    /// See the example of [`TransactionRange`].
    #[must_use]
    pub fn iter(&self) -> TransactionRange<'_> {
        self.prefix("")
    }

    /// The entries whose key starts with `prefix`, as [`DbTransaction::range`] has them.
    ///
    /// See the example of [`TransactionRange`].
    pub fn prefix(&self, prefix: impl AsRef<[u8]>) -> TransactionRange<'_> {
        self.entries(Bounds::prefix(prefix.as_ref()))
    }

    fn entries(&self, bounds: Bounds) -> TransactionRange<'_> {
        let walk = self.open().map(|open| {
            let id = open.reads.borrow_mut().begin_walk(&self.db.inner.store, &bounds);
            let (low, high) = bounds.to_half_open();
            let own = open.writes.range(&low, high.as_deref());
            let stored = Entries(open.snapshot.scan(bounds));
            Overlay::new(stored, own, &self.db.inner.store, &open.reads, id)
        });
        TransactionRange { walk: Walk::new(walk) }
    }

    /// Sets `key` to `value`, at the commit. Keys have at most 65,535 bytes, values 1 GiB.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
    /// let mut tx = db.transaction();
    /// tx.set("a", "1")?;
    /// assert!(matches!(tx.set([0; 65_536], ""), Err(esker::Error::TooLarge { .. })));
    /// tx.commit()?; // Without the one that was refused.
    /// assert_eq!(db.iter().count(), 1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// [`Error::TooLarge`]: the transaction goes on without it. [`Error::TransactionClosed`],
    /// [`Error::Closed`].
    pub fn set(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) -> Result<()> {
        self.put(key.as_ref(), value.as_ref(), None)
    }

    /// Sets `key` to `value` for `ttl` from the moment of the commit; until then the
    /// transaction itself sees it.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// use esker::sim::SimFs;
    /// use std::{sync::Arc, time::Duration};
    /// let fs = SimFs::new();
    /// let db = esker::Db::open_with_fs(Arc::new(fs.clone()), "/db", esker::Options::default())?;
    /// let mut tx = db.transaction();
    /// tx.set_with_ttl("lease", "mine", Duration::from_secs(10))?;
    /// fs.sim_clock().advance(Duration::from_secs(60));
    /// tx.commit()?; // From here on it counts.
    /// assert!(db.get("lease")?.is_some());
    /// fs.sim_clock().advance(Duration::from_secs(10));
    /// assert!(db.get("lease")?.is_none());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`DbTransaction::set`]; [`Error::InvalidArgument`] for a `ttl` of zero: the transaction
    /// goes on without it.
    pub fn set_with_ttl(
        &mut self,
        key: impl AsRef<[u8]>,
        value: impl AsRef<[u8]>,
        ttl: Duration,
    ) -> Result<()> {
        self.put(key.as_ref(), value.as_ref(), Some(ttl))
    }

    fn put(&mut self, key: &[u8], value: &[u8], ttl: Option<Duration>) -> Result<()> {
        let open = self.open_mut()?;
        check_key(key)?;
        check_value(value)?;
        ttl.map_or(Ok(()), check_lifetime)?;
        open.writes.put(key, Write::Set(value.to_vec(), ttl));
        Ok(())
    }

    /// Deletes `key`, at the commit; one that is not there is fine.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
    /// db.set("key", "value")?;
    /// let mut tx = db.transaction();
    /// tx.delete("key")?;
    /// assert!(tx.get("key")?.is_none() && db.get("key")?.is_some());
    /// tx.commit()?;
    /// assert!(db.get("key")?.is_none());
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`DbTransaction::set`].
    pub fn delete(&mut self, key: impl AsRef<[u8]>) -> Result<()> {
        let key = key.as_ref();
        let open = self.open_mut()?;
        check_key(key)?;
        open.writes.put(key, Write::Delete);
        Ok(())
    }

    /// Commits: all writes become visible at once, as durable as the policy says, if nothing that was
    /// read has been written since the transaction began. Without writes it does nothing, and succeeds.
    /// Whatever it returns, the transaction is over.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
    /// let mut tx = db.transaction();
    /// tx.set("a", "1")?;
    /// tx.set("b", "2")?;
    /// tx.commit()?;
    /// assert_eq!(db.iter().count(), 2);
    /// assert!(matches!(tx.commit(), Err(esker::Error::TransactionClosed)));
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// - [`Error::Conflict`]: nothing was written; begin again, with the reads;
    /// - [`Error::Indeterminate`]: as with [`Db::write`];
    /// - [`Error::TransactionClosed`], and the others of [`Db::write`]: nothing was written.
    pub fn commit(&mut self) -> Result<()> {
        self.commit_with(WriteOptions::default())
    }

    /// Commits under `options` in place of the database's policy. Without writes,
    /// `sync: Some(true)` makes durable what was committed before, which includes all that was read.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// use esker::{Db, Options, SyncPolicy, WriteOptions};
    /// let options = Options { sync_policy: SyncPolicy::Never, ..Options::default() };
    /// let db = Db::open(dir.path(), options)?;
    /// let mut tx = db.transaction();
    /// tx.set("order", "42")?;
    /// let before = db.metrics().log_syncs;
    /// tx.commit_with(WriteOptions { sync: Some(true) })?;
    /// assert_eq!(db.metrics().log_syncs, before + 1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As [`DbTransaction::commit`].
    pub fn commit_with(&mut self, options: WriteOptions) -> Result<()> {
        let Open { snapshot, epoch, writes, reads } =
            self.open.take().ok_or(Error::TransactionClosed)?;
        let store = Arc::clone(&self.db.inner.store);
        store.health.check_open()?;
        if writes.is_empty() {
            return if options.sync == Some(true) { self.db.persist() } else { Ok(()) };
        }
        let mut read_set =
            ReadSet::new(Arc::clone(&store), epoch, snapshot.seq(), reads.into_inner());
        read_set.advance()?;
        let mut batch = WriteBatch::new();
        for (key, write) in writes {
            match write {
                Write::Set(value, None) => batch.set(key, value),
                Write::Set(value, Some(ttl)) => batch.set_with_ttl(key, value, ttl),
                Write::Delete => batch.delete(key),
            }
        }
        let batch = batch.prepare(&store.expiry, store.home.clock.as_ref())?;
        let by_policy = store.options.sync_policy == SyncPolicy::Always;
        let sync = options.sync.unwrap_or(by_policy);
        let committed = self.db.inner.commit(batch, sync, Some(Box::new(read_set)));
        // Up to here: INV-3 of `txn`.
        drop(snapshot);
        self.committed_at = committed?.map(|seq| seq.0);
        Ok(())
    }

    /// Forgets all writes. May be called at any time, any number of times, after a commit too
    /// (which it does not undo).
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
    /// let mut tx = db.transaction();
    /// tx.set("key", "value")?;
    /// tx.rollback();
    /// assert!(tx.is_closed());
    /// assert!(matches!(tx.set("key", "value"), Err(esker::Error::TransactionClosed)));
    /// assert!(db.get("key")?.is_none());
    /// # Ok(()) }
    /// ```
    pub fn rollback(&mut self) {
        self.open = None;
    }

    /// Whether it was committed (successfully or not) or rolled back.
    ///
    /// See the example of [`DbTransaction::rollback`].
    #[must_use]
    pub fn is_closed(&self) -> bool {
        self.open.is_none()
    }

    /// As of which sequence number it reads, see [`Snapshot::sequence_number`].
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
    /// db.set("a", "1")?;
    /// let mut tx = db.transaction();
    /// tx.set("b", "2")?;
    /// tx.set("c", "3")?;
    /// assert_eq!((tx.began_at(), tx.committed_at()), (1, None));
    /// tx.commit()?;
    /// assert_eq!(tx.committed_at(), Some(3)); // Two operations.
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn began_at(&self) -> u64 {
        self.began_at
    }

    /// The sequence number of its last operation in the commit order; `None` where it has not
    /// been committed, or wrote nothing.
    ///
    /// See the example of [`DbTransaction::began_at`].
    #[must_use]
    pub fn committed_at(&self) -> Option<u64> {
        self.committed_at
    }

    /// [`Error::TransactionClosed`] once it is over, [`Error::Closed`] once the database is closed.
    pub(crate) fn check_open(&self) -> Result<()> {
        self.open().map(|_| ())
    }

    fn open(&self) -> Result<&Open> {
        let open = self.open.as_ref().ok_or(Error::TransactionClosed)?;
        self.db.check_open()?;
        Ok(open)
    }

    fn open_mut(&mut self) -> Result<&mut Open> {
        let open = self.open.as_mut().ok_or(Error::TransactionClosed)?;
        self.db.check_open()?;
        Ok(open)
    }
}

/// The rows, or why there are none.
enum Walk<'a, I: DoubleEndedIterator> {
    On(Box<Overlay<'a, I>>),
    Failed(Option<Error>),
}

impl<'a, R: Row, I: DoubleEndedIterator<Item = Result<Stored<R>>>> Walk<'a, I> {
    fn new(rows: Result<Overlay<'a, I>>) -> Self {
        match rows {
            Ok(rows) => Walk::On(Box::new(rows)),
            Err(e) => Walk::Failed(Some(e)),
        }
    }

    fn next(&mut self) -> Option<Result<R>> {
        match self {
            Walk::On(rows) => rows.next(),
            Walk::Failed(e) => e.take().map(Err),
        }
    }

    fn next_back(&mut self) -> Option<Result<R>> {
        match self {
            Walk::On(rows) => rows.next_back(),
            Walk::Failed(e) => e.take().map(Err),
        }
    }
}

/// Iterates over keys and values as a transaction sees them, in key order, from either end.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
/// db.set("a", "1")?;
/// db.set("c", "3")?;
/// let mut tx = db.transaction();
/// tx.set("b", "2")?;
/// tx.delete("c")?;
/// let mut entries = tx.iter(); // What is there, with its own writes.
/// assert_eq!(entries.next_back().expect("two")?.0, b"b");
/// assert_eq!(entries.keys().next().expect("one")?, b"a");
/// assert_eq!(tx.prefix("c").count(), 0);
/// # Ok(()) }
/// ```
///
/// # Errors
/// An item is [`Error::TransactionClosed`], or one of those of [`crate::Range`]; after an error the
/// iterator has ended.
pub struct TransactionRange<'a> {
    walk: Walk<'a, Entries>,
}

impl<'a> TransactionRange<'a> {
    /// The same range, keys alone: no value is read.
    ///
    /// See the example of [`TransactionRange`].
    #[must_use]
    pub fn keys(self) -> TransactionKeys<'a> {
        let walk = match self.walk {
            Walk::On(rows) => Walk::On(Box::new(rows.keys())),
            Walk::Failed(e) => Walk::Failed(e),
        };
        TransactionKeys { walk }
    }
}

/// Iterates over keys alone, as a transaction sees them. See [`TransactionRange`].
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
/// db.set("a", "1")?;
/// let mut tx = db.transaction();
/// tx.set("b", vec![7; 10_000])?;
/// let mut keys = tx.iter().keys();
/// assert_eq!(keys.next_back().expect("two keys")?, b"b");
/// assert_eq!(keys.next().expect("one")?, b"a");
/// assert!(keys.next().is_none());
/// # Ok(()) }
/// ```
pub struct TransactionKeys<'a> {
    walk: Walk<'a, RowKeys>,
}

macro_rules! two_ended {
    ($name:ident, $row:ty) => {
        impl Iterator for $name<'_> {
            type Item = Result<$row>;

            fn next(&mut self) -> Option<Self::Item> {
                self.walk.next()
            }
        }

        impl DoubleEndedIterator for $name<'_> {
            fn next_back(&mut self) -> Option<Self::Item> {
                self.walk.next_back()
            }
        }

        impl std::iter::FusedIterator for $name<'_> {}

        impl fmt::Debug for $name<'_> {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.debug_struct(stringify!($name)).finish_non_exhaustive()
            }
        }
    };
}
two_ended!(TransactionRange, (Key, Value));
two_ended!(TransactionKeys, Key);

impl Db {
    /// Begins a transaction, which reads the database as it is now.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
    /// let mut tx = db.transaction();
    /// tx.set("key", "value")?;
    /// assert!(tx.get("key")?.is_some()); // It sees its own writes,
    /// assert!(db.get("key")?.is_none()); // and nobody else does yet.
    /// tx.commit()?;
    /// assert!(db.get("key")?.is_some());
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn transaction(&self) -> DbTransaction {
        DbTransaction::begin(self.clone())
    }

    /// Runs `act` in a transaction and commits it; where that conflicts, all of it again, in a new
    /// one. Returns what `act` returned in the attempt that was committed.
    ///
    /// An attempt is made at most 64 times, with a pause of random length before each but the first,
    /// which doubles from 20 us to 10 ms at most: the pauses only let others through, whether
    /// there is a conflict is checked each time. With each conflict another commit has succeeded. What was refused
    /// eight times waits for others that were (a second at most) and is then tried again without pauses, so that one of many
    /// writers of a key comes to its turn.
    ///
    /// `act` may run several times, so what it does outside of the transaction must bear that. It may
    /// roll the transaction back and return `Ok`: then nothing is written.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
    /// let count = db.transact(|tx| {
    ///     let count = tx.get("count")?.map_or(0, |bytes| bytes[0]) + 1;
    ///     tx.set("count", [count])?;
    ///     Ok(count)
    /// })?;
    /// assert_eq!(count, 1);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// What `act` fails with, at once, unless it is [`Error::Conflict`]; the errors of
    /// [`DbTransaction::commit`]; [`Error::Conflict`] after the last attempt.
    pub fn transact<R>(&self, mut act: impl FnMut(&mut DbTransaction) -> Result<R>) -> Result<R> {
        let mut turn = None;
        for attempt in 0.. {
            if attempt >= ATTEMPTS_FREE && turn.is_none() {
                turn = self.inner.turn.try_lock_for(TURN_WAIT_MAX);
            }
            let mut tx = self.transaction();
            let done = act(&mut tx).and_then(|value| {
                if tx.is_closed() { Ok(value) } else { tx.commit().map(|()| value) }
            });
            match done {
                Err(Error::Conflict) if attempt + 1 < ATTEMPTS_MAX => {
                    drop(tx);
                    if turn.is_none() {
                        self.pause_before(attempt);
                    }
                }
                done => return done,
            }
        }
        unreachable!("the last attempt returns")
    }

    fn pause_before(&self, attempt: u32) {
        // Without threads nobody is to be let through, and time stands still.
        if self.inner.store.home.fs.allows_threads() {
            let longest = Duration::from_micros(20 << attempt.min(9)).min(PAUSE_MAX);
            let chance = RandomState::new().hash_one(attempt) >> 32;
            std::thread::sleep(longest.mul_f64(chance as f64 / f64::from(u32::MAX)));
        }
    }
}

#[expect(dead_code, reason = "only has to compile")]
fn assert_goes_to_other_threads(tx: DbTransaction) -> impl Send {
    tx
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::commit::{Batch, Premise};
    use crate::format::SeqNo;
    use crate::options::Options;
    use std::sync::mpsc;
    use std::thread;

    /// The look without the lead found nothing; then a bulk load came into force, while what is
    /// committed was noted for an older transaction; then the leader asked. The notes know nothing
    /// of a bulk load's keys, and have to say so.
    #[test]
    fn a_bulk_load_between_the_first_look_and_the_lead_is_told() {
        for (loaded, is_told) in [("read", true), ("another", false)] {
            let dir = tempfile::tempdir().expect("a directory");
            let db = Db::open(dir.path(), Options::default()).expect("opens");
            let older = db.transaction();
            assert!(older.get("older").expect("get").is_none());
            db.set("noted", "v").expect("set");
            let mut tx = db.transaction();
            assert!(tx.get("read").expect("get").is_none());
            let Open { snapshot, epoch, reads, .. } = tx.open.take().expect("open");
            let store = Arc::clone(&db.inner.store);
            let mut read_set = ReadSet::new(store, epoch, snapshot.seq(), reads.into_inner());
            read_set.advance().expect("nothing came after it yet");
            db.ingest([(loaded, "v")]).expect("ingest");
            let mut batch = Batch::default();
            batch.set(b"result", b"");
            let committed = db.inner.commit(batch, false, Some(Box::new(read_set)));
            assert_eq!(matches!(committed, Err(Error::Conflict)), is_told, "{committed:?}");
        }
    }
    /// What it relies upon never holds.
    #[derive(Debug)]
    struct Broken;

    impl Premise for Broken {
        fn epoch(&self) -> u64 {
            0
        }

        fn holds_at(&self) -> Option<SeqNo> {
            Some(SeqNo::ZERO)
        }

        fn depends_on(&self, _: &[u8]) -> bool {
            true
        }

        fn is_broken_since(&self, _: SeqNo) -> Result<bool> {
            Ok(true)
        }
    }

    // Who was refused tried again at once and did not see yet what it had been refused for: of 200 tasks that counted up
    // one key, one was refused 64 times in one of ten runs.
    #[test]
    fn who_is_refused_returns_when_what_has_entered_is_visible() {
        let dir = tempfile::tempdir().expect("a directory");
        let db = Db::open(dir.path(), Options::default()).expect("opens");
        db.set("key", "v").expect("set");
        let visible = &db.inner.store.visible;
        let entered = visible.enter(SeqNo(visible.load().0 + 1), 1);
        let (sender, told) = mpsc::channel();
        thread::scope(|scope| {
            scope.spawn(|| {
                let mut batch = Batch::default();
                batch.set(b"key", b"w");
                let committed = db.inner.pipeline.commit(batch, false, Some(Box::new(Broken)));
                sender.send(committed).expect("we listen");
            });
            assert!(told.recv_timeout(Duration::from_millis(200)).is_err(), "too early");
            visible.member_done(entered);
            let committed = told.recv_timeout(Duration::from_secs(60)).expect("told");
            assert!(matches!(committed, Err(Error::Conflict)), "{committed:?}");
        });
    }
}
