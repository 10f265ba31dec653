//! Loads the rest of a table, half of which is in the cache.
//!
//! A process that has just begun loads each block when it first reads of it, and waits for that. Whoever has come to half of
//! the blocks here and there will come to the others; and to load those in the order of the file, many with one call, on a
//! processor that has nothing else to do, takes less. Of 15,000 blocks that random gets come to, half are there after
//! 10,000 gets, and all after some 150,000.
//!
//! INV-1: it stops when no more than a quarter of the cache is free. (So nothing leaves the cache for it, but where blocks are so
//! large that few of them are a part of the cache with a lock of its own.)
//! INV-2: a table that is no longer part of the database is let go, be it its turn or not, but for some blocks at hand.

use super::head_memory::CountedHead;
use super::preload::load_ahead;
use super::read_ahead::{Direction, ReadAhead};
use super::reader::Table;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// So many blocks are loaded before it is looked whether a cursor has something to be done.
const TURN_BLOCKS: usize = 8;

/// A table that is to be loaded.
#[derive(Debug)]
pub struct Fill {
    table: Arc<Table>,
    head: Arc<CountedHead>,
    /// Those before are in the cache.
    next: usize,
    reads: ReadAhead,
}

impl Fill {
    /// Of all blocks of `table` that are not in the cache.
    pub fn new(table: Arc<Table>, head: Arc<CountedHead>) -> Self {
        Fill { table, head, next: 0, reads: ReadAhead::for_cache() }
    }

    /// Whether its table is of no use any more.
    pub fn is_over(&self) -> bool {
        self.table.is_discarded()
    }

    /// Loads some blocks; false: there is nothing to do any more.
    pub fn go(&mut self, is_stopped: &AtomicBool) -> bool {
        let Fill { table, head, next, reads } = self;
        if !table.cache().has_much_room() {
            return false;
        }
        let mut loaded = 0;
        while loaded < TURN_BLOCKS {
            let is_over = is_stopped.load(Ordering::SeqCst) || table.is_discarded();
            if is_over || *next >= head.index.blocks() {
                return false;
            }
            if !table.has_cached(head, *next) {
                if load_ahead(table, head, reads, *next, Direction::Forward).is_none() {
                    return false;
                }
                loaded += 1;
            }
            *next += 1;
        }
        true
    }
}
