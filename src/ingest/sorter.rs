//! Sorts entries that come in any order, whatever their number, in bounded memory.
//!
//! Entries are gathered in memory. When there are enough of them they are sorted and written out: as more of the
//! run at hand where they come after its end, and else as a run of their own. So entries that come
//! in order are one run, which is what an ingest puts in force; nothing is written twice. Runs are merged
//! when their order is asked for, and, so that never too many are read at once, [`RUNS_MAX`] into one whenever there are
//! as many of one size.
//!
//! A run's entries have one sequence number, greater than those of the runs before it, so that the merge
//! comes first to what came last.

use super::gathered::Gathered;
use super::writer::Writer;
use super::written::Written;
use crate::error::Result;
use crate::format::SeqNo;
use crate::iter::{Concat, Cursor, Merge};
use crate::store::Store;
use crate::table::Streams;
use std::sync::Arc;

/// How many runs of one size are merged into one. A merge holds some 300 KiB for each.
const RUNS_MAX: usize = 16;

/// How much is gathered at most before it is written out: that, or an eighth of a memtable.
const GATHERED_BYTES_MAX: usize = 8 << 20;

/// Takes entries in any order. Dropped, it removes what it wrote.
#[derive(Debug)]
pub struct Sorter {
    store: Arc<Store>,
    bytes_max: usize,
    gathered: Gathered,
    /// The run that may go on.
    open: Option<Writer>,
    /// Those that are written, by how often they were merged. All of a place are newer than those behind.
    runs: Vec<Vec<Run>>,
}

/// A run that is written. Its files go with it.
#[derive(Debug)]
struct Run(Writer);

impl Run {
    fn new(mut writer: Writer) -> Result<Self> {
        writer.finish()?;
        Ok(Run(writer))
    }
}

impl Sorter {
    /// Sorts in files beside those of `store`.
    pub(super) fn new(store: &Arc<Store>) -> Self {
        Sorter {
            store: Arc::clone(store),
            bytes_max: GATHERED_BYTES_MAX.min(store.options.memtable_bytes / 8),
            gathered: Gathered::default(),
            open: None,
            runs: Vec::new(),
        }
    }

    /// Adds an entry. Of several with one key the last one counts.
    ///
    /// # Errors
    /// As [`Writer::put`].
    pub fn put(&mut self, key: &[u8], value: &[u8]) -> Result<()> {
        self.gathered.put(key, value);
        if self.gathered.size_bytes() > self.bytes_max { self.write_out() } else { Ok(()) }
    }

    /// Whether all entries are in memory.
    #[must_use]
    pub fn is_in_memory(&self) -> bool {
        self.open.is_none() && self.runs.is_empty()
    }

    /// All entries in order, each key once.
    ///
    /// # Errors
    /// As [`Writer::put`], and those of reading what was written.
    pub fn into_sorted(mut self) -> Result<Sorted> {
        if self.is_in_memory() {
            return Ok(Sorted::of_memory(self.gathered));
        }
        self.write_out()?;
        self.close()?;
        Sorted::merge(self.runs.into_iter().flatten().collect())
    }

    /// A writer that has all entries, and takes more behind them.
    ///
    /// # Errors
    /// As [`Sorter::into_sorted`].
    pub fn into_writer(mut self) -> Result<Writer> {
        self.write_out()?;
        if self.runs.is_empty()
            && let Some(only) = self.open.take()
        {
            return Ok(only);
        }
        let mut writer = Writer::new(&self.store, 0)?;
        let mut sorted = self.into_sorted()?;
        while let Some((key, value)) = sorted.entry() {
            writer.put(key, value, None)?;
            sorted.advance()?;
        }
        Ok(writer)
    }

    /// Writes out what is in memory.
    fn write_out(&mut self) -> Result<()> {
        self.gathered.sort();
        let Some((first, _)) = self.gathered.get(0) else { return Ok(()) };
        if self.open.as_ref().is_some_and(|open| first <= open.last_key()) {
            self.close()?;
        }
        let mut run = match self.open.take() {
            Some(open) => open,
            None => self.begin()?,
        };
        for (key, value) in self.gathered.iter() {
            run.put(key, value, None)?;
        }
        self.open = Some(run);
        self.gathered.clear(self.bytes_max);
        Ok(())
    }

    /// A new run, newer than all there are.
    fn begin(&self) -> Result<Writer> {
        match self.runs.iter().find_map(|runs| runs.last()) {
            Some(Run(newest)) => newest.numbered(SeqNo(newest.seq().0 + 1)),
            None => Writer::new(&self.store, 0),
        }
    }

    /// Ends the run at hand.
    fn close(&mut self) -> Result<()> {
        let Some(open) = self.open.take() else { return Ok(()) };
        let mut run = Run::new(open)?;
        for place in 0.. {
            if self.runs.len() == place {
                self.runs.push(Vec::new());
            }
            let Some(runs) = self.runs.get_mut(place) else { break };
            runs.push(run);
            if runs.len() < RUNS_MAX {
                break;
            }
            run = merge(std::mem::take(runs))?;
        }
        Ok(())
    }
}

/// One run of several, which are in the order in which they were written.
fn merge(runs: Vec<Run>) -> Result<Run> {
    let last = &runs.last().expect("there are some").0;
    // As new as the newest of them: older than what comes, and newer than what was.
    let mut writer = last.numbered(last.seq())?;
    let mut sorted = Sorted::merge(runs)?;
    while let Some((key, value)) = sorted.entry() {
        writer.put(key, value, None)?;
        sorted.advance()?;
    }
    Run::new(writer)
}

/// Entries in order, each key once. It stands on an entry, or behind the last.
#[derive(Debug)]
pub struct Sorted(Source);

#[derive(Debug)]
enum Source {
    /// Sorted, each key once, and where it stands.
    Memory(Gathered, usize),
    /// Written out.
    Runs(SortedRuns),
}

impl Sorted {
    fn of_memory(mut gathered: Gathered) -> Self {
        gathered.sort();
        Sorted(Source::Memory(gathered, 0))
    }

    fn merge(runs: Vec<Run>) -> Result<Self> {
        SortedRuns::merge(runs).map(|runs| Sorted(Source::Runs(runs)))
    }

    /// The key and the value at hand.
    #[must_use]
    pub fn entry(&self) -> Option<(&[u8], &[u8])> {
        match &self.0 {
            Source::Memory(gathered, at) => gathered.get(*at),
            Source::Runs(runs) => runs.entry(),
        }
    }

    /// Goes on to the next key.
    ///
    /// # Errors
    /// Those of reading what was written.
    pub fn advance(&mut self) -> Result<()> {
        match &mut self.0 {
            Source::Memory(_, at) => {
                *at += 1;
                Ok(())
            }
            Source::Runs(runs) => runs.advance(),
        }
    }
}

/// The merge of runs: of one key the newest entry comes first, and the others are passed.
#[derive(Debug)]
struct SortedRuns {
    merge: Merge<Concat<Streams>>,
    /// The key of the entry before.
    /// The value at hand, where it stands in a value file.
    large: Option<Vec<u8>>,
    written: Vec<Written>,
    /// They go with it.
    _runs: Vec<Run>,
}

impl SortedRuns {
    fn merge(runs: Vec<Run>) -> Result<Self> {
        let written: Vec<Written> = runs.iter().map(|Run(writer)| writer.open()).collect();
        let mut merge = Merge::new(written.iter().map(Written::stream).collect());
        merge.seek_first()?;
        let mut sorted = SortedRuns { merge, large: None, written, _runs: runs };
        sorted.load_large()?;
        Ok(sorted)
    }

    fn entry(&self) -> Option<(&[u8], &[u8])> {
        let entry = self.merge.entry()?;
        Some((entry.key, self.large.as_deref().unwrap_or(entry.payload)))
    }

    fn advance(&mut self) -> Result<()> {
        while self.merge.next()?.is_version {}
        self.load_large()
    }

    fn load_large(&mut self) -> Result<()> {
        let pointer = self.merge.entry().and_then(|entry| entry.pointer());
        self.large = match pointer {
            None => None,
            Some(pointer) => {
                let large = self.written.iter().find_map(|written| written.large(&pointer));
                Some(large.expect("a run points to values of its own")?)
            }
        };
        Ok(())
    }
}
