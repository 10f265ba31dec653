//! What is loaded of a table because half of it is in the cache.

use super::super::block::Block;
use super::super::block_builder::BlockBuilder;
use super::super::cache::{BlockPlace, BlockSlots};
use super::super::fill::Fill;
use super::super::preload::{AFTER_MISSES, turn};
use super::preload::{BLOCKS, CACHE_BYTES, Fixture, cached, wait_until};
use super::*;
use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::thread;
use std::time::Duration;

/// Gets the first `count` of the keys, each of which has a block, in an order that is none.
fn get_some(table: &Arc<Table>, count: usize) {
    for number in (0..count).map(|n| n * 77 % BLOCKS) {
        let found = get(table, format!("{number:06}").as_bytes(), SeqNo(1)).expect("sound");
        assert!(found.is_some(), "{number}");
    }
}

fn count_cached(table: &Table) -> usize {
    cached(table).into_iter().filter(|&is_cached| is_cached).count()
}

/// A table whose head is in memory: without it a get keeps no block.
fn open_with_head(fixture: &Fixture) -> Arc<Table> {
    let table = fixture.open();
    drop(table.head().expect("sound"));
    table
}

#[test]
fn with_half_of_a_table_the_rest_is_loaded() {
    let fixture = Fixture::new();
    let table = open_with_head(&fixture);
    get_some(&table, BLOCKS / 2 - 1);
    thread::sleep(Duration::from_millis(20));
    assert_eq!(count_cached(&table), BLOCKS / 2 - 1, "one is lacking");
    get_some(&table, BLOCKS / 2);
    wait_until(|| count_cached(&table) == BLOCKS, "all blocks");
    // Whoever reads it first does not count as having used it again.
    let last = (BLOCKS - 1) * 77 % BLOCKS;
    let head = table.head().expect("sound");
    let use_again = || head.blocks.load(last).expect("there").note_use();
    assert!(!use_again() && use_again());
    wait_until(|| Arc::strong_count(&table) == 1, "the table is let go");
}

#[test]
fn so_it_is_with_what_cursors_come_to_but_not_with_long_walks() {
    let fixture = Fixture::new();
    let table = open_with_head(&fixture);
    let mut cursor = table.cursor();
    for number in (0..BLOCKS / 2).map(|n| n * 77 % BLOCKS) {
        cursor.seek(format!("{number:06}").as_bytes(), SeqNo(1)).expect("sound");
    }
    wait_until(|| count_cached(&table) == BLOCKS, "all blocks");

    let table = open_with_head(&fixture);
    let mut cursor = table.cursor();
    cursor.seek_first().expect("sound");
    while cursor.entry().is_some() {
        cursor.next().expect("sound");
    }
    // Those before it was a long walk.
    assert_eq!(table.head().expect("sound").blocks.loads(), AFTER_MISSES - 1);
}

/// INV-1.
#[test]
fn nothing_is_loaded_into_a_cache_without_much_room() {
    let fixture = Fixture::new();
    let table = open_with_head(&fixture);
    let cache = table.cache();
    let (slots, mut number) = (Arc::new(BlockSlots::new(20_000)), 0);
    let payload = vec![0; 4000];
    while cache.used_bytes() < CACHE_BYTES as u64 / 4 * 3 {
        let mut builder = BlockBuilder::default();
        let (seq, kind) = (SeqNo(1), EntryKind::Set);
        builder.add(EntryRef { key: b"k", seq, kind, payload: &payload });
        let block = Arc::new(Block::parse(builder.finish()).expect("valid"));
        let offset = number as u64 * 4096;
        let place = BlockPlace { slots: &slots, number, table: TableId(77), offset };
        cache.insert(&place, &block);
        number += 1;
    }
    get_some(&table, BLOCKS / 2);
    thread::sleep(Duration::from_millis(20));
    assert_eq!(count_cached(&table), BLOCKS / 2);
}

/// What asks for it is no reader: so it is when garbage is collected.
#[test]
fn what_is_looked_up_for_the_engine_itself_does_not_count() {
    let fixture = Fixture::new();
    let table = open_with_head(&fixture);
    for number in 0..BLOCKS {
        let key = format!("{number:06}");
        let found = table.get_unnoted(key.as_bytes(), KeyHash::of(key.as_bytes()), SeqNo(1));
        assert!(found.expect("sound").is_some(), "{number}");
    }
    assert_eq!(table.head().expect("sound").blocks.loads(), 0);
}

/// INV-2.
#[test]
fn one_that_waits_for_its_turn_is_let_go_as_well() {
    let fixture = Fixture::new();
    let [first, second] = [0, 0].map(|_| open_with_head(&fixture));
    let fill =
        |table: &Arc<Table>| Fill::new(Arc::clone(table), table.head().expect("sound").pin());
    let mut fills = VecDeque::from([fill(&first), fill(&second)]);
    second.discard();
    turn(&mut Vec::new(), &mut fills, &AtomicBool::new(false));
    assert_eq!((fills.len(), Arc::strong_count(&second)), (1, 1));
    assert!((1..BLOCKS / 4).contains(&count_cached(&first)), "the other has had its turn");
}

/// INV-2.
#[test]
fn a_table_that_has_been_merged_away_is_let_go() {
    let fixture = Fixture::new();
    let table = open_with_head(&fixture);
    let is_stopped = AtomicBool::new(false);
    let head = table.head().expect("sound").pin();
    let mut fill = Fill::new(Arc::clone(&table), head);
    assert!(fill.go(&is_stopped));
    let loaded = count_cached(&table);
    assert!((1..BLOCKS / 4).contains(&loaded), "{loaded} at once");
    table.discard();
    assert!(!fill.go(&is_stopped));
    assert_eq!(count_cached(&table), loaded);
}
