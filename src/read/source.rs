//! The sorted runs that a scan merges, as one type without boxes.

use crate::error::Result;
use crate::format::{EntryRef, Level, SeqNo};
use crate::iter::{Concat, Cursor, Moved, Runs};
use crate::memtable::MemtableCursor;
use crate::store::Version;
use crate::table::{Streams, Table, TableCursor};
use std::ops::Range;
use std::sync::Arc;

/// Some tables of a level below 0, next to each other.
#[derive(Debug)]
pub struct LevelTables {
    /// Pins the tables.
    pub version: Arc<Version>,
    /// Not level 0, whose tables overlap.
    pub level: Level,
    /// Which of its tables.
    pub range: Range<usize>,
    /// They are read past the cache.
    pub is_stream: bool,
}

impl LevelTables {
    fn table(&self, run: usize) -> &Arc<Table> {
        &self.version.level(self.level)[self.range.start + run]
    }
}

impl Runs for LevelTables {
    type Cursor = TableCursor;

    fn len(&self) -> usize {
        self.range.len()
    }

    fn ends(&self, run: usize) -> (&[u8], &[u8]) {
        let meta = self.table(run).meta();
        (meta.smallest_key(), meta.largest_key())
    }

    fn cursor(&self, run: usize) -> TableCursor {
        let table = self.table(run);
        if self.is_stream { table.stream() } else { table.cursor() }
    }
}

/// A cursor of one source.
#[derive(Debug)]
pub enum Source {
    /// Of a memtable.
    Memtable(MemtableCursor),
    /// Of a table.
    Table(TableCursor),
    /// Of a level below 0.
    Level(Concat<LevelTables>),
    /// Of some of its tables, each read once.
    Streams(Concat<Streams>),
}

macro_rules! each {
    ($self:expr, $cursor:ident => $call:expr) => {
        match $self {
            Source::Memtable($cursor) => $call,
            Source::Table($cursor) => $call,
            Source::Level($cursor) => $call,
            Source::Streams($cursor) => $call,
        }
    };
}

impl Cursor for Source {
    #[inline(always)]
    fn entry(&self) -> Option<EntryRef<'_>> {
        each!(self, c => c.entry())
    }

    #[inline]
    fn place(&self) -> Option<(&[u8], SeqNo)> {
        each!(self, c => c.place())
    }

    fn seek_first(&mut self) -> Result<()> {
        each!(self, c => c.seek_first())
    }

    fn seek_last(&mut self) -> Result<()> {
        each!(self, c => c.seek_last())
    }

    fn seek(&mut self, key: &[u8], seq: SeqNo) -> Result<()> {
        each!(self, c => c.seek(key, seq))
    }

    fn seek_before(&mut self, key: &[u8], seq: SeqNo) -> Result<()> {
        each!(self, c => c.seek_before(key, seq))
    }

    #[inline]
    fn next(&mut self) -> Result<Moved> {
        each!(self, c => c.next())
    }

    #[inline(always)]
    fn next_at_hand(&mut self) -> Option<(EntryRef<'_>, Moved)> {
        // All of them but the first walk through a table.
        let cursor = match self {
            Source::Memtable(cursor) => return cursor.next_at_hand(),
            Source::Table(cursor) => cursor,
            Source::Level(tables) => tables.cursor()?,
            Source::Streams(tables) => tables.cursor()?,
        };
        cursor.next_at_hand()
    }

    #[inline]
    fn prev(&mut self) -> Result<()> {
        each!(self, c => c.prev())
    }
}
