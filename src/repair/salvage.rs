//! The entries of all sources in order, newest version first, and which of them may be shown.

use super::lost::{LostRange, LostRanges, Rank};
use super::report::{Loss, RepairReport};
use crate::error::{Error, Result};
use crate::format::{EntryRef, Level, SeqNo, TableMeta};
use crate::iter::Cursor;
use crate::memtable::{Memtable, MemtableCursor};
use crate::store::Version;
use crate::table::{LostBlock, Salvage, Table};
use std::cmp::Reverse;
use std::collections::{BinaryHeap, VecDeque};
use std::ops::Bound;
use std::path::PathBuf;
use std::sync::Arc;

/// What was lost so far.
#[derive(Debug)]
pub struct Damage<'a> {
    /// What it means for what is shown.
    pub lost: LostRanges,
    /// What it is told as.
    pub report: &'a mut RepairReport,
}

impl Damage<'_> {
    /// Notes what `error` says, of so many bytes, in that range of keys.
    pub fn lose(&mut self, error: &Error, bytes: Option<u64>, keys: Option<(Vec<u8>, Vec<u8>)>) {
        let loss = loss_of(error, bytes, None, keys);
        self.report.lose(loss);
    }

    /// Notes that all of a table is lost.
    fn lose_table(&mut self, meta: &TableMeta, rank: Rank, error: &Error) {
        let (low, high) = (meta.smallest_key().to_vec(), meta.largest_key().to_vec());
        self.lost.push(LostRange {
            rank,
            low: Bound::Included(low.clone()),
            high: Bound::Included(high.clone()),
            largest_seq: meta.properties.largest_seq,
        });
        let entries = Some(meta.properties.entries);
        self.report.lose(loss_of(error, Some(meta.size_bytes), entries, Some((low, high))));
    }

    fn lose_block(&mut self, meta: &TableMeta, rank: Rank, block: LostBlock) {
        let LostBlock { bytes, low: (low, low_seq), high, error, .. } = block;
        let low = low.max(meta.smallest_key().to_vec());
        // Where the versions of one key reach into the block, newer ones stand before it; where they
        // reach out of it, it has the newer ones.
        let (high, is_in) = match high {
            Some((key, seq)) => (key, seq != SeqNo::MAX),
            None => (meta.largest_key().to_vec(), true),
        };
        let keys = Some((low.clone(), high.clone()));
        let low = if low_seq == SeqNo::MAX { Bound::Included(low) } else { Bound::Excluded(low) };
        let high = if is_in { Bound::Included(high) } else { Bound::Excluded(high) };
        let largest_seq = meta.properties.largest_seq;
        self.lost.push(LostRange { rank, low, high, largest_seq });
        self.report.lose(loss_of(&error, Some(bytes), None, keys));
    }
}

fn loss_of(
    error: &Error,
    bytes: Option<u64>,
    entries: Option<u64>,
    keys: Option<(Vec<u8>, Vec<u8>)>,
) -> Loss {
    let (file, offset, what) = match error {
        Error::Corruption { file, offset, detail } => (file.clone(), *offset, detail.clone()),
        Error::UnsupportedFormat { file, .. } => (file.clone(), 0, error.to_string()),
        Error::Io { path, .. } => (path.clone(), 0, error.to_string()),
        _ => (PathBuf::new(), 0, error.to_string()),
    };
    Loss { file, offset, bytes, entries, keys, what }
}

/// One source of entries in order.
enum Source {
    Memtable(MemtableCursor),
    Tables(Box<Run>),
}

/// Tables that follow on each other: one of level 0, or a level.
struct Run {
    rank: Rank,
    tables: VecDeque<Arc<Table>>,
    current: Option<Salvage>,
}

impl Run {
    fn advance(&mut self, damage: &mut Damage<'_>) {
        loop {
            if let Some(current) = &mut self.current {
                let table = Arc::clone(current.table());
                current.next(&mut |block| damage.lose_block(table.meta(), self.rank, block));
                if current.entry().is_some() {
                    return;
                }
            }
            let Some(table) = self.tables.pop_front() else {
                self.current = None;
                return;
            };
            match Salvage::open(Arc::clone(&table)) {
                Ok(salvage) => self.current = Some(salvage),
                Err(e) => {
                    self.current = None;
                    damage.lose_table(table.meta(), self.rank, &e);
                }
            }
        }
    }
}

impl Source {
    fn rank(&self) -> Rank {
        match self {
            Source::Memtable(_) => 0,
            Source::Tables(run) => run.rank,
        }
    }

    fn entry(&self) -> Option<EntryRef<'_>> {
        match self {
            Source::Memtable(cursor) => cursor.entry(),
            Source::Tables(run) => run.current.as_ref().and_then(Salvage::entry),
        }
    }

    fn advance(&mut self, damage: &mut Damage<'_>) -> Result<()> {
        match self {
            Source::Memtable(cursor) => cursor.next().map(drop),
            Source::Tables(run) => {
                run.advance(damage);
                Ok(())
            }
        }
    }
}

/// Key and number of the entry on which a source stands, and which source that is.
type Turn = (Vec<u8>, Reverse<SeqNo>, usize);

/// All sources, and whose turn it is.
pub struct Sources {
    sources: Vec<Source>,
    /// Of each source that stands on an entry.
    heap: BinaryHeap<Reverse<Turn>>,
}

impl Sources {
    /// Of the memtables `log`, and the tables of `version`.
    pub fn new(
        log: impl Iterator<Item = Arc<Memtable>>,
        version: &Version,
        damage: &mut Damage<'_>,
    ) -> Result<Self> {
        let mut sources = Vec::new();
        for memtable in log {
            let mut cursor = memtable.cursor();
            cursor.seek_first()?;
            sources.push(Source::Memtable(cursor));
        }
        let zero = version.level(Level::ZERO).iter().map(|table| vec![Arc::clone(table)]);
        let below = Level::all().skip(1).map(|level| version.level(level).to_vec());
        for (rank, tables) in (1..).zip(zero.chain(below)) {
            let mut run = Run { rank, tables: tables.into(), current: None };
            run.advance(damage);
            sources.push(Source::Tables(Box::new(run)));
        }
        let mut all = Sources { sources, heap: BinaryHeap::new() };
        (0..all.sources.len()).for_each(|source| all.enter(source));
        Ok(all)
    }

    fn enter(&mut self, source: usize) {
        if let Some(entry) = self.sources[source].entry() {
            self.heap.push(Reverse((entry.key.to_vec(), Reverse(entry.seq), source)));
        }
    }

    /// Tells `see` of the newest version of each key, in the order of keys, with whether a version
    /// that is newer still may be lost.
    ///
    /// # Errors
    /// What `see` fails with.
    pub fn each(
        &mut self,
        damage: &mut Damage<'_>,
        mut see: impl FnMut(EntryRef<'_>, bool, &mut Damage<'_>) -> Result<()>,
    ) -> Result<()> {
        let mut last: Option<Vec<u8>> = None;
        while let Some(Reverse((key, Reverse(seq), at))) = self.heap.pop() {
            // Every source stands at this key or behind it: what any of them has lost of it is known.
            if last.as_ref().is_none_or(|last| *last < key) {
                let source = &self.sources[at];
                let is_hidden = damage.lost.may_hide(&key, source.rank(), seq);
                let entry = source.entry().expect("it stands there since it was put into the heap");
                see(entry, is_hidden, damage)?;
                last = Some(key);
            }
            self.sources[at].advance(damage)?;
            self.enter(at);
        }
        Ok(())
    }
}
