//! Goes through what of a damaged table verifies, and says what does not.

use super::block::Block;
use super::head::Head;
use super::index::Index;
use super::position::Position;
use super::read_ahead::{Direction, ReadAhead};
use super::reader::Table;
use crate::error::{Error, Result};
use crate::format::key::compare;
use crate::format::{EntryRef, SeqNo};
use std::cmp::Ordering;
use std::sync::Arc;

/// A block that cannot be read.
#[derive(Debug)]
pub struct LostBlock {
    /// Its length there.
    pub bytes: u64,
    /// No entry of it is before this place.
    pub low: (Vec<u8>, SeqNo),
    /// All are before this one; `None`: it is the last block.
    pub high: Option<(Vec<u8>, SeqNo)>,
    /// What reading it came to.
    pub error: Error,
}

/// The entries of a table, but for those of blocks that cannot be read. One block is in memory at
/// a time, and the index.
#[derive(Debug)]
pub struct Salvage {
    table: Arc<Table>,
    index: Index,
    ahead: ReadAhead,
    /// The block that comes next.
    next: usize,
    block: Option<Block>,
    position: Position,
    last: Option<(Vec<u8>, SeqNo)>,
}

impl Salvage {
    /// Of `table`; it stands on nothing. Damage in the filter is of no matter to it.
    ///
    /// # Errors
    /// The footer or the index cannot be read, and so where the blocks are is not known.
    pub fn open(table: Arc<Table>) -> Result<Self> {
        let index = Head::read_index(&table)?;
        let (ahead, position) = (ReadAhead::always(), Position::default());
        Ok(Salvage { table, index, ahead, next: 0, block: None, position, last: None })
    }

    /// The table.
    #[must_use]
    pub fn table(&self) -> &Arc<Table> {
        &self.table
    }

    /// The entry it stands on.
    #[must_use]
    pub fn entry(&self) -> Option<EntryRef<'_>> {
        self.block.as_ref().map(|block| block.entry_at(&self.position))
    }

    /// Moves on; tells `lose` of each block that it passes because it cannot be read.
    pub fn next(&mut self, lose: &mut dyn FnMut(LostBlock)) {
        if let Some(block) = &self.block {
            if block.advance(&mut self.position).is_some() {
                return;
            }
            let entry = block.entry_at(&self.position);
            self.last = Some((entry.key.to_vec(), entry.seq));
            self.block = None;
        }
        while self.block.is_none() && self.next < self.index.blocks() {
            let number = self.next;
            self.next += 1;
            match self.read(number) {
                Ok(block) => self.block = Some(block),
                Err(error) => lose(self.lost(number, error)),
            }
        }
    }

    fn read(&mut self, number: usize) -> Result<Block> {
        let block = self.ahead.block(&self.table, &self.index, number, Direction::Forward)?;
        block.go_to(&mut self.position, 0);
        let first = block.entry_at(&self.position);
        let (separator, separator_seq) = self.index.separator(number);
        let is_behind = self
            .last
            .as_ref()
            .is_none_or(|(key, seq)| compare(key, *seq, first.key, first.seq) == Ordering::Less);
        let is_in_place =
            compare(&separator, separator_seq, first.key, first.seq) != Ordering::Greater;
        if is_behind && is_in_place {
            return Ok(block);
        }
        let (start, ..) = self.index.block(number).expect("it was just read");
        Err(self.table.place().damage(start, "the block is not where the index has it"))
    }

    fn lost(&self, number: usize, error: Error) -> LostBlock {
        let (start, end, _) = self.index.block(number).expect("counted up to the last");
        let next = number + 1;
        LostBlock {
            bytes: end - start,
            low: self.index.separator(number),
            high: (next < self.index.blocks()).then(|| self.index.separator(next)),
            error,
        }
    }
}
