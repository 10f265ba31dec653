//! What the harness asks of a store.

use super::workload::Op;
use crate::fs::sim::SimFs;
use crate::options::Options;
use std::fmt;

/// What a reader sees: all keys and values, in order.
///
/// See the example of [`crate::crashtest::difference`].
pub type Seen = Vec<(Vec<u8>, Vec<u8>)>;

/// What came of a transaction.
///
/// See the example of [`Store::transact`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Transacted {
    /// What it read: those keys that were there, in the order in which they were asked for.
    pub seen: Seen,
    /// False: what it read had been written since, and nothing of it was.
    pub committed: bool,
}

/// Why a call of a store failed.
///
/// See the example of [`Store`].
#[derive(Debug)]
pub enum Failure {
    /// This call failed; later ones may succeed.
    Refused(String),
    /// The handle is of no more use for writing.
    Poisoned(String),
    /// Something that no failing disk excuses: alleged corruption, say.
    Wrong(String),
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Failure::Refused(text) => write!(f, "refused: {text}"),
            Failure::Poisoned(text) => write!(f, "poisoned: {text}"),
            Failure::Wrong(text) => write!(f, "wrong: {text}"),
        }
    }
}

/// A store under test. Dropping it is not closing it: it is what the death of
/// the process does to it.
///
/// ```
/// use esker::crashtest::{Case, Explorer, Failure, Op, Seen, Step, Store, tiny_options};
/// use esker::{Options, SyncPolicy, sim::SimFs};
/// use std::sync::{Arc, Mutex};
/// /// A store that keeps nothing: the first open after a crash gives it away.
/// #[derive(Default)]
/// struct Forgetful(Arc<Mutex<std::collections::BTreeMap<Vec<u8>, Vec<u8>>>>);
/// impl Store for Forgetful {
///     fn open(_: &SimFs, _: &Options) -> Result<Self, Failure> {
///         Ok(Forgetful::default())
///     }
///     fn commit(&self, ops: &[Op], _: Option<bool>) -> Result<(), Failure> {
///         let mut map = self.0.lock().expect("no panic");
///         for op in ops {
///             match op {
///                 Op::Put { key, value, .. } => drop(map.insert(key.clone(), value.clone())),
///                 Op::Delete { key } => drop(map.remove(key)),
///             }
///         }
///         Ok(())
///     }
///     fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Failure> {
///         Ok(self.0.lock().expect("no panic").get(key).cloned())
///     }
///     fn scan(&self) -> Result<Seen, Failure> {
///         Ok(self.0.lock().expect("no panic").clone().into_iter().collect())
///     }
///     fn persist(&self) -> Result<(), Failure> {
///         Ok(())
///     }
///     fn flush(&self) -> Result<(), Failure> {
///         Ok(())
///     }
///     fn close(self) -> Result<(), Failure> {
///         Ok(())
///     }
/// }
/// let steps = vec![Step::commit(vec![Op::put("a", "1")]), Step::Reopen, Step::Check];
/// let case = Case::new::<Forgetful>(tiny_options(SyncPolicy::Always), steps);
/// let explore = std::panic::AssertUnwindSafe(|| Explorer::<Forgetful>::new(case).power_cut(1));
/// let explored = std::panic::catch_unwind(explore);
/// assert!(explored.is_err());
/// ```
pub trait Store: Sized {
    /// Opens the store on `fs`, made if need be.
    ///
    /// See the example of [`Store`].
    ///
    /// # Errors
    /// Any [`Failure`].
    fn open(fs: &SimFs, options: &Options) -> Result<Self, Failure>;

    /// One commit of `ops`, all or nothing. `sync` as in [`crate::WriteOptions`].
    ///
    /// See the example of [`Store`].
    ///
    /// # Errors
    /// Any [`Failure`]; the commit may then be there after a crash, or not.
    fn commit(&self, ops: &[Op], sync: Option<bool>) -> Result<(), Failure>;

    /// A bulk load of `ops`, which are puts in ascending order of their keys, each once: all or
    /// nothing, and durable. A store that has no other way commits them.
    ///
    /// ```
    /// use esker::crashtest::{Failure, Op, Store, tiny_options};
    /// use esker::{Db, SyncPolicy, sim::SimFs};
    /// let store = <Db as Store>::open(&SimFs::new(), &tiny_options(SyncPolicy::Always))?;
    /// Store::ingest(&store, &[Op::put("kv:a", "1"), Op::put("kv:b", "2")])?;
    /// Store::import(&store, &[Op::put("kv:b", "3"), Op::put("kv:a", "4")])?;
    /// assert_eq!(Store::get(&store, b"kv:a")?, Some(b"4".to_vec()));
    /// assert_eq!(store.scan()?.len(), 2);
    /// # Ok::<(), Failure>(())
    /// ```
    ///
    /// # Errors
    /// As [`Store::commit`].
    fn ingest(&self, ops: &[Op]) -> Result<(), Failure> {
        self.commit(ops, Some(true))
    }

    /// A transaction that reads `keys` (of none: everything, in order), calls `between`, and commits `ops`,
    /// by the policy, unless what it read has been written since. A store that has none compares.
    ///
    /// ```
    /// use esker::crashtest::{Failure, Op, Store, Transacted, tiny_options};
    /// use esker::{Db, SyncPolicy, sim::SimFs};
    /// let store = <Db as Store>::open(&SimFs::new(), &tiny_options(SyncPolicy::Always))?;
    /// store.commit(&[Op::put("a", "1")], None)?;
    /// let mut between = || store.commit(&[Op::put("a", "2")], None).expect("a sound disk");
    /// let ops = [Op::put("b", "3")];
    /// let done: Transacted = Store::transact(&store, &[b"a".to_vec()], &mut between, &ops)?;
    /// assert_eq!(done.seen, [(b"a".to_vec(), b"1".to_vec())]);
    /// assert!(!done.committed); // What it read had been written since.
    /// # Ok::<(), Failure>(())
    /// ```
    ///
    /// # Errors
    /// As [`Store::commit`]; if `between` was not called, nothing of it may ever be there.
    fn transact(
        &self,
        keys: &[Vec<u8>],
        between: &mut dyn FnMut(),
        ops: &[Op],
    ) -> Result<Transacted, Failure> {
        let read = || {
            if keys.is_empty() {
                return self.scan();
            }
            let mut seen = Seen::new();
            for key in keys {
                seen.extend(self.get(key)?.map(|value| (key.clone(), value)));
            }
            Ok(seen)
        };
        let seen = read()?;
        between();
        let committed = read()? == seen;
        if committed {
            self.commit(ops, None)?;
        }
        Ok(Transacted { seen, committed })
    }

    /// An import of `ops`, which are puts in any order: all or nothing, by the policy. Of several on one
    /// key the last holds. A store that has no other way commits them.
    ///
    /// See the example of [`Store::ingest`].
    ///
    /// # Errors
    /// As [`Store::commit`].
    fn import(&self, ops: &[Op]) -> Result<(), Failure> {
        self.commit(ops, None)
    }

    /// The value of `key`.
    ///
    /// See the example of [`Store`].
    ///
    /// # Errors
    /// Any [`Failure`].
    fn get(&self, key: &[u8]) -> Result<Option<Vec<u8>>, Failure>;

    /// All entries, read in both directions if the store can.
    ///
    /// See the example of [`Store`].
    ///
    /// # Errors
    /// Any [`Failure`].
    fn scan(&self) -> Result<Seen, Failure>;

    /// Makes every commit durable.
    ///
    /// See the example of [`Store`].
    ///
    /// # Errors
    /// Any [`Failure`].
    fn persist(&self) -> Result<(), Failure>;

    /// As `persist`, and moves what is in memory into its final files.
    ///
    /// See the example of [`Store`].
    ///
    /// # Errors
    /// Any [`Failure`].
    fn flush(&self) -> Result<(), Failure>;

    /// Something that the store does to its files and that no reader sees.
    /// What `task` means is the store's own affair.
    ///
    /// ```
    /// use esker::crashtest::{Failure, Store, tiny_options};
    /// use esker::{Db, SyncPolicy, sim::SimFs};
    /// let store = <Db as Store>::open(&SimFs::new(), &tiny_options(SyncPolicy::Always))?;
    /// assert!(matches!(store.maintain("no such task"), Err(Failure::Wrong(_))));
    /// # Ok::<(), Failure>(())
    /// ```
    ///
    /// # Errors
    /// Any [`Failure`]. An unknown task is [`Failure::Wrong`].
    fn maintain(&self, task: &str) -> Result<(), Failure> {
        Err(Failure::Wrong(format!("no such task: {task}")))
    }

    /// Writes everything that there is into a backup, in place of the one before.
    ///
    /// ```
    /// use esker::crashtest::{Failure, Op, Store, tiny_options};
    /// use esker::{Db, SyncPolicy, sim::SimFs};
    /// let store = <Db as Store>::open(&SimFs::new(), &tiny_options(SyncPolicy::Always))?;
    /// store.commit(&[Op::put("a", "1")], None)?;
    /// Store::backup(&store)?;
    /// store.commit(&[Op::delete("a")], None)?;
    /// Store::restore(&store)?;
    /// assert_eq!(store.scan()?.len(), 1);
    /// # Ok::<(), Failure>(())
    /// ```
    ///
    /// # Errors
    /// Any [`Failure`]; the one before may then be gone.
    fn backup(&self) -> Result<(), Failure> {
        Err(Failure::Wrong("it makes no backups".into()))
    }

    /// Makes what the last backup holds all that there is, as one commit that is durable.
    ///
    /// See the example of [`Store::backup`].
    ///
    /// # Errors
    /// As [`Store::commit`].
    fn restore(&self) -> Result<(), Failure> {
        Err(Failure::Wrong("it restores nothing".into()))
    }

    /// Writes everything that there is into a backup upon which increments can follow, in place of the first of
    /// the chain; and makes all of that durable.
    ///
    /// ```
    /// use esker::crashtest::{Failure, Op, Store, tiny_options};
    /// use esker::{Db, SyncPolicy, sim::SimFs};
    /// let store = <Db as Store>::open(&SimFs::new(), &tiny_options(SyncPolicy::Always))?;
    /// store.commit(&[Op::put("a", "1")], None)?;
    /// store.begin_chain()?;
    /// store.commit(&[Op::put("b", "2")], None)?;
    /// store.increment(1)?;
    /// store.commit(&[Op::put("c", "3")], None)?;
    /// Store::restore_chain(&store, 2)?;
    /// assert_eq!(store.scan()?.len(), 2);
    /// # Ok::<(), Failure>(())
    /// ```
    ///
    /// # Errors
    /// Any [`Failure`]; the first of the chain may then be gone.
    fn begin_chain(&self) -> Result<(), Failure> {
        Err(Failure::Wrong("it makes no increments".into()))
    }

    /// Writes what has changed since the backup `number - 1` of the chain, where 0 is the full one, as
    /// its backup `number`, in place of what may be there; and makes all of that durable.
    ///
    /// See the example of [`Store::begin_chain`].
    ///
    /// # Errors
    /// Any [`Failure`]; the backups before are as they were, and can be followed as before.
    fn increment(&self, number: usize) -> Result<(), Failure> {
        Err(Failure::Wrong(format!("it makes no increment {number}")))
    }

    /// Makes what the first `count` backups of the chain come to all that there is, as one commit that is durable.
    ///
    /// See the example of [`Store::begin_chain`].
    ///
    /// # Errors
    /// As [`Store::commit`].
    fn restore_chain(&self, count: usize) -> Result<(), Failure> {
        Err(Failure::Wrong(format!("it restores no {count} backups")))
    }

    /// Ends it in good order.
    ///
    /// See the example of [`Store`].
    ///
    /// # Errors
    /// Any [`Failure`].
    fn close(self) -> Result<(), Failure>;
}
