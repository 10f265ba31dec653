//! A batch on its way into the log.

use crate::error::{Error, Result};
use crate::format::codec::to_u64;
use crate::format::frame::BODY_BYTES_MAX;
use crate::format::key::EXPIRY_SIZE;
use crate::format::pointer::POINTER_BYTES_MAX;
use crate::format::{
    Content, EntryRef, KEY_BYTES_MAX, LogId, SegmentId, SeqNo, VALUE_BYTES_MAX, ValuePointer,
    snappy,
};
use crate::memtable::Memtable;
use crate::options::Compression;
use crate::wal::{Op, OpReader, ops};
use std::ops::Range;

/// Operations that are committed together: encoded as the log holds them.
#[derive(Debug, Clone, Default)]
pub struct Batch {
    ops: Vec<u8>,
    entries: u64,
    /// Of these, the deletes.
    deletes: u64,
    /// Of keys and values.
    user_bytes: u64,
    /// What the memtable needs at most to take it.
    memtable_bytes: usize,
    /// The longest value.
    value_bytes_max: usize,
    /// Values of so many bytes and more stay in the log, with a pointer to them in memory.
    /// `None`: all go into memory.
    threshold: Option<usize>,
    /// What those take in the log, compressed where they are.
    large_bytes: u64,
}

/// Where the body of a batch stands in the log.
#[derive(Debug, Clone, Copy)]
pub struct BodyPlace {
    /// The log file.
    pub log: LogId,
    /// Offset of the body in it.
    pub offset: u64,
}

impl Batch {
    /// Adds a value for `key`.
    pub fn set(&mut self, key: &[u8], value: &[u8]) {
        ops::put_set(&mut self.ops, key, value);
        self.count(key, value.len(), value.len());
    }

    /// Adds a value for `key` that expires; returns where its expiry stands,
    /// for [`Batch::set_expiry`].
    pub fn set_expiring(&mut self, key: &[u8], value: &[u8]) -> usize {
        self.count(key, value.len(), value.len() + EXPIRY_SIZE);
        ops::put_set_expiring(&mut self.ops, key, value, u64::MAX)
    }

    /// Sets the expiry at `place`, which [`Batch::set_expiring`] returned.
    pub fn set_expiry(&mut self, place: usize, expires_at_ms: u64) {
        self.ops[place..place + EXPIRY_SIZE].copy_from_slice(&expires_at_ms.to_le_bytes());
    }

    /// Adds a tombstone for `key`.
    pub fn delete(&mut self, key: &[u8]) {
        ops::put_delete(&mut self.ops, key);
        self.deletes += 1;
        self.count(key, 0, 0);
    }

    fn count(&mut self, key: &[u8], value_len: usize, payload_len: usize) {
        self.entries += 1;
        self.value_bytes_max = self.value_bytes_max.max(value_len);
        self.user_bytes += to_u64(key.len() + value_len);
        let bytes = Memtable::entry_bytes_max(key.len(), payload_len);
        self.memtable_bytes = self.memtable_bytes.saturating_add(bytes);
    }

    /// Operations in it.
    #[must_use]
    pub fn entries(&self) -> u64 {
        self.entries
    }

    /// Whether it sets a key.
    #[must_use]
    pub fn has_sets(&self) -> bool {
        self.deletes < self.entries
    }

    /// Bytes of the keys and values in it.
    #[must_use]
    pub fn user_bytes(&self) -> u64 {
        self.user_bytes
    }

    /// What the values take that stay in the log, in bytes.
    #[must_use]
    pub fn large_bytes(&self) -> u64 {
        self.large_bytes
    }

    /// The keys that it writes, in order of its operations.
    pub fn keys(&self) -> impl Iterator<Item = &[u8]> {
        let ops = OpReader::new(&self.ops, SeqNo::ZERO);
        ops.filter_map(|op| match op.expect("we encoded it ourselves") {
            Op::Entry(entry) | Op::Compressed(entry) => Some(entry.key),
            Op::ExpiryFloor(_) => None,
        })
    }

    /// True without any.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.entries == 0
    }

    /// The encoded operations.
    #[must_use]
    pub fn ops(&self) -> &[u8] {
        &self.ops
    }

    /// What the memtable needs at most to take it, in bytes.
    #[must_use]
    pub fn memtable_bytes(&self) -> usize {
        self.memtable_bytes
    }

    /// A batch that asks for no room, so that its insertion panics: what a
    /// mistake in the memtable would be like.
    #[cfg(test)]
    #[must_use]
    pub fn without_room(mut self) -> Self {
        self.memtable_bytes = 0;
        self
    }

    /// Forgets the operations, keeps the memory.
    pub fn clear(&mut self) {
        self.ops.clear();
        self.entries = 0;
        self.deletes = 0;
        self.user_bytes = 0;
        self.memtable_bytes = 0;
        self.value_bytes_max = 0;
        self.threshold = None;
        self.large_bytes = 0;
    }

    /// Has values of `threshold` bytes and more stay in the log, where `compression` pays
    /// compressed. Called once, on the way into the log.
    pub fn separate(&mut self, threshold: usize, compression: Compression) {
        if self.value_bytes_max < threshold {
            return;
        }
        self.threshold = Some(threshold);
        let mut compressor = Recoder::new(&self.ops, threshold, compression);
        self.memtable_bytes = 0;
        let mut reader = OpReader::new(&self.ops, SeqNo::ZERO);
        let mut begins = 0;
        while let Some(op) = reader.next() {
            let ends = reader.position();
            if let Op::Entry(entry) = op.expect("we encoded it ourselves") {
                let (payload_len, large_len) = compressor.take(entry, begins..ends);
                let bytes = Memtable::entry_bytes_max(entry.key.len(), payload_len);
                self.memtable_bytes = self.memtable_bytes.saturating_add(bytes);
                self.large_bytes += to_u64(large_len);
            }
            begins = ends;
        }
        if let Some(ops) = compressor.finish() {
            self.ops = ops;
        }
    }

    /// # Errors
    /// [`Error::TooLarge`] for the whole batch.
    pub fn check_size(&self) -> Result<()> {
        let size_bytes = to_u64(self.ops.len());
        if size_bytes > BODY_BYTES_MAX {
            return Err(Error::TooLarge {
                what: "batch",
                size_bytes,
                limit_bytes: BODY_BYTES_MAX,
                path: None,
            });
        }
        // Many small entries take more in memory than in the log.
        check("batch", self.memtable_bytes, Memtable::RESERVED_BYTES_MAX)
    }

    /// Puts the entries into `memtable`, numbered from `first` on. `place`: where they stand
    /// in the log, if they do.
    pub fn insert_into(&self, memtable: &Memtable, first: SeqNo, place: Option<BodyPlace>) {
        if self.entries == 1 {
            return self.each_entry(first, place, |entry| memtable.insert(entry));
        }
        memtable.insert_all(|inserter| {
            self.each_entry(first, place, |entry| inserter.insert(entry));
        });
    }

    /// Hands on the entries as the memtable is to have them.
    fn each_entry(
        &self,
        first: SeqNo,
        place: Option<BodyPlace>,
        mut hand_on: impl FnMut(EntryRef<'_>),
    ) {
        let mut reader = OpReader::new(&self.ops, first);
        let mut payload = Vec::new();
        while let Some(op) = reader.next() {
            let ends = reader.position();
            match op.expect("we encoded it ourselves") {
                Op::Entry(entry) => match place.filter(|_| self.is_separate(entry)) {
                    Some(place) => hand_on(pointing(entry, place, ends, false, &mut payload)),
                    None => hand_on(entry),
                },
                Op::Compressed(entry) => {
                    let place = place.expect("what is compressed is in a log");
                    hand_on(pointing(entry, place, ends, true, &mut payload));
                }
                Op::ExpiryFloor(_) => {}
            }
        }
    }

    fn is_separate(&self, entry: EntryRef<'_>) -> bool {
        self.threshold.is_some_and(|threshold| entry.is_large(threshold))
    }
}

/// `entry` with a pointer in place of its value, which ends at `ends` of the body at `place`.
fn pointing<'a>(
    entry: EntryRef<'a>,
    place: BodyPlace,
    ends: usize,
    is_compressed: bool,
    payload: &'a mut Vec<u8>,
) -> EntryRef<'a> {
    let Some((expires_at_ms, Content::Inline(stored))) = entry.value() else { return entry };
    let segment = SegmentId(place.log.0);
    let offset = place.offset + to_u64(ends - stored.len());
    let pointer = ValuePointer::to(segment, offset, stored, is_compressed);
    EntryRef::to_pointer(entry.key, entry.seq, expires_at_ms, pointer, payload)
}

/// Puts operations together again with large values compressed; copies nothing where none gets smaller.
struct Recoder<'a> {
    ops: &'a [u8],
    threshold: usize,
    compression: Compression,
    /// All operations so far, once one of them is another.
    recoded: Option<Vec<u8>>,
}

impl<'a> Recoder<'a> {
    fn new(ops: &'a [u8], threshold: usize, compression: Compression) -> Self {
        Recoder { ops, threshold, compression, recoded: None }
    }

    /// Takes the operation at `range`, which writes `entry`; returns how long its payload
    /// will be in memory, and its value in the log, if that is large.
    fn take(&mut self, entry: EntryRef<'_>, range: Range<usize>) -> (usize, usize) {
        let expiry_size = entry.value().map_or(0, |(ms, _)| ms.map_or(0, |_| EXPIRY_SIZE));
        let mut large_len = 0;
        let compressed = match entry.value() {
            Some((expires_at_ms, Content::Inline(value))) if value.len() >= self.threshold => {
                let compressed = match self.compression {
                    Compression::Snappy => snappy::compress(value),
                    Compression::None => None,
                };
                large_len = compressed.as_ref().map_or(value.len(), Vec::len);
                Some((expires_at_ms, compressed))
            }
            _ => None,
        };
        match &compressed {
            Some((expires_at_ms, Some(compressed))) => {
                let before = self.ops.get(..range.start).unwrap_or_default();
                let recoded = self.recoded.get_or_insert_with(|| before.to_vec());
                ops::put_compressed(recoded, entry.key, compressed, *expires_at_ms);
            }
            _ => {
                if let Some(recoded) = &mut self.recoded {
                    recoded.extend_from_slice(self.ops.get(range).unwrap_or_default());
                }
            }
        }
        match compressed {
            Some(_) => (POINTER_BYTES_MAX + expiry_size, large_len),
            None => (entry.payload.len(), 0),
        }
    }

    fn finish(self) -> Option<Vec<u8>> {
        self.recoded
    }
}

/// # Errors
/// [`Error::TooLarge`] for a key beyond [`KEY_BYTES_MAX`].
pub fn check_key(key: &[u8]) -> Result<()> {
    check("key", key.len(), KEY_BYTES_MAX)
}

/// # Errors
/// [`Error::TooLarge`] for a value beyond [`VALUE_BYTES_MAX`].
pub fn check_value(value: &[u8]) -> Result<()> {
    check("value", value.len(), VALUE_BYTES_MAX)
}

fn check(what: &'static str, size: usize, limit: usize) -> Result<()> {
    if size <= limit {
        return Ok(());
    }
    Err(Error::TooLarge { what, size_bytes: to_u64(size), limit_bytes: to_u64(limit), path: None })
}

#[cfg(test)]
mod tests {
    use super::*;

    // The leader found no memtable that would take such a batch, and panicked:
    // half a gigabyte of deletes was enough.
    #[test]
    fn a_batch_that_no_memtable_takes_is_too_large() {
        let mut batch = Batch::default();
        batch.delete(b"a");
        batch.memtable_bytes = Memtable::RESERVED_BYTES_MAX;
        batch.check_size().expect("the largest");
        batch.delete(b"a");
        let e = batch.check_size().expect_err("one more");
        assert!(matches!(e, Error::TooLarge { what: "batch", .. }), "{e}");
    }
}
