//! Tables taken apart, and put right.

use super::block::{place, seal_block};
use super::table::{footer_of, range};
use super::{Identity, path_of};
use crate::error::Result;
use crate::format::codec::{to_u64, to_usize};
use crate::format::{Decoder, FileKind, SeqNo};
use crate::table::filter::{LINE_SIZE, PAGE_LINES};
use crate::table::format::{
    FOOTER_SIZE, Footer, MAGIC, Place, TRAILER_SIZE, VERSION, digest_block, open_block, stored_size,
};
use crate::table::index::{IndexDecoder, decode_entry, split_page};
use crate::table::index_builder::{IndexBuilder, PAGE_BYTES};
use crate::table::root::{Root, RootBuilder, open_page};
use std::ops::Range;

/// A data block as stored, and how the index names it.
///
/// See the example of [`TableParts`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredBlock {
    /// Its payload, compressed where it is.
    pub payload: Vec<u8>,
    /// 0: raw, 1: Snappy.
    pub compression: u8,
    /// Its separator.
    pub separator: (Vec<u8>, SeqNo),
    /// Whether a page of the index begins with it.
    pub begins_page: bool,
}

/// A table taken apart, to be put together again in another way: with blocks
/// swapped, doubled, dropped or changed, and every checksum right.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// use esker::Compression;
/// use esker::fuzzing::{DatabaseId, Entry, EntryKind, FileId, Identity, SeqNo, StoredBlock, TableBytes, TableParts, table_meta_of, write_table};
/// let identity = Identity { database: DatabaseId(7), file: FileId(2) };
/// let entry = |key: &str| Entry { key: key.into(), seq: SeqNo(1), kind: EntryKind::Set, payload: vec![7; 500] };
/// let (bytes, _) = write_table(identity, 256, Compression::None, &[entry("a"), entry("b")])?;
/// let mut parts = TableParts::of(&bytes, identity)?;
/// assert_eq!(parts.assemble(identity), bytes);
///
/// let blocks: &mut [StoredBlock] = &mut parts.blocks;
/// blocks.swap(0, 1); // Every checksum will hold, and no order.
/// let swapped = parts.assemble(identity);
/// let meta = table_meta_of(&swapped, identity)?;
/// assert!(TableBytes::open(&swapped, identity, &meta, 0)?.verify().is_err());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableParts {
    /// The data blocks, in order.
    pub blocks: Vec<StoredBlock>,
    /// The payload of the properties block.
    pub properties: Vec<u8>,
    /// The lines of the filter.
    pub filter: Vec<u8>,
}

impl TableParts {
    /// Takes a valid table apart.
    ///
    /// See the example of [`TableParts`].
    ///
    /// # Errors
    /// [`crate::Error::Corruption`], [`crate::Error::UnsupportedFormat`].
    pub fn of(bytes: &[u8], identity: Identity) -> Result<TableParts> {
        let path = path_of(FileKind::Table(identity.table()));
        let place = place(&path, identity);
        let (footer_offset, footer) = footer_of(bytes, &place)?;
        let stored = |start, end| bytes.get(range(start, end)).unwrap_or_default();
        let at = footer.root_offset;
        let (root, _) = open_page(&place, at, stored(at, footer_offset), None)?;
        let root = Root::decode(root, &footer).map_err(|detail| place.damage(at, detail))?;
        let mut filter = Vec::new();
        for (start, end, checksum) in root.filter_pages() {
            let (lines, _) = open_page(&place, start, stored(start, end), Some(checksum))?;
            filter.extend_from_slice(lines);
        }
        let mut index = IndexDecoder::new(0, 0, footer.properties_offset);
        let mut first_blocks = Vec::new();
        for (number, (start, end, checksum)) in root.index_pages().enumerate() {
            let (page, _) = open_page(&place, start, stored(start, end), Some(checksum))?;
            let (key, seq) = root.pages.separator(number);
            let told = index.page(page, (&key, seq)).and_then(|()| split_page(page));
            let (first_block, _) = told.map_err(|detail| place.damage(start, detail))?;
            first_blocks.push(first_block);
        }
        let index = index.finish().map_err(|detail| place.damage(footer.index_offset, detail))?;
        let mut blocks = Vec::new();
        for number in 0..index.blocks() {
            let (start, end, _) = index.block(number).expect("counted up to the last");
            let mut payload = stored(start, end).to_vec();
            payload.truncate(payload.len().saturating_sub(TRAILER_SIZE - 1));
            let compression = payload.pop().unwrap_or_default();
            let (separator, begins_page) = (index.separator(number), first_blocks.contains(&start));
            blocks.push(StoredBlock { payload, compression, separator, begins_page });
        }
        let at = footer.properties_offset;
        let properties = stored(at, footer.filter_offset).to_vec();
        let properties = open_block(&place, at, properties, None)?;
        Ok(TableParts { blocks, properties, filter })
    }

    /// Puts the table together, whether or not it makes sense.
    ///
    /// See the example of [`TableParts`].
    #[must_use]
    pub fn assemble(&self, identity: Identity) -> Vec<u8> {
        let path = path_of(FileKind::Table(identity.table()));
        let place = place(&path, identity);
        let (mut out, mut index, mut digest) = (Vec::new(), IndexBuilder::new(PAGE_BYTES), 0);
        for block in &self.blocks {
            let checksum = put_block(&mut out, &place, &block.payload, block.compression);
            let size = stored_size(&block.payload);
            if block.begins_page {
                index.close_page();
            }
            index.add(&block.separator.0, block.separator.1, size, checksum);
            digest = digest_block(digest, checksum, size);
        }
        let properties_offset = to_u64(out.len());
        put_block(&mut out, &place, &self.properties, 0);
        let filter_offset = to_u64(out.len());
        let mut root = RootBuilder::new(digest, self.filter.len() / LINE_SIZE);
        for page in self.filter.chunks(PAGE_LINES * LINE_SIZE) {
            root.filter_page(page, put_block(&mut out, &place, page, 0));
        }
        let index_offset = to_u64(out.len());
        for page in index.finish() {
            root.index_page(&page, put_block(&mut out, &place, &page.payload, 0));
        }
        let root_offset = to_u64(out.len());
        let (root, digest) = root.finish();
        let checksum = put_block(&mut out, &place, &root, 0);
        let digest = digest_block(digest, checksum, stored_size(&root));
        let footer = Footer { properties_offset, filter_offset, index_offset, root_offset, digest };
        let footer = footer.encode(&place, to_u64(out.len()));
        out.extend_from_slice(&footer);
        out
    }
}

/// Appends a block with its trailer, and returns its checksum.
fn put_block(out: &mut Vec<u8>, place: &Place<'_>, payload: &[u8], compression: u8) -> u32 {
    let start = out.len();
    out.extend_from_slice(payload);
    out.push(compression);
    out.extend_from_slice(&[0; 4]);
    out.get_mut(start..)
        .and_then(|stored| seal_block(stored, place, to_u64(start)))
        .expect("it has a trailer")
}

/// Puts right the checksums of a table: those of the data blocks and of the pages of filter and index, where
/// index and root say that they stand, and their copies there; those of
/// properties and root; the digests, and the footer's own checksum. Magic, version and
/// lengths stay as they are.
///
/// See the example of [`super::TableBytes`].
pub fn fix_table(bytes: &mut [u8], identity: Identity) {
    let path = path_of(FileKind::Table(identity.table()));
    let place = place(&path, identity);
    let Some((data, footer_bytes)) = bytes.split_last_chunk_mut::<FOOTER_SIZE>() else { return };
    let footer_offset = to_u64(data.len());
    let Some(footer) = offsets_of(footer_bytes) else { return };
    let Some((data, root)) = split_at(data, footer.root_offset) else { return };
    let Some((data, index)) = split_at(data, footer.index_offset) else { return };
    let Some((data, filter)) = split_at(data, footer.filter_offset) else { return };
    let Some((data, properties)) = split_at(data, footer.properties_offset) else { return };
    seal_block(properties, &place, footer.properties_offset);
    let Some((copies, entries)) = root_parts(root) else { return };
    let mut blocks = 0;
    let pages = fix_named(root, entries, index, &place, footer.index_offset, |page| {
        blocks = fix_data_blocks(data, page, &place, blocks);
    });
    let filter = fix_filter(root, copies, filter, &place, footer.filter_offset);
    let digest = [filter, pages].concat().into_iter();
    let digest =
        digest.fold(blocks, |digest, (checksum, size)| digest_block(digest, checksum, size));
    root[..8].copy_from_slice(&digest.to_le_bytes());
    let Some(checksum) = seal_block(root, &place, footer.root_offset) else { return };
    let digest = digest_block(digest, checksum, to_u64(root.len()));
    let footer = Footer { digest, ..footer };
    if footer_bytes.ends_with(&[&VERSION.to_le_bytes()[..], &MAGIC].concat()) {
        footer_bytes.copy_from_slice(&footer.encode(&place, footer_offset));
    }
}

/// Where in the root the checksums of the filter's pages are, and where the entries of the index's.
fn root_parts(root: &[u8]) -> Option<(Range<usize>, Range<usize>)> {
    let payload = root.get(..root.len().checked_sub(TRAILER_SIZE)?)?;
    let mut d = Decoder::new(payload);
    d.u64()?;
    let pages = d.varint_usize()?.div_ceil(PAGE_LINES);
    let start = payload.len() - d.rest().len();
    let end = start.checked_add(pages.checked_mul(4)?).filter(|&end| end <= payload.len())?;
    Some((start..end, end..payload.len()))
}

/// Puts right the checksums of the filter's pages, and their copies in the root; with their sizes.
fn fix_filter(
    root: &mut [u8],
    copies: Range<usize>,
    filter: &mut [u8],
    place: &Place<'_>,
    offset: u64,
) -> Vec<(u32, u64)> {
    let (mut at, mut fixed) = (offset, Vec::new());
    let copies = root.get_mut(copies).unwrap_or_default().chunks_mut(4);
    for (page, copy) in filter.chunks_mut(PAGE_LINES * LINE_SIZE + TRAILER_SIZE).zip(copies) {
        let Some(checksum) = seal_block(page, place, at) else { break };
        copy.copy_from_slice(&checksum.to_le_bytes());
        fixed.push((checksum, to_u64(page.len())));
        at += to_u64(page.len());
    }
    fixed
}

fn split_at(bytes: &mut [u8], offset: u64) -> Option<(&mut [u8], &mut [u8])> {
    bytes.split_at_mut_checked(to_usize(offset)?)
}

/// What a footer says, without a check of it, and no digest.
fn offsets_of(footer: &[u8]) -> Option<Footer> {
    let mut fields = Decoder::new(footer);
    Some(Footer {
        properties_offset: fields.u64()?,
        filter_offset: fields.u64()?,
        index_offset: fields.u64()?,
        root_offset: fields.u64()?,
        digest: 0,
    })
}

/// Puts another digest into the footer of a table, and the footer's checksum
/// right: it then passes for the table of that digest until its root is read.
///
/// See the example of [`super::TableBytes`].
pub fn set_table_digest(bytes: &mut [u8], identity: Identity, digest: u64) {
    let path = path_of(FileKind::Table(identity.table()));
    let place = place(&path, identity);
    let Some((data, footer_bytes)) = bytes.split_last_chunk_mut::<FOOTER_SIZE>() else { return };
    if let Some(footer) = offsets_of(footer_bytes)
        && footer_bytes.ends_with(&[&VERSION.to_le_bytes()[..], &MAGIC].concat())
    {
        let footer = Footer { digest, ..footer };
        footer_bytes.copy_from_slice(&footer.encode(&place, to_u64(data.len())));
    }
}

/// Puts right the checksums of the data blocks that the page of an index names, and their copies there; adds them to `digest`.
fn fix_data_blocks(data: &mut [u8], page: &mut [u8], place: &Place<'_>, digest: u64) -> u64 {
    let end = page.len().saturating_sub(TRAILER_SIZE);
    let Ok((start, entries)) = split_page(page.get(..end).unwrap_or_default()) else {
        return digest;
    };
    let entries = end - entries.len()..end;
    let Some((_, blocks)) = split_at(data, start) else { return digest };
    let fixed = fix_named(page, entries, blocks, place, start, |_| {});
    fixed.into_iter().fold(digest, |digest, (checksum, size)| digest_block(digest, checksum, size))
}

/// Puts right the checksums of the blocks or pages in `named`, which stands at `offset`, that the entries of `index`
/// in `entries` name, each after `prepare` has had it, and their copies there; with their sizes.
fn fix_named(
    index: &mut [u8],
    entries: Range<usize>,
    named: &mut [u8],
    place: &Place<'_>,
    offset: u64,
    mut prepare: impl FnMut(&mut [u8]),
) -> Vec<(u32, u64)> {
    let (mut at, mut start, mut fixed) = (entries.start, 0_usize, Vec::new());
    while at < entries.end {
        let mut d = Decoder::new(index.get(at..entries.end).unwrap_or_default());
        // The checksum stands behind the first number.
        let mut first = d;
        first.varint();
        let checksum_at = entries.end - first.rest().len();
        let Some(entry) = decode_entry(&mut d) else { break };
        let Some(block) = to_usize(entry.stored_size)
            .and_then(|size| start.checked_add(size))
            .and_then(|end| named.get_mut(start..end))
        else {
            break;
        };
        prepare(block);
        let checksum = seal_block(block, place, offset + to_u64(start)).unwrap_or(entry.checksum);
        start += block.len();
        fixed.push((checksum, entry.stored_size));
        at = entries.end - d.rest().len();
        index
            .iter_mut()
            .skip(checksum_at)
            .zip(checksum.to_le_bytes())
            .for_each(|(to, from)| *to = from);
    }
    fixed
}
