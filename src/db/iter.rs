//! Iterators that users hold.

use crate::error::Result;
use crate::read::{Key, Scan, Value};

/// Iterates over keys and values, in key order, from either end.
///
/// It sees the database as it was when the iterator was made, whatever is
/// written meanwhile. Bounds that cross, or that nothing can be between, make
/// an empty iterator and no panic. It pins the memory and files that this
/// takes until it is dropped.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
/// for key in ["a", "b", "c", "d"] {
///     db.set(key, key.to_uppercase())?;
/// }
/// let mut range = db.range("a"..="d");
/// let (first, value) = range.next().expect("four entries")?;
/// assert_eq!((&first[..], &value[..]), (&b"a"[..], &b"A"[..]));
/// assert_eq!(range.next_back().expect("three")?.0, b"d");
/// // Without a copy of key and value:
/// let sizes = |key: &[u8], value: &[u8]| key.len() + value.len();
/// assert_eq!(range.next_with(sizes).expect("two")?, 2);
/// assert_eq!(range.next_back_with(sizes).expect("one")?, 2);
/// assert!(range.next().is_none());
/// # Ok(()) }
/// ```
///
/// # Errors
/// An item is [`crate::Error::Io`], [`crate::Error::Corruption`], or
/// [`crate::Error::Closed`] after the database was closed; after an error the iterator has ended.
#[derive(Debug)]
pub struct Range {
    scan: Scan,
}

impl Range {
    pub(super) fn new(scan: Scan) -> Self {
        Range { scan }
    }

    /// What `see` makes of the next key and value, which it borrows: nothing is copied.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
    /// db.set("a", "one")?;
    /// let mut range = db.iter();
    /// let mut bytes = 0;
    /// while let Some(size) = range.next_with(|key, value| key.len() + value.len()) {
    ///     bytes += size?;
    /// }
    /// assert_eq!(bytes, 4);
    /// # Ok(()) }
    /// ```
    ///
    /// # Errors
    /// As those of an item.
    #[inline]
    pub fn next_with<R>(&mut self, see: impl FnOnce(&[u8], &[u8]) -> R) -> Option<Result<R>> {
        self.scan.next(see)
    }

    /// [`Range::next_with`] from the back.
    ///
    /// See the example of [`Range`].
    ///
    /// # Errors
    /// As those of an item.
    #[inline]
    pub fn next_back_with<R>(&mut self, see: impl FnOnce(&[u8], &[u8]) -> R) -> Option<Result<R>> {
        self.scan.next_back(see)
    }

    /// The same range, keys alone: no value is read or copied.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
    /// db.set("large", vec![7; 1 << 20])?;
    /// let mut keys = db.iter().keys(); // Nothing of the value is read.
    /// assert_eq!(keys.next().expect("one")?, b"large");
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn keys(self) -> Keys {
        Keys { scan: self.scan }
    }
}

impl Iterator for Range {
    type Item = Result<(Key, Value)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.scan.next_entry()
    }
}

impl DoubleEndedIterator for Range {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.scan.next_entry_back()
    }
}

impl std::iter::FusedIterator for Range {}

/// Iterates over keys alone, in order, from either end. See [`Range`].
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
/// for key in ["a", "bb", "ccc"] {
///     db.set(key, "")?;
/// }
/// let mut keys = db.iter().keys();
/// assert_eq!(keys.next_back().expect("three keys")?, b"ccc");
/// let mut bytes = 0;
/// while let Some(size) = keys.next_with(<[u8]>::len) {
///     bytes += size?;
/// }
/// assert_eq!(bytes, 3);
/// # Ok(()) }
/// ```
#[derive(Debug)]
pub struct Keys {
    scan: Scan,
}

impl Keys {
    /// What `see` makes of the next key, which it borrows: nothing is copied.
    ///
    /// See the example of [`Keys`].
    ///
    /// # Errors
    /// As those of an item.
    #[inline]
    pub fn next_with<R>(&mut self, see: impl FnOnce(&[u8]) -> R) -> Option<Result<R>> {
        self.scan.next_key(see)
    }
}

impl Iterator for Keys {
    type Item = Result<Key>;

    fn next(&mut self) -> Option<Self::Item> {
        self.scan.next_key(Key::copy)
    }
}

impl DoubleEndedIterator for Keys {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.scan.next_key_back(Key::copy)
    }
}

impl std::iter::FusedIterator for Keys {}
