//! Reads every block of a table, and counts what its properties should say.

use super::block::Position;
use super::head::Head;
use super::reader::Table;
use crate::error::Result;
use crate::format::key::compare;
use crate::format::{KeyHash, Properties, SeqNo};
use std::cmp::Ordering;

/// Checks every data block, the order from block to block against the
/// separators (INV-1, INV-6), and that every key is in the filter (INV-7).
pub fn count(table: &Table, head: &Head) -> Result<Properties> {
    let index = &head.index;
    let mut counted = Properties::default();
    let mut last_seq = SeqNo::ZERO;
    let mut last_key = Vec::new();
    let mut position = Position::default();
    for number in 0..index.blocks() {
        let (start, end, checksum) = index.block(number).expect("counted up to the last");
        let block = table.read_block(start, end, checksum)?;
        let (separator, separator_seq) = index.separator(number);
        block.go_to(&mut position, 0);
        let first = block.entry_at(&position);
        let after_last = number == 0
            || compare(&counted.largest_key, last_seq, &separator, separator_seq) == Ordering::Less;
        let before_first =
            compare(&separator, separator_seq, first.key, first.seq) != Ordering::Greater;
        // Between two versions of a key, a search for what is not there would
        // end in the block before and miss the one behind.
        let is_next = separator_seq == SeqNo::MAX
            || counted.largest_key == separator && separator_seq.0 + 1 == last_seq.0;
        if !after_last || !before_first || !is_next {
            return Err(table.place().damage(start, "the block is not where the index has it"));
        }
        if number == 0 {
            counted.smallest_key = first.key.to_vec();
        }
        loop {
            let entry = block.entry_at(&position);
            if !head.filter.may_contain(KeyHash::of(entry.key)) {
                return Err(table.place().damage(start, "a key of the block is not in the filter"));
            }
            counted.count(entry, counted.entries > 0 && entry.key == last_key);
            last_key.clear();
            last_key.extend_from_slice(entry.key);
            last_seq = entry.seq;
            if !block.advance(&mut position) {
                break;
            }
        }
        counted.largest_key = block.entry_at(&position).key.to_vec();
    }
    Ok(counted)
}
