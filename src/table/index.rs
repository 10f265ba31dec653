//! The index: which block an entry is in.

use super::format::TRAILER_SIZE;
use crate::format::codec::{put_bytes, to_u64, to_usize};
use crate::format::key::{common_prefix, compare};
use crate::format::{Decoder, KEY_BYTES_MAX, SeqNo, put_u32, put_varint, snappy};
use std::cmp::Ordering;

/// An entry takes this much at least: size, checksum, number, and two sizes of its key.
const ENTRY_BYTES_MIN: usize = 1 + 4 + 1 + 1 + 1;

/// The index block being written.
#[derive(Debug, Default)]
pub struct IndexBuilder {
    payload: Vec<u8>,
    last_key: Vec<u8>,
}

/// The separator before the entry `(first_key, first_seq)`, with which a block
/// starts, where `last` is the last entry of the block before (INV-6): the shortest
/// prefix of the key that is greater than the last key, before all versions
/// of it; inside the versions of one key, the place just after `last`, so that
/// one block answers a search between the two.
pub fn separator<'a>(last: Option<(&[u8], SeqNo)>, first_key: &'a [u8]) -> (&'a [u8], SeqNo) {
    match last {
        None => (&[], SeqNo::MAX),
        // The next version of a key is older, so there is a number before.
        Some((last_key, last_seq)) if last_key == first_key => {
            (first_key, SeqNo(last_seq.0.saturating_sub(1)))
        }
        Some((last_key, _)) => {
            let shortest = common_prefix(last_key, first_key) + 1;
            (first_key.get(..shortest).unwrap_or(first_key), SeqNo::MAX)
        }
    }
}

impl IndexBuilder {
    /// Adds a data block: its separator, its size as stored, its checksum.
    pub fn add(&mut self, key: &[u8], seq: SeqNo, stored_size: u64, checksum: u32) {
        put_varint(&mut self.payload, stored_size);
        put_u32(&mut self.payload, checksum);
        put_varint(&mut self.payload, if seq == SeqNo::MAX { 0 } else { seq.0 + 1 });
        let shared = common_prefix(&self.last_key, key);
        let unshared = key.get(shared..).expect("no more is shared than there is");
        put_varint(&mut self.payload, to_u64(shared));
        put_bytes(&mut self.payload, unshared);
        self.last_key.truncate(shared);
        self.last_key.extend_from_slice(unshared);
    }

    /// The payload of the index block.
    pub fn finish(self) -> Vec<u8> {
        self.payload
    }
}

/// The index in memory, made for the search of [`Index::find`].
///
/// A separator is split in three: the prefix that all have in common, kept
/// once; the next eight bytes as a number, among which the search goes without
/// leaving one array; and the whole rest, for separators with equal numbers.
#[derive(Debug, Default)]
pub struct Index {
    prefix: Vec<u8>,
    /// Of the separators of blocks 1 and on.
    heads: Vec<u64>,
    /// Where each separator, without the prefix, ends in `keys`.
    key_ends: Vec<usize>,
    keys: Vec<u8>,
    /// Empty where all are [`SeqNo::MAX`], as in a table with one version of each key.
    seqs: Vec<SeqNo>,
    /// Where each block starts in the file, and at the end where the last one ends.
    offsets: Vec<u64>,
    checksums: Vec<u32>,
}

impl Index {
    /// Reads the payload of an index block; the data blocks that it names end
    /// at `data_size`.
    ///
    /// # Errors
    /// What was expected and found.
    pub fn decode(payload: &[u8], data_size: u64) -> Result<Index, String> {
        let mut d = Decoder::new(payload);
        let mut index = Index::with_room(payload.len(), data_size);
        // Of the separator before.
        let (mut key, mut seq) = (Vec::new(), SeqNo::MAX);
        let mut end = 0u64;
        while !d.is_empty() {
            let block = index.checksums.len();
            let wrong = |what: &str| format!("block {block} of the index: {what}");
            let entry = decode_entry(&mut d).ok_or_else(|| wrong("it is cut short"))?;
            end = Some(entry.stored_size)
                .filter(|&size| size > to_u64(TRAILER_SIZE))
                .and_then(|size| end.checked_add(size))
                .filter(|&end| end <= data_size)
                .ok_or_else(|| wrong("its size does not fit the file"))?;
            if entry.shared > key.len() || entry.shared + entry.unshared.len() > KEY_BYTES_MAX {
                return Err(wrong("its key is too long"));
            }
            // What they share they share: the rest decides.
            let rest = key.get(entry.shared..).unwrap_or_default();
            let order = compare(rest, seq, entry.unshared, entry.seq);
            key.truncate(entry.shared);
            key.extend_from_slice(entry.unshared);
            seq = entry.seq;
            // The separator is a part of the block's first key, which stands whole
            // in the block: so all of them take no more than the blocks do uncompressed.
            if to_u64(key.len()) > entry.stored_size.saturating_mul(snappy::GROWTH_MAX) {
                return Err(wrong("its key is longer than the block"));
            }
            if block > 0 && order != Ordering::Less {
                return Err(wrong("its separator is not after the one before"));
            }
            if block == 0 && (!key.is_empty() || entry.seq != SeqNo::MAX) {
                return Err(wrong("its separator is not the first"));
            }
            index.offsets.push(end);
            index.checksums.push(entry.checksum);
            if block > 0 {
                index.push_separator(&key, entry.seq);
            }
        }
        if end != data_size {
            return Err(format!("data blocks end at {end}, expected {data_size}"));
        }
        index.strip_prefix();
        Ok(index)
    }

    /// With room for what a payload of so many bytes most likely names, in a table of `data_size`: blocks of 4 KiB.
    fn with_room(payload_bytes: usize, data_size: u64) -> Index {
        let blocks =
            to_usize(data_size / 4096).unwrap_or(usize::MAX).min(payload_bytes / ENTRY_BYTES_MIN);
        let mut offsets = Vec::with_capacity(blocks + 1);
        offsets.push(0);
        Index {
            key_ends: Vec::with_capacity(blocks),
            keys: Vec::with_capacity(payload_bytes / 2),
            offsets,
            checksums: Vec::with_capacity(blocks),
            ..Index::default()
        }
    }

    fn push_separator(&mut self, key: &[u8], seq: SeqNo) {
        if seq != SeqNo::MAX && self.seqs.is_empty() {
            self.seqs = vec![SeqNo::MAX; self.key_ends.len()];
        }
        if seq != SeqNo::MAX || !self.seqs.is_empty() {
            self.seqs.push(seq);
        }
        self.keys.extend_from_slice(key);
        self.key_ends.push(self.keys.len());
    }

    /// Takes the common prefix off the separators, and fills in the heads.
    fn strip_prefix(&mut self) {
        let Some(last) = self.key_ends.len().checked_sub(1) else { return };
        // In order, what the first and the last have in common, all have.
        let shared = common_prefix(self.key(0), self.key(last));
        self.prefix = self.key(0).iter().copied().take(shared).collect();
        self.heads = Vec::with_capacity(self.key_ends.len());
        // In place: what is cut off leaves room.
        let (mut start, mut kept) = (0, 0);
        for end in &mut self.key_ends {
            let (from, after) = (start + shared, *end);
            let rest = self.keys.get(from..after).unwrap_or_default();
            self.heads.push(head_before(rest, self.keys.get(from..).unwrap_or_default()));
            let size = rest.len();
            self.keys.copy_within(from..after, kept);
            kept += size;
            (*end, start) = (kept, after);
        }
        self.keys.truncate(kept);
        self.keys.shrink_to_fit();
        self.key_ends.shrink_to_fit();
        self.offsets.shrink_to_fit();
        self.checksums.shrink_to_fit();
        self.seqs.shrink_to_fit();
    }

    /// The count of data blocks.
    pub fn blocks(&self) -> usize {
        self.checksums.len()
    }

    /// Bytes of memory.
    pub fn weight(&self) -> usize {
        let numbers = self.heads.capacity() + self.key_ends.capacity() + self.seqs.capacity();
        8 * (numbers + self.offsets.capacity())
            + 4 * self.checksums.capacity()
            + self.prefix.capacity()
            + self.keys.capacity()
    }

    /// Where a block starts, where it ends, and its checksum.
    pub fn block(&self, block: usize) -> Option<(u64, u64, u32)> {
        Some((
            *self.offsets.get(block)?,
            *self.offsets.get(block + 1)?,
            *self.checksums.get(block)?,
        ))
    }

    /// The last block whose separator is at or before `(key, seq)`: where that
    /// entry is if it is in the table (INV-6). 0 in a table without blocks.
    pub fn find(&self, key: &[u8], seq: SeqNo) -> usize {
        let Some(rest) = key.strip_prefix(&self.prefix[..]) else {
            return if key < &self.prefix[..] { 0 } else { self.heads.len() };
        };
        let head = head(rest);
        let first = self.heads.partition_point(|&h| h < head);
        if self.heads.get(first) != Some(&head) {
            return first;
        }
        let (mut first, mut after) = (first, self.heads.partition_point(|&h| h <= head));
        while first < after {
            let middle = first.midpoint(after);
            if compare(self.key(middle), self.seq(middle), rest, seq) == Ordering::Greater {
                after = middle;
            } else {
                first = middle + 1;
            }
        }
        first
    }

    /// The separator of block `separator + 1`, without the prefix once that is taken off.
    fn key(&self, separator: usize) -> &[u8] {
        let end = |separator: usize| self.key_ends.get(separator).copied();
        let start = separator.checked_sub(1).and_then(end).unwrap_or(0);
        end(separator).and_then(|end| self.keys.get(start..end)).unwrap_or_default()
    }

    fn seq(&self, separator: usize) -> SeqNo {
        self.seqs.get(separator).copied().unwrap_or(SeqNo::MAX)
    }

    /// The separator of `block`, whole.
    pub fn separator(&self, block: usize) -> (Vec<u8>, SeqNo) {
        block.checked_sub(1).map_or((Vec::new(), SeqNo::MAX), |separator| {
            ([&self.prefix, self.key(separator)].concat(), self.seq(separator))
        })
    }
}

/// The first eight bytes as a number that sorts as they do; zeros where there are fewer.
fn head(key: &[u8]) -> u64 {
    if let Some(bytes) = key.first_chunk() {
        return u64::from_be_bytes(*bytes);
    }
    let number = key.iter().fold(0, |number, &byte| (number << 8) | u64::from(byte));
    // All 64 where there is none.
    let missing_bits = u32::try_from(8 * (size_of::<u64>() - key.len())).expect("64 at most");
    number.checked_shl(missing_bits).unwrap_or(0)
}

/// As [`head`], of a key behind which stands what makes it `after`: read at once, and cut off.
fn head_before(key: &[u8], after: &[u8]) -> u64 {
    match (after.first_chunk(), 8usize.checked_sub(key.len())) {
        (Some(bytes), Some(missing @ 1..8)) => {
            u64::from_be_bytes(*bytes) & (u64::MAX << (8 * missing))
        }
        _ => head(key),
    }
}

/// One block as the index names it.
#[derive(Debug)]
pub struct IndexEntry<'a> {
    pub stored_size: u64,
    pub checksum: u32,
    pub seq: SeqNo,
    pub shared: usize,
    pub unshared: &'a [u8],
}

/// Reads one entry of an index; `None` where the bytes are none.
pub fn decode_entry<'a>(d: &mut Decoder<'a>) -> Option<IndexEntry<'a>> {
    let stored_size = d.varint()?;
    let checksum = d.u32()?;
    let seq = d.varint()?.checked_sub(1).map_or(SeqNo::MAX, SeqNo);
    Some(IndexEntry {
        stored_size,
        checksum,
        seq: Some(seq).filter(|&seq| seq <= SeqNo::MAX)?,
        shared: d.varint_usize()?,
        unshared: d.bytes()?,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn separators_are_short_and_in_place() {
        let max = SeqNo::MAX;
        assert_eq!(separator(None, b"abc"), (&b""[..], max));
        assert_eq!(separator(Some((b"abc", SeqNo(5))), b"abxyz"), (&b"abx"[..], max));
        assert_eq!(separator(Some((b"ab", SeqNo(5))), b"abxyz"), (&b"abx"[..], max));
        assert_eq!(separator(Some((b"ab", SeqNo(5))), b"ab"), (&b"ab"[..], SeqNo(4)));
    }

    #[test]
    fn memory_is_bounded_by_the_blocks_and_not_by_shared_prefixes() {
        let mut builder = IndexBuilder::default();
        builder.add(b"", SeqNo::MAX, 100, 0);
        builder.add(&[7; 1000], SeqNo::MAX, 100, 0);
        assert!(Index::decode(&builder.finish(), 200).is_ok());
        let mut builder = IndexBuilder::default();
        builder.add(b"", SeqNo::MAX, 100, 0);
        builder.add(&[7; 3000], SeqNo::MAX, 100, 0);
        let error = Index::decode(&builder.finish(), 200).expect_err("longer than its block");
        assert!(error.contains("longer than the block"), "{error}");
    }

    proptest! {
        #[test]
        fn any_bytes_decode_without_panic(payload: Vec<u8>, size: u64, key: Vec<u8>) {
            if let Ok(index) = Index::decode(&payload, size) {
                prop_assert!(index.find(&key, SeqNo(1)) <= index.blocks().saturating_sub(1));
            }
        }

        #[test]
        fn finds_as_a_linear_search_does(
            keys in proptest::collection::btree_set(
                (proptest::collection::vec(prop_oneof![Just(0u8), Just(1), Just(255)], 0..12),
                 0..4u64), 1..40),
            probes in proptest::collection::vec(
                (proptest::collection::vec(prop_oneof![Just(0u8), Just(1), Just(255)], 0..12),
                 0..5u64), 1..40),
            prefix in proptest::collection::vec(any::<u8>(), 0..4),
        ) {
            // The tuple sorts sequence numbers up, the index down.
            let seq_of = |n: u64| if n == 0 { SeqNo::MAX } else { SeqNo(10 - n) };
            let mut builder = IndexBuilder::default();
            builder.add(b"", SeqNo::MAX, 100, 0);
            let mut all = vec![(vec![], SeqNo::MAX)];
            for (key, n) in keys {
                let key = [&prefix[..], &key].concat();
                if key.is_empty() && n == 0 {
                    continue;
                }
                builder.add(&key, seq_of(n), 100, 7);
                all.push((key, seq_of(n)));
            }
            let size = 100 * to_u64(all.len());
            let index = Index::decode(&builder.finish(), size).expect("valid");
            for (i, separator) in all.iter().enumerate() {
                prop_assert_eq!(&index.separator(i), separator);
            }
            for (key, n) in probes {
                let seq = seq_of(n);
                for key in [&key, &[&prefix[..], &key].concat()] {
                    let expected = all
                        .iter()
                        .rposition(|(k, s)| compare(k, *s, key, seq) != Ordering::Greater);
                    prop_assert_eq!(Some(index.find(key, seq)), expected.or(Some(0)));
                }
            }
        }
    }
}
