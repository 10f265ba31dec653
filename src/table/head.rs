//! The head of a table: what of it is kept in memory, its index, its filter, and the way to its blocks in the cache.

use super::cache::BlockSlots;
use super::filter::Filter;
use super::format::{
    FOOTER_SIZE, Footer, TRAILER_SIZE, check_block, check_trailer, digest_block, span,
};
use super::index::Index;
use super::reader::Table;
use crate::error::{Error, Result};
use crate::format::codec::to_u64;
use crate::fs::IoContext;
use crate::options::Compression;
use std::sync::Arc;

/// A filter is read in pieces of so many bytes: a multiple of a line's, which stay in the processor's cache.
const PIECE_BYTES: usize = 64 << 10;

/// Index and filter of one table.
#[derive(Debug)]
pub struct Head {
    /// Where its blocks are.
    pub index: Index,
    /// Which keys it does not hold.
    pub filter: Filter,
    /// Which of its blocks are in the cache.
    pub blocks: Arc<BlockSlots>,
}

impl Head {
    /// Bytes of memory.
    pub fn weight(&self) -> usize {
        size_of::<Head>() + self.index.weight() + self.filter.weight() + self.blocks.weight()
    }

    /// Reads and checks the head of `table`, and that it is the one that the
    /// manifest means. This is also where the file's length is looked at.
    ///
    /// # Errors
    /// [`Error::Corruption`], [`Error::UnsupportedFormat`] or [`Error::Io`].
    pub fn read(table: &Table) -> Result<(Footer, Head)> {
        let (place, size) = (table.place(), table.meta().size_bytes);
        let length = table.file()?.len().during("stat", place.path)?;
        if length != size {
            let detail = format!("file length: expected {size}, found {length}");
            return Err(place.damage(length.min(size), detail));
        }
        let (footer, footer_offset) = Head::read_footer(table)?;
        let head = Head::decode(table, &footer, footer_offset)?;
        Ok((footer, head))
    }

    /// The index alone, if nothing else can be had, of a file that may also have grown: for who
    /// looks for what can be saved.
    ///
    /// # Errors
    /// As [`Head::read`].
    pub fn read_index(table: &Table) -> Result<Index> {
        let (footer, footer_offset) = Head::read_footer(table)?;
        let alone = |e| {
            let (filter_offset, offset) = (footer.filter_offset, footer.index_offset);
            let filter = table.read(filter_offset, offset)?;
            if uncompressed(table, filter_offset, &filter).is_ok() {
                return Err(e); // Then it is the index, or not the index of these blocks.
            }
            let stored = table.read(offset, footer_offset)?;
            let index = uncompressed(table, offset, &stored)?;
            Index::decode(index.payload, footer.properties_offset)
                .map_err(|detail| table.place().damage(offset, detail))
        };
        Head::decode(table, &footer, footer_offset).map(|head| head.index).or_else(alone)
    }

    /// The footer, and where it stands.
    fn read_footer(table: &Table) -> Result<(Footer, u64)> {
        let place = table.place();
        let size = table.meta().size_bytes;
        let footer_offset = size.checked_sub(to_u64(FOOTER_SIZE)).ok_or_else(|| {
            place.damage(0, format!("file length: expected {FOOTER_SIZE} or more, found {size}"))
        })?;
        let bytes = table.read(footer_offset, size)?;
        let bytes = bytes.first_chunk().expect("as long as was read");
        let footer = Footer::decode(&place, footer_offset, bytes)?;
        let digest = table.meta().digest;
        if footer.digest != digest {
            return Err(place.damage(
                footer_offset,
                format!(
                    "digest: the manifest expects {digest:#018x}, found {:#018x}; another or \
                     older file",
                    footer.digest
                ),
            ));
        }
        Ok((footer, footer_offset))
    }

    fn decode(table: &Table, footer: &Footer, footer_offset: u64) -> Result<Head> {
        let Footer { filter_offset, index_offset, .. } = *footer;
        let (filter, filter_checksum) = read_filter(table, filter_offset, index_offset)?;
        let stored = table.read(index_offset, footer_offset)?;
        let index = uncompressed(table, index_offset, &stored)?;
        let damage = |offset, detail: String| table.place().damage(offset, detail);
        let index_block = Index::decode(index.payload, footer.properties_offset)
            .map_err(|detail| damage(index_offset, detail))?;
        let head = Head {
            blocks: Arc::new(BlockSlots::new(index_block.blocks())),
            index: index_block,
            filter,
        };
        let blocks = (0..head.index.blocks())
            .filter_map(|block| head.index.block(block))
            .fold(0, |digest, (start, end, checksum)| digest_block(digest, checksum, end - start));
        let found = digest_block(blocks, filter_checksum, index_offset - filter_offset);
        let found = digest_block(found, index.checksum, index.stored_size);
        if found != footer.digest {
            let detail = format!(
                "digest of filter and index: expected {:#018x}, found {found:#018x}",
                footer.digest
            );
            return Err(damage(filter_offset, detail));
        }
        if head.index.blocks() == 0 && table.meta().properties.entries > 0 {
            return Err(damage(index_offset, "the index names no block".to_owned()));
        }
        if head.filter.is_empty() && head.index.blocks() > 0 {
            return Err(damage(filter_offset, "the filter has no room for a key".to_owned()));
        }
        Ok(head)
    }
}

/// Reads and checks the filter block from `start` to `end`; with its checksum. In pieces, since to read it whole would
/// be a first touch of as much memory again as the filter takes, for a moment.
fn read_filter(table: &Table, start: u64, end: u64) -> Result<(Filter, u32)> {
    let damage = |detail: String| table.place().damage(start, detail);
    let size = span(start, end).and_then(|size| size.checked_sub(TRAILER_SIZE));
    let size = size.ok_or_else(|| damage(format!("a filter of {start}..{end}")))?;
    let (mut filter, mut crc) = (Filter::with_room(size), table.place().begin_checksum(start));
    let mut stored = vec![0; size.min(PIECE_BYTES) + TRAILER_SIZE];
    let (mut at, mut left, mut lines) = (start, size, Ok(()));
    // The trailer comes with the last piece.
    while left > PIECE_BYTES {
        let piece = &mut stored[..PIECE_BYTES];
        table.read_into(piece, at)?;
        crc.update(piece);
        // Told when the checksum has been looked at: that is what it means mostly.
        lines = lines.and(filter.extend(piece));
        at += to_u64(PIECE_BYTES);
        left -= PIECE_BYTES;
    }
    stored.truncate(left + TRAILER_SIZE);
    table.read_into(&mut stored, at)?;
    let (piece, trailer) =
        stored.split_last_chunk::<TRAILER_SIZE>().expect("as long as the trailer, or longer");
    crc.update(piece);
    lines = lines.and(filter.extend(piece));
    let [flag, checksum @ ..] = *trailer;
    crc.update(&[flag]);
    let compression = check_trailer(&table.place(), start, trailer, crc.finish(), None)?;
    expect_uncompressed(table, start, compression)?;
    lines.map_err(damage)?;
    Ok((filter, u32::from_le_bytes(checksum)))
}

struct Uncompressed<'a> {
    payload: &'a [u8],
    checksum: u32,
    stored_size: u64,
}

/// The filter or index block at `offset`.
fn uncompressed<'a>(table: &Table, offset: u64, stored: &'a [u8]) -> Result<Uncompressed<'a>> {
    let (compression, payload) = check_block(&table.place(), offset, stored, None)?;
    expect_uncompressed(table, offset, compression)?;
    let checksum = stored.last_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    Ok(Uncompressed { payload, checksum, stored_size: to_u64(stored.len()) })
}

fn expect_uncompressed(table: &Table, offset: u64, compression: Compression) -> Result<()> {
    if compression == Compression::None {
        return Ok(());
    }
    let detail = "the block is compressed, which a filter or an index never is";
    Err(Error::corruption(table.place().path, offset, detail))
}
