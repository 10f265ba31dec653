//! One frame of the log as a batch that can be replayed: checked as a whole
//! before any of it goes into a memtable.

use crate::error::{Error, Result};
use crate::format::key::EXPIRY_SIZE;
use crate::format::pointer::POINTER_BYTES_MAX;
use crate::format::{Frame, SeqNo};
use crate::memtable::Memtable;
use crate::wal::{Op, OpReader};
use std::path::Path;

/// A frame's operations, all of which can be replayed.
#[derive(Debug, Clone, Copy)]
pub struct CheckedBatch<'a> {
    body: &'a [u8],
    first_seq: SeqNo,
    /// Sequence number of its last entry; that of the batch before, where it has none.
    pub last_seq: SeqNo,
    /// What its entries take in a memtable at most, in bytes; 0: it has none.
    pub memtable_bytes: usize,
    /// The highest expiry floor in it, in milliseconds.
    pub expiry_floor_ms: Option<u64>,
}

impl<'a> CheckedBatch<'a> {
    /// Its operations, in order.
    pub fn operations(&self) -> impl Iterator<Item = Op<'a>> {
        OpReader::new(self.body, self.first_seq).flatten()
    }

    /// The same, each with where in the frame's body it ends: there its value ends, if it has one.
    pub fn placed_operations(&self) -> impl Iterator<Item = (Op<'a>, usize)> {
        let mut reader = OpReader::new(self.body, self.first_seq);
        std::iter::from_fn(move || reader.next()?.map(|op| (op, reader.position())))
    }
}

/// Checks the operations of `frame`, of the log file at `path`. `last_seq` is
/// the sequence number that comes before all of them; values of `threshold` bytes and more
/// will not be in memory.
///
/// # Errors
/// [`Error::Corruption`]. The frame's checksum held, so this is a bug or an
/// attack; in either case nothing to guess about.
pub fn check_batch<'a>(
    frame: &Frame<'a>,
    path: &Path,
    last_seq: SeqNo,
    threshold: usize,
) -> Result<CheckedBatch<'a>> {
    let wrong = |detail: &str| Error::corruption(path, frame.offset, detail);
    let first_seq = SeqNo(frame.sequence);
    let mut batch = CheckedBatch {
        body: frame.body,
        first_seq,
        last_seq,
        memtable_bytes: 0,
        expiry_floor_ms: None,
    };
    for op in OpReader::new(frame.body, first_seq) {
        match op.ok_or_else(|| wrong("an operation cannot be decoded"))? {
            Op::Entry(entry) | Op::Compressed(entry) => {
                let is_separate =
                    matches!(op, Some(Op::Compressed(_))) || entry.is_large(threshold);
                let pointer_bytes = EXPIRY_SIZE + POINTER_BYTES_MAX;
                let size = if is_separate { pointer_bytes } else { entry.payload.len() };
                let bytes = Memtable::entry_bytes_max(entry.key.len(), size);
                batch.memtable_bytes = batch.memtable_bytes.saturating_add(bytes);
                batch.last_seq = batch.last_seq.max(entry.seq);
            }
            Op::ExpiryFloor(floor_ms) => {
                batch.expiry_floor_ms = batch.expiry_floor_ms.max(Some(floor_ms));
            }
        }
    }
    if batch.memtable_bytes > Memtable::RESERVED_BYTES_MAX {
        return Err(wrong("a batch is larger than a memtable can be"));
    }
    // Below what the tables already hold there is nothing to replay; a log from
    // `log_min` on has nothing there, unless it is not ours. And no version of
    // a key may come twice.
    if batch.memtable_bytes > 0 && first_seq <= last_seq {
        return Err(wrong("a record is older than the tables or the record before it"));
    }
    if batch.last_seq > SeqNo::COUNTED_FROM_MAX {
        return Err(wrong("its sequence numbers leave no room above them"));
    }
    Ok(batch)
}
