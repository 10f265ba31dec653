//! Reads blocks of a table in runs: one call for many blocks that follow on each other.

use super::block::Block;
use super::index::Index;
use super::reader::Table;
use crate::error::Result;
use crate::format::codec::to_u64;
use std::ops::Range;

/// What a stream reads with one call, in bytes.
const STREAM_RUN_BYTES: usize = 256 << 10;
/// After how many blocks in a row that were not in the cache a cursor reads ahead.
const MISSES_MIN: usize = 2;
/// What it then reads with one call: twice as much each time, from the first to the last.
const RUN_BYTES_MIN: usize = 16 << 10;
const RUN_BYTES_MAX: usize = 128 << 10;
/// What is read with one call ahead of a cursor.
const PRELOAD_RUN_BYTES: usize = 64 << 10;

/// Which way a cursor goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Direction {
    /// To larger keys.
    Forward,
    /// To smaller keys.
    Backward,
}

/// A run of blocks as stored. It holds no more than one run, whatever the size of a block:
/// one that is larger is read alone.
#[derive(Debug)]
pub struct ReadAhead {
    /// The bytes of whole blocks, and where in the file they start.
    bytes: Vec<u8>,
    start: u64,
    /// It reads runs from the first block on, of so many bytes; `None`: after some misses, of more and more.
    always_bytes: Option<usize>,
    /// Its blocks go into the cache.
    is_kept: bool,
    /// The block that was asked for last, and how many before it followed on each other.
    last: usize,
    misses: usize,
    run_bytes: usize,
    /// How many blocks in a row were asked for, one behind the other.
    in_row: usize,
}

impl ReadAhead {
    /// For a cursor whose blocks are in the cache, perhaps.
    pub fn on_misses() -> Self {
        ReadAhead {
            bytes: Vec::new(),
            start: 0,
            always_bytes: None,
            is_kept: true,
            last: 0,
            misses: 0,
            run_bytes: 0,
            in_row: 0,
        }
    }

    /// For a cursor that reads all of what it passes from the file.
    pub fn always() -> Self {
        let always_bytes = Some(STREAM_RUN_BYTES);
        ReadAhead { always_bytes, is_kept: false, ..ReadAhead::on_misses() }
    }

    /// For what goes ahead of a cursor.
    pub fn for_cache() -> Self {
        ReadAhead { always_bytes: Some(PRELOAD_RUN_BYTES), ..ReadAhead::on_misses() }
    }

    /// Says that another loads what follows: little is read ahead from now on, and no memory kept for more.
    pub fn rest(&mut self) {
        self.bytes = Vec::new();
        self.interrupt();
    }

    /// How many blocks in a row were not in the cache, one behind the other.
    pub fn in_row(&self) -> usize {
        self.in_row
    }

    /// Whether it is [`ReadAhead::always`].
    pub fn is_stream(&self) -> bool {
        !self.is_kept
    }

    /// Says that a block was in the cache: what follows may be as well.
    pub fn interrupt(&mut self) {
        self.misses = 0;
        self.run_bytes = 0;
        self.in_row = 0;
    }

    /// The block of that number, checked, out of the run at hand or from the file.
    ///
    /// # Errors
    /// What reading that block alone gives: another that is damaged, or that the
    /// disk cannot read, is told when it is its turn.
    pub fn block(
        &mut self,
        table: &Table,
        index: &Index,
        number: usize,
        direction: Direction,
    ) -> Result<Block> {
        let (start, end, checksum) = index.block(number).expect("the index has that block");
        let follows = match direction {
            Direction::Forward => self.last.checked_add(1) == Some(number),
            Direction::Backward => number.checked_add(1) == Some(self.last),
        };
        self.in_row = if follows { self.in_row + 1 } else { 1 };
        if self.held(start, end).is_none() && self.is_due(follows) {
            let run = self.run(index, number, direction);
            if run.end - run.start > end - start {
                self.fill(table, run);
            }
        }
        self.last = number;
        match self.held(start, end) {
            Some(stored) => table.open_block(start, stored, checksum, self.is_kept),
            None => table.read_block((start, end, checksum), self.is_kept),
        }
    }

    fn held(&self, start: u64, end: u64) -> Option<&[u8]> {
        let at = |offset: u64| usize::try_from(offset.checked_sub(self.start)?).ok();
        self.bytes.get(at(start)?..at(end)?)
    }

    /// Whether more than the one block should be read.
    fn is_due(&mut self, follows: bool) -> bool {
        if let Some(bytes) = self.always_bytes {
            self.run_bytes = bytes;
            return true;
        }
        if !follows {
            (self.misses, self.run_bytes) = (0, 0);
        }
        self.misses += 1;
        if self.misses <= MISSES_MIN {
            return false;
        }
        self.run_bytes = (2 * self.run_bytes).clamp(RUN_BYTES_MIN, RUN_BYTES_MAX);
        true
    }

    /// Where in the file the run lies that has block `number` at its end nearer to
    /// where the cursor comes from: as many blocks as fit, at least that one.
    fn run(&self, index: &Index, number: usize, direction: Direction) -> Range<u64> {
        let range = |number| index.block(number).map(|(start, end, _)| start..end);
        let mut run = range(number).unwrap_or_default();
        let limit = to_u64(self.run_bytes);
        let mut next = Some(number);
        loop {
            next = match direction {
                Direction::Forward => next.and_then(|n| n.checked_add(1)),
                Direction::Backward => next.and_then(|n| n.checked_sub(1)),
            };
            let Some(block) = next.and_then(range) else { return run };
            let longer = run.start.min(block.start)..run.end.max(block.end);
            if longer.end - longer.start > limit {
                return run;
            }
            run = longer;
        }
    }

    /// Reads a run. Where that fails nothing is held, and the block that was asked
    /// for is read alone: the failure may be that of another.
    fn fill(&mut self, table: &Table, run: Range<u64>) {
        let size = usize::try_from(run.end - run.start).expect("a run is smaller than a block");
        self.bytes.resize(size, 0);
        self.start = run.start;
        if table.read_into(&mut self.bytes, run.start).is_err() {
            self.bytes.clear();
        }
    }
}
