//! What the memory of blocks takes.

use super::super::block::Block;
use super::super::block_builder::BlockBuilder;
use super::super::cache::{BlockCache, BlockPlace, BlockSlots};
use super::*;
use crate::arena::{Cell, Region};
use crate::fs::{File, OpenMode};

const BLOCK_BYTES: usize = 4000;
const MIB: usize = 1 << 20;

/// All of a file whose length nobody knows.
fn read_to_end(file: &dyn File) -> String {
    let (mut bytes, mut piece) = (Vec::new(), [0; 4096]);
    loop {
        let len = file.read_at(&mut piece, to_u64(bytes.len())).expect("of our memory");
        if len == 0 {
            return String::from_utf8(bytes).expect("the system writes text");
        }
        bytes.extend_from_slice(&piece[..len]);
    }
}

/// What the system says of the memory at `address` (proc_pid_smaps(5)).
fn said_of_memory_at(address: usize) -> String {
    let file = DiskFs::new().open(Path::new("/proc/self/smaps"), OpenMode::Read);
    let smaps = read_to_end(file.expect("every process has one").as_ref());
    let bounds = |line: &str| {
        let (start, end) = line.split_once(' ')?.0.split_once('-')?;
        let number = |text| usize::from_str_radix(text, 16).ok();
        Some(number(start)?..number(end)?)
    };
    let here = |line: &&str| bounds(line).is_some_and(|bounds| bounds.contains(&address));
    let lines = smaps.lines().skip_while(|line| !here(line));
    lines.skip(1).take_while(|line| bounds(line).is_none()).collect::<Vec<_>>().join("\n")
}

/// Whether a page there may be a huge one. (The flag is one of those that the system lists.)
fn may_be_huge(address: usize) -> bool {
    let said = said_of_memory_at(address);
    let flags = said.lines().find_map(|line| line.strip_prefix("VmFlags:"));
    flags.expect("its flags are told").split_whitespace().any(|flag| flag == "hg")
}

/// Whether the system has huge pages for who asks.
fn has_huge_pages() -> bool {
    let region = Region::zeroed(8 * MIB, 1);
    region.allow_huge_pages(0, 8 * MIB);
    may_be_huge(region.base().as_ptr().addr() + 4 * MIB)
}

#[test]
fn few_blocks_take_what_they_need_and_many_have_huge_pages() {
    let cache = BlockCache::new(64 * MIB);
    let slots = Arc::new(BlockSlots::new(1));
    let mut builder = BlockBuilder::default();
    let payload = vec![0; 4 * MIB];
    let (seq, kind) = (SeqNo(1), EntryKind::Set);
    builder.add(EntryRef { key: b"k", seq, kind, payload: &payload });
    let block = Arc::new(Block::parse(builder.finish()).expect("valid"));
    cache.insert(&BlockPlace { slots: &slots, number: 0, table: ID, offset: 0 }, &block);

    let mut cells = Vec::new();
    let mut load = |bytes: usize| {
        while cells.len() * BLOCK_BYTES < bytes {
            cells.extend((0..1000).find_map(|_| cache.room(BLOCK_BYTES)));
        }
        let last = cells.last().expect("one at least");
        [&cells[0], last].map(|cell: &Cell| may_be_huge(cell.as_ptr().addr()))
    };
    assert_eq!(load(1), [false, false]);
    // Of eight slabs somewhat less than all, since cells are larger than blocks.
    assert_eq!(load(15 * MIB), [false, false]);
    assert_eq!(load(17 * MIB), [has_huge_pages(); 2]);
    assert_eq!(load(40 * MIB), [has_huge_pages(); 2]);
}
