//! A cursor over a table: the index names the block, the block has the entry.

use super::block::{Block, Position};
use super::reader::Table;
use crate::error::Result;
use crate::format::{EntryRef, SeqNo};
use crate::iter::Cursor;
use std::sync::Arc;

/// A cursor over the entries of a table. It keeps one block in memory.
#[derive(Debug)]
pub struct TableCursor {
    table: Arc<Table>,
    /// Whether blocks come from the cache and go into it.
    /// The block it stands in, and its number; `None`: it stands on nothing.
    block: Option<Arc<Block>>,
    number: usize,
    position: Position,
}

impl TableCursor {
    pub(super) fn new(table: Arc<Table>) -> Self {
        TableCursor { table, block: None, number: 0, position: Position::default() }
    }

    /// Moves to an entry of block `number`: that which `choose` names. On
    /// nothing where there is no such block, and after an error.
    fn enter(&mut self, number: usize, choose: impl FnOnce(&Block) -> usize) -> Result<()> {
        self.block = None;
        let index = self.table.index()?;
        if number < index.blocks() {
            let block = self.table.block(index, number)?;
            block.go_to(&mut self.position, choose(&block));
            self.number = number;
            self.block = Some(block);
        }
        Ok(())
    }

    /// Moves to the last entry of the block before `number`.
    fn enter_before(&mut self, number: usize) -> Result<()> {
        match number.checked_sub(1) {
            Some(before) => self.enter(before, |block| block.entries() - 1),
            None => {
                self.block = None;
                Ok(())
            }
        }
    }

    /// The block that `(key, seq)` belongs in, its number, and the first entry
    /// of it at or after that place. The cursor stands on nothing.
    fn search(&mut self, key: &[u8], seq: SeqNo) -> Result<Option<(Arc<Block>, usize, usize)>> {
        self.block = None;
        let index = self.table.index()?;
        if index.blocks() == 0 {
            return Ok(None);
        }
        let number = index.find(key, seq);
        let block = self.table.block(index, number)?;
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
    #[inline]
    fn entry(&self) -> Option<EntryRef<'_>> {
        self.block.as_ref().map(|block| block.entry_at(&self.position))
    }

    fn seek_first(&mut self) -> Result<()> {
        self.enter(0, |_| 0)
    }

    fn seek_last(&mut self) -> Result<()> {
        // After an error it stands on nothing (INV-1 of `iter`).
        self.block = None;
        let blocks = self.table.index()?.blocks();
        self.enter_before(blocks)
    }

    fn seek(&mut self, key: &[u8], seq: SeqNo) -> Result<()> {
        match self.search(key, seq)? {
            Some((block, number, entry)) if entry < block.entries() => {
                self.stand(block, number, entry);
                Ok(())
            }
            // All of the block is before: what is sought is the next block's first.
            Some((_, number, _)) => self.enter(number + 1, |_| 0),
            None => Ok(()),
        }
    }

    fn seek_before(&mut self, key: &[u8], seq: SeqNo) -> Result<()> {
        match self.search(key, seq)? {
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
    fn next(&mut self) -> Result<()> {
        match &self.block {
            Some(block) if !block.advance(&mut self.position) => self.enter(self.number + 1, |_| 0),
            _ => Ok(()),
        }
    }

    fn prev(&mut self) -> Result<()> {
        let Some(block) = &self.block else { return Ok(()) };
        match self.position.entry().checked_sub(1) {
            Some(before) => {
                block.go_to(&mut self.position, before);
                Ok(())
            }
            None => self.enter_before(self.number),
        }
    }
}
