//! Puts a data block together, part by part.

use super::format::{KIND_BITS, RESTART_INTERVAL, RESTART_SIZE, TAIL_SIZE};
use crate::format::codec::{put_bytes, to_u64};
use crate::format::key::{common_prefix, compare};
use crate::format::{EntryRef, SeqNo, put_u32, put_u64, put_varint};
use std::cmp::Ordering;

/// A data block being written. Its memory is kept from block to block.
#[derive(Debug, Default)]
pub struct BlockBuilder {
    values: Vec<u8>,
    keys: Vec<u8>,
    restarts: Vec<u32>,
    /// Of each entry: sequence number << 3 | kind.
    versions: Vec<u64>,
    ends: Vec<u32>,
    /// The entry added last, of this block or the one before; none yet: `started` is false.
    last_key: Vec<u8>,
    last_seq: SeqNo,
    started: bool,
    seq_min: SeqNo,
    seq_max: SeqNo,
}

impl BlockBuilder {
    /// Adds an entry, which comes after all others (INV-1).
    ///
    /// # Panics
    /// When it does not: a table out of order would answer wrongly for good.
    pub fn add(&mut self, entry: EntryRef<'_>) {
        let is_first = self.is_empty();
        assert!(
            !self.started
                || compare(&self.last_key, self.last_seq, entry.key, entry.seq) == Ordering::Less,
            "INV-1: entries of a table are added in order"
        );
        let shared = if self.versions.len().is_multiple_of(RESTART_INTERVAL) {
            self.restarts.push(to_u32(self.keys.len()));
            0
        } else {
            common_prefix(&self.last_key, entry.key)
        };
        let unshared = entry.key.get(shared..).expect("no more is shared than there is");
        put_varint(&mut self.keys, to_u64(shared));
        put_bytes(&mut self.keys, unshared);
        self.values.extend_from_slice(entry.payload);
        self.versions.push(entry.seq.0 << KIND_BITS | u64::from(entry.kind as u8));
        self.ends.push(to_u32(self.values.len()));
        self.last_key.truncate(shared);
        self.last_key.extend_from_slice(unshared);
        self.last_seq = entry.seq;
        self.started = true;
        self.seq_min = if is_first { entry.seq } else { self.seq_min.min(entry.seq) };
        self.seq_max = if is_first { entry.seq } else { self.seq_max.max(entry.seq) };
    }

    /// True when nothing was added since the last block.
    pub fn is_empty(&self) -> bool {
        self.versions.is_empty()
    }

    /// An upper bound of the block's size, uncompressed, if `entry` were added.
    pub fn size_with(&self, entry: EntryRef<'_>) -> usize {
        let entries = self.versions.len() + 1;
        let values = self.values.len() + entry.payload.len();
        let seqs = (self.seq_min.min(entry.seq), self.seq_max.max(entry.seq));
        // Two lengths of a key of at most 64 KiB: three bytes each.
        let keys = self.keys.len() + 3 + 3 + entry.key.len();
        let widths = version_width(seqs.0, seqs.1) + width_of(to_u64(values));
        let restarts = entries.div_ceil(RESTART_INTERVAL) * RESTART_SIZE;
        values + keys + restarts + entries * widths + TAIL_SIZE
    }

    /// The block's bytes; the next block starts empty.
    ///
    /// # Panics
    /// When nothing was added.
    pub fn finish(&mut self) -> Vec<u8> {
        assert!(!self.is_empty(), "a block has an entry");
        let version_width = version_width(self.seq_min, self.seq_max);
        let end_width = width_of(to_u64(self.values.len()));
        // The values stand first, so a huge one is never copied.
        let mut out = std::mem::take(&mut self.values);
        out.extend_from_slice(&self.keys);
        for &restart in &self.restarts {
            put_u32(&mut out, restart);
        }
        let base = self.seq_min.0 << KIND_BITS;
        for version in &self.versions {
            put_low_bytes(&mut out, version - base, version_width);
        }
        for &end in &self.ends {
            put_low_bytes(&mut out, u64::from(end), end_width);
        }
        put_u64(&mut out, self.seq_min.0);
        put_u32(&mut out, to_u32(self.versions.len()));
        put_u32(&mut out, to_u32(self.keys.len()));
        out.push(to_u8(version_width));
        out.push(to_u8(end_width));
        self.keys.clear();
        self.restarts.clear();
        self.versions.clear();
        self.ends.clear();
        out
    }

    /// Gives back the memory of a block that was written out.
    pub fn reuse(&mut self, mut block: Vec<u8>) {
        if block.capacity() <= super::format::BLOCK_TARGET_BYTES_MAX * 2 {
            block.clear();
            self.values = block;
        }
    }

    /// The entry added last, of this block or of the one before.
    pub fn last(&self) -> Option<(&[u8], SeqNo)> {
        self.started.then_some((&self.last_key, self.last_seq))
    }
}

/// How many bytes the versions between two sequence numbers need.
fn version_width(min: SeqNo, max: SeqNo) -> usize {
    width_of(max.0.saturating_sub(min.0) << KIND_BITS | ((1 << KIND_BITS) - 1))
}

/// How many bytes numbers up to `max` need, at least one.
fn width_of(max: u64) -> usize {
    to_usize(64 - (max | 1).leading_zeros()).div_ceil(8)
}

fn put_low_bytes(out: &mut Vec<u8>, n: u64, width: usize) {
    out.extend_from_slice(n.to_le_bytes().get(..width).expect("a width is at most 8"));
}

fn to_usize(n: u32) -> usize {
    usize::try_from(n).expect("a size in memory has 32 bits or more")
}

/// No size in a block is more (see `BLOCK_BYTES_MAX`).
fn to_u32(n: usize) -> u32 {
    u32::try_from(n).expect("sizes in a block fit 32 bits")
}

fn to_u8(width: usize) -> u8 {
    u8::try_from(width).expect("a width is at most 8")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::format::EntryKind;

    #[test]
    fn widths() {
        assert_eq!(width_of(0), 1);
        assert_eq!(width_of(255), 1);
        assert_eq!(width_of(256), 2);
        assert_eq!(width_of(u64::MAX), 8);
        assert_eq!(version_width(SeqNo::ZERO, SeqNo::MAX), 8);
        assert_eq!(version_width(SeqNo(100), SeqNo(131)), 1);
        assert_eq!(version_width(SeqNo(100), SeqNo(132)), 2);
    }

    #[test]
    fn the_size_is_never_more_than_foretold() {
        let mut builder = BlockBuilder::default();
        for i in 0..100u64 {
            let key = i.to_be_bytes();
            let payload = vec![7; 10];
            let seq = SeqNo(1_000_000 - i * i);
            let entry = EntryRef { key: &key, seq, kind: EntryKind::Set, payload: &payload };
            let foretold = builder.size_with(entry);
            builder.add(entry);
            let mut copy = BlockBuilder {
                values: builder.values.clone(),
                keys: builder.keys.clone(),
                restarts: builder.restarts.clone(),
                versions: builder.versions.clone(),
                ends: builder.ends.clone(),
                started: true,
                ..BlockBuilder::default()
            };
            copy.seq_min = builder.seq_min;
            copy.seq_max = builder.seq_max;
            assert!(copy.finish().len() <= foretold, "{i}");
        }
    }

    #[test]
    #[should_panic(expected = "INV-1")]
    fn order_is_held() {
        let mut builder = BlockBuilder::default();
        let entry = EntryRef { key: b"a", seq: SeqNo(1), kind: EntryKind::Delete, payload: b"" };
        builder.add(entry);
        builder.add(entry);
    }
}
