//! What reads cost: calls to the disk, blocks in the cache, heads in memory.

use super::super::root::TAIL_BYTES;
use super::io::FailingFs;
use super::*;
use std::sync::atomic::Ordering;

const BLOCKS: usize = 400;

struct Fixture {
    dir: tempfile::TempDir,
    fs: Arc<FailingFs>,
    meta: TableMeta,
    all: Vec<Owned>,
}

impl Fixture {
    /// A table of 400 blocks, each with three entries of a KiB.
    fn new() -> Self {
        let mut model = Model::new();
        for i in 0..BLOCKS * 3 {
            set(&mut model, format!("key{i:06}").as_bytes(), 1, &i.to_le_bytes().repeat(128));
        }
        let dir = tempfile::tempdir().expect("tempdir");
        let meta = write(dir.path(), &model, options(4096, Compression::None));
        let fs = Arc::new(FailingFs::default());
        fs.fail.whole.store(true, Ordering::Relaxed);
        Fixture { dir, fs, meta, all: model.iter().map(item).collect() }
    }

    fn table(&self, cache: &Arc<BlockCache>, heads: &Arc<HeadMemory>) -> Arc<Table> {
        let files = Arc::new(OpenFiles::new(self.fs.clone()));
        let (cache, heads) = (Arc::clone(cache), Arc::clone(heads));
        Arc::new(Table::open(files, self.dir.path(), DATABASE, &self.meta, cache, heads))
    }

    /// How many reads `work` does, and of how many bytes.
    fn reads<T>(&self, work: impl FnOnce() -> T) -> (usize, usize, T) {
        let calls = self.fs.fail.read_calls.load(Ordering::Relaxed);
        let bytes = self.fs.fail.read_bytes.load(Ordering::Relaxed);
        let done = work();
        (
            self.fs.fail.read_calls.load(Ordering::Relaxed) - calls,
            self.fs.fail.read_bytes.load(Ordering::Relaxed) - bytes,
            done,
        )
    }

    fn size(&self) -> usize {
        usize::try_from(self.meta.size_bytes).expect("small")
    }
}

fn cache_and_heads() -> (Arc<BlockCache>, Arc<HeadMemory>) {
    (Arc::new(BlockCache::new(16 << 20)), Arc::new(HeadMemory::new(256 << 20)))
}

pub fn backwards(mut cursor: TableCursor) -> Vec<Owned> {
    let mut all = Vec::new();
    cursor.seek_last().expect("sound");
    while let Some(entry) = cursor.entry() {
        all.push(owned(entry));
        cursor.prev().expect("sound");
    }
    all.reverse();
    all
}

#[test]
fn a_stream_reads_in_long_runs_and_leaves_the_cache_alone() {
    let fixture = Fixture::new();
    let (cache, heads) = cache_and_heads();
    let table = fixture.table(&cache, &heads);
    get(&table, b"key000000", SeqNo(1)).expect("sound").expect("there");
    let used = cache.used_bytes();
    let runs = fixture.size().div_ceil((256 << 10) - 4096);
    for is_forward in [true, false] {
        let (calls, bytes, all) = fixture.reads(|| {
            if is_forward {
                collect(table.stream()).expect("sound")
            } else {
                backwards(table.stream())
            }
        });
        assert!(all == fixture.all);
        assert!(calls <= runs, "{calls} reads, {runs} expected");
        assert!(bytes <= fixture.size(), "each block is read once: {bytes}");
    }
    assert_eq!(cache.used_bytes(), used);
}

#[test]
fn a_scan_past_the_cache_reads_ahead_and_fills_it() {
    let fixture = Fixture::new();
    let (cache, heads) = cache_and_heads();
    for is_forward in [true, false] {
        let cache = if is_forward { Arc::clone(&cache) } else { cache_and_heads().0 };
        let table = fixture.table(&cache, &heads);
        let walk = || {
            if is_forward {
                collect(table.cursor()).expect("sound")
            } else {
                backwards(table.cursor())
            }
        };
        let (calls, bytes, all) = fixture.reads(walk);
        assert!(all == fixture.all);
        // Two for the head, two blocks alone, runs of 16, 32 and 64 KiB, the rest in runs of 128.
        let expected = 2 + 2 + 3 + fixture.size().div_ceil(120 << 10);
        assert!((8..=expected).contains(&calls), "{calls} reads, {expected} expected");
        // The end of the file, with the root, is read for the head.
        assert!(bytes <= fixture.size() + TAIL_BYTES, "each block is read once: {bytes}");
        let (calls, _, all) = fixture.reads(walk);
        assert!(all == fixture.all);
        assert_eq!(calls, 0, "all of it is in the cache");
    }
}

#[test]
fn searches_here_and_there_read_one_block_each() {
    let fixture = Fixture::new();
    let (cache, heads) = cache_and_heads();
    let mut cursor = fixture.table(&cache, &heads).cursor();
    cursor.seek_first().expect("sound");
    let (calls, bytes, ()) = fixture.reads(|| {
        for entry in fixture.all.iter().step_by(9) {
            cursor.seek(&entry.0, SeqNo::MAX).expect("sound");
            assert_eq!(cursor.entry().map(owned).as_ref(), Some(entry));
        }
    });
    assert!(calls <= BLOCKS / 3 + 1 && bytes < 4096 * calls, "{calls} reads of {bytes} bytes");
}

/// A bad sector in a run is the error of the blocks in it and of no others.
#[test]
fn where_a_run_cannot_be_read_its_blocks_are_read_alone() {
    let fixture = Fixture::new();
    let (cache, heads) = cache_and_heads();
    let table = fixture.table(&cache, &heads);
    fixture.fs.fail.long_reads.store(true, Ordering::Relaxed);
    for cursor in [table.stream(), table.cursor()] {
        assert!(collect(cursor).expect("each block can be read") == fixture.all);
    }
}

#[test]
fn opening_a_table_touches_no_file() {
    let fixture = Fixture::new();
    let (cache, heads) = cache_and_heads();
    let table = fixture.table(&cache, &heads);
    assert_eq!(fixture.fs.fail.opens.load(Ordering::Relaxed), 0);
    assert_eq!(heads.used_bytes(), 0);
    get(&table, b"key", SeqNo(1)).expect("sound");
    assert_eq!(fixture.fs.fail.opens.load(Ordering::Relaxed), 1);
}

#[test]
fn a_key_that_is_not_there_costs_no_block() {
    let fixture = Fixture::new();
    let (cache, heads) = cache_and_heads();
    let table = fixture.table(&cache, &heads);
    table.head().expect("sound");
    let (calls, _, ()) = fixture.reads(|| {
        for i in 0..1000 {
            let key = format!("key{:06}x", i % (3 * BLOCKS));
            assert!(get(&table, key.as_bytes(), SeqNo(1)).expect("sound").is_none());
        }
    });
    assert!(calls <= 20, "{calls} of 1,000 passed the filter");
}

#[test]
fn heads_that_are_not_used_make_room_and_come_back() {
    let fixture = Fixture::new();
    let (cache, unbounded) = cache_and_heads();
    let probe = |table: &Arc<Table>| {
        assert!(get(table, b"key000007", SeqNo(1)).expect("sound").is_some());
    };
    probe(&fixture.table(&cache, &unbounded));
    assert_eq!(unbounded.used_bytes(), 0, "it went with its table");
    let table = fixture.table(&cache, &unbounded);
    probe(&table);
    let one = unbounded.used_bytes();
    // 1,200 keys of 11 bits, 400 blocks of some 40 bytes.
    assert!((12_000..40_000).contains(&one), "{one}");

    let heads = Arc::new(HeadMemory::new(3 * one));
    let tables: Vec<_> = (0..10).map(|_| fixture.table(&cache, &heads)).collect();
    let hot = &tables[0];
    for table in &tables[1..] {
        probe(hot);
        probe(table);
        assert!(heads.used_bytes() <= 3 * one, "{}", heads.used_bytes());
    }
    let (calls, ..) = fixture.reads(|| probe(hot));
    assert_eq!(calls, 0, "what is used stays");
    let (calls, ..) = fixture.reads(|| probe(&tables[1]));
    assert_eq!(calls, 3, "what was dropped is read again: footer with root, index, filter");

    // Those that cursors have stay, and count; the others make room for them.
    let mut cursors: Vec<_> = tables[..6].iter().map(Table::cursor).collect();
    cursors.iter_mut().for_each(|cursor| cursor.seek_first().expect("sound"));
    assert_eq!(heads.used_bytes(), 6 * one);
    tables[..6].iter().for_each(|table| assert_eq!(fixture.reads(|| probe(table)).0, 0));
    drop(cursors);
    probe(&tables[9]);
    probe(&tables[8]);
    assert!(heads.used_bytes() <= 3 * one, "{}", heads.used_bytes());
    drop(tables);
    assert_eq!(heads.used_bytes(), 0);
}

#[test]
fn a_budget_of_nothing_still_answers() {
    let fixture = Fixture::new();
    let cache = Arc::new(BlockCache::new(0));
    let heads = Arc::new(HeadMemory::new(0));
    let tables = [fixture.table(&cache, &heads), fixture.table(&cache, &heads)];
    for _ in 0..3 {
        for table in &tables {
            assert!(get(table, b"key000007", SeqNo(1)).expect("sound").is_some());
            assert!(collect(table.stream()).expect("sound") == fixture.all);
        }
    }
}

/// Threads use, drop and read heads again; the count of bytes comes out even.
#[test]
fn heads_come_and_go_under_many_readers() {
    let fixture = Fixture::new();
    let (cache, heads) = (Arc::new(BlockCache::new(16 << 20)), Arc::new(HeadMemory::new(60_000)));
    let tables: Vec<_> = (0..5).map(|_| fixture.table(&cache, &heads)).collect();
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (tables, all) = (&tables, &fixture.all);
            scope.spawn(move || {
                for i in 0..400 {
                    let entry = &all[(i * 7 + thread * 31) % all.len()];
                    let table = &tables[(i / 3 + thread) % tables.len()];
                    let found = get(table, &entry.0, SeqNo(1)).expect("sound").expect("there");
                    assert_eq!(&owned(found.entry()), entry);
                }
            });
        }
    });
    drop(tables);
    assert_eq!(heads.used_bytes(), 0);
}
