//! The newest entries, sorted, in memory: an arena skiplist with concurrent
//! insertion and reads that never wait.
//!
//! Place on the data's path: behind the commit pipeline, which inserts what it
//! has logged; before the flush, which writes a full memtable out as a table.
//! Reads ask the memtables first, newest first.
//!
//! The parts: [`arena`] makes nodes of bytes and has all `unsafe` code (INV-2 to INV-4),
//! [`space`] shares its room out (INV-1), [`skiplist`] has the order (INV-5 to
//! INV-7), [`cursor`] is the way through it, and [`sync`] names the atomics, so
//! that the model checker can put its own there.
//!
//! INV-8: every version of a key is kept; entries are never changed or removed.
//! INV-9: an entry is visible to `get` and cursors, whole, from the moment its
//! insertion returned at the latest. Whether a reader *should* see it is decided
//! by sequence numbers, not here.
//!
//! Concurrency: any number of threads insert and read at once, without locks.
//! [`Memtable::reserve`] comes before the insertions that it is for.
//!
//! The idea is that of LevelDB's memtable and RocksDB's `InlineSkipList`:
//! entries inline in the nodes, nodes published by one store or
//! compare-and-swap, one arena freed as a whole.
//!
//! Not here: visibility, expiry, the choice of when a memtable is full, and
//! whether an entry is well-formed.

mod ahead;
mod arena;
mod cursor;
mod inserter;
mod skiplist;
mod space;
mod sync;

pub use ahead::MemoryAhead;
pub use cursor::MemtableCursor;
pub use inserter::Inserter;

use crate::format::{EntryKind, EntryRef, SeqNo};
use ahead::Ahead;
use arena::Arena;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

/// A sorted set of entries in memory.
pub struct Memtable {
    arena: Arc<Arena>,
    entry_count: AtomicUsize,
    tombstone_count: AtomicUsize,
    ahead: Option<Ahead>,
}

impl Memtable {
    /// An empty memtable with room for `capacity_bytes` of entries, each as
    /// large as [`Memtable::used_bytes`] counts it; at most 32 GiB, to which
    /// larger sizes are cut. The memory is set aside at once, and used page by
    /// page as entries come.
    #[must_use]
    pub fn new(capacity_bytes: usize) -> Self {
        let arena = Arc::new(Arena::new(capacity_bytes));
        let (entry_count, tombstone_count) = (AtomicUsize::new(0), AtomicUsize::new(0));
        Memtable { arena, entry_count, tombstone_count, ahead: None }
    }

    /// Has its memory made ahead of its writers by that thread.
    #[must_use]
    pub fn with_memory_ahead(mut self, thread: &Arc<MemoryAhead>) -> Self {
        self.ahead = Some(Ahead::new(Arc::clone(thread), arena::SMALL_BYTES));
        self
    }

    /// The most that an empty memtable can set aside at once, in bytes.
    pub const RESERVED_BYTES_MAX: usize = arena::RESERVED_BYTES_MAX;

    /// Sets aside room for entries of together `bytes`, the sum of their
    /// [`Memtable::entry_bytes_max`]. False: they do not fit, and nothing was
    /// set aside.
    ///
    /// The reservation lasts until the entries are inserted: each insertion
    /// takes its `entry_bytes_max` off it and gives back, for others to
    /// reserve, what the entry does not need. So the worst case is counted only
    /// for entries that are on their way, and a memtable fills to the brim.
    #[must_use]
    pub fn reserve(&self, bytes: usize) -> bool {
        self.arena.reserve(bytes)
    }

    /// Gives back room for `bytes` that was set aside and will not be used.
    ///
    /// # Panics
    /// When less is set aside.
    pub fn release(&self, bytes: usize) {
        self.arena.release(bytes);
    }

    /// The most memory that an entry of these sizes takes, in bytes: that of the
    /// tallest of nodes. An average one takes some 180 bytes less.
    #[must_use]
    pub const fn entry_bytes_max(key_len: usize, payload_len: usize) -> usize {
        arena::node_bytes_max(key_len, payload_len)
    }

    /// Inserts `entry`.
    ///
    /// REQUIRES: its [`Memtable::entry_bytes_max`] was reserved, and no entry
    /// with its key and sequence number is here.
    ///
    /// # Panics
    /// When the room was not reserved, or the key or payload is longer than the
    /// engine takes (65,535 bytes, 4 GiB).
    pub fn insert(&self, entry: EntryRef<'_>) {
        skiplist::insert(&self.arena, entry);
        self.note(1, usize::from(entry.kind == EntryKind::Delete));
    }

    /// Inserts what `fill` hands on, several at once: faster than one after the other. The entries are
    /// here when this returns.
    ///
    /// # Panics
    /// As [`Memtable::insert`].
    pub fn insert_all(&self, fill: impl FnOnce(&mut Inserter<'_>)) {
        let mut inserter = Inserter::new(self);
        fill(&mut inserter);
        inserter.finish();
    }

    fn note(&self, entries: usize, tombstones: usize) {
        // Relaxed: counts for people and for sizing, they publish nothing.
        self.entry_count.fetch_add(entries, Ordering::Relaxed);
        if tombstones > 0 {
            self.tombstone_count.fetch_add(tombstones, Ordering::Relaxed);
        }
        if let Some(ahead) = &self.ahead {
            ahead.follow(&self.arena);
        }
    }

    /// The newest version of `key` that a read at `seq` sees.
    #[must_use]
    pub fn get(&self, key: &[u8], seq: SeqNo) -> Option<EntryRef<'_>> {
        skiplist::get(&self.arena, key, seq).map(|node| node.entry())
    }

    /// True when no insertion has put an entry in its place yet.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        skiplist::first(&self.arena).is_none()
    }

    /// The number of entries whose insertion has returned.
    #[must_use]
    pub fn len(&self) -> usize {
        self.entry_count.load(Ordering::Relaxed)
    }

    /// How many of these are deletes.
    #[must_use]
    pub fn tombstones(&self) -> usize {
        self.tombstone_count.load(Ordering::Relaxed)
    }

    /// What the entries take of the capacity, in bytes.
    #[must_use]
    pub fn used_bytes(&self) -> usize {
        self.arena.used_bytes()
    }

    /// A cursor, on nothing yet.
    #[must_use]
    pub fn cursor(self: &Arc<Self>) -> MemtableCursor {
        MemtableCursor::new(self)
    }
}

impl fmt::Debug for Memtable {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Memtable")
            .field("len", &self.len())
            .field("used_bytes", &self.used_bytes())
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests;
