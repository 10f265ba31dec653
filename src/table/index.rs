//! The index: which block an entry is in.

use super::format::{Extent, TRAILER_SIZE};
use crate::format::codec::{to_u64, to_usize};
use crate::format::key::{common_prefix, compare};
use crate::format::{Decoder, KEY_BYTES_MAX, SeqNo, snappy};
use std::cmp::Ordering;

/// An entry takes this much at least: size, checksum, number, and two sizes of its key.
const ENTRY_BYTES_MIN: usize = 1 + 4 + 1 + 1 + 1;

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

/// Reads an index, page by page.
#[derive(Debug)]
pub struct IndexDecoder {
    index: Index,
    entries: Entries,
}

impl IndexDecoder {
    /// Of an index of about so many bytes, whose blocks stand from `start` to `end_max`.
    pub fn new(payload_bytes: usize, start: u64, end_max: u64) -> Self {
        let index = Index::with_room(payload_bytes, start, end_max);
        IndexDecoder { index, entries: Entries::new(start, end_max) }
    }

    /// Adds the page whose blocks come next; `first` is its separator, as the root has it.
    ///
    /// # Errors
    /// What was expected and found.
    pub fn page(&mut self, payload: &[u8], first: (&[u8], SeqNo)) -> Result<(), String> {
        let (start, entries) = split_page(payload)?;
        let expected = self.entries.end;
        if start != expected {
            return Err(format!("a page of the blocks from {start} on, expected {expected}"));
        }
        self.entries(entries, first)
    }

    fn entries(&mut self, payload: &[u8], first: (&[u8], SeqNo)) -> Result<(), String> {
        let index = &mut self.index;
        self.entries.read(payload, first, |block, entry| {
            index.offsets.push(entry.end);
            index.checksums.push(entry.checksum);
            if block > 0 {
                index.push_separator(entry.key, entry.seq);
            }
        })
    }

    /// The index of all pages.
    ///
    /// # Errors
    /// The last block does not end at the end.
    pub fn finish(self) -> Result<Index, String> {
        let IndexDecoder { mut index, entries } = self;
        entries.expect_all()?;
        index.strip_prefix();
        Ok(index)
    }
}

/// The entries of an index on their way by, checked against each other and the file.
#[derive(Debug)]
struct Entries {
    /// How many there were.
    blocks: usize,
    /// The separator before, and where its block ends.
    key: Vec<u8>,
    seq: SeqNo,
    end: u64,
    /// Where the last block ends at the latest.
    end_max: u64,
}

/// What an entry says, whole.
struct Named<'a> {
    key: &'a [u8],
    seq: SeqNo,
    /// Where its block starts and ends in the file.
    start: u64,
    end: u64,
    checksum: u32,
}

impl Entries {
    fn new(start: u64, end_max: u64) -> Self {
        Entries { blocks: 0, key: Vec::new(), seq: SeqNo::MAX, end: start, end_max }
    }

    /// Calls `each` with the entries of a page, and how many came before; `first` is its separator, as the root has it.
    fn read(
        &mut self,
        payload: &[u8],
        first: (&[u8], SeqNo),
        mut each: impl FnMut(usize, Named<'_>),
    ) -> Result<(), String> {
        let mut d = Decoder::new(payload);
        let mut is_first = true;
        while !d.is_empty() {
            let block = self.blocks;
            let wrong = |what: &str| format!("block {block} of the index: {what}");
            let entry = decode_entry(&mut d).ok_or_else(|| wrong("it is cut short"))?;
            let start = self.end;
            self.end = Some(entry.stored_size)
                .filter(|&size| size > to_u64(TRAILER_SIZE))
                .and_then(|size| start.checked_add(size))
                .filter(|&end| end <= self.end_max)
                .ok_or_else(|| wrong("its size does not fit the file"))?;
            if is_first && (entry.shared, entry.unshared, entry.seq) != (0, first.0, first.1) {
                return Err(wrong("its separator is not that of its page"));
            }
            is_first = false;
            self.follow(&entry).map_err(wrong)?;
            let IndexEntry { seq, checksum, .. } = entry;
            each(block, Named { key: &self.key, seq, start, end: self.end, checksum });
            self.blocks += 1;
        }
        Ok(())
    }

    /// Goes on to the separator of `entry`.
    fn follow(&mut self, entry: &IndexEntry<'_>) -> Result<(), &'static str> {
        let key = &mut self.key;
        if entry.shared > key.len() || entry.shared + entry.unshared.len() > KEY_BYTES_MAX {
            return Err("its key is too long");
        }
        // What they share they share: the rest decides.
        let rest = key.get(entry.shared..).unwrap_or_default();
        let order = compare(rest, self.seq, entry.unshared, entry.seq);
        key.truncate(entry.shared);
        key.extend_from_slice(entry.unshared);
        self.seq = entry.seq;
        // The separator is a part of the block's first key, which stands whole
        // in the block: so all of them take no more than the blocks do uncompressed.
        if to_u64(key.len()) > entry.stored_size.saturating_mul(snappy::GROWTH_MAX) {
            return Err("its key is longer than the block");
        }
        if self.blocks > 0 && order != Ordering::Less {
            return Err("its separator is not after the one before");
        }
        Ok(())
    }

    /// That no block is missing at the end.
    fn expect_all(&self) -> Result<(), String> {
        let Entries { end, end_max, .. } = self;
        if end == end_max {
            return Ok(());
        }
        Err(format!("the blocks end at {end}, expected {end_max}"))
    }
}

/// A page of an index, for a search of it alone.
#[derive(Debug)]
pub struct Page<'a> {
    /// Its bytes.
    pub payload: &'a [u8],
    /// Its separator, as the root has it.
    pub first: (Vec<u8>, SeqNo),
    /// That of the page behind it, if there is one.
    pub next: Option<(Vec<u8>, SeqNo)>,
    /// Where the data blocks of the table end.
    pub end_max: u64,
}

impl Page<'_> {
    /// Where the last block is whose separator is at or before `(key, seq)`: where that entry is if it is in the table and
    /// belongs to this page. The first of the page, where there is none. All of the page is checked.
    ///
    /// # Errors
    /// What was expected and found.
    pub fn find(&self, key: &[u8], seq: SeqNo) -> Result<Extent, String> {
        let (start, payload) = split_page(self.payload)?;
        let mut entries = Entries::new(start, self.end_max);
        let mut found = None;
        let mut is_past = false;
        entries.read(payload, (&self.first.0, self.first.1), |block, entry| {
            is_past |= block > 0 && compare(entry.key, entry.seq, key, seq) == Ordering::Greater;
            if !is_past {
                found = Some((entry.start, entry.end, entry.checksum));
            }
        })?;
        match &self.next {
            Some((next, next_seq)) => {
                if compare(&entries.key, entries.seq, next, *next_seq) != Ordering::Less {
                    return Err("a page reaches into the next".to_owned());
                }
            }
            None => entries.expect_all()?,
        }
        Ok(found.expect("a page names a block"))
    }
}

/// Where the first block of a page starts, and its entries.
///
/// # Errors
/// There is nothing of the kind.
pub fn split_page(payload: &[u8]) -> Result<(u64, &[u8]), String> {
    let mut d = Decoder::new(payload);
    d.varint()
        .map(|start| (start, d.rest()))
        .filter(|(_, entries)| !entries.is_empty())
        .ok_or_else(|| "a page without a block".to_owned())
}

impl Index {
    /// Reads the entries in the root: an index of the pages, which stand from `start` to `end`.
    ///
    /// # Errors
    /// What was expected and found.
    pub fn of_pages(payload: &[u8], start: u64, end: u64) -> Result<Index, String> {
        let mut decoder = IndexDecoder::new(payload.len(), start, end);
        decoder.entries(payload, (b"", SeqNo::MAX))?;
        decoder.finish()
    }

    /// With room for what a payload of so many bytes most likely names, of blocks from `start` to `end_max`: 4 KiB each.
    fn with_room(payload_bytes: usize, start: u64, end_max: u64) -> Index {
        let blocks = to_usize(end_max.saturating_sub(start) / 4096)
            .unwrap_or(usize::MAX)
            .min(payload_bytes / ENTRY_BYTES_MIN);
        let mut offsets = Vec::with_capacity(blocks + 1);
        offsets.push(start);
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
    pub fn block(&self, block: usize) -> Option<Extent> {
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
    use super::super::index_builder::{EntryWriter, IndexBuilder, IndexPage};
    use super::*;
    use proptest::prelude::*;

    fn builder() -> IndexBuilder {
        IndexBuilder::new(40)
    }

    /// The index of so many bytes of blocks.
    fn decode(builder: &mut IndexBuilder, size: u64) -> Result<Index, String> {
        let mut decoder = IndexDecoder::new(0, 0, size);
        for IndexPage { separator: (key, seq), payload } in builder.finish() {
            decoder.page(&payload, (&key, seq))?;
        }
        decoder.finish()
    }

    #[test]
    fn memory_is_bounded_by_the_blocks_and_not_by_shared_prefixes() {
        let with_key = |size| {
            let mut builder = builder();
            builder.add(b"", SeqNo::MAX, 100, 0);
            builder.add(&vec![7; size], SeqNo::MAX, 100, 0);
            decode(&mut builder, 200)
        };
        assert!(with_key(1000).is_ok());
        let error = with_key(3000).expect_err("longer than its block");
        assert!(error.contains("longer than the block"), "{error}");
    }

    #[test]
    fn a_page_is_where_the_root_has_it() {
        let mut builder = builder();
        for number in 0..20_u8 {
            builder.add(&[b'k', number][..usize::from(number.min(2))], SeqNo::MAX, 100, 0);
        }
        let pages = builder.finish();
        assert!(pages.len() > 2, "{}", pages.len());
        let separator = |page: usize| pages[page].separator.clone();
        let find = |page: usize, first, next, end_max| {
            let (payload, first) = (&pages[page].payload[..], separator(first));
            Page { payload, first, next, end_max }.find(b"k", SeqNo::MAX)
        };
        let last = pages.len() - 1;
        assert!(find(1, 1, Some(separator(2)), 2000).is_ok());
        assert!(find(last, last, None, 2000).is_ok());
        let told = find(2, 1, None, 2000).expect_err("another's");
        assert!(told.contains("not that of its page"), "{told}");
        let told = find(1, 1, Some(separator(2)), 250).expect_err("behind the end");
        assert!(told.contains("does not fit"), "{told}");
        let told = find(1, 1, None, 2000).expect_err("not the last");
        assert!(told.contains("expected 2000"), "{told}");
        let told = find(1, 1, Some(separator(1)), 2000).expect_err("no place for it");
        assert!(told.contains("into the next"), "{told}");
        let (key, seq) = &pages[1].separator;
        let mut decoder = IndexDecoder::new(0, 0, 2000);
        let told = decoder.page(&pages[1].payload, (key, *seq)).expect_err("the second");
        assert!(told.contains("expected 0"), "{told}");
        let (first, next) = ((Vec::new(), SeqNo::MAX), None);
        let of_none = Page { payload: &[0], first, next, end_max: 2000 };
        assert!(of_none.find(b"k", SeqNo::MAX).is_err(), "of no block");
    }

    proptest! {
        #[test]
        fn any_bytes_decode_without_panic(payload: Vec<u8>, size: u64, key: Vec<u8>) {
            let first = (key.clone(), SeqNo::MAX);
            let page = Page { payload: &payload, first, next: None, end_max: size };
            if let Ok((start, end, _)) = page.find(&key, SeqNo(1)) {
                prop_assert!(start < end && end <= size);
            }
            if let Ok(index) = Index::of_pages(&payload, 7, size) {
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
            let mut builder = builder();
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
            let pages = builder.clone().finish();
            let index = decode(&mut builder, size).expect("valid");
            let mut root = EntryWriter::default();
            for IndexPage { separator: (key, seq), payload } in &pages {
                root.add(key, *seq, to_u64(payload.len() + TRAILER_SIZE), 7);
            }
            let root_size = pages.iter().map(|page| to_u64(page.payload.len() + TRAILER_SIZE)).sum::<u64>();
            let root = Index::of_pages(&root.take(), 900, 900 + root_size).expect("valid");
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
                    // The same block, by one page alone.
                    let number = root.find(key, seq);
                    let next = (number + 1 < pages.len()).then(|| root.separator(number + 1));
                    let first = root.separator(number);
                    let page = Page { payload: &pages[number].payload, first, next, end_max: size };
                    let found = page.find(key, seq).expect("valid");
                    prop_assert_eq!(Some(found), index.block(index.find(key, seq)));
                }
            }
        }
    }
}
