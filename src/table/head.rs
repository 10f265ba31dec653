//! The head of a table: what of it is kept in memory, its index, its filter, and the way to its blocks in the cache.

use super::cache::BlockSlots;
use super::filter::Filter;
use super::format::{FOOTER_SIZE, Footer, check_block, digest_block, span};
use super::index::Index;
use super::reader::Table;
use crate::error::{Error, Result};
use crate::format::codec::to_u64;
use crate::fs::IoContext;
use crate::options::Compression;
use std::sync::Arc;

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
        // One after the other, so that one call reads both.
        let stored = table.read(filter_offset, footer_offset)?;
        let filter_size = span(filter_offset, index_offset).unwrap_or(usize::MAX);
        let (filter, index) = stored.split_at_checked(filter_size).unwrap_or_default();
        let filter = uncompressed(table, filter_offset, filter)?;
        let index = uncompressed(table, index_offset, index)?;
        let damage = |offset, detail: String| table.place().damage(offset, detail);
        let index_block = Index::decode(index.payload, footer.properties_offset)
            .map_err(|detail| damage(index_offset, detail))?;
        let head = Head {
            blocks: Arc::new(BlockSlots::new(index_block.blocks())),
            index: index_block,
            filter: Filter::decode(filter.payload)
                .map_err(|detail| damage(filter_offset, detail))?,
        };
        let blocks = (0..head.index.blocks())
            .filter_map(|block| head.index.block(block))
            .fold(0, |digest, (start, end, checksum)| digest_block(digest, checksum, end - start));
        let found = digest_block(blocks, filter.checksum, filter.stored_size);
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

struct Uncompressed<'a> {
    payload: &'a [u8],
    checksum: u32,
    stored_size: u64,
}

/// The filter or index block at `offset`.
fn uncompressed<'a>(table: &Table, offset: u64, stored: &'a [u8]) -> Result<Uncompressed<'a>> {
    let (compression, payload) = check_block(&table.place(), offset, stored, None)?;
    if compression != Compression::None {
        let detail = "the block is compressed, which a filter or an index never is";
        return Err(Error::corruption(table.place().path, offset, detail));
    }
    let checksum = stored.last_chunk().map_or(0, |bytes| u32::from_le_bytes(*bytes));
    Ok(Uncompressed { payload, checksum, stored_size: to_u64(stored.len()) })
}
