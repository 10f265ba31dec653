//! Batches, as a user builds them.

use crate::clock::{Clock, ExpiryFloor};
use crate::commit::{Batch, check_key, check_value};
use crate::error::{Error, Result};
use std::time::Duration;

/// Operations that are committed together: all of them or none, at any size.
///
/// Operations on one key take effect in the order in which they were added:
/// the last wins. What is wrong with an operation (a key or value that is too
/// large, a time to live of zero) is reported when the batch is committed,
/// before anything is written.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// let db = esker::Db::open(dir.path(), esker::Options::default())?;
/// let mut batch = esker::WriteBatch::new();
/// batch.set("a", "1");
/// batch.set("b", "2");
/// batch.delete("a");
/// db.write(batch)?;
/// assert_eq!(db.get("a")?, None);
/// assert_eq!(db.get("b")?.as_deref(), Some(&b"2"[..]));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default)]
pub struct WriteBatch {
    batch: Batch,
    /// Where an expiry stands, and the time to live that gives it at commit.
    lifetimes: Vec<(usize, Duration)>,
    wrong: Option<Error>,
}

impl WriteBatch {
    /// An empty batch.
    ///
    /// See the example of [`WriteBatch`].
    #[must_use]
    pub fn new() -> Self {
        WriteBatch::default()
    }

    /// Sets `key` to `value`. Keys have at most 65,535 bytes, values 1 GiB.
    ///
    /// See the example of [`WriteBatch`].
    pub fn set(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>) {
        let (key, value) = (key.as_ref(), value.as_ref());
        if self.accepts(check_key(key).and_then(|()| check_value(value))) {
            self.batch.set(key, value);
        }
    }

    /// Sets `key` to `value` for `ttl` from the moment of the commit. A
    /// fraction of a millisecond counts as a whole one; a time beyond
    /// representation means that the entry never expires; zero is an error.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
    /// use std::time::Duration;
    /// let mut batch = esker::WriteBatch::new();
    /// batch.set("a", "for ever");
    /// batch.set_with_ttl("b", "for a moment", Duration::ZERO);
    /// // What was wrong is told at the commit, of which nothing is written.
    /// assert!(matches!(db.write(batch.clone()), Err(esker::Error::InvalidArgument { .. })));
    /// assert!(db.get("a")?.is_none());
    /// batch.clear();
    /// batch.set_with_ttl("b", "for an hour", Duration::from_secs(3600));
    /// db.write(batch)?;
    /// assert!(db.get("b")?.is_some());
    /// # Ok(()) }
    /// ```
    pub fn set_with_ttl(&mut self, key: impl AsRef<[u8]>, value: impl AsRef<[u8]>, ttl: Duration) {
        let (key, value) = (key.as_ref(), value.as_ref());
        let checked = check_key(key).and_then(|()| check_value(value));
        let checked = checked.and_then(|()| check_lifetime(ttl));
        if self.accepts(checked) {
            let place = self.batch.set_expiring(key, value);
            self.lifetimes.push((place, ttl));
        }
    }

    /// As [`WriteBatch::set_with_ttl`], with the moment itself, in milliseconds since the Unix epoch.
    pub(crate) fn set_until(&mut self, key: &[u8], value: &[u8], expires_at_ms: u64) {
        if self.accepts(check_key(key).and_then(|()| check_value(value))) {
            let place = self.batch.set_expiring(key, value);
            self.batch.set_expiry(place, expires_at_ms);
        }
    }

    /// Deletes `key`; one that is not there is fine.
    ///
    /// See the example of [`WriteBatch`].
    pub fn delete(&mut self, key: impl AsRef<[u8]>) {
        let key = key.as_ref();
        if self.accepts(check_key(key)) {
            self.batch.delete(key);
        }
    }

    /// Operations in the batch.
    ///
    /// ```
    /// let mut batch = esker::WriteBatch::new();
    /// assert!(batch.is_empty());
    /// batch.set("a", "1");
    /// batch.delete("a"); // An operation of its own.
    /// assert_eq!(batch.len(), 2);
    /// batch.clear();
    /// assert!(batch.is_empty());
    /// ```
    #[must_use]
    pub fn len(&self) -> usize {
        usize::try_from(self.batch.entries()).unwrap_or(usize::MAX)
    }

    /// True without any operation.
    ///
    /// See the example of [`WriteBatch::len`].
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.batch.is_empty()
    }

    /// Forgets all operations and keeps the memory for new ones.
    ///
    /// See the example of [`WriteBatch::len`].
    pub fn clear(&mut self) {
        self.batch.clear();
        self.lifetimes.clear();
        self.wrong = None;
    }

    fn accepts(&mut self, checked: Result<()>) -> bool {
        match checked {
            Ok(()) => true,
            Err(e) => {
                self.wrong.get_or_insert(e);
                false
            }
        }
    }

    /// The batch as the pipeline takes it, expiries counted from now on.
    pub(super) fn prepare(mut self, floor: &ExpiryFloor, clock: &dyn Clock) -> Result<Batch> {
        if let Some(wrong) = self.wrong {
            return Err(wrong);
        }
        for (place, ttl) in self.lifetimes {
            self.batch.set_expiry(place, floor.deadline_ms(clock, ttl));
        }
        Ok(self.batch)
    }
}

/// # Errors
/// [`Error::InvalidArgument`] for a time to live of zero.
pub(super) fn check_lifetime(ttl: Duration) -> Result<()> {
    if ttl.is_zero() {
        return Err(Error::invalid("a time to live of zero; it must be greater"));
    }
    Ok(())
}
