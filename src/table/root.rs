//! The root of a table: which pages its filter and its index have.
//!
//! It is small, a hundredth of them, and with it a look for one key reads one page of each.

use super::filter::{LINE_SIZE, PAGE_LINES};
use super::format::{
    Extent, FOOTER_SIZE, Footer, Place, TRAILER_SIZE, check_block, digest_block,
    expect_uncompressed, span, stored_size,
};
use super::index::Index;
use super::index_builder::{EntryWriter, IndexPage};
use super::reader::Table;
use crate::error::{Error, Result};
use crate::format::codec::{to_u64, to_usize};
use crate::format::{Decoder, SeqNo, put_u32, put_u64, put_varint};
use std::borrow::Cow;

/// Size of a whole page of the filter as stored.
const FILTER_PAGE_SIZE: u64 = (PAGE_LINES * LINE_SIZE + TRAILER_SIZE) as u64;

/// So many bytes of a file are read at once, at its end: footer and root, of a table of 50 MB or less.
pub const TAIL_BYTES: usize = 4096;

/// The root in memory.
#[derive(Debug)]
pub struct Root {
    /// Of the data blocks and of all pages.
    pub digest: u64,
    /// How many lines the filter has.
    pub filter_lines: usize,
    filter_offset: u64,
    index_offset: u64,
    filter_checksums: Vec<u32>,
    /// The pages of the index, as an index names blocks.
    pub pages: Index,
}

impl Root {
    /// Reads and checks footer and root of `table`, and that they are of the table that the manifest means.
    ///
    /// # Errors
    /// [`crate::Error::Corruption`], [`crate::Error::UnsupportedFormat`] or [`crate::Error::Io`].
    pub fn read(table: &Table) -> Result<(Footer, Root)> {
        let place = table.place();
        let tail = Tail::read(table)?;
        let footer = tail.footer(table)?;
        let at = footer.root_offset;
        let stored = tail.root(table, at)?;
        let (payload, checksum) = open_page(&place, at, &stored, None)?;
        let root = Root::decode(payload, &footer).map_err(|detail| place.damage(at, detail))?;
        let found = digest_block(root.digest, checksum, to_u64(stored.len()));
        if found != footer.digest {
            let expected = footer.digest;
            let detail =
                format!("digest of the table: expected {expected:#018x}, found {found:#018x}");
            return Err(place.damage(at, detail));
        }
        if root.pages.blocks() == 0 && table.meta().properties.entries > 0 {
            return Err(place.damage(at, "the index names no block"));
        }
        Ok((footer, root))
    }

    /// Reads the root's payload, of the table with that footer.
    ///
    /// # Errors
    /// What was expected and found.
    pub fn decode(payload: &[u8], footer: &Footer) -> std::result::Result<Root, String> {
        let Footer { filter_offset, index_offset, root_offset, .. } = *footer;
        let mut d = Decoder::new(payload);
        let short = || "the root is cut short".to_owned();
        let digest = d.u64().ok_or_else(short)?;
        let filter_lines = d.varint().ok_or_else(short)?;
        let expected = filter_size(filter_lines);
        if expected != Some(index_offset - filter_offset) {
            let found = index_offset - filter_offset;
            return Err(format!("a filter of {filter_lines} lines, found {found} B for it"));
        }
        // As many as stand in the file, and as memory has room for.
        span(filter_offset, index_offset).ok_or_else(short)?;
        let filter_lines = to_usize(filter_lines).ok_or_else(short)?;
        let filter_checksums =
            (0..filter_lines.div_ceil(PAGE_LINES)).map(|_| d.u32()).collect::<Option<Vec<_>>>();
        let filter_checksums = filter_checksums.ok_or_else(short)?;
        let pages = Index::of_pages(d.rest(), index_offset, root_offset)?;
        if (filter_lines == 0) != (pages.blocks() == 0) {
            let pages = pages.blocks();
            return Err(format!("a filter of {filter_lines} lines, and an index of {pages} pages"));
        }
        Ok(Root { digest, filter_lines, filter_offset, index_offset, filter_checksums, pages })
    }

    /// The page of the filter of that number, if there is one.
    pub fn filter_page(&self, number: usize) -> Option<Extent> {
        let start = self.filter_offset + to_u64(number) * FILTER_PAGE_SIZE;
        let end = (start + FILTER_PAGE_SIZE).min(self.index_offset);
        Some((start, end, *self.filter_checksums.get(number)?))
    }

    /// All pages of the filter, in order.
    pub fn filter_pages(&self) -> impl Iterator<Item = Extent> + '_ {
        (0..).map_while(|number| self.filter_page(number))
    }

    /// All pages of the index, in order.
    pub fn index_pages(&self) -> impl Iterator<Item = Extent> + '_ {
        (0..).map_while(|number| self.pages.block(number))
    }
}

/// What a filter of so many lines takes in the file, in bytes.
fn filter_size(lines: u64) -> Option<u64> {
    let pages = lines.div_ceil(to_u64(PAGE_LINES));
    lines.checked_mul(to_u64(LINE_SIZE))?.checked_add(pages * to_u64(TRAILER_SIZE))
}

/// The end of a table's file: the footer, and most often all of the root before it.
struct Tail {
    bytes: Vec<u8>,
    /// Where they start in the file.
    start: u64,
    footer_offset: u64,
}

impl Tail {
    fn read(table: &Table) -> Result<Tail> {
        let size = table.meta().size_bytes;
        let footer_offset = size.checked_sub(to_u64(FOOTER_SIZE)).ok_or_else(|| {
            let detail = format!("file length: expected {FOOTER_SIZE} or more, found {size}");
            table.place().damage(0, detail)
        })?;
        let start = size.saturating_sub(to_u64(TAIL_BYTES));
        let (bytes, start) = match table.read(start, size) {
            // What cannot be read may be other pages, which not every key needs.
            Err(Error::Io { .. }) => (table.read(footer_offset, size)?, footer_offset),
            read => (read?, start),
        };
        Ok(Tail { bytes, start, footer_offset })
    }

    fn footer(&self, table: &Table) -> Result<Footer> {
        let place = table.place();
        let bytes = self.bytes.last_chunk().expect("it is as long as a footer at least");
        let footer = Footer::decode(&place, self.footer_offset, bytes)?;
        let (expected, found) = (table.meta().digest, footer.digest);
        if found != expected {
            let detail = format!(
                "digest: the manifest expects {expected:#018x}, found {found:#018x}; another or older file"
            );
            return Err(place.damage(self.footer_offset, detail));
        }
        Ok(footer)
    }

    /// The root as stored, which starts at `at`.
    fn root(&self, table: &Table, at: u64) -> Result<Cow<'_, [u8]>> {
        let (from, to) = (at.checked_sub(self.start), self.footer_offset - self.start);
        match from.and_then(|from| self.bytes.get(to_usize(from)?..to_usize(to)?)) {
            Some(bytes) => Ok(Cow::Borrowed(bytes)),
            None => table.read(at, self.footer_offset).map(Cow::Owned),
        }
    }
}

/// The payload of a page of filter or index, or of the root, and its checksum; `expected` is that which is known of it.
///
/// # Errors
/// [`crate::Error::Corruption`].
pub fn open_page<'a>(
    place: &Place<'_>,
    offset: u64,
    stored: &'a [u8],
    expected: Option<u32>,
) -> Result<(&'a [u8], u32)> {
    let (compression, payload) = check_block(place, offset, stored, expected)?;
    expect_uncompressed(place, offset, compression)?;
    let checksum = stored.last_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    Ok((payload, checksum))
}

/// The root being written, while the pages are.
#[derive(Debug)]
pub struct RootBuilder {
    digest: u64,
    filter_lines: usize,
    filter_checksums: Vec<u32>,
    pages: EntryWriter,
}

impl RootBuilder {
    /// Of a table with a filter of so many lines, whose data blocks have that digest.
    pub fn new(blocks_digest: u64, filter_lines: usize) -> Self {
        let (filter_checksums, pages) = (Vec::new(), EntryWriter::default());
        RootBuilder { digest: blocks_digest, filter_lines, filter_checksums, pages }
    }

    /// Adds the next page of the filter, as it was written.
    pub fn filter_page(&mut self, payload: &[u8], checksum: u32) {
        self.filter_checksums.push(checksum);
        self.digest = digest_block(self.digest, checksum, stored_size(payload));
    }

    /// Adds the next page of the index, as it was written.
    pub fn index_page(&mut self, page: &IndexPage, checksum: u32) {
        let size = stored_size(&page.payload);
        let (key, seq): (&[u8], SeqNo) = (&page.separator.0, page.separator.1);
        self.pages.add(key, seq, size, checksum);
        self.digest = digest_block(self.digest, checksum, size);
    }

    /// The payload of the root, and the digest of what was added.
    pub fn finish(mut self) -> (Vec<u8>, u64) {
        let mut payload = Vec::new();
        put_u64(&mut payload, self.digest);
        put_varint(&mut payload, to_u64(self.filter_lines));
        for checksum in self.filter_checksums {
            put_u32(&mut payload, checksum);
        }
        payload.append(&mut self.pages.take());
        (payload, self.digest)
    }
}
