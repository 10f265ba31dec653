//! What is loaded ahead of a cursor on another thread.

use super::super::block::Block;
use super::super::preload::{AFTER_MISSES, AHEAD_BYTES_MAX, SKIPPED_BLOCKS};
use super::*;
use crate::format::FileKind;
use std::ops::Range;
use std::thread;
use std::time::{Duration, Instant};

/// Much more than the thread goes ahead of a cursor.
pub(super) const BLOCKS: usize = 600;
pub(super) const CACHE_BYTES: usize = 64 << 20;

/// A table on the disk whose blocks have one entry each and do not compress.
pub(super) struct Fixture {
    dir: tempfile::TempDir,
    meta: TableMeta,
    model: Model,
}

impl Fixture {
    pub(super) fn new() -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let mut model = Model::new();
        for number in 0..BLOCKS {
            set(&mut model, format!("{number:06}").as_bytes(), 1, &[7; 4000]);
        }
        let meta = write(dir.path(), &model, options(4096, Compression::None));
        Fixture { dir, meta, model }
    }

    /// As a fresh process has it.
    pub(super) fn open(&self) -> Arc<Table> {
        open(self.dir.path(), &self.meta, CACHE_BYTES)
    }

    fn all(&self) -> Vec<Owned> {
        self.model.iter().map(item).collect()
    }
}

/// Which blocks are in the cache.
pub(super) fn cached(table: &Table) -> Vec<bool> {
    let head = table.head().expect("sound");
    assert_eq!(head.index.blocks(), BLOCKS);
    (0..BLOCKS).map(|number| head.blocks.load(number).is_some()).collect()
}

/// Waits for what is done on another thread, for as long as only a hang takes.
pub(super) fn wait_until(mut is_so: impl FnMut() -> bool, what: &str) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed() < Duration::from_secs(60), "in vain: {what}");
        thread::sleep(Duration::from_millis(1));
    }
}

/// How many blocks the thread may be ahead.
fn reach(table: &Table) -> usize {
    let (start, end, _) = table.head().expect("sound").index.block(0).expect("there");
    usize::try_from(AHEAD_BYTES_MAX / (end - start)).expect("few")
}

/// Waits until `table` has all `wanted` blocks in the cache. Those of `never` are not among them, then or later.
fn assert_loads(table: &Table, wanted: Range<usize>, never: Range<usize>) {
    let is_loaded = || cached(table)[wanted.clone()].iter().all(|&is_cached| is_cached);
    wait_until(is_loaded, "the blocks ahead of the cursor");
    thread::sleep(Duration::from_millis(20));
    assert!(!cached(table)[never.clone()].contains(&true), "some of {never:?}");
}

#[test]
fn a_walk_is_gone_ahead_of_as_far_as_it_may_be() {
    let fixture = Fixture::new();
    let table = fixture.open();
    let reach = reach(&table);
    let mut cursor = table.cursor();
    cursor.seek_first().expect("sound");
    for _ in 1..AFTER_MISSES {
        cursor.next().expect("sound");
    }
    let at = AFTER_MISSES - 1;
    assert_loads(&table, at..at + reach, at + reach + 2..BLOCKS);
    // The cursor stood still, and the thread with it. It is woken when half of that is behind.
    for _ in 0..reach {
        cursor.next().expect("sound");
    }
    let at = at + reach;
    // What is near it may have left to the cursor, where that had caught up with it.
    assert_loads(&table, at + SKIPPED_BLOCKS..at + reach / 2, at + reach + 2..BLOCKS);
    // Who loads a block for himself does not count as having used it, nor does who has it loaded.
    let first_use =
        |number| table.head().expect("sound").blocks.load(number).expect("there").note_use();
    assert!(first_use(0) && !first_use(at + 10) && first_use(at + 10));
}

#[test]
fn so_is_a_walk_backwards() {
    let fixture = Fixture::new();
    let table = fixture.open();
    let reach = reach(&table);
    let mut cursor = table.cursor();
    cursor.seek_last().expect("sound");
    for _ in 1..AFTER_MISSES {
        cursor.prev().expect("sound");
    }
    let at = BLOCKS - AFTER_MISSES;
    assert_loads(&table, at - reach + 1..at, 0..at - reach - 1);
}

#[test]
fn a_short_walk_is_not() {
    let fixture = Fixture::new();
    let table = fixture.open();
    let mut cursor = table.cursor();
    cursor.seek_first().expect("sound");
    for _ in 2..AFTER_MISSES {
        cursor.next().expect("sound");
    }
    // Nor one from place to place.
    for number in (0..BLOCKS).rev().step_by(7) {
        cursor.seek(format!("{number:06}").as_bytes(), SeqNo(1)).expect("sound");
    }
    assert!(!cursor.is_gone_ahead_of());
    // What a small cache has room for is needed for other things.
    let table = open(fixture.dir.path(), &fixture.meta, 16 << 20);
    let mut cursor = table.cursor();
    cursor.seek_first().expect("sound");
    for _ in 0..2 * AFTER_MISSES {
        cursor.next().expect("sound");
    }
    assert!(!cursor.is_gone_ahead_of());
}

#[test]
fn walks_see_the_same_with_it() {
    let fixture = Fixture::new();
    for _ in 0..10 {
        let table = fixture.open();
        thread::scope(|scope| {
            for backwards in [false, true, false] {
                let (table, fixture) = (&table, &fixture);
                scope.spawn(move || {
                    let seen = if backwards {
                        super::reads::backwards(table.cursor())
                    } else {
                        collect(table.cursor()).expect("sound")
                    };
                    assert!(seen == fixture.all(), "a walk saw something else");
                });
            }
        });
    }
}

#[test]
fn it_ends_with_the_cursor_or_when_that_goes_elsewhere() {
    let fixture = Fixture::new();
    let table = fixture.open();
    let walk = |cursor: &mut TableCursor| {
        for _ in 0..AFTER_MISSES {
            cursor.next().expect("sound");
        }
    };
    let mut cursor = table.cursor();
    cursor.seek_first().expect("sound");
    walk(&mut cursor);
    assert!(cursor.is_gone_ahead_of());
    cursor.seek_last().expect("sound");
    assert!(!cursor.is_gone_ahead_of());
    cursor.seek(b"000300", SeqNo(1)).expect("sound");
    walk(&mut cursor);
    assert!(cursor.is_gone_ahead_of());
    let at = 300 + AFTER_MISSES;
    let near = at + SKIPPED_BLOCKS;
    assert_loads(&table, near..at + reach(&table), BLOCKS - 1..BLOCKS - 1);
    drop(cursor);
    // The thread has a pointer to the table for as long as it goes ahead of a cursor.
    wait_until(|| Arc::strong_count(&table) == 1, "the table is let go");
}

#[test]
fn damage_is_told_when_the_cursor_comes_to_it() {
    let fixture = Fixture::new();
    let path = fixture.dir.path().join(FileKind::Table(ID).name());
    let mut bytes = std::fs::read(&path).expect("there");
    let bad = AFTER_MISSES + 20;
    let (start, ..) = fixture.open().head().expect("sound").index.block(bad).expect("there");
    bytes[usize::try_from(start).expect("small") + 100] ^= 1;
    std::fs::write(&path, bytes).expect("written");
    let table = fixture.open();
    let mut cursor = table.cursor();
    cursor.seek_first().expect("sound");
    for _ in 1..bad {
        cursor.next().expect("sound");
    }
    assert!(cursor.is_gone_ahead_of());
    assert!(matches!(cursor.next(), Err(Error::Corruption { .. })));
    assert_eq!(cursor.entry(), None);
    cursor.seek(format!("{:06}", bad + 1).as_bytes(), SeqNo(1)).expect("the next is sound");
}

#[test]
fn once_stopped_there_is_no_thread_and_cursors_go_on() {
    let fixture = Fixture::new();
    let cache = Arc::new(BlockCache::new(CACHE_BYTES));
    let files = Arc::new(OpenFiles::new(Arc::new(DiskFs::new())));
    let heads = Arc::new(HeadMemory::new(256 << 20));
    let dir = fixture.dir.path();
    let table =
        Arc::new(Table::open(files, dir, DATABASE, &fixture.meta, Arc::clone(&cache), heads));
    let mut cursor = table.cursor();
    cursor.seek_first().expect("sound");
    for _ in 0..AFTER_MISSES {
        cursor.next().expect("sound");
    }
    assert!(cursor.is_gone_ahead_of());
    cache.stop_preloading();
    drop(cursor);
    assert_eq!(Arc::strong_count(&table), 1, "the thread has ended, with all that it held");
    let mut cursor = table.cursor();
    cursor.seek_last().expect("sound");
    for _ in 0..2 * AFTER_MISSES {
        cursor.prev().expect("sound");
    }
    assert!(!cursor.is_gone_ahead_of());
    assert!(collect(cursor).expect("sound") == fixture.all());
}

/// What a scan reads once is to go before what is used again; whoever loads a block for himself does not count as having used it.
#[test]
fn a_block_loaded_ahead_counts_the_use_after_the_one_it_was_loaded_for() {
    let mut builder = block_builder::BlockBuilder::default();
    builder.add(EntryRef { key: b"k", seq: SeqNo(1), kind: EntryKind::Set, payload: b"" });
    let bytes = builder.finish();
    let (own, ahead) = (Block::parse(bytes.clone()), Block::parse(bytes));
    let (own, ahead) = (own.expect("valid"), ahead.expect("valid"));
    ahead.mark_loaded_ahead();
    assert!(!ahead.note_use(), "the cursor comes to it");
    for _ in 0..4 {
        assert_eq!(ahead.note_use(), own.note_use());
    }
    assert_eq!([ahead.take_use(), ahead.take_use(), ahead.take_use()], [true, true, false]);
}
