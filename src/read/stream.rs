//! All keys of a view once, past the cache: for who takes all of it elsewhere.

use super::source::{LevelTables, Source};
use crate::error::Result;
use crate::format::{EntryRef, Level, SeqNo};
use crate::iter::{Concat, Cursor, Merge};
use crate::store::View;
use std::sync::Arc;

/// The newest version of each key of a view that a read at one sequence number sees, in order, tombstones and
/// expired entries too.
#[derive(Debug)]
pub struct Stream {
    merge: Merge<Source>,
    seq: SeqNo,
    key: Vec<u8>,
    has_key: bool,
}

impl Stream {
    /// Over what `view` holds at `seq`.
    ///
    /// # Errors
    /// [`crate::Error::Corruption`], [`crate::Error::Io`].
    pub fn new(view: &Arc<View>, seq: SeqNo) -> Result<Self> {
        let sealed = view.sealed.iter().map(|sealed| &sealed.memtable);
        let memtables = std::iter::once(&view.active).chain(sealed);
        let memtables = memtables.map(|memtable| Source::Memtable(memtable.cursor()));
        let level_0 = view.version.level(Level::ZERO).iter();
        let level_0 = level_0.map(|table| Source::Table(table.stream()));
        let below = Level::all().skip(1).filter_map(|level| {
            let range = 0..view.version.level(level).len();
            let version = Arc::clone(&view.version);
            let tables = LevelTables { version, level, range, is_stream: true };
            (!tables.range.is_empty()).then(|| Source::Level(Concat::new(tables)))
        });
        let mut merge = Merge::new(memtables.chain(level_0).chain(below).collect());
        merge.seek_first()?;
        Ok(Stream { merge, seq, key: Vec::new(), has_key: false })
    }

    /// What `see` makes of the entry of the next key; `None` behind the last.
    ///
    /// # Errors
    /// As [`Stream::new`].
    pub fn next<R>(&mut self, see: impl FnOnce(EntryRef<'_>) -> R) -> Result<Option<R>> {
        while let Some(entry) = self.merge.entry() {
            let is_older = self.has_key && entry.key == self.key;
            if !is_older && entry.seq <= self.seq {
                self.key.clear();
                self.key.extend_from_slice(entry.key);
                self.has_key = true;
                let seen = see(entry);
                self.merge.next()?;
                return Ok(Some(seen));
            }
            self.merge.next()?;
        }
        Ok(None)
    }
}
