//! All keys of a view once, past the cache: for who takes all of it elsewhere.

use super::source::Source;
use crate::error::Result;
use crate::format::{EntryRef, Level, SeqNo};
use crate::iter::{Concat, Cursor, Merge};
use crate::store::View;
use crate::table::{Streams, Table};
use std::sync::Arc;

/// The newest version of each key of a view that a read at one sequence number sees, in order, tombstones and
/// expired entries too.
#[derive(Debug)]
pub struct Stream {
    merge: Merge<Source>,
    seq: SeqNo,
    /// The entry it stands on is an older version of a key that was given out.
    is_older: bool,
}

impl Stream {
    /// Over what `view` holds at `seq`, but for keys of which it can be told at a glance that none of their
    /// versions has a greater number than `after`.
    ///
    /// # Errors
    /// [`crate::Error::Corruption`], [`crate::Error::Io`].
    pub fn new(view: &Arc<View>, seq: SeqNo, after: SeqNo) -> Result<Self> {
        // What stands in the others of a key that is not passed over is older than what stands here.
        let has_newer = |table: &&Arc<Table>| table.meta().properties.largest_seq > after;
        let sealed = view.sealed.iter().map(|sealed| &sealed.memtable);
        let memtables = std::iter::once(&view.active).chain(sealed);
        let memtables = memtables.map(|memtable| Source::Memtable(memtable.cursor()));
        let level_0 = view.version.level(Level::ZERO).iter().filter(has_newer);
        let level_0 = level_0.map(|table| Source::Table(table.stream()));
        let below = Level::all().skip(1).filter_map(|level| {
            let tables = view.version.level(level).iter().filter(has_newer).cloned();
            let tables = Streams(tables.collect());
            (!tables.0.is_empty()).then(|| Source::Streams(Concat::new(tables)))
        });
        let mut merge = Merge::new(memtables.chain(level_0).chain(below).collect());
        merge.seek_first()?;
        Ok(Stream { merge, seq, is_older: false })
    }

    /// What `see` makes of the entry of the next key; `None` behind the last.
    ///
    /// # Errors
    /// As [`Stream::new`].
    pub fn next<R>(&mut self, see: impl FnOnce(EntryRef<'_>) -> R) -> Result<Option<R>> {
        while let Some(entry) = self.merge.entry() {
            if !self.is_older && entry.seq <= self.seq {
                let seen = see(entry);
                self.is_older = self.merge.next()?.is_version;
                return Ok(Some(seen));
            }
            let is_version = self.merge.next()?.is_version;
            self.is_older &= is_version;
        }
        Ok(None)
    }
}
