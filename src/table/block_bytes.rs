//! The memory of a block.

use crate::arena::Cell;
use std::ops::{Deref, DerefMut};

/// The bytes of a block, uncompressed: in a cell of the cache's slabs, or in an allocation of their own.
#[derive(Debug)]
pub enum BlockBytes {
    /// What passes by, what is too large for a cell, and what found no room.
    Own(Box<[u8]>),
    /// What is kept.
    Cell(Cell),
}

impl BlockBytes {
    /// What they take of memory, in bytes.
    pub fn reserved_bytes(&self) -> usize {
        match self {
            BlockBytes::Own(bytes) => bytes.len(),
            BlockBytes::Cell(cell) => cell.reserved_bytes(),
        }
    }
}

impl From<Vec<u8>> for BlockBytes {
    fn from(bytes: Vec<u8>) -> Self {
        BlockBytes::Own(bytes.into_boxed_slice())
    }
}

impl From<Cell> for BlockBytes {
    fn from(cell: Cell) -> Self {
        BlockBytes::Cell(cell)
    }
}

impl Deref for BlockBytes {
    type Target = [u8];

    #[inline]
    fn deref(&self) -> &[u8] {
        match self {
            BlockBytes::Own(bytes) => bytes,
            BlockBytes::Cell(cell) => cell,
        }
    }
}

impl DerefMut for BlockBytes {
    #[inline]
    fn deref_mut(&mut self) -> &mut [u8] {
        match self {
            BlockBytes::Own(bytes) => bytes,
            BlockBytes::Cell(cell) => cell,
        }
    }
}
