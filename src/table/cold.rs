//! A look for one key in a table whose head is not in memory.
//!
//! To read a head takes a millisecond for each megabyte of it, which the first `get` of a process
//! paid, and where there are more heads than memory for them each `get` of a table that is seldom asked. A look reads
//! the root and three pages instead: of the filter, of the index, and the block.
//!
//! Who looks often is better off with the head. So a table gives as many looks as together cost what its
//! head does, and then reads that: at worst twice the least possible (the ski rental problem, whose
//! best answer this is without knowledge of what comes).

use super::TableMeta;
use super::block::Block;
use super::filter::{PAGE_LINES, line_of, page_may_contain};
use super::head::Head;
use super::index::Index;
use super::reader::Table;
use super::root::{PagePlace, Root, open_page};
use crate::error::Result;
use crate::format::{KeyHash, SeqNo};

/// So many bytes of a head are read and decoded in the time of one look.
const LOOK_COST_BYTES: u64 = 16 << 10;
/// With fewer looks than this the head is read at once.
const LOOKS_MIN: u64 = 4;

/// How many looks a table has before its head is read.
pub fn looks_max(meta: &TableMeta) -> u64 {
    let looks = Head::expected_bytes(meta) / LOOK_COST_BYTES;
    if looks < LOOKS_MIN { 0 } else { looks }
}

/// The block that has the entries of `key`, whose hash is `hash`, at and before `seq`, if the table has any. Nothing of
/// what is read stays in memory.
///
/// # Errors
/// [`crate::Error::Corruption`], [`crate::Error::UnsupportedFormat`] or [`crate::Error::Io`].
pub fn block(table: &Table, key: &[u8], hash: KeyHash, seq: SeqNo) -> Result<Option<Block>> {
    Head::check_length(table)?;
    let (footer, root) = Root::read(table)?;
    // A table without entries has none.
    let Some(page) = root.filter_page(line_of(hash, root.filter_lines) / PAGE_LINES) else {
        return Ok(None);
    };
    if !page_may_contain(&read_page(table, page)?, hash, root.filter_lines) {
        return Ok(None);
    }
    let number = root.pages.find(key, seq);
    let page = root.pages.block(number).expect("the root has that page");
    let (separator, separator_seq) = root.pages.separator(number);
    let index = Index::of_page(
        &read_page(table, page)?,
        (&separator, separator_seq),
        footer.properties_offset,
    )
    .map_err(|detail| table.place().damage(page.0, detail))?;
    let block = index.block(index.find(key, seq)).expect("the index has that block");
    table.read_block(block, false).map(Some)
}

fn read_page(table: &Table, (start, end, checksum): PagePlace) -> Result<Vec<u8>> {
    let mut stored = table.read(start, end)?;
    let (payload, _) = open_page(&table.place(), start, &stored, Some(checksum))?;
    let size = payload.len();
    stored.truncate(size);
    Ok(stored)
}
