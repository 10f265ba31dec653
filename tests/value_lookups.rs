//! What a collection of large values goes through: no more of a log than it must, and all that lives.
//!
//! A collection looked each value of a log up in the tables, the small ones too, which stand there and are far more:
//! with values of 128 bytes and a few of 16 KiB it took 1.6 s for a file in place of 0.2, half a processor, and writers
//! of large values waited for it. (Found by a sustained load five times as long as that of the benchmarks.)

#[expect(dead_code, reason = "shared with tests that use more of it")]
mod hooked_fs;

use esker::sim::{CallKind, SimFs};
use esker::{Db, Error, Options, SyncPolicy};
use hooked_fs::HookedFs;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::thread;

const DIR: &str = "/db";
const LARGE: usize = 20_000;

fn options() -> Options {
    Options {
        sync_policy: SyncPolicy::Never,
        auto_compaction: false,
        disk_reserve_bytes: 0,
        // Each look into a table is a read.
        block_cache_bytes: 0,
        ..Options::default()
    }
}

/// `size` bytes that no compression makes smaller.
fn noise(seed: u64, size: usize) -> Vec<u8> {
    let mut state = seed.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    };
    std::iter::repeat_with(next).take(size).collect()
}

/// A disk without threads, which notes its calls.
fn disk() -> SimFs {
    let disk = SimFs::new();
    disk.set_threads(false);
    disk.set_trace(true);
    disk
}

fn open(disk: &SimFs, options: Options) -> Db {
    Db::open_with_fs(Arc::new(disk.clone()), DIR, options).expect("opens")
}

fn large_key(n: u64) -> String {
    format!("large{n:02}")
}

/// Twenty large values, each before a hundred small ones, in one log, of which those of `lives` live.
fn filled(disk: &SimFs, lives: impl Fn(u64) -> bool) -> Db {
    let db = open(disk, options());
    for n in 0..20 {
        db.set(large_key(n), noise(n, LARGE)).expect("a set");
        for i in 0..100 {
            db.set(format!("small{n:02}{i:02}"), noise(100 * n + i, 128)).expect("a set");
        }
    }
    db.flush().expect("a flush");
    for n in (0..20).filter(|&n| !lives(n)) {
        db.delete(large_key(n)).expect("a delete");
    }
    db.compact().expect("compacts");
    db
}

/// How many reads of files of either kind a collection takes: of tables, of the log.
fn reads_of_a_collection(disk: &SimFs, db: &Db) -> (usize, usize) {
    let before = disk.trace().len();
    let collected = db.collect_garbage().expect("collected");
    assert_eq!(collected.files, 1);
    let trace = disk.trace().split_off(before);
    let is_read = |call: &&String| call.contains(" Read ");
    let count = |of: &str| trace.iter().filter(is_read).filter(|call| call.contains(of)).count();
    (count(".tbl"), count(".log"))
}

#[test]
fn small_values_of_a_log_are_not_looked_up() {
    let disk = disk();
    let db = filled(&disk, |n| n % 4 == 3);
    let (of_tables, of_the_log) = reads_of_a_collection(&disk, &db);
    // Twenty large values, of which five live.
    assert!((5..100).contains(&of_tables), "{of_tables} reads of tables");
    assert!(of_the_log < 100, "{of_the_log} reads of the log");
    for n in 0..20 {
        let found = db.get(large_key(n)).expect("a read");
        assert_eq!(found.map(|value| value.to_vec()), (n % 4 == 3).then(|| noise(n, LARGE)));
    }
    db.verify().expect("sound");
}

#[test]
fn a_log_is_read_no_further_than_to_the_last_value_that_lives() {
    let whole = disk();
    let (_, to_the_end) = reads_of_a_collection(&whole, &filled(&whole, |n| n == 19));
    let front = disk();
    let (_, to_the_first) = reads_of_a_collection(&front, &filled(&front, |n| n == 0));
    assert!(to_the_first * 3 < to_the_end, "{to_the_first} reads and {to_the_end}");
}

#[test]
fn values_that_were_large_by_an_earlier_threshold_are_found() {
    let disk = disk();
    let was = Options { value_threshold: 64, ..options() };
    let db = open(&disk, was);
    let mut lives = BTreeMap::new();
    for n in 0..200_u64 {
        // Some that are large by the later one, too.
        let value = noise(n, if n % 10 == 0 { 5_000 } else { 200 });
        db.set(format!("key{n:03}"), &value).expect("a set");
        lives.insert(format!("key{n:03}").into_bytes(), value);
    }
    db.close().expect("closed");
    let db = open(&disk, Options { value_threshold: 4096, ..options() });
    for n in (0..200).filter(|n| n % 3 > 0) {
        let key = format!("key{n:03}");
        db.delete(&key).expect("a delete");
        lives.remove(key.as_bytes());
    }
    db.compact().expect("compacts");
    assert!(db.collect_garbage().expect("collected").files > 0);
    let found: BTreeMap<_, _> = db
        .iter()
        .map(|entry| entry.map(|(key, value)| (key.to_vec(), value.to_vec())).expect("a read"))
        .collect();
    assert_eq!(found, lives);
    db.verify().expect("sound");
}

/// A collection goes on through small values for long without a look into the tables.
#[test]
fn a_close_does_not_wait_until_a_log_of_small_values_has_been_gone_through() {
    let fs = HookedFs::new(&SimFs::new());
    let db = Arc::new(Db::open_with_fs(Arc::new(fs.clone()), DIR, options()).expect("opens"));
    db.set(large_key(0), noise(0, LARGE)).expect("a set");
    for n in 0..20_000 {
        db.set(format!("small{n:05}"), noise(n, 128)).expect("a set");
    }
    db.set(large_key(1), noise(1, LARGE)).expect("a set");
    db.flush().expect("a flush");
    db.delete(large_key(0)).expect("a delete");
    db.compact().expect("compacts");
    let reads = Arc::new(AtomicUsize::new(0));
    let (is_in_it, wait_for_it) = channel();
    let (counted, seen) = (Arc::clone(&reads), Arc::clone(&db));
    fs.set_hook(move |call| {
        // In the midst of the log the database is closed.
        if call.is(CallKind::Read, ".log")
            && !call.is_done
            && counted.fetch_add(1, Ordering::Relaxed) == 4
        {
            is_in_it.send(()).expect("somebody listens");
            while !matches!(seen.get("no key"), Err(Error::Closed)) {
                thread::yield_now();
            }
        }
        Ok(())
    });
    let ended = thread::scope(|scope| {
        let collection = scope.spawn(|| db.collect_garbage());
        wait_for_it.recv().expect("it reads the log");
        db.close().expect("closed");
        collection.join().expect("no panic")
    });
    fs.clear_hook();
    assert!(matches!(ended, Err(Error::Closed)), "{ended:?}");
    // Of more than forty.
    let reads = reads.load(Ordering::Relaxed);
    assert!(reads <= 7, "{reads} reads of the log");
}
