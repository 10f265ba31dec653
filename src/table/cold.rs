//! A look for one key in a table whose head is not in memory.
//!
//! To read a head takes a millisecond for each megabyte of it, which the first `get` of a process
//! paid, and where there are more heads than memory for them each `get` of a table that is seldom asked. A look reads
//! the root and three pages instead: of the filter, of the index, and the block.
//!
//! Who looks often is better off with the head. So a table gives as many looks as together cost what its
//! head does, and then reads that: at worst about twice the least possible (the ski rental problem, whose
//! best answer this is without knowledge of what comes).

use super::TableMeta;
use super::filter::{PAGE_LINES, line_of, page_may_contain};
use super::format::Extent;
use super::head::Head;
use super::index::Page;
use super::reader::Table;
use super::root::{Root, open_page};
use crate::error::Result;
use crate::format::{KeyHash, SeqNo};

/// So many bytes of a head are read and decoded in the time that the pages and the block take, and the calls.
const LOOK_COST_BYTES: u64 = 16 << 10;
/// And this part of it in the time that the root takes.
const ROOT_PART: u64 = 100;
/// With fewer looks than this the head is read at once.
const LOOKS_MIN: u64 = 4;

/// How many looks a table has before its head is read.
pub fn looks_max(meta: &TableMeta) -> u64 {
    let head = Head::expected_bytes(meta);
    let looks = head / (LOOK_COST_BYTES + head / ROOT_PART);
    if looks < LOOKS_MIN { 0 } else { looks }
}

/// Where the block is that has the entries of `key`, whose hash is `hash`, at and before `seq`, if the table has any. Nothing of what is read stays in memory.
///
/// # Errors
/// [`crate::Error::Corruption`], [`crate::Error::UnsupportedFormat`] or [`crate::Error::Io`].
pub fn block(table: &Table, key: &[u8], hash: KeyHash, seq: SeqNo) -> Result<Option<Extent>> {
    Head::check_length(table)?;
    let (footer, root) = Root::read(table)?;
    let damage = |(offset, ..): Extent, detail| table.place().damage(offset, detail);
    let line = line_of(hash, root.filter_lines);
    // A table without entries has none.
    let Some(page) = root.filter_page(line / PAGE_LINES) else { return Ok(None) };
    let lines = read_page(table, page)?;
    let may_contain = page_may_contain(&lines, line % PAGE_LINES, hash);
    if !may_contain.ok_or_else(|| damage(page, "a page of the filter lacks a line".to_owned()))? {
        return Ok(None);
    }
    let number = root.pages.find(key, seq);
    let page = root.pages.block(number).expect("the root has that page");
    let (first, next) = (root.pages.separator(number), number + 1);
    let next = (next < root.pages.blocks()).then(|| root.pages.separator(next));
    let payload = read_page(table, page)?;
    let end_max = footer.properties_offset;
    let block = Page { payload: &payload, first, next, end_max }.find(key, seq);
    block.map(Some).map_err(|detail| damage(page, detail))
}

fn read_page(table: &Table, (start, end, checksum): Extent) -> Result<Vec<u8>> {
    let mut stored = table.read(start, end)?;
    let (payload, _) = open_page(&table.place(), start, &stored, Some(checksum))?;
    let size = payload.len();
    stored.truncate(size);
    Ok(stored)
}
