//! The head of a table: what of it is kept in memory, its index, its filter, and the way to its blocks in the cache.

use super::TableMeta;
use super::cache::BlockSlots;
use super::filter::{Filter, KEY_BITS};
use super::format::{Extent, Footer, digest_block, span};
use super::index::{Index, IndexDecoder};
use super::reader::Table;
use super::root::{Root, open_page};
use crate::error::Result;
use crate::format::SeqNo;
use crate::format::codec::to_usize;
use crate::fs::IoContext;
use std::sync::Arc;

/// Pages are read up to so many bytes at once: few calls, and what was read stays in the processor's cache.
const PIECE_BYTES: u64 = 64 << 10;

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

    /// What the head of that table takes in the file, by what the manifest says of it, nearly, in bytes.
    pub fn expected_bytes(meta: &TableMeta) -> u64 {
        /// Of a block of the usual size the index has so much.
        const BLOCK_BYTES: u64 = 4096;
        const ENTRY_BYTES: u64 = 24;
        let entries = meta.properties.entries;
        let filter = entries.saturating_mul(KEY_BITS as u64) / 8;
        // A block has one entry at least.
        let blocks = (meta.size_bytes / BLOCK_BYTES).min(entries);
        filter.saturating_add(blocks.saturating_mul(ENTRY_BYTES))
    }

    /// Reads and checks the head of `table`, and that it is the one that the
    /// manifest means. This is also where the file's length is looked at.
    ///
    /// # Errors
    /// [`crate::Error::Corruption`], [`crate::Error::UnsupportedFormat`] or [`crate::Error::Io`].
    pub fn read(table: &Table) -> Result<(Footer, Head)> {
        Head::check_length(table)?;
        let (footer, root) = Root::read(table)?;
        let index = read_index(table, &footer, &root)?;
        let filter = read_filter(table, &root)?;
        let blocks = Arc::new(BlockSlots::new(index.blocks()));
        Ok((footer, Head { index, filter, blocks }))
    }

    /// Whether the file is as long as the manifest says.
    ///
    /// # Errors
    /// [`crate::Error::Corruption`] or [`crate::Error::Io`].
    pub fn check_length(table: &Table) -> Result<()> {
        let (place, size) = (table.place(), table.meta().size_bytes);
        let length = table.file()?.len().during("stat", place.path)?;
        if length == size {
            return Ok(());
        }
        let detail = format!("file length: expected {size}, found {length}");
        Err(place.damage(length.min(size), detail))
    }

    /// The index alone, of a file that may also have grown: for who
    /// looks for what can be saved.
    ///
    /// # Errors
    /// As [`Head::read`].
    pub fn read_index(table: &Table) -> Result<Index> {
        let (footer, root) = Root::read(table)?;
        read_index(table, &footer, &root)
    }
}

fn read_index(table: &Table, footer: &Footer, root: &Root) -> Result<Index> {
    let size = span(footer.index_offset, footer.root_offset).unwrap_or(0);
    let mut decoder = IndexDecoder::new(size, 0, footer.properties_offset);
    let mut separators = (0..).map(|page| root.pages.separator(page));
    read_pages(table, root.index_pages(), |page| {
        let (key, seq): (Vec<u8>, SeqNo) = separators.next().expect("each page has one");
        decoder.page(page, (&key, seq))
    })?;
    let damage = |detail| table.place().damage(footer.index_offset, detail);
    let index = decoder.finish().map_err(damage)?;
    let blocks = (0..index.blocks()).filter_map(|block| index.block(block));
    let digest = blocks.chain(root.filter_pages()).chain(root.index_pages());
    let found = digest
        .fold(0, |digest, (start, end, checksum)| digest_block(digest, checksum, end - start));
    if found != root.digest {
        let expected = root.digest;
        return Err(damage(format!(
            "digest of blocks, filter and index: expected {expected:#018x}, found {found:#018x}"
        )));
    }
    Ok(index)
}

fn read_filter(table: &Table, root: &Root) -> Result<Filter> {
    let mut filter = Filter::with_room(root.filter_lines);
    read_pages(table, root.filter_pages(), |page| filter.extend(page))?;
    Ok(filter)
}

/// Reads and checks `pages`, which stand one behind the other, and gives each to `take`. Some at once: to read all would
/// be a first touch of as much memory again as they take decoded, for a moment.
fn read_pages(
    table: &Table,
    pages: impl Iterator<Item = Extent>,
    mut take: impl FnMut(&[u8]) -> std::result::Result<(), String>,
) -> Result<()> {
    let mut pages = pages.peekable();
    let (mut piece, mut stored) = (Vec::new(), Vec::new());
    while let Some(first) = pages.next() {
        let (start, mut end, _) = first;
        piece.clear();
        piece.push(first);
        while let Some(next) = pages.next_if(|&(_, end, _)| end - start <= PIECE_BYTES) {
            end = next.1;
            piece.push(next);
        }
        let damage = |at: u64, detail| table.place().damage(at, detail);
        let size = span(start, end).ok_or_else(|| damage(start, "a page too large".to_owned()))?;
        stored.resize(size, 0);
        table.read_into(&mut stored, start)?;
        for &(at, end, checksum) in &piece {
            let bytes = to_usize(at - start).zip(to_usize(end - start));
            let bytes = bytes.and_then(|(from, to)| stored.get(from..to)).unwrap_or_default();
            let (page, _) = open_page(&table.place(), at, bytes, Some(checksum))?;
            take(page).map_err(|detail| damage(at, detail))?;
        }
    }
    Ok(())
}
