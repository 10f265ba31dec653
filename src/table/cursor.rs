//! A cursor over a table: the index names the block, the block has the entry.

use super::block::Block;
use super::head_memory::CountedHead;
use super::position::Position;
use super::preload::{AFTER_MISSES, Preload};
use super::read_ahead::{Direction, ReadAhead};
use super::reader::Table;
use crate::error::{Error, Result};
use crate::format::key::compare;
use crate::format::{EntryRef, SeqNo};
use crate::iter::{Cursor, Moved};
use std::cmp::Ordering;
use std::sync::Arc;

/// A cursor over the entries of a table. It keeps one block in memory, what it has read
/// ahead, and from its first move on the table's head.
#[derive(Debug)]
pub struct TableCursor {
    table: Arc<Table>,
    head: Option<Arc<CountedHead>>,
    ahead: ReadAhead,
    /// What loads blocks ahead of it, on another thread.
    preload: Option<Preload>,
    /// The block it stands in, and its number; `None`: it stands on nothing.
    block: Option<Arc<Block>>,
    number: usize,
    position: Position,
    /// Where it stood in the block that it left, for a look at the order.
    passed: Position,
}

impl TableCursor {
    pub(super) fn new(table: Arc<Table>, ahead: ReadAhead) -> Self {
        let (position, passed) = (Position::default(), Position::default());
        TableCursor {
            table,
            head: None,
            ahead,
            preload: None,
            block: None,
            number: 0,
            position,
            passed,
        }
    }

    /// The head, pinned: otherwise a scan longer than the budget for heads allows
    /// would read it again for each block.
    fn head(&mut self) -> Result<Arc<CountedHead>> {
        if let Some(head) = &self.head {
            return Ok(Arc::clone(head));
        }
        Ok(Arc::clone(self.head.insert(self.table.head()?.pin())))
    }

    fn load(
        &mut self,
        head: &Arc<CountedHead>,
        number: usize,
        way: Direction,
    ) -> Result<Arc<Block>> {
        if self.ahead.is_stream() {
            return self.ahead.block(&self.table, &head.index, number, way).map(Arc::new);
        }
        let is_on_way = self.preload.as_ref().is_some_and(|ahead| ahead.comes_to(number, way));
        if !is_on_way {
            self.preload = None;
        }
        if let Some(block) = self.table.cached_block(head, number) {
            self.ahead.interrupt();
            return Ok(block);
        }
        let block = self.ahead.block(&self.table, &head.index, number, way)?;
        // A long walk says nothing of the rest of the table.
        if !is_on_way && self.ahead.in_row() < AFTER_MISSES {
            self.table.note_load(head);
        }
        if !is_on_way && self.ahead.in_row().is_multiple_of(AFTER_MISSES) {
            self.preload = self.table.preload(head, number, way);
            if self.preload.is_some() {
                self.ahead.rest();
            }
        }
        Ok(self.table.keep_block(head, number, block))
    }

    /// Has the processor begin to fetch the block that it comes to next. A stream has its blocks from elsewhere.
    fn prefetch(&self, head: &CountedHead, next: Option<usize>) {
        if let Some(next) = next.filter(|_| !self.ahead.is_stream()) {
            self.table.prefetch_block(head, next);
        }
    }

    /// Whether another thread loads blocks ahead of it.
    #[cfg(test)]
    pub(super) fn is_gone_ahead_of(&self) -> bool {
        self.preload.is_some()
    }

    /// Moves to the first entry of block `number`. On nothing where there is no
    /// such block, and after an error.
    fn enter(&mut self, number: usize) -> Result<()> {
        self.block = None;
        let head = self.head()?;
        if number < head.index.blocks() {
            let block = self.load(&head, number, Direction::Forward)?;
            self.stand(block, number, 0);
            self.prefetch(&head, number.checked_add(1));
        }
        Ok(())
    }

    /// Moves from the last entry of a block to the first of the next, which must come after
    /// it: each block was checked by itself alone, and what is merged relies on the order.
    /// True when it has the same key.
    fn enter_next(&mut self) -> Result<bool> {
        let Some(passed) = self.block.take() else { return Ok(false) };
        std::mem::swap(&mut self.position, &mut self.passed);
        self.enter(self.number + 1)?;
        let last = passed.entry_at(&self.passed);
        let (is_after, is_version) = match &self.block {
            Some(block) => {
                let first = block.entry_at(&self.position);
                let order = compare(last.key, last.seq, first.key, first.seq);
                (order == Ordering::Less, last.key == first.key)
            }
            None => (last.key == self.table.meta().largest_key(), false),
        };
        if is_after { Ok(is_version) } else { Err(self.out_of_order()) }
    }

    /// The same the other way: to the last entry of the block before.
    fn enter_previous(&mut self) -> Result<()> {
        let Some(passed) = self.block.take() else { return Ok(()) };
        std::mem::swap(&mut self.position, &mut self.passed);
        self.enter_before(self.number)?;
        let first = passed.entry_at(&self.passed);
        let is_before = match &self.block {
            Some(block) => {
                let last = block.entry_at(&self.position);
                compare(last.key, last.seq, first.key, first.seq) == Ordering::Less
            }
            None => first.key == self.table.meta().smallest_key(),
        };
        if is_before { Ok(()) } else { Err(self.out_of_order()) }
    }

    /// The entry at hand is not where the one before, or the manifest, wants it.
    fn out_of_order(&mut self) -> Error {
        self.block = None;
        let offset = self.head.as_ref().and_then(|head| head.index.block(self.number));
        let offset = offset.map_or(0, |(start, ..)| start);
        self.table.place().damage(offset, "the entries from block to block are out of order")
    }

    /// Moves to the last entry of the block before `number`.
    fn enter_before(&mut self, number: usize) -> Result<()> {
        self.block = None;
        if let Some(before) = number.checked_sub(1) {
            let head = self.head()?;
            let block = self.load(&head, before, Direction::Backward)?;
            let last = block.entries() - 1;
            self.stand(block, before, last);
            self.prefetch(&head, before.checked_sub(1));
        }
        Ok(())
    }

    /// The block that `(key, seq)` belongs in, its number, and the first entry
    /// of it at or after that place. The cursor stands on nothing.
    fn search(
        &mut self,
        key: &[u8],
        seq: SeqNo,
        way: Direction,
    ) -> Result<Option<(Arc<Block>, usize, usize)>> {
        self.block = None;
        let head = self.head()?;
        if head.index.blocks() == 0 {
            return Ok(None);
        }
        let number = head.index.find(key, seq);
        let block = self.load(&head, number, way)?;
        let entry = block.lower_bound(key, seq).entry;
        Ok(Some((block, number, entry)))
    }

    fn stand(&mut self, block: Arc<Block>, number: usize, entry: usize) {
        block.go_to(&mut self.position, entry);
        self.number = number;
        self.block = Some(block);
    }
}

impl Cursor for TableCursor {
    #[inline(always)]
    fn entry(&self) -> Option<EntryRef<'_>> {
        self.block.as_ref().map(|block| block.entry_at(&self.position))
    }

    #[inline]
    fn place(&self) -> Option<(&[u8], SeqNo)> {
        self.block.as_ref().map(|block| block.place_at(&self.position))
    }

    fn seek_first(&mut self) -> Result<()> {
        self.enter(0)?;
        let smallest = self.table.meta().smallest_key();
        match self.entry() {
            Some(first) if first.key != smallest => Err(self.out_of_order()),
            _ => Ok(()),
        }
    }

    fn seek_last(&mut self) -> Result<()> {
        // After an error it stands on nothing (INV-1 of `iter`).
        self.block = None;
        let blocks = self.head()?.index.blocks();
        self.enter_before(blocks)?;
        let largest = self.table.meta().largest_key();
        match self.entry() {
            Some(last) if last.key != largest => Err(self.out_of_order()),
            _ => Ok(()),
        }
    }

    fn seek(&mut self, key: &[u8], seq: SeqNo) -> Result<()> {
        match self.search(key, seq, Direction::Forward)? {
            Some((block, number, entry)) if entry < block.entries() => {
                self.stand(block, number, entry);
                Ok(())
            }
            // All of the block is before: what is sought is the next block's first.
            Some((_, number, _)) => self.enter(number + 1),
            None => Ok(()),
        }
    }

    fn seek_before(&mut self, key: &[u8], seq: SeqNo) -> Result<()> {
        match self.search(key, seq, Direction::Backward)? {
            Some((block, number, entry)) => match entry.checked_sub(1) {
                Some(before) => {
                    self.stand(block, number, before);
                    Ok(())
                }
                None => self.enter_before(number),
            },
            None => Ok(()),
        }
    }

    #[inline]
    fn next(&mut self) -> Result<Moved> {
        let Some(block) = &self.block else { return Ok(Moved::default()) };
        match block.advance(&mut self.position) {
            Some((_, moved)) => Ok(moved),
            None => Ok(Moved { is_version: self.enter_next()?, shared: 0 }),
        }
    }

    #[inline(always)]
    fn next_at_hand(&mut self) -> Option<(EntryRef<'_>, Moved)> {
        self.block.as_ref()?.advance(&mut self.position)
    }

    fn prev(&mut self) -> Result<()> {
        match &self.block {
            Some(block) if !block.retreat(&mut self.position) => self.enter_previous(),
            _ => Ok(()),
        }
    }
}
