//! Whether anything was written after a certain number: to one key, or between two.

use super::scan::Bounds;
use crate::error::Result;
use crate::format::{KeyHash, SeqNo};
use crate::iter::Cursor;
use crate::memtable::Memtable;
use crate::store::View;
use crate::table::Table;
use std::sync::Arc;

/// Looks for entries of `view` that are newer than `seq`, tombstones included, and visible or not.
///
/// Only memtables and tables that have such entries are looked into. Where a snapshot is
/// held at `seq`, or below, compaction leaves of everything newer one entry a key at least, if it be the
/// tombstone of what has expired.
#[derive(Debug)]
pub struct Newer<'a> {
    seq: SeqNo,
    memtables: Vec<&'a Arc<Memtable>>,
    tables: Vec<&'a Arc<Table>>,
}

impl<'a> Newer<'a> {
    /// Looks in `view` for what is newer than `seq`.
    pub fn new(view: &'a View, seq: SeqNo) -> Self {
        let sealed = view.sealed.iter().filter(|sealed| sealed.last_seq > seq);
        let memtables = std::iter::once(&view.active).chain(sealed.map(|sealed| &sealed.memtable));
        let tables = view.version.tables().map(|(_, table)| table);
        let tables = tables.filter(|table| table.meta().properties.largest_seq > seq).collect();
        Newer { seq, memtables: memtables.collect(), tables }
    }

    /// Whether `key` has such an entry.
    ///
    /// # Errors
    /// [`crate::Error::Io`], [`crate::Error::Corruption`].
    pub fn has_key(&self, key: &[u8]) -> Result<bool> {
        // The newest first: the first entry that is found is the newest there is.
        for memtable in &self.memtables {
            if let Some(entry) = memtable.get(key, SeqNo::MAX) {
                return Ok(entry.seq > self.seq);
            }
        }
        let hash = KeyHash::of(key);
        for table in self.tables.iter().filter(|table| table.meta().may_contain(key)) {
            if let Some(found) = table.get(key, hash, SeqNo::MAX)? {
                return Ok(found.entry().seq > self.seq);
            }
        }
        Ok(false)
    }

    /// Whether a key at or above `low` and below `high` (`None`: there is no end) has one.
    ///
    /// # Errors
    /// As [`Newer::has_key`].
    pub fn has_range(&self, low: &[u8], high: Option<&[u8]>) -> Result<bool> {
        for memtable in &self.memtables {
            if self.has_in(&mut memtable.cursor(), low, high)? {
                return Ok(true);
            }
        }
        let bounds = Bounds::half_open(low, high);
        for table in self.tables.iter().filter(|table| !bounds.excludes(table.meta())) {
            if self.has_in(&mut table.cursor(), low, high)? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    fn has_in(&self, cursor: &mut impl Cursor, low: &[u8], high: Option<&[u8]>) -> Result<bool> {
        cursor.seek(low, SeqNo::MAX)?;
        while let Some(entry) = cursor.entry() {
            if high.is_some_and(|high| entry.key >= high) {
                return Ok(false);
            }
            if entry.seq > self.seq {
                return Ok(true);
            }
            cursor.next()?;
        }
        Ok(false)
    }
}
