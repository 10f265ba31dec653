//! Iterators that users hold.

use crate::error::Result;
use crate::read::{Key, Scan, Value};

/// Iterates over keys and values, in key order, from either end.
///
/// It sees the database as it was when the iterator was made, whatever is
/// written meanwhile, and pins the memory and files that this takes until it is dropped.
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

    /// The same range, keys alone: no value is read or copied.
    #[must_use]
    pub fn keys(self) -> Keys {
        Keys { scan: self.scan }
    }
}

impl Iterator for Range {
    type Item = Result<(Key, Value)>;

    fn next(&mut self) -> Option<Self::Item> {
        self.scan.next(true)
    }
}

impl DoubleEndedIterator for Range {
    fn next_back(&mut self) -> Option<Self::Item> {
        self.scan.next_back(true)
    }
}

impl std::iter::FusedIterator for Range {}

/// Iterates over keys alone, in order, from either end. See [`Range`].
#[derive(Debug)]
pub struct Keys {
    scan: Scan,
}

impl Iterator for Keys {
    type Item = Result<Key>;

    fn next(&mut self) -> Option<Self::Item> {
        Some(self.scan.next(false)?.map(|(key, _)| key))
    }
}

impl DoubleEndedIterator for Keys {
    fn next_back(&mut self) -> Option<Self::Item> {
        Some(self.scan.next_back(false)?.map(|(key, _)| key))
    }
}

impl std::iter::FusedIterator for Keys {}
