//! What compaction promises: every reader sees what it saw, space comes back,
//! damage stays where it is.

use esker::crashtest::tiny_options;
use esker::sim::SimFs;
use esker::{Db, Error, Fs, OpenMode, Options, SyncPolicy, WriteBatch};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::thread;
use std::time::{Duration, Instant};

type Model = BTreeMap<Vec<u8>, Vec<u8>>;

fn options() -> Options {
    // All values in the tables: what becomes of large ones is told in tests/values.rs.
    Options { value_threshold: 1 << 20, ..tiny_options(SyncPolicy::Never) }
}

/// Where there are no threads: compaction is done in the calls that make it due.
fn open(fs: &SimFs) -> Db {
    fs.set_threads(false);
    Db::open_with_fs(Arc::new(fs.clone()), "/db", options()).expect("opens")
}

fn key(n: u64) -> Vec<u8> {
    format!("key{n:06}").into_bytes()
}

/// Values that no compression makes small.
fn value(n: u64, size: usize) -> Vec<u8> {
    let mut state = n;
    let byte = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(byte).take(size).collect()
}

fn table_files(fs: &SimFs) -> usize {
    let names = fs.list(Path::new("/db")).expect("a list");
    names.iter().filter(|name| name.ends_with(".tbl")).count()
}

/// Of all tables.
fn entries(db: &Db) -> u64 {
    db.metrics().levels.iter().map(|level| level.entries).sum()
}

fn tombstones(db: &Db) -> u64 {
    db.metrics().levels.iter().map(|level| level.tombstones).sum()
}

/// Waits for what the background must come to.
fn until(db: &Db, is_so: impl Fn() -> bool) {
    let since = Instant::now();
    while !is_so() {
        assert!(since.elapsed() < Duration::from_secs(60), "{:?}", db.metrics());
        thread::sleep(Duration::from_millis(20));
    }
}

fn seen(db: &Db) -> Model {
    let owned = |entry: esker::Result<(esker::Key, esker::Value)>| {
        let (key, value) = entry.expect("an entry");
        (key.into(), value.into())
    };
    db.iter().map(owned).collect()
}

#[test]
fn tables_are_merged_and_nothing_is_lost() {
    let fs = SimFs::new();
    let db = open(&fs);
    let mut model = Model::new();
    for round in 0..40 {
        let mut batch = WriteBatch::new();
        for n in 0..60 {
            let key = key((round * 37 + n * 13) % 700);
            if n % 7 == 0 {
                batch.delete(&key);
                model.remove(&key);
            } else {
                let value = value(round * 100 + n, 500);
                batch.set(&key, &value);
                model.insert(key, value);
            }
        }
        db.write(batch).expect("a commit");
        db.flush().expect("a flush");
    }
    let metrics = db.metrics();
    assert_eq!(seen(&db), model);
    assert!(metrics.compaction.compactions >= 6, "{metrics:?}");
    assert!(metrics.compaction.dropped_entries > 500, "{metrics:?}");
    // 700 keys of 500 bytes, in tables of 16 KiB, and the few that are not merged yet.
    assert!((18..=50).contains(&metrics.tables), "{metrics:?}");
    assert_eq!(table_files(&fs), metrics.tables, "files of merged tables are removed");
    db.verify().expect("sound");
    db.close().expect("closes");
    assert_eq!(seen(&open(&fs)), model);
}

#[test]
fn small_tables_are_merged_among_themselves_and_hide_what_they_hid() {
    let fs = SimFs::new();
    let db = open(&fs);
    for n in 0..1000 {
        db.set(key(n), value(n, 500)).expect("a commit");
    }
    db.compact().expect("compacts");
    let written = db.metrics().compaction.written_bytes;
    for n in 0..10 {
        db.delete(key(n * 90)).expect("a commit");
        db.set(key(n * 90 + 1), "newer").expect("a commit");
        db.flush().expect("a flush");
        let level_0 = db.metrics().levels[0].tables;
        assert!(level_0 < 5, "{level_0} after {n}");
    }
    // Not the half megabyte below, for a few entries.
    assert!(db.metrics().compaction.written_bytes - written < 10_000);
    for n in 0..10 {
        assert_eq!(db.get(key(n * 90)).expect("a read"), None);
        assert_eq!(db.get(key(n * 90 + 1)).expect("a read").as_deref(), Some(&b"newer"[..]));
    }
    assert_eq!(db.iter().count(), 990);
    assert_eq!(db.iter().rev().count(), 990);
}

#[test]
fn ordered_loads_are_moved_down_and_not_rewritten() {
    let fs = SimFs::new();
    let db = open(&fs);
    for n in 0..2000 {
        db.set(key(n), value(n, 500)).expect("a commit");
    }
    db.flush().expect("a flush");
    let metrics = db.metrics();
    assert!(metrics.compaction.moved_tables > 5, "{metrics:?}");
    assert_eq!(metrics.compaction.written_bytes, 0, "{metrics:?}");
    assert_eq!(db.iter().count(), 2000);
}

#[test]
fn snapshots_see_what_they_saw_and_let_go_of_it() {
    let fs = SimFs::new();
    let db = open(&fs);
    let mut snapshots = Vec::new();
    for round in 0..8_u64 {
        for n in 0..50 {
            db.set(key(n), value(round * 50 + n, 300)).expect("a commit");
        }
        db.delete(key(round)).expect("a commit");
        snapshots.push((round, db.snapshot()));
        db.flush().expect("a flush");
    }
    db.compact().expect("compacts");
    for (round, snapshot) in &snapshots {
        for n in 0..50 {
            let expected = (n != *round).then(|| value(round * 50 + n, 300));
            let found = snapshot.get(key(n)).expect("a read");
            assert_eq!(found.as_deref(), expected.as_deref(), "snapshot {round}, key {n}");
        }
        assert_eq!(snapshot.iter().count(), 49);
        assert_eq!(snapshot.iter().rev().count(), 49);
    }
    let held = db.metrics();
    // Fifty of each round, less the first tombstone, which hides nothing.
    assert_eq!(entries(&db), 8 * 50 - 1, "{held:?}");
    // All but the middle one: its versions stay, and those of now.
    let middle = snapshots.swap_remove(4).1;
    drop(snapshots);
    db.set("x", "so that there is something to merge").expect("a commit");
    db.compact().expect("compacts");
    assert_eq!(middle.iter().count(), 49);
    drop(middle);
    db.compact().expect("compacts");
    let free = db.metrics();
    assert_eq!((entries(&db), tombstones(&db)), (50, 0), "{free:?}");
}

#[test]
fn an_iterator_goes_on_over_tables_that_were_merged_away() {
    let fs = SimFs::new();
    let db = open(&fs);
    for n in 0..300 {
        db.set(key(n), value(n, 300)).expect("a commit");
    }
    db.flush().expect("a flush");
    let mut iterator = db.iter();
    for n in 0..10 {
        assert_eq!(iterator.next().expect("an entry").expect("a read").0, key(n).as_slice());
    }
    let mut batch = WriteBatch::new();
    for n in 0..300 {
        batch.delete(key(n));
    }
    db.write(batch).expect("a commit");
    db.compact().expect("compacts");
    assert_eq!(db.metrics().tables, 0, "nothing is left");
    assert!(table_files(&fs) > 0, "the iterator reads them");
    for n in 10..300 {
        let (k, v) = iterator.next().expect("an entry").expect("a read");
        assert_eq!((&*k, &*v), (key(n).as_slice(), value(n, 300).as_slice()));
    }
    drop(iterator);
    db.set("a", "b").expect("a commit");
    assert_eq!(table_files(&fs), 0);
}

#[test]
fn deletes_reach_the_disk_in_time_though_nobody_writes() {
    // By a clock that moves when it is told to: what is due by it comes when the machine gets to it.
    let (fs, within) = (SimFs::new(), Duration::from_secs(4000));
    let options = Options { reclaim_within: within, disk_reserve_bytes: 0, ..options() };
    let db = Db::open_with_fs(Arc::new(fs.clone()), "/db", options).expect("opens");
    for n in 0..2000 {
        db.set(key(n), value(n, 500)).expect("a commit");
    }
    db.compact().expect("compacts");
    let full = db.metrics().table_bytes;
    // So few that no garbage is worth a merge; they stand in the memtable.
    for n in 0..20 {
        db.delete(key(n * 100)).expect("a commit");
    }
    // A quarter of the time in memory, and half of it in tables, of whatever level.
    fs.sim_clock().advance(within / 4 + Duration::from_secs(1));
    until(&db, || tombstones(&db) > 0);
    fs.sim_clock().advance(within / 2);
    until(&db, || (entries(&db), tombstones(&db)) == (1980, 0));
    assert!(db.metrics().table_bytes < full);
}

#[test]
fn a_delete_of_most_keys_gives_space_back_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let db = Db::open(dir.path(), options()).expect("opens");
    for n in 0..2000 {
        db.set(key(n), value(n, 500)).expect("a commit");
    }
    db.flush().expect("a flush");
    for n in (0..2000).filter(|n| n % 10 != 0) {
        db.delete(key(n)).expect("a commit");
    }
    db.flush().expect("a flush");
    until(&db, || db.metrics().table_bytes <= 200 * 700);
    assert_eq!(db.iter().count(), 200);
}

// `reclaim_within` is a day, and what the deletes free is little beside all there is. But whoever lists from that end
// walks over each of them.
#[test]
fn deletes_that_scans_pay_for_go_before_their_time() {
    type First = fn(&Db) -> esker::Key;
    let from_front: First = |db| db.iter().next().expect("an entry").expect("a read").0;
    let from_back: First = |db| db.iter().next_back().expect("an entry").expect("a read").0;
    for (first, deleted, left) in [(from_front, 0, 12_000), (from_back, 188_000, 187_999)] {
        // Its clock stands still, so that the haste which a scan causes outlasts any delay of the machine.
        let options = Options { sync_policy: SyncPolicy::Never, ..Options::default() };
        let db = Db::open_with_fs(Arc::new(SimFs::new()), "/db", options).expect("opens");
        db.ingest((0..200_000).map(|n| (key(n), n.to_le_bytes()))).expect("an ingest");
        for from in (deleted..deleted + 12_000).step_by(1000) {
            let mut batch = WriteBatch::new();
            (from..from + 1000).for_each(|n| batch.delete(key(n)));
            db.write(batch).expect("a commit");
        }
        // The worker looks twice a second.
        thread::sleep(Duration::from_millis(1500));
        assert_eq!((entries(&db), tombstones(&db)), (200_000, 0), "in memory, for now");
        assert_eq!(*first(&db), *key(left));
        until(&db, || (entries(&db), tombstones(&db)) == (188_000, 0));
        assert_eq!(*first(&db), *key(left));
    }
}

#[test]
fn expired_entries_go_after_their_retention() {
    let fs = SimFs::new();
    let db = open(&fs);
    db.set("kept", "value").expect("a commit");
    for n in 0..100 {
        db.set_with_ttl(key(n), value(n, 300), Duration::from_secs(60 + n)).expect("a commit");
    }
    db.compact().expect("compacts");
    fs.sim_clock().advance(Duration::from_secs(60 + 50 + 599));
    db.compact().expect("compacts");
    // 600 s after its end the first, and so on; one more may be due by rounding.
    let left = entries(&db);
    assert!((50..=52).contains(&left), "{left}");
    assert_eq!(db.iter().count(), 1);
    fs.sim_clock().advance(Duration::from_secs(700));
    db.compact().expect("compacts");
    assert_eq!(entries(&db), 1);
}

#[test]
fn damage_stops_the_job_and_stays_where_it_is() {
    let fs = SimFs::new();
    fs.set_threads(false);
    // Without a cache, so that reads after the damage are reads of the disk.
    let options = Options { block_cache_bytes: 0, ..options() };
    let db = Db::open_with_fs(Arc::new(fs.clone()), "/db", options.clone()).expect("opens");
    for n in 0..100 {
        db.set(key(n), value(n, 300)).expect("a commit");
    }
    db.flush().expect("a flush");
    let names = fs.list(Path::new("/db")).expect("a list");
    let table = names.iter().find(|name| name.ends_with(".tbl")).expect("a table");
    let path = Path::new("/db").join(table);
    // In place of the file stands one with a byte changed.
    let read = |path: &Path| {
        let file = fs.open(path, OpenMode::Read).expect("opens");
        let mut bytes = vec![0; usize::try_from(file.len().expect("a length")).expect("small")];
        assert_eq!(file.read_at(&mut bytes, 0).expect("a read"), bytes.len());
        bytes
    };
    let mut bytes = read(&path);
    bytes[2000] ^= 1;
    fs.remove(&path).expect("removes");
    let file = fs.open(&path, OpenMode::CreateNew).expect("creates");
    assert_eq!(file.write_at(&bytes, 0).expect("a write"), bytes.len());
    drop(db);
    let db = Db::open_with_fs(Arc::new(fs.clone()), "/db", options).expect("opens");
    for n in (0..100).step_by(3) {
        db.set(key(n), "newer").expect("a commit");
    }
    let e = db.compact().expect_err("damaged");
    assert!(matches!(&e, Error::Corruption { file, .. } if *file == path), "{e}");
    // It is not tried again and again, nor written off.
    let failures = db.metrics().compaction.failures;
    for n in 0..400 {
        db.set(format!("other{n}"), value(n, 300)).expect("a commit");
    }
    db.flush().expect("a flush");
    assert!(db.metrics().compaction.failures <= failures + 1, "{:?}", db.metrics());
    assert!(names.contains(table));
    let mut told = 0;
    for n in 0..100 {
        match db.get(key(n)) {
            Ok(Some(found)) if n % 3 == 0 => assert_eq!(&*found, b"newer"),
            Ok(Some(found)) => assert_eq!(&*found, value(n, 300).as_slice()),
            Ok(None) => panic!("key {n}: damage is never absence"),
            Err(e) => {
                assert!(matches!(e, Error::Corruption { .. }), "{e}");
                told += 1;
            }
        }
    }
    assert!((1..10).contains(&told), "{told} keys of one block");
}
