//! The sorted runs that a scan merges, as one type without boxes.

use crate::error::Result;
use crate::format::{EntryRef, SeqNo};
use crate::iter::Cursor;
use crate::memtable::MemtableCursor;
use crate::table::TableCursor;

/// A cursor of one source.
#[derive(Debug)]
pub enum Source {
    /// Of a memtable.
    Memtable(MemtableCursor),
    /// Of a table.
    Table(TableCursor),
}

macro_rules! each {
    ($self:expr, $cursor:ident => $call:expr) => {
        match $self {
            Source::Memtable($cursor) => $call,
            Source::Table($cursor) => $call,
        }
    };
}

impl Cursor for Source {
    #[inline]
    fn entry(&self) -> Option<EntryRef<'_>> {
        each!(self, c => c.entry())
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
    fn next(&mut self) -> Result<()> {
        each!(self, c => c.next())
    }

    #[inline]
    fn prev(&mut self) -> Result<()> {
        each!(self, c => c.prev())
    }
}
