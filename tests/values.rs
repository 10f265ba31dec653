//! Large values: where they go, what finds them, and what becomes of their garbage.

use esker::sim::{CallKind, CrashModel, Fault, FaultPlan, SimFs};
use esker::{Compression, Db, Metrics, Options, SyncPolicy};
use std::collections::BTreeMap;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const KIB: usize = 1 << 10;

/// A value of `size` bytes that only `number` has, half of which compresses away.
fn value(number: u64, size: usize) -> Vec<u8> {
    let mut state = number.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let mut bytes = vec![0; size];
    for chunk in bytes.chunks_mut(16) {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        let random = state.to_be_bytes();
        let size = chunk.len().min(8);
        chunk[..size].copy_from_slice(&random[..size]);
    }
    bytes
}

fn small() -> Options {
    Options {
        sync_policy: SyncPolicy::Never,
        log_file_bytes: 256 << 10,
        memtable_bytes: 256 << 10,
        table_bytes: 64 << 10,
        // It would come into being a second after an open, and into what the disk holds.
        disk_reserve_bytes: 0,
        auto_compaction: false,
        ..Options::default()
    }
}

/// Every key as a BTreeMap has it, by gets and by scans.
fn assert_is(db: &Db, want: &BTreeMap<Vec<u8>, Vec<u8>>) {
    for (key, value) in want {
        let found = db.get(key).expect("a read").unwrap_or_else(|| panic!("{key:?} is missing"));
        assert!(*found == value[..], "{key:?}: {} bytes", found.len());
    }
    let forwards: Vec<_> = db.iter().map(|entry| entry.expect("a read")).collect();
    let mut backwards: Vec<_> = db.iter().rev().map(|entry| entry.expect("a read")).collect();
    backwards.reverse();
    for found in [forwards, backwards] {
        assert_eq!(found.len(), want.len());
        let same = found.iter().zip(want).all(|(a, b)| *a.0 == b.0[..] && *a.1 == b.1[..]);
        assert!(same, "a scan differs");
    }
    assert_eq!(db.iter().keys().count(), want.len());
}

fn disk_bytes(dir: &Path) -> u64 {
    let files = std::fs::read_dir(dir).expect("a directory");
    files.map(|file| file.and_then(|f| f.metadata()).map_or(0, |m| m.len())).sum()
}

/// Waits until the files in `dir` take less than `limit` bytes. One that was collected or merged away goes with the
/// last who reads it, and who finds it on the list of those to be removed removes it: that may be the
/// compaction worker, which looks at each new version, and on a busy machine comes to the end of it late.
fn until_below(dir: &Path, limit: u64) {
    let begun = std::time::Instant::now();
    while disk_bytes(dir) >= limit {
        assert!(begun.elapsed() < Duration::from_secs(60), "{} bytes of {limit}", disk_bytes(dir));
        std::thread::sleep(Duration::from_millis(5));
    }
}

fn fill(db: &Db, want: &mut BTreeMap<Vec<u8>, Vec<u8>>, round: u64, sizes: &[usize]) {
    for n in 0..120_u64 {
        let key = format!("key{:03}", n * 7 % 100).into_bytes();
        if n % 11 == 3 {
            db.delete(&key).expect("a delete");
            want.remove(&key);
            continue;
        }
        let value =
            value(round * 1000 + n, sizes[usize::try_from(n).expect("small") % sizes.len()]);
        db.set(&key, &value).expect("a set");
        want.insert(key, value);
    }
}

#[test]
fn values_of_all_sizes_are_found_wherever_they_are() {
    let sizes = [0, 1, 63, 64, 1023, 1024, 1025, 5000, 70_000];
    for compression in [Compression::None, Compression::Snappy] {
        let dir = tempfile::tempdir().expect("a directory");
        let options = Options { compression, ..small() };
        let mut want = BTreeMap::new();
        for round in 0..4 {
            let db = Db::open(dir.path(), options.clone()).expect("opens");
            assert_is(&db, &want);
            fill(&db, &mut want, round, &sizes);
            assert_is(&db, &want);
            let mut batch = esker::WriteBatch::new();
            for n in 0..5 {
                let (key, value) =
                    (format!("batch{n}").into_bytes(), value(round * 77 + n, 30_000));
                batch.set(&key, &value);
                want.insert(key, value);
            }
            db.write(batch).expect("a batch");
            db.flush().expect("a flush");
            assert_is(&db, &want);
            fill(&db, &mut want, round + 50, &sizes);
            match round {
                0 => db.compact().expect("compacts"),
                1 => {
                    db.compact().expect("compacts");
                    db.collect_garbage().expect("collects");
                }
                _ => {}
            }
            assert_is(&db, &want);
            db.verify().expect("all is well");
            // Half of the rounds end without `close`: recovery moves values out of the log.
            if round % 2 == 0 {
                db.close().expect("closes");
            }
        }
    }
}

#[test]
fn a_large_value_is_written_once_and_the_tables_hold_a_pointer() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = Options { compression: Compression::None, ..small() };
    let db = Db::open(dir.path(), options).expect("opens");
    let user_bytes: usize = 400 * 16 * KIB;
    for n in 0..400_u64 {
        db.set(format!("key{n:05}"), value(n, 16 * KIB)).expect("a set");
    }
    db.flush().expect("a flush");
    let metrics = db.metrics();
    let written = metrics.log_written_bytes + metrics.flush_written_bytes;
    assert!(written as f64 <= user_bytes as f64 * 1.02, "{written} bytes for {user_bytes}");
    assert_eq!(metrics.values.live_bytes, user_bytes as u64);
    // The zeros ahead of the records are cut off a log file that stays.
    let disk = disk_bytes(dir.path());
    assert!(disk < user_bytes as u64 + (1 << 20), "{disk} bytes on the disk for {user_bytes}");
    assert!(metrics.table_bytes < 64 << 10, "{} bytes of tables", metrics.table_bytes);
    db.compact().expect("compacts");
    assert_eq!(db.metrics().values.live_bytes, user_bytes as u64);
    db.verify().expect("all is well");
}

#[test]
fn keys_alone_do_not_need_the_values() {
    let dir = tempfile::tempdir().expect("a directory");
    let db = Db::open(dir.path(), small()).expect("opens");
    for n in 0..50 {
        db.set(format!("key{n:02}"), value(n, 4 * KIB)).expect("a set");
    }
    db.flush().expect("a flush");
    // The values are gone from the disk, the keys are not.
    let logs = || {
        let names = std::fs::read_dir(dir.path()).expect("a directory");
        names
            .map(|file| file.expect("a file").path())
            .filter(|p| p.extension() == Some("log".as_ref()))
    };
    for log in logs() {
        std::fs::OpenOptions::new().write(true).open(log).expect("opens").set_len(48).expect("cut");
    }
    assert_eq!(db.iter().keys().filter(Result::is_ok).count(), 50);
    let e = db.get("key07").expect_err("its value is gone");
    assert!(matches!(e, esker::Error::Corruption { .. }), "{e}");
    assert!(db.get("nothing").expect("no value is looked at").is_none());
}

fn garbage(metrics: &Metrics) -> u64 {
    metrics.values.stored_bytes - metrics.values.live_bytes
}

#[test]
fn garbage_is_counted_to_the_byte_and_given_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = Options { compression: Compression::None, ..small() };
    let db = Db::open(dir.path(), options).expect("opens");
    for n in 0..200_u64 {
        db.set(format!("key{n:03}"), value(n, 10_000)).expect("a set");
    }
    db.flush().expect("a flush");
    // Of a log file, keys and frames are not values.
    let overhead = garbage(&db.metrics());
    assert!((1..40_000).contains(&overhead), "{overhead}");
    assert_eq!(db.metrics().values.live_bytes, 2_000_000);
    // Two of three keys are overwritten by something small, or deleted.
    for n in (0..200).filter(|n| n % 3 > 0) {
        match n % 2 {
            0 => db.set(format!("key{n:03}"), "small").expect("a set"),
            _ => db.delete(format!("key{n:03}")).expect("a delete"),
        }
    }
    db.compact().expect("compacts");
    let live = 10_000 * (0..200).filter(|n| n % 3 == 0).count() as u64;
    assert_eq!(db.metrics().values.live_bytes, live);
    assert_eq!(garbage(&db.metrics()), 2_000_000 + overhead - live);
    let before = disk_bytes(dir.path());
    let collected = db.collect_garbage().expect("collects");
    assert_eq!(collected.freed_bytes, 2_000_000 + overhead - live);
    assert_eq!(collected.values, live / 10_000);
    assert!(collected.written_bytes > live && collected.written_bytes < live + live / 50);
    assert_eq!((garbage(&db.metrics()), db.metrics().values.live_bytes), (0, live));
    until_below(dir.path(), before - 1_200_000);
    db.verify().expect("all is well");
    // What lives is read through the map, also after another open and another collection.
    db.close().expect("closes");
    let db = Db::open(dir.path(), small()).expect("opens");
    for n in (0..200_u64).filter(|n| n % 3 == 0) {
        assert_eq!(
            *db.get(format!("key{n:03}")).expect("a read").expect("lives"),
            value(n, 10_000)[..]
        );
        if n % 2 == 0 {
            db.delete(format!("key{n:03}")).expect("a delete");
        }
    }
    db.compact().expect("compacts");
    db.collect_garbage().expect("collects");
    assert_eq!(garbage(&db.metrics()), 0);
    for n in (0..200_u64).filter(|n| n % 3 == 0) {
        let found = db.get(format!("key{n:03}")).expect("a read");
        assert_eq!(found.is_some(), n % 2 == 1, "{n}");
        assert!(found.is_none_or(|found| *found == value(n, 10_000)[..]));
    }
    db.verify().expect("all is well");
}

#[test]
fn a_file_in_which_nothing_lives_goes_without_a_collection() {
    let dir = tempfile::tempdir().expect("a directory");
    let db = Db::open(dir.path(), small()).expect("opens");
    for n in 0..20_u64 {
        db.set(format!("key{n:02}"), value(n, 10_000)).expect("a set");
    }
    db.flush().expect("a flush");
    for n in 0..20 {
        db.delete(format!("key{n:02}")).expect("a delete");
    }
    db.compact().expect("compacts");
    let values = db.metrics().values;
    assert_eq!((values.files, values.stored_bytes, values.collections), (0, 0, 0));
    until_below(dir.path(), 60_000);
}

#[test]
fn snapshots_and_iterators_read_what_was_collected_under_them() {
    let dir = tempfile::tempdir().expect("a directory");
    let db = Db::open(dir.path(), small()).expect("opens");
    let key = |n: u64| format!("key{n:03}");
    for n in 0..100 {
        db.set(key(n), value(n, 5000)).expect("a set");
    }
    db.flush().expect("a flush");
    // Of the first file, what only the snapshot will see is less than half.
    let then = |n: u64| value(if n < 60 { 500 + n } else { n }, 5000);
    for n in 0..60 {
        db.set(key(n), then(n)).expect("a set");
    }
    db.flush().expect("a flush");
    let snapshot = db.snapshot();
    for n in 0..100 {
        db.set(key(n), value(1000 + n, 5000)).expect("a set");
    }
    db.compact().expect("compacts");
    let mut iterator = db.iter();
    iterator.next().expect("the first").expect("a read");
    for n in 0..90 {
        db.delete(key(n)).expect("a delete");
    }
    db.compact().expect("compacts");
    db.collect_garbage().expect("collects");
    // The snapshot's values live; the iterator's are in a file that it keeps.
    for n in 0..100 {
        assert_eq!(*snapshot.get(key(n)).expect("a read").expect("is there"), then(n)[..]);
    }
    for (n, entry) in (1..).zip(&mut iterator) {
        let (_, found) = entry.expect("a read");
        assert_eq!(*found, value(1000 + n, 5000)[..], "{n}");
    }
    drop((snapshot, iterator));
    db.compact().expect("compacts");
    db.collect_garbage().expect("collects");
    assert_eq!(garbage(&db.metrics()), 0);
    for n in 0..100 {
        let found = db.get(key(n)).expect("a read");
        assert_eq!(found.is_some(), n >= 90);
        assert!(found.is_none_or(|found| *found == value(1000 + n, 5000)[..]));
    }
    db.verify().expect("all is well");
}

#[test]
fn files_of_values_that_have_all_expired_go_whole() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = Options { expired_retention: Duration::ZERO, ..small() };
    let db = Db::open(dir.path(), options).expect("opens");
    for n in 0..50_u64 {
        let ttl = Duration::from_millis(300);
        db.set_with_ttl(format!("key{n:02}"), value(n, 10_000), ttl).expect("a set");
    }
    db.flush().expect("a flush");
    assert!(db.metrics().values.stored_bytes > 200_000);
    while db.get("key49").expect("a read").is_some() {
        std::thread::sleep(Duration::from_millis(20));
    }
    let collected = db.collect_garbage().expect("collects");
    assert!(collected.files > 0 && collected.values == 0, "{collected:?}");
    assert_eq!(db.metrics().values.stored_bytes, 0);
    assert!(db.get("key00").expect("no value is looked for").is_none());
    assert_eq!(db.iter().count(), 0);
    db.verify().expect("entries of a segment that is gone have expired");
    db.compact().expect("compacts");
    db.verify().expect("all is well");
}

// What had expired in a file in which other values live was counted when it was dropped, and again when
// the file was collected.
#[test]
fn what_a_collection_frees_is_counted_once() {
    let fs = SimFs::new();
    fs.set_threads(false);
    let options =
        Options { expired_retention: Duration::ZERO, compression: Compression::None, ..small() };
    let db = Db::open_with_fs(Arc::new(fs.clone()), "/db", options).expect("opens");
    for n in 0..10 {
        db.set(format!("stays{n}"), value(n, 10_000)).expect("a set");
    }
    db.flush().expect("a flush");
    for n in 0..10 {
        let ttl = Duration::from_secs(10);
        db.set_with_ttl(format!("goes{n}"), value(100 + n, 10_000), ttl).expect("a set");
    }
    db.flush().expect("a flush");
    for n in 0..5 {
        db.delete(format!("stays{n}")).expect("a delete");
        db.delete(format!("goes{n}")).expect("a delete");
    }
    db.compact().expect("compacts");
    let stored = || db.metrics().values.stored_bytes;
    let before = stored();
    let collected = db.collect_garbage().expect("collects");
    assert_eq!((collected.files, collected.values), (2, 10));
    assert_eq!((collected.freed_bytes, stored()), (before - stored(), 100_000));
    let values = db.metrics().values;
    assert_eq!((values.files, values.segments), (1, 2), "both are in one file");
    fs.sim_clock().advance(Duration::from_secs(11));
    let collected = db.collect_garbage().expect("collects");
    assert_eq!((collected.freed_bytes, stored()), (50_000, 50_000), "{collected:?}");
    assert_eq!(db.metrics().values.freed_bytes, before - 50_000);
    db.verify().expect("all is well");
}

// dgraph-io/badger #2286: garbage collection set keys again, with a version that hid a delete
// which was already compacted away.
#[test]
fn deleted_keys_do_not_come_back_with_a_collection() {
    let dir = tempfile::tempdir().expect("a directory");
    let db = Db::open(dir.path(), small()).expect("opens");
    for round in 0..4_u64 {
        for n in 0..40 {
            db.set(format!("key{n:02}"), value(round * 100 + n, 8000)).expect("a set");
        }
        db.flush().expect("a flush");
        for n in (0..40).filter(|n| n % 4 > 0) {
            db.delete(format!("key{n:02}")).expect("a delete");
        }
        db.compact().expect("compacts");
        db.collect_garbage().expect("collects");
        db.compact().expect("compacts");
        for n in 0..40 {
            let found = db.get(format!("key{n:02}")).expect("a read");
            assert_eq!(found.is_some(), n % 4 == 0, "round {round}, key {n}");
        }
    }
    assert_eq!(db.iter().keys().count(), 10);
}

// dgraph-io/badger #926: after a collection an entry pointed into a file that was gone.
#[test]
fn no_pointer_dangles_after_collections_and_opens() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut want = BTreeMap::new();
    for round in 0..6_u64 {
        let db = Db::open(dir.path(), small()).expect("opens");
        for n in 0..60_u64 {
            let key = format!("key{:02}", (n * 7 + round) % 60).into_bytes();
            if n % 3 > 0 {
                let value = value(round * 100 + n, 6000);
                db.set(&key, &value).expect("a set");
                want.insert(key, value);
            }
        }
        db.flush().expect("a flush");
        let snapshot = (round % 2 == 0).then(|| (db.snapshot(), want.clone()));
        db.compact().expect("compacts");
        db.collect_garbage().expect("collects");
        assert_is(&db, &want);
        if let Some((snapshot, then)) = snapshot {
            for (key, value) in then {
                assert_eq!(*snapshot.get(key).expect("a read").expect("is there"), value[..]);
            }
        }
        db.verify().expect("all is well");
    }
    assert_is(&Db::open(dir.path(), small()).expect("opens"), &want);
}

// The segment goes before the entries that point to it. Were the clock set back afterwards, they
// would come alive, and point nowhere.
#[test]
fn a_segment_that_expired_stays_expired() {
    let fs = SimFs::new();
    fs.set_threads(false);
    let options = Options { expired_retention: Duration::ZERO, ..small() };
    let open = || Db::open_with_fs(Arc::new(fs.clone()), "/db", options.clone()).expect("opens");
    let db = open();
    db.set_with_ttl("key", value(1, 10_000), Duration::from_secs(1)).expect("a set");
    db.flush().expect("a flush");
    fs.sim_clock().advance(Duration::from_secs(2));
    assert_eq!(db.collect_garbage().expect("collects").files, 1);
    fs.sim_clock().step_back(Duration::from_secs(2));
    assert!(db.get("key").expect("it has expired").is_none());
    drop(db);
    let db = open();
    assert!(db.get("key").expect("it has expired").is_none());
    assert_eq!(db.iter().count(), 0);
    db.verify().expect("all is well");
}

fn files(dir: &Path, extension: &str) -> Vec<std::path::PathBuf> {
    let files = std::fs::read_dir(dir).expect("a directory");
    let paths = files.map(|file| file.expect("a file").path());
    paths.filter(|path| path.extension() == Some(extension.as_ref())).collect()
}

/// What each key reads as with one byte changed: what it was, or damage.
fn assert_damage_is_told(dir: &Path, file: &Path, want: &BTreeMap<Vec<u8>, Vec<u8>>) {
    let intact = std::fs::read(file).expect("a file");
    let mut told = 0;
    for at in (0..intact.len()).step_by(1 + intact.len() / 400) {
        let mut bytes = intact.clone();
        bytes[at] ^= 0x10;
        std::fs::write(file, bytes).expect("written");
        let options = Options { auto_compaction: false, ..small() };
        match Db::open(dir, options) {
            Ok(db) => {
                for (key, value) in want {
                    match db.get(key) {
                        Ok(Some(found)) => assert!(*found == value[..], "byte {at}: another value"),
                        Ok(None) => panic!("byte {at}: damage is never absence"),
                        Err(e) => {
                            assert!(matches!(e, esker::Error::Corruption { .. }), "byte {at}: {e}");
                            told += 1;
                        }
                    }
                }
                // Damage is never copied into a file with a fresh checksum.
                if db.collect_garbage().is_err() {
                    assert!(file.exists(), "the damaged file stays");
                }
            }
            Err(e) => assert!(matches!(e, esker::Error::Corruption { .. }), "byte {at}: {e}"),
        }
        std::fs::write(file, &intact).expect("written");
    }
    assert!(told > 100, "{told} reads met damage");
}

#[test]
fn damage_in_a_file_with_values_is_told_and_not_passed_on() {
    let dir = tempfile::tempdir().expect("a directory");
    let mut want = BTreeMap::new();
    let db = Db::open(dir.path(), small()).expect("opens");
    for n in 0..12_u64 {
        let (key, value) = (format!("key{n:02}").into_bytes(), value(n, 3000));
        db.set(&key, &value).expect("a set");
        want.insert(key, value);
    }
    db.close().expect("closes");
    drop(db);
    // A segment in its log file; the other log is that of the run.
    let log = files(dir.path(), "log").into_iter().max_by_key(|path| {
        std::fs::read(path).expect("a file").iter().filter(|byte| **byte > 0).count()
    });
    assert_damage_is_told(dir.path(), &log.expect("a log file"), &want);
    let db = Db::open(dir.path(), small()).expect("opens");
    for n in 0..8_u64 {
        db.delete(format!("key{n:02}")).expect("a delete");
        want.remove(format!("key{n:02}").as_bytes());
    }
    db.compact().expect("compacts");
    assert_eq!(db.collect_garbage().expect("collects").values, 4);
    db.close().expect("closes");
    drop(db);
    // What lives, in a value file.
    let values = files(dir.path(), "val").pop().expect("a value file");
    assert_damage_is_told(dir.path(), &values, &want);
}

/// Writers, a scanner with snapshots, compaction and collection at once, for `seconds`: what was
/// read is always what was written, the space stays bounded, and all is accounted for.
fn churn(seconds: u64) {
    let dir = tempfile::tempdir().expect("a directory");
    let options = Options {
        log_file_bytes: 1 << 20,
        memtable_bytes: 256 << 10,
        value_gc_interval: Duration::from_millis(50),
        value_gc_bytes_per_second: 0,
        auto_compaction: true,
        ..small()
    };
    let db = Db::open(dir.path(), options).expect("opens");
    let over = std::sync::atomic::AtomicBool::new(false);
    let is_over = || over.load(std::sync::atomic::Ordering::Relaxed);
    // A value says which key it belongs to and which set made it; so a reader knows all of it.
    let made = |key: u64, number: u64| {
        let size = 200 + usize::try_from((key * 7919 + number * 104_729) % 12_000).expect("small");
        let mut bytes = value(key << 32 | number, size);
        bytes[..8].copy_from_slice(&key.to_le_bytes());
        bytes[8..16].copy_from_slice(&number.to_le_bytes());
        bytes
    };
    let check = |key: &[u8], bytes: &[u8]| {
        let number = |at: usize| u64::from_le_bytes(bytes[at..at + 8].try_into().expect("eight"));
        assert_eq!(key, format!("key{:03}", number(0)).as_bytes());
        assert!(*bytes == made(number(0), number(8))[..], "{key:?} has another's bytes");
    };
    let mut highest = 0;
    std::thread::scope(|scope| {
        for writer in 0..2_u64 {
            let (db, made) = (&db, &made);
            scope.spawn(move || {
                for number in 0_u64.. {
                    if is_over() {
                        break;
                    }
                    let key = writer + 2 * (number.wrapping_mul(0x9e37_79b9) >> 7) % 200;
                    if number % 17 == 0 {
                        db.delete(format!("key{key:03}")).expect("a delete");
                    } else {
                        db.set(format!("key{key:03}"), made(key, number)).expect("a set");
                    }
                }
            });
        }
        scope.spawn(|| {
            while !is_over() {
                let snapshot = db.snapshot();
                let seen = |entry: esker::Result<(esker::Key, esker::Value)>| {
                    let (key, bytes) = entry.expect("a read");
                    check(&key, &bytes);
                    (key, bytes)
                };
                let first: Vec<_> = snapshot.iter().map(seen).collect();
                let again: Vec<_> = snapshot.iter().map(seen).collect();
                assert!(first == again, "a snapshot sees the same twice");
            }
        });
        let begun = std::time::Instant::now();
        // On a busy machine collections may come late; none for a minute is a failure.
        let is_enough = || db.metrics().values.collections > 2;
        let goes_on = |for_seconds| begun.elapsed() < Duration::from_secs(for_seconds);
        while goes_on(seconds) || (goes_on(seconds + 60) && !is_enough()) {
            std::thread::sleep(Duration::from_millis(100));
            highest = highest.max(disk_bytes(dir.path()));
        }
        over.store(true, std::sync::atomic::Ordering::Relaxed);
    });
    // 400 keys of 6 KiB on average, twice with the snapshot; the log.
    assert!(highest < 80 << 20, "{highest} bytes on the disk");
    let values = db.metrics().values;
    assert!(values.collections > 2 && values.freed_bytes > 1 << 20, "{values:?}");
    db.verify().expect("all is accounted for");
    db.close().expect("closes");
}

#[test]
fn writers_snapshots_compaction_and_collection_go_together() {
    churn(4);
}

/// By name: `cargo test --release --test values -- --ignored`.
#[test]
#[ignore = "ten minutes"]
fn writers_snapshots_compaction_and_collection_go_together_for_long() {
    churn(600);
}

// A group of commits may begin with a record of the expiry floor, which stands before the first
// value: its place was counted without it.
#[test]
fn a_value_behind_an_expiry_floor_is_found() {
    let fs = SimFs::new();
    fs.set_threads(false);
    let options = Options { auto_compaction: false, ..small() };
    let open = || Db::open_with_fs(Arc::new(fs.clone()), "/db", options.clone()).expect("opens");
    let db = open();
    db.set_with_ttl("brief", "v", Duration::from_secs(1)).expect("a set");
    fs.sim_clock().advance(Duration::from_secs(2));
    assert!(db.get("brief").expect("it has expired").is_none());
    db.set("key", value(1, 10_000)).expect("a set");
    let check = |db: &Db| {
        assert_eq!(*db.get("key").expect("a read").expect("is there"), value(1, 10_000)[..]);
    };
    check(&db);
    db.flush().expect("a flush");
    check(&db);
    drop(db);
    check(&open());
}

/// 100 large values in one file, 60 of which are garbage, while nobody has been quiet yet.
fn with_garbage(fs: &SimFs) -> Db {
    fs.set_threads(false);
    let options = Options {
        // So large that the space is not in danger.
        log_file_bytes: 64 << 20,
        value_gc_bytes_per_second: 1 << 20,
        auto_compaction: true,
        ..small()
    };
    let db = Db::open_with_fs(Arc::new(fs.clone()), "/db", options).expect("opens");
    for n in 0..100_u64 {
        db.set(format!("key{n:02}"), value(n, 16 << 10)).expect("a set");
    }
    db.flush().expect("a flush");
    for n in 0..60 {
        db.delete(format!("key{n:02}")).expect("a delete");
    }
    db.compact().expect("compacts");
    db
}

/// How many collections there were when `bytes` are set so many milliseconds later.
fn collections_after(fs: &SimFs, db: &Db, ms: u64, bytes: usize) -> u64 {
    fs.sim_clock().advance(Duration::from_millis(ms));
    db.set("another", value(100, bytes)).expect("a set");
    db.metrics().values.collections
}

// The first to collect at a pace while the clock stands still, as it does here, would wait for ever.
#[test]
fn garbage_goes_when_writers_are_quiet() {
    let fs = SimFs::new();
    let db = with_garbage(&fs);
    let collections_after = |ms, bytes| collections_after(&fs, &db, ms, bytes);
    assert_eq!(collections_after(1_000, 1), 0);
    assert_eq!(collections_after(1_500, 2 << 20), 0, "that is much");
    assert_eq!(collections_after(1_999, 1), 0);
    assert_eq!(collections_after(1, 1), 1);
    assert!(db.metrics().values.freed_bytes > 60 * (8 << 10));
    db.verify().expect("all is well");
}

// Only what lived had counted: a file that was garbage for the most part was read as fast as that goes.
#[test]
fn what_is_gone_through_for_nothing_takes_its_time_too() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = Options {
        // So large that the space is not in danger.
        log_file_bytes: 64 << 20,
        value_gc_bytes_per_second: 4 << 20,
        value_gc_interval: Duration::from_millis(1),
        auto_compaction: true,
        compression: Compression::None,
        ..small()
    };
    let db = Db::open(dir.path(), options).expect("opens");
    for n in 0..256_u64 {
        db.set(format!("key{n:03}"), value(n, 16 << 10)).expect("a set");
    }
    db.flush().expect("a flush");
    for n in 0..250 {
        db.delete(format!("key{n:03}")).expect("a delete");
    }
    let begun = Instant::now();
    db.compact().expect("compacts");
    while db.metrics().values.collections == 0 {
        assert!(begun.elapsed() < Duration::from_secs(60), "it is not collected");
        std::thread::sleep(Duration::from_millis(1));
    }
    // 4 MiB, less what a sleep is not worth.
    let taken = begun.elapsed();
    assert!(taken > Duration::from_millis(900), "{taken:?} for 4 MiB at 4 MiB a second");
    assert_eq!(db.metrics().values.live_bytes, 6 * (16 << 10));
}

#[test]
fn what_failed_when_writers_were_quiet_rests() {
    let fs = SimFs::new();
    let db = with_garbage(&fs);
    let collections_after = |ms, bytes| collections_after(&fs, &db, ms, bytes);
    fs.fail(FaultPlan::from_on(1, Fault::Errno(5)).only(CallKind::Create));
    assert_eq!(collections_after(3_000, 1), 0);
    assert_eq!((fs.faults_hit(), db.metrics().values.failures), (1, 1));
    fs.clear_faults();
    // Up to as long as between two looks.
    assert_eq!(collections_after(290_000, 1), 0);
    assert_eq!(collections_after(11_000, 1), 1);
}

// The old files are the only ones until the edit is durable.
#[test]
fn a_collection_whose_edit_is_refused_leaves_everything_readable() {
    let fs = SimFs::new();
    fs.set_threads(false);
    let options = Options { auto_compaction: false, ..small() };
    let open =
        |fs: &SimFs| Db::open_with_fs(Arc::new(fs.clone()), "/db", options.clone()).expect("opens");
    let db = open(&fs);
    for n in 0..20_u64 {
        db.set(format!("key{n:02}"), value(n, 5000)).expect("a set");
    }
    db.flush().expect("a flush");
    for n in 0..15 {
        db.delete(format!("key{n:02}")).expect("a delete");
    }
    db.compact().expect("compacts");
    let check = |db: &Db| {
        for n in 0..20_u64 {
            let found = db.get(format!("key{n:02}")).expect("a read");
            assert_eq!(found.is_some(), n >= 15);
            assert!(found.is_none_or(|found| *found == value(n, 5000)[..]));
        }
        db.verify().expect("all is well");
    };
    // The first write is that of the value file, the second that of the manifest.
    fs.fail(FaultPlan::once(2, Fault::Errno(28)).only(CallKind::Write));
    let e = db.collect_garbage().expect_err("the disk is full");
    assert!(matches!(e, esker::Error::Io { .. }), "{e}");
    assert_eq!(fs.faults_hit(), 1);
    check(&db);
    check(&open(&fs.crash_image(&CrashModel::Everything)));
    check(&open(&fs.crash_image(&CrashModel::SyncedOnly)));
    // The change is tried again, not the copying.
    assert_eq!(db.collect_garbage().expect("there is room").values, 5);
    check(&db);
    check(&open(&fs.crash_image(&CrashModel::SyncedOnly)));
}

// dgraph-io/badger #2000: after a power cut one value of a transaction was missing, as values and
// keys were synced apart.
#[test]
fn a_batch_of_large_values_is_there_whole_or_not_at_all_after_a_power_cut() {
    let fs = SimFs::new();
    fs.set_threads(false);
    let options = Options { sync_policy: SyncPolicy::Always, ..small() };
    let open =
        |fs: &SimFs| Db::open_with_fs(Arc::new(fs.clone()), "/db", options.clone()).expect("opens");
    let db = open(&fs);
    let write = |db: &Db, batch: u64, sync: bool| {
        let mut writes = esker::WriteBatch::new();
        for n in 0..6 {
            writes.set(format!("{batch}/{n}"), value(batch * 10 + n, 9000));
        }
        db.write_with(writes, esker::WriteOptions { sync: Some(sync) }).expect("a batch");
    };
    let mut torn = 0;
    for batch in 0..12_u64 {
        let is_synced = batch % 3 == 0;
        write(&db, batch, is_synced);
        let seeds = (0..4).map(|seed| batch * 4 + seed);
        let weak = seeds.flat_map(|seed| {
            [CrashModel::Torn { seed }, CrashModel::Stale { seed }, CrashModel::Scattered { seed }]
        });
        for model in [CrashModel::SyncedOnly, CrashModel::Everything].into_iter().chain(weak) {
            let found = open(&fs.crash_image(&model));
            let mut missing = false;
            for earlier in 0..=batch {
                let keys =
                    (0..6).map(|n| (n, found.get(format!("{earlier}/{n}")).expect("a read")));
                let there: Vec<_> = keys.filter_map(|(n, v)| v.map(|v| (n, v))).collect();
                assert!(there.is_empty() || there.len() == 6, "{} values of 6", there.len());
                let right = |(n, v): &(u64, esker::Value)| **v == value(earlier * 10 + n, 9000)[..];
                assert!(there.iter().all(right), "another's value");
                // No batch without those before it; none that was synced is missing.
                assert!(!missing || there.is_empty(), "batch {earlier} without one before it");
                missing |= there.is_empty();
                let last_synced = batch - batch % 3;
                assert!(earlier > last_synced || !there.is_empty(), "batch {earlier} was durable");
            }
            torn += u64::from(missing);
        }
        if batch % 5 == 4 {
            db.flush().expect("a flush");
        }
    }
    assert!(torn > 0, "no power cut took anything");
}
