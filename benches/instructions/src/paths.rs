//! The hot paths: what each needs beforehand, and what of it is counted.
//!
//! Each has a process of its own under the counter, and a directory of its own: what one leaves in the allocator,
//! a cache or the disk is not another's count. What can be made beforehand is made at full speed, outside of the counter.

use crate::inputs::{
    Entry, LARGE_VALUE_BYTES, VALUE_BYTES, Work, entries, group_prefix, grouped_key, key, load,
    make, open, random, value,
};
use esker::{Db, Engine, LsmEngine, WriteBatch};
use std::hint::black_box;
use std::path::Path;

/// How many entries there are, where it is not said otherwise.
const ENTRIES: u64 = 20_000;

/// How many gets, or sets, are counted.
const CALLS: u64 = 4_000;

/// How many large values there are, and are read or set.
const LARGE_VALUES: u64 = 500;

/// How many groups of a hundred keys are there.
const GROUPS: u64 = 100;

/// How many databases are opened.
const OPENS: u64 = 10;

/// The name of [`esker_counted_section`], as a pattern: what a compiler puts round it does not matter.
pub const SECTION_PATTERN: &str = "*esker_counted_section*";

/// A hot path.
pub struct HotPath {
    /// Its name in the table of bounds.
    pub name: &'static str,
    /// What an operation is.
    pub what: &'static str,
    /// How many operations are counted.
    pub operations: u64,
    /// Makes what it needs in the directory, outside of the counter.
    pub prepare: fn(&Path),
    /// Does the operations, inside of it.
    pub run: fn(&Path),
}

/// All of them.
#[rustfmt::skip]
pub const HOT_PATHS: &[HotPath] = &[
    HotPath { name: "get_memtable", what: "get of a key in the memtable", operations: CALLS, prepare: nothing, run: get_memtable },
    HotPath { name: "get_table", what: "get of a key in the one table, its block in the cache", operations: CALLS, prepare: one_table, run: get_table },
    HotPath { name: "get_level0", what: "get of a key in one of four tables that overlap, its block in the cache", operations: CALLS, prepare: four_tables, run: get_table },
    HotPath { name: "get_missing", what: "get of a key in none of four tables that overlap", operations: CALLS, prepare: four_tables, run: get_missing },
    HotPath { name: "get_large", what: "get of a value of 4 KiB, from its file", operations: LARGE_VALUES, prepare: large_values, run: get_large },
    HotPath { name: "list100", what: "`Engine::list` of a prefix with 100 keys", operations: GROUPS, prepare: groups, run: list100 },
    HotPath { name: "scan", what: "an entry of a scan of one table, borrowed", operations: ENTRIES, prepare: one_table, run: scan },
    HotPath { name: "scan_back", what: "the same, backwards", operations: ENTRIES, prepare: one_table, run: scan_back },
    HotPath { name: "scan_keys", what: "the same, keys alone", operations: ENTRIES, prepare: one_table, run: scan_keys },
    HotPath { name: "scan_owned", what: "the same, keys and values copied", operations: ENTRIES, prepare: one_table, run: scan_owned },
    HotPath { name: "scan_merged", what: "an entry of a scan over four tables that overlap, borrowed", operations: ENTRIES, prepare: four_tables, run: scan },
    HotPath { name: "set", what: "set, unsynced, beside 20,000 entries in the memtable", operations: CALLS, prepare: nothing, run: set },
    HotPath { name: "set_large", what: "set of a value of 4 KiB, unsynced", operations: LARGE_VALUES, prepare: nothing, run: set_large },
    HotPath { name: "batch100", what: "an entry of an unsynced batch of 100, beside 20,000 in the memtable", operations: CALLS, prepare: nothing, run: batch100 },
    HotPath { name: "transaction", what: "a transaction that reads one key and sets one, unsynced", operations: CALLS, prepare: nothing, run: transaction },
    HotPath { name: "flush", what: "an entry of a memtable that becomes a table", operations: ENTRIES, prepare: nothing, run: flush },
    HotPath { name: "compaction", what: "an entry of four tables that are merged into one level", operations: ENTRIES, prepare: four_tables, run: compaction },
    HotPath { name: "open", what: "open of a database with one table of 100 entries", operations: OPENS, prepare: small_databases, run: open_small },
    HotPath { name: "replay", what: "an entry in the log of a database that is opened after a crash", operations: ENTRIES, prepare: log_of_a_crash, run: replay },
];

/// What is counted: the counter is on while this runs, and it finds it by its name.
#[inline(never)]
fn esker_counted_section(section: &mut dyn FnMut()) {
    section();
    // Not the last call: the compiler would make a jump of it, and this function would end before the section.
    black_box(section);
}

fn counted(section: impl FnOnce()) {
    let mut section = Some(section);
    esker_counted_section(&mut || section.take().expect("it is called once")());
}

fn count_of(n: u64) -> usize {
    usize::try_from(n).expect("counts are small")
}

// What they need.

fn nothing(_: &Path) {}

fn one_table(dir: &Path) {
    make(dir, &[entries(0..ENTRIES, VALUE_BYTES)]);
}

fn four_tables(dir: &Path) {
    let table = |first| entries((first..ENTRIES).step_by(4), VALUE_BYTES);
    make(dir, &[0, 1, 2, 3].map(table));
}

fn large_values(dir: &Path) {
    make(dir, &[entries(0..LARGE_VALUES, LARGE_VALUE_BYTES)]);
}

fn groups(dir: &Path) {
    // By members, so that what is listed together was not written together.
    let keys = (0..100).flat_map(|member| (0..GROUPS).map(move |group| (group, member)));
    let entry = |(group, member): (u64, u64)| {
        (format!("kv:{}", grouped_key(group, member)), value(member, VALUE_BYTES))
    };
    make(dir, &[keys.map(entry).collect()]);
}

fn small_databases(dir: &Path) {
    for n in 0..OPENS {
        make(&dir.join(n.to_string()), &[entries(0..100, VALUE_BYTES)]);
    }
}

fn log_of_a_crash(dir: &Path) {
    let db = open(dir, Work::Inline);
    load(&db, &entries(0..ENTRIES, VALUE_BYTES));
    drop(db); // Without `close`, nothing is written out.
}

fn filled_memtable(dir: &Path, work: Work) -> Db {
    let db = open(dir, work);
    load(&db, &entries(0..ENTRIES, VALUE_BYTES));
    db
}

// What they do.

/// Gets `keys`, once for the caches and once for the counter.
fn get_all(db: &Db, keys: &[Vec<u8>], is_there: bool) {
    let get = || {
        for key in keys {
            let value = db.get(key).expect("a read");
            assert_eq!(black_box(value).is_some(), is_there);
        }
    };
    get();
    counted(get);
}

fn keys_below(count: u64, calls: u64) -> Vec<Vec<u8>> {
    (0..calls).map(|n| key(random(n) % count)).collect()
}

fn get_memtable(dir: &Path) {
    get_all(&filled_memtable(dir, Work::Inline), &keys_below(ENTRIES, CALLS), true);
}

fn get_table(dir: &Path) {
    get_all(&open(dir, Work::Inline), &keys_below(ENTRIES, CALLS), true);
}

fn get_missing(dir: &Path) {
    let keys: Vec<_> = (ENTRIES..ENTRIES + CALLS).map(key).collect();
    get_all(&open(dir, Work::Inline), &keys, false);
}

fn get_large(dir: &Path) {
    get_all(&open(dir, Work::Inline), &keys_below(LARGE_VALUES, LARGE_VALUES), true);
}

fn list100(dir: &Path) {
    let engine = LsmEngine::new(open(dir, Work::Inline));
    let prefixes: Vec<_> = (0..GROUPS).map(|n| group_prefix(random(n) % GROUPS)).collect();
    let list = || {
        for prefix in &prefixes {
            assert_eq!(black_box(engine.list(prefix).expect("a list")).len(), 100);
        }
    };
    list();
    counted(list);
}

/// Counts what one run of `scan` takes, which returns how many entries it saw, after one for the caches.
fn scan_all(dir: &Path, scan: impl Fn(&Db) -> usize) {
    let db = open(dir, Work::Inline);
    let scan = || assert_eq!(scan(&db), count_of(ENTRIES));
    scan();
    counted(scan);
}

fn scan(dir: &Path) {
    scan_all(dir, |db| {
        let (mut range, mut count) = (db.iter(), 0);
        while let Some(seen) = range.next_with(|key, value| _ = black_box((key, value))) {
            seen.expect("an entry");
            count += 1;
        }
        count
    });
}

fn scan_back(dir: &Path) {
    scan_all(dir, |db| {
        let (mut range, mut count) = (db.iter(), 0);
        while let Some(seen) = range.next_back_with(|key, value| _ = black_box((key, value))) {
            seen.expect("an entry");
            count += 1;
        }
        count
    });
}

fn scan_keys(dir: &Path) {
    scan_all(dir, |db| {
        let (mut keys, mut count) = (db.iter().keys(), 0);
        while let Some(seen) = keys.next_with(|key| _ = black_box(key)) {
            seen.expect("a key");
            count += 1;
        }
        count
    });
}

fn scan_owned(dir: &Path) {
    scan_all(dir, |db| {
        let mut count = 0;
        for entry in db.iter() {
            black_box(entry.expect("an entry"));
            count += 1;
        }
        count
    });
}

/// Sets `entries` one by one, in the counter.
fn set_each(db: &Db, entries: &[Entry]) {
    counted(|| {
        for (key, value) in entries {
            db.set(key, value).expect("a commit");
        }
    });
}

fn new_entries() -> Vec<Entry> {
    entries(ENTRIES..ENTRIES + CALLS, VALUE_BYTES)
}

fn set(dir: &Path) {
    set_each(&filled_memtable(dir, Work::InThreads), &new_entries());
}

fn set_large(dir: &Path) {
    let db = open(dir, Work::InThreads);
    load(&db, &entries(0..LARGE_VALUES, LARGE_VALUE_BYTES));
    set_each(&db, &entries(LARGE_VALUES..2 * LARGE_VALUES, LARGE_VALUE_BYTES));
}

fn batch100(dir: &Path) {
    let (db, entries) = (filled_memtable(dir, Work::InThreads), new_entries());
    counted(|| {
        for entries in entries.chunks(100) {
            let mut batch = WriteBatch::new();
            for (key, value) in entries {
                batch.set(key, value);
            }
            db.write(batch).expect("a commit");
        }
    });
}

fn transaction(dir: &Path) {
    let (db, keys, entries) =
        (filled_memtable(dir, Work::InThreads), keys_below(ENTRIES, CALLS), new_entries());
    counted(|| {
        for (read, (key, value)) in keys.iter().zip(&entries) {
            let mut transaction = db.transaction();
            assert!(transaction.get(read).expect("a read").is_some());
            transaction.set(key, value).expect("a write");
            transaction.commit().expect("a commit");
        }
    });
}

fn flush(dir: &Path) {
    let db = filled_memtable(dir, Work::Inline);
    counted(|| db.flush().expect("a flush"));
    assert_eq!(db.layout().levels[0].tables.len(), 1);
}

fn compaction(dir: &Path) {
    let db = open(dir, Work::Inline);
    assert_eq!(db.layout().levels[0].tables.len(), 4);
    counted(|| db.compact().expect("a compaction"));
    assert_eq!(db.layout().levels[0].tables.len(), 0);
}

fn open_small(dir: &Path) {
    let dirs: Vec<_> = (0..OPENS).map(|n| dir.join(n.to_string())).collect();
    let mut opened = Vec::with_capacity(dirs.len());
    counted(|| opened.extend(dirs.iter().map(|dir| open(dir, Work::Inline))));
    for db in opened {
        assert_eq!(db.iter().count(), 100);
    }
}

fn replay(dir: &Path) {
    let mut opened = None;
    counted(|| opened = Some(open(dir, Work::Inline)));
    let db = opened.expect("it was opened");
    assert_eq!(db.metrics().recovery.batches_replayed, ENTRIES / 100);
    assert_eq!(db.iter().count(), count_of(ENTRIES));
}
