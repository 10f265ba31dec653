//! What every sorted run of entries can do, and the merge of many of them.
//!
//! Place on the data's path: between the sorted structures (memtable, table)
//! and what reads or rewrites them (reads, flush, compaction).
//!
//! INV-1: a cursor stands on an entry or on nothing; after an error on nothing.
//! INV-2: entries come in the order of [`crate::format::key::compare`].
//!
//! Not here: visibility, expiry, bounds (`read` does those).

mod concat;
mod merge;
mod retention;
#[cfg(test)]
pub mod testing;

pub use concat::{Concat, Runs};
pub use merge::Merge;
pub use retention::{Fate, Retention};

use crate::error::Result;
use crate::format::{EntryRef, SeqNo};

/// What a cursor has learned of an entry and the one before as it moved from that to it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Moved {
    /// They have the same key: this is an older version of it.
    pub is_version: bool,
    /// Their keys have so many bytes in common at their front, at least.
    pub shared: usize,
}

/// A cursor over entries in order.
///
/// A new cursor stands on nothing; moving a cursor that stands on nothing with
/// [`Cursor::next`] or [`Cursor::prev`] leaves it there.
pub trait Cursor {
    /// The entry it stands on.
    fn entry(&self) -> Option<EntryRef<'_>>;

    /// Key and number of that entry. A merge asks for them alone each time that it compares.
    fn place(&self) -> Option<(&[u8], SeqNo)> {
        self.entry().map(|entry| (entry.key, entry.seq))
    }

    /// Moves to the first entry.
    ///
    /// # Errors
    /// What reading the underlying file gives; also for all methods below.
    fn seek_first(&mut self) -> Result<()>;

    /// Moves to the last entry.
    ///
    /// # Errors
    /// As [`Cursor::seek_first`].
    fn seek_last(&mut self) -> Result<()>;

    /// Moves to the first entry at or after `(key, seq)`: that is the newest
    /// version of `key` that a read at `seq` sees, or else the next key.
    ///
    /// # Errors
    /// As [`Cursor::seek_first`].
    fn seek(&mut self, key: &[u8], seq: SeqNo) -> Result<()>;

    /// Moves to the last entry before `(key, seq)`. With [`SeqNo::MAX`]: the
    /// last entry whose key is less than `key`.
    ///
    /// # Errors
    /// As [`Cursor::seek_first`].
    fn seek_before(&mut self, key: &[u8], seq: SeqNo) -> Result<()>;

    /// Moves to the next entry. What it says of that it knows at less than the price of two keys
    /// compared, and than that of a copy of the one it leaves.
    ///
    /// # Errors
    /// As [`Cursor::seek_first`].
    fn next(&mut self) -> Result<Moved>;

    /// Moves as [`Cursor::next`] does, where all it takes is at hand: gives the entry it moved to, and what `next`
    /// would say. `None`: it has not moved, and may do so by `next`. What walks over very many entries
    /// asks for this first.
    #[inline]
    fn next_at_hand(&mut self) -> Option<(EntryRef<'_>, Moved)> {
        None
    }

    /// Moves to the entry before.
    ///
    /// # Errors
    /// As [`Cursor::seek_first`].
    fn prev(&mut self) -> Result<()>;
}
