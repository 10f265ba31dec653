//! The index being written, page by page.

use crate::format::codec::{put_bytes, to_u64};
use crate::format::key::common_prefix;
use crate::format::{SeqNo, put_u32, put_varint};

/// A page of the index has about so many bytes behind its first entry, or one block's size if that is less: a look for
/// one key reads one.
pub const PAGE_BYTES: usize = 2 << 10;

/// Entries of an index one after the other, as a page has them and the root.
#[derive(Debug, Clone, Default)]
pub struct EntryWriter {
    payload: Vec<u8>,
    last_key: Vec<u8>,
}

impl EntryWriter {
    /// Adds a block: its separator, its size as stored, its checksum.
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

    /// The entries' bytes; the next starts anew.
    pub fn take(&mut self) -> Vec<u8> {
        self.last_key.clear();
        std::mem::take(&mut self.payload)
    }
}

/// A page of the index, to be written.
#[derive(Debug, Clone)]
pub struct IndexPage {
    /// The separator of its first block.
    pub separator: (Vec<u8>, SeqNo),
    /// Where that block starts, and the entries.
    pub payload: Vec<u8>,
}

/// The index being written.
#[derive(Debug, Clone)]
pub struct IndexBuilder {
    page_bytes: usize,
    pages: Vec<IndexPage>,
    entries: EntryWriter,
    /// Of the page being filled: its separator, and where its first block starts.
    first: Option<((Vec<u8>, SeqNo), u64)>,
    /// And what its first entry takes, whose key stands whole.
    first_bytes: usize,
    /// Where the next data block starts.
    end: u64,
}

impl IndexBuilder {
    /// Of a table with blocks of so many bytes.
    pub fn new(block_bytes: usize) -> Self {
        let (page_bytes, entries) = (block_bytes.min(PAGE_BYTES), EntryWriter::default());
        IndexBuilder { page_bytes, pages: Vec::new(), entries, first: None, first_bytes: 0, end: 0 }
    }

    /// Adds a data block: its separator, its size as stored, its checksum.
    pub fn add(&mut self, key: &[u8], seq: SeqNo, stored_size: u64, checksum: u32) {
        // The first key stands whole in each page: of long ones that share much, a page with few others would be
        // larger than what it indexes.
        if self.first.is_some() && self.entries.payload.len() - self.first_bytes >= self.page_bytes
        {
            self.close_page();
        }
        let is_first = self.first.is_none();
        self.first.get_or_insert_with(|| ((key.to_vec(), seq), self.end));
        self.entries.add(key, seq, stored_size, checksum);
        if is_first {
            self.first_bytes = self.entries.payload.len();
        }
        self.end += stored_size;
    }

    /// Has the next block begin a page.
    pub fn close_page(&mut self) {
        let Some((separator, start)) = self.first.take() else { return };
        let mut payload = Vec::new();
        put_varint(&mut payload, start);
        payload.append(&mut self.entries.take());
        self.pages.push(IndexPage { separator, payload });
    }

    /// The pages, in order.
    pub fn finish(&mut self) -> Vec<IndexPage> {
        self.close_page();
        std::mem::take(&mut self.pages)
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn separators_are_short_and_in_place() {
        let max = SeqNo::MAX;
        assert_eq!(separator(None, b"abc"), (&b""[..], max));
        assert_eq!(separator(Some((b"abc", SeqNo(5))), b"abxyz"), (&b"abx"[..], max));
        assert_eq!(separator(Some((b"ab", SeqNo(5))), b"abxyz"), (&b"abx"[..], max));
        assert_eq!(separator(Some((b"ab", SeqNo(5))), b"ab"), (&b"ab"[..], SeqNo(4)));
    }

    /// Their first keys stand whole: such pages were larger than the blocks that they name.
    #[test]
    fn long_keys_that_share_much_have_pages_of_many_blocks() {
        let mut builder = IndexBuilder::new(4096);
        for number in 0..1000_u16 {
            let key = [&[7; 3000][..], &number.to_be_bytes()].concat();
            builder.add(&key, SeqNo::MAX, 4000, 0);
        }
        let pages = builder.finish();
        let bytes: usize = pages.iter().map(|page| page.payload.len()).sum();
        assert!(bytes < 1000 * 60, "{bytes} bytes in {} pages", pages.len());
    }
}
