//! What a bulk load promises: all of it or nothing, newer than what came before
//! and older than what comes after, in tables alone.

#[expect(dead_code, reason = "shared with tests that use more of it")]
#[path = "../hooked_fs/mod.rs"]
mod hooked_fs;
mod large;

use esker::crashtest::tiny_options;
use esker::sim::{CallKind, CrashModel, SimFs};
use esker::{Db, Error, Fs, Options, Snapshot, SyncPolicy, WriteBatch};
use hooked_fs::{Gate, HookedFs, Once, PATIENCE, soon, spawn};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

const DIR: &str = "/db";
const ENOSPC: i32 = 28;
const EIO: i32 = 5;

/// Nothing is synced but what a call promises; tables are small.
fn options() -> Options {
    tiny_options(SyncPolicy::Never)
}

fn open(fs: &(impl Fs + Clone + 'static)) -> Db {
    Db::open_with_fs(Arc::new(fs.clone()), DIR, options()).expect("opens")
}

/// A disk without threads: what is done is done by the call that made it due.
fn quiet_disk() -> SimFs {
    let disk = SimFs::new();
    disk.set_threads(false);
    disk
}

fn key(n: u64) -> String {
    format!("k{n:05}")
}

/// Entries that no compression makes small, and whose values stand in tables: 100 of them are two.
fn entries(
    numbers: impl IntoIterator<Item = u64>,
    of: &'static str,
) -> impl Iterator<Item = (String, Vec<u8>)> {
    let value = move |n: u64| {
        let mut state = n + 1;
        let noise = std::iter::repeat_with(move || {
            state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
            state.to_be_bytes()[0]
        });
        of.bytes().chain([b' ']).chain(noise.take(240)).collect()
    };
    numbers.into_iter().map(move |n| (key(n), value(n)))
}

/// Who wrote the value of key `n`; nothing, where there is none.
fn writer(read: Option<esker::Value>) -> String {
    let value = read.map(Vec::from).unwrap_or_default();
    let word = value.split(|&byte| byte == b' ').next().unwrap_or_default();
    String::from_utf8_lossy(word).into_owned()
}

fn of(db: &Db, n: u64) -> String {
    writer(db.get(key(n)).expect("a read"))
}

fn seen_by(snapshot: &Snapshot, n: u64) -> String {
    writer(snapshot.get(key(n)).expect("a read"))
}

fn tables(disk: &SimFs) -> usize {
    let names = disk.list(Path::new(DIR)).expect("a list");
    names.iter().filter(|name| name.ends_with(".tbl")).count()
}

fn tables_by_level(db: &Db) -> Vec<usize> {
    db.metrics().levels.iter().map(|level| level.tables).collect()
}

#[test]
fn it_is_newer_than_what_was_there_and_older_than_what_comes() {
    let disk = quiet_disk();
    let db = open(&disk);
    db.ingest(entries(0..40, "bottom")).expect("ingested");
    db.set(key(1), "flushed ").expect("a commit");
    db.flush().expect("flushed");
    db.set(key(2), "committed ").expect("a commit");
    db.delete(key(3)).expect("a commit");
    let before = db.snapshot();
    let report = db.ingest(entries(1..30, "ingested")).expect("ingested");
    assert_eq!((report.entries, report.rewrites), (29, 0));
    let after = db.snapshot();
    db.set(key(4), "later ").expect("a commit");
    db.delete(key(5)).expect("a commit");
    let check = |db: &Db| {
        let all: Vec<_> = (0..6).map(|n| of(db, n)).collect();
        assert_eq!(all, ["bottom", "ingested", "ingested", "ingested", "later", ""]);
        assert_eq!(of(db, 30), "bottom");
        assert_eq!(db.iter().count(), 39);
    };
    let check_snapshots = |when| {
        let seen: Vec<_> = (0..6).map(|n| seen_by(&before, n)).collect();
        assert_eq!(seen, ["bottom", "flushed", "committed", "", "bottom", "bottom"], "{when}");
        let seen: Vec<_> = (1..6).map(|n| seen_by(&after, n)).collect();
        assert_eq!(seen, ["ingested"; 5], "{when}");
    };
    check(&db);
    check_snapshots("at once");
    db.compact().expect("compacted");
    check(&db);
    check_snapshots("compacted");
    drop(db);
    drop((before, after));
    let db = open(&disk);
    check(&db);
    db.verify().expect("sound");
}

#[test]
fn it_and_all_before_it_are_durable_whatever_the_policy() {
    for wal_enabled in [true, false] {
        let disk = quiet_disk();
        let options = Options { wal_enabled, ..options() };
        let db = Db::open_with_fs(Arc::new(disk.clone()), DIR, options).expect("opens");
        // With an empty memtable nothing but the ingest itself syncs anything.
        db.ingest(entries(200..400, "ingested")).expect("ingested");
        let image = disk.crash_image(&CrashModel::SyncedOnly);
        assert_eq!(open(&image).iter().count(), 200);
        db.set("before", "x ").expect("a commit");
        db.ingest(entries(0..200, "ingested")).expect("ingested");
        assert!(db.metrics().tables > 4);
        let image = disk.crash_image(&CrashModel::SyncedOnly);
        let found = open(&image);
        assert!(found.get("before").expect("a read").is_some());
        assert_eq!(found.iter().count(), 401);
    }
}

#[test]
fn tables_go_as_deep_as_nothing_overlaps_them() {
    let disk = quiet_disk();
    let options = Options { auto_compaction: false, ..options() };
    let db = Db::open_with_fs(Arc::new(disk.clone()), DIR, options).expect("opens");
    db.ingest(entries(100..120, "a")).expect("ingested");
    assert_eq!(tables_by_level(&db), [0, 0, 0, 0, 0, 0, 1]);
    db.ingest(entries(200..220, "b")).expect("ingested");
    assert_eq!(tables_by_level(&db), [0, 0, 0, 0, 0, 0, 2], "beside it");
    db.ingest(entries(110..210, "c")).expect("ingested");
    let levels = tables_by_level(&db);
    assert!(levels[5] >= 1 && levels[6] >= 2, "what overlaps stays above: {levels:?}");
    assert_eq!(levels[..5], [0; 5]);
    db.set(key(150), "flushed ").expect("a commit");
    let before = tables_by_level(&db);
    db.ingest(entries(149..152, "d")).expect("ingested");
    let levels = tables_by_level(&db);
    assert_eq!(levels[0], 2, "the memtable, and the table above it: {levels:?}");
    assert_eq!(levels[1..], before[1..]);
    assert_eq!([of(&db, 119), of(&db, 150), of(&db, 109)], ["c", "d", "a"]);
    db.verify().expect("sound");
}

#[test]
fn input_out_of_order_or_too_large_changes_nothing() {
    let disk = quiet_disk();
    let db = open(&disk);
    db.set("b", "old ").expect("a commit");
    db.flush().expect("flushed");
    let before = (tables(&disk), db.metrics().last_seq);
    let long = "x".repeat(65_536);
    let inputs: [(&[&str], &str); 4] = [
        (&["a", "c", "b"], "entry 2 is less than"),
        (&["a", "b", "b"], "entry 2 is that of"),
        (&["", ""], "entry 1 is that of"),
        (&["a", &long], "key of 65536 bytes is too large"),
    ];
    for (keys, complaint) in inputs {
        let mut ingest = db.start_ingest().expect("begins");
        let (last, good) = keys.split_last().expect("some");
        // Before it comes to that, several tables are written.
        for (key, value) in entries(0..200, "many") {
            ingest.put(format!("\0{key}"), value).expect("a put");
        }
        drop(ingest);
        let mut ingest = db.start_ingest().expect("begins");
        for key in good {
            ingest.put(key, "new ").expect("a put");
        }
        let e = ingest.put(last, "new ").expect_err("refused").to_string();
        assert!(e.contains(complaint), "{e}");
        assert_eq!(ingest.put("z", "new ").expect_err("for good").to_string(), e);
        assert_eq!(ingest.finish().expect_err("for good").to_string(), e);
        assert_eq!((tables(&disk), db.metrics().last_seq), before, "{complaint}");
    }
    let mut ingest = db.start_ingest().expect("begins");
    let e = ingest.put_with_ttl("a", "", Duration::ZERO).expect_err("refused");
    assert!(matches!(e, Error::InvalidArgument { .. }), "{e}");
    ingest.finish().expect_err("for good");
    let report = db.ingest(Vec::<(&str, &str)>::new()).expect("nothing is fine");
    assert_eq!((report.entries, report.tables), (0, 0));
    assert_eq!(db.iter().count(), 1);
}

#[test]
fn without_room_nothing_has_changed_and_nothing_is_left() {
    // Which write finds no room: of a table, of the manifest.
    for file in [".tbl", "MANIFEST"] {
        let disk = quiet_disk();
        let fs = HookedFs::new(&disk);
        let db = open(&fs);
        db.set(key(1), "old ").expect("a commit");
        db.flush().expect("flushed");
        let before = tables(&disk);
        fs.refuse_tables(file == ".tbl");
        fs.set_hook(move |call| {
            // An edit, that is: at its beginning a manifest is written anew. And after it has
            // been made, as if it had come to the disk all the same.
            let is_edit = call.path.to_string_lossy().contains("MANIFEST") && call.offset > 0;
            if is_edit && call.kind == CallKind::Write && call.is_done {
                return Err(io::Error::from_raw_os_error(ENOSPC));
            }
            Ok(())
        });
        let e = db.ingest(entries(0..200, "ingested")).expect_err("no room");
        assert!(matches!(e, Error::Io { op: "write", .. }), "{e}");
        assert_eq!(tables(&disk), before, "{file}");
        let check = |db: &Db| {
            assert_eq!(of(db, 1), "old", "{file}");
            assert_eq!(db.iter().count(), 1);
        };
        check(&db);
        check(&open(&disk.crash_image(&CrashModel::Everything)));
        fs.refuse_tables(false);
        fs.clear_hook();
        db.ingest(entries(0..200, "ingested")).expect("there is room again");
        assert_eq!(of(&db, 1), "ingested");
    }
}

// The edit may stand in the manifest, and nothing can be written that is without it. What is
// committed afterwards must be newer than the ingest, or the next open finds records in the
// log that are older than its tables.
#[test]
fn an_edit_of_which_nothing_is_known_is_indeterminate() {
    let disk = quiet_disk();
    let fs = HookedFs::new(&disk);
    let db = open(&fs);
    db.set(key(1), "old ").expect("a commit");
    db.flush().expect("flushed");
    fs.set_hook(|call| {
        let is_manifest = call.path.to_string_lossy().contains("MANIFEST");
        if is_manifest && call.kind == CallKind::Write && call.is_done {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        Ok(())
    });
    let e = db.ingest(entries(0..200, "ingested")).expect_err("no room");
    assert!(matches!(e, Error::Indeterminate { .. }), "{e}");
    assert_eq!(of(&db, 1), "old", "not visible");
    db.set(key(2), "later ").expect("the log has room");
    let image = disk.crash_image(&CrashModel::Everything);
    let found = open(&image);
    assert_eq!([of(&found, 1), of(&found, 2)], ["ingested", "later"], "the edit was there");
    assert_eq!(found.iter().count(), 200);
    fs.clear_hook();
    db.flush().expect("there is room again");
    db.persist().expect("a sync");
    assert_eq!([of(&db, 1), of(&db, 2)], ["old", "later"]);
    let found = open(&disk.crash_image(&CrashModel::Everything));
    assert_eq!([of(&found, 1), of(&found, 2)], ["old", "later"], "the edit is gone for good");
}

#[test]
fn a_failed_sync_poisons() {
    for (file, is_open) in [(".tbl", false), (DIR, false), ("MANIFEST", true)] {
        let disk = quiet_disk();
        let fs = HookedFs::new(&disk);
        let db = open(&fs);
        db.flush().expect("flushed");
        fs.set_hook(move |call| {
            let is_sync = matches!(call.kind, CallKind::SyncData | CallKind::SyncDir);
            let name = call.path.to_string_lossy();
            let is_it = if file == DIR { name == DIR } else { name.contains(file) };
            if is_sync && is_it {
                return Err(io::Error::from_raw_os_error(EIO));
            }
            Ok(())
        });
        let e = db.ingest(entries(0..200, "ingested")).expect_err("a sync failed");
        match e {
            Error::Indeterminate { .. } => assert!(is_open, "{file}"),
            Error::Poisoned { .. } => assert!(!is_open, "{file}"),
            e => panic!("{file}: {e}"),
        }
        fs.clear_hook();
        let e = db.set("a", "b").expect_err("poisoned");
        assert!(matches!(e, Error::Poisoned { .. }), "{e}");
        assert_eq!(db.iter().count(), 0, "not visible");
    }
}

#[test]
fn one_that_another_has_overtaken_is_written_anew() {
    let disk = quiet_disk();
    let db = open(&disk);
    let mut first = db.start_ingest().expect("begins");
    let mut second = db.start_ingest().expect("begins");
    for (key, value) in entries(0..200, "first") {
        first.put(key, value).expect("a put");
    }
    for (key, value) in entries(100..300, "second") {
        second.put(key, value).expect("a put");
    }
    assert_eq!(second.finish().expect("finished").rewrites, 0);
    db.set(key(0), "between ").expect("a commit");
    let between = db.snapshot();
    assert_eq!(first.finish().expect("finished").rewrites, 1);
    let check = |db: &Db| {
        let all = [0, 99, 150, 250].map(|n| of(db, n));
        assert_eq!(all, ["first", "first", "first", "second"]);
        assert_eq!(db.iter().count(), 300);
    };
    check(&db);
    assert_eq!([0, 99, 150].map(|n| seen_by(&between, n)), ["between", "", "second"]);
    db.verify().expect("sound");
    drop(between);
    assert_eq!(tables(&disk), db.metrics().tables, "those of the first attempt are gone");
    drop(db);
    check(&open(&disk));
}

// The number of its file may be that of a file of the next handle.
#[test]
fn it_leaves_the_directory_alone_once_the_database_is_closed() {
    let disk = quiet_disk();
    let db = open(&disk);
    let mut ingest = db.start_ingest().expect("begins");
    ingest.put("a", "never ").expect("a put");
    let mut unbegun = db.start_ingest().expect("begins");
    db.close().expect("closed");
    assert!(matches!(ingest.put("b", "never "), Err(Error::Closed)));
    assert!(matches!(unbegun.put("b", "never "), Err(Error::Closed)));
    let next = open(&disk);
    let files = next.ingest(entries(0..500, "next")).expect("ingested").tables;
    assert!(matches!(ingest.finish(), Err(Error::Closed)));
    drop(unbegun);
    assert_eq!(tables(&disk), files);
    next.verify().expect("every table is there");
    assert!(matches!(db.start_ingest(), Err(Error::Closed)));
}

// Else it would write into, and remove from, a directory that may be another handle's.
#[test]
fn close_waits_for_an_ingest_that_is_being_finished() {
    let disk = SimFs::new();
    let fs = HookedFs::new(&disk);
    let db = open(&fs);
    let mut ingest = db.start_ingest().expect("begins");
    ingest.put("a", "ingested ").expect("a put");
    let (gate, at_sync, go_on) = Gate::new();
    fs.set_hook(move |call| {
        if call.is(CallKind::SyncData, ".tbl") {
            gate.pass();
        }
        Ok(())
    });
    let ingested = spawn(move || ingest.finish());
    soon(&at_sync, "the sync of the table");
    let closing = db.clone();
    let closed = spawn(move || closing.close());
    closed.recv_timeout(Duration::from_millis(300)).expect_err("it waits");
    go_on.send(()).expect("the hook listens");
    soon(&closed, "the close").expect("closed");
    let e = soon(&ingested, "the ingest").expect_err("the database is closed");
    assert!(matches!(e, Error::Closed), "{e}");
    assert_eq!(tables(&disk), 0);
    assert_eq!(open(&disk).iter().count(), 0);
}

// While the edit is on its way nobody commits: such a commit would have to be newer than
// the ingest, and visible before it.
#[test]
fn a_commit_waits_while_an_ingest_is_put_in_force() {
    let disk = SimFs::new();
    let fs = HookedFs::new(&disk);
    let db = open(&fs);
    db.set(key(1), "old ").expect("a commit");
    db.flush().expect("flushed");
    let (gate, at_edit, go_on) = Gate::new();
    fs.set_hook(move |call| {
        let is_manifest = call.path.to_string_lossy().contains("MANIFEST");
        if is_manifest && call.kind == CallKind::SyncData && call.is_done {
            gate.pass();
        }
        Ok(())
    });
    let ingesting = db.clone();
    let ingested = spawn(move || ingesting.ingest(entries(0..200, "ingested")).map(|_| ()));
    soon(&at_edit, "the edit");
    // For readers that are yet to come, should a merge begin now.
    let held = db.metrics().snapshots;
    assert_eq!((held.count, held.oldest_seq), (1, Some(db.metrics().last_seq)));
    let snapshot = db.snapshot();
    let image = disk.crash_image(&CrashModel::SyncedOnly);
    let committing = db.clone();
    let committed = spawn(move || committing.set(key(1), "later "));
    committed.recv_timeout(Duration::from_millis(200)).expect_err("it waits");
    assert_eq!(of(&db, 1), "old", "readers do not wait");
    assert_eq!(db.iter().count(), 1);
    go_on.send(()).expect("the hook listens");
    soon(&ingested, "the ingest").expect("ingested");
    soon(&committed, "the commit").expect("committed");
    assert_eq!([of(&db, 1), of(&db, 2)], ["later", "ingested"]);
    assert_eq!([seen_by(&snapshot, 1), seen_by(&snapshot, 2)], ["old", ""]);
    assert_eq!(open(&image).iter().count(), 200, "the edit was durable");
    drop(snapshot);
    assert_eq!(db.metrics().snapshots.count, 0);
}

// Memtables are written out once without the lead, so that writers wait for little. What is
// committed meanwhile is older than the ingest, and would be found before it.
#[test]
fn what_is_committed_while_memtables_are_written_out_for_it_is_older() {
    let disk = SimFs::new();
    let fs = HookedFs::new(&disk);
    let db = open(&fs);
    db.set(key(1), "old ").expect("a commit");
    let committing = db.clone();
    let once = Once::default();
    fs.set_hook(move |call| {
        let is_flush = std::thread::current().name() == Some("esker-flush");
        if is_flush && call.is(CallKind::SyncData, ".tbl") && once.is_first() {
            committing.set(key(1), "meanwhile ").expect("a commit");
            committing.set("meanwhile", "x ").expect("a commit");
        }
        Ok(())
    });
    let ingesting = db.clone();
    let ingested = spawn(move || ingesting.ingest(entries(0..200, "ingested")).map(|_| ()));
    soon(&ingested, "the ingest").expect("ingested");
    fs.clear_hook();
    let check = |db: &Db| {
        assert_eq!(of(db, 1), "ingested");
        assert!(db.get("meanwhile").expect("a read").is_some(), "it was committed");
    };
    check(&db);
    check(&open(&disk.crash_image(&CrashModel::Everything)));
}

const PLACES: [u64; 4] = [0, 7, 150, 299];

/// Ends the threads, also where the test fails: else it would wait for them for ever.
struct Ended<'a>(&'a AtomicBool);

impl Drop for Ended<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// Ingests that number all their entries alike, beside writers of the same keys, flushes
/// and compactions: a reader sees one ingest whole, but for keys that were written after it.
#[test]
fn readers_see_all_of_it_or_nothing_beside_writers() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = Options { sync_policy: SyncPolicy::Never, ..options() };
    let db = Db::open(dir.path(), options).expect("opens");
    let (until, acknowledged) = (AtomicBool::new(false), AtomicU64::new(0));
    std::thread::scope(|scope| {
        scope.spawn(|| {
            let mut n = 0_u64;
            while !until.load(Ordering::Relaxed) {
                n += 1;
                let value = |key| (key, format!("i{n:08} {}", "x".repeat(100)));
                let report = db.ingest((0..300).map(key).map(value)).expect("ingested");
                assert_eq!(report.entries, 300);
                acknowledged.store(n, Ordering::Release);
                let own = of(&db, 150);
                assert_eq!(own, format!("i{n:08}"), "one sees what one has ingested");
            }
        });
        scope.spawn(|| {
            let mut n = 0_u64;
            while !until.load(Ordering::Relaxed) {
                n += 1;
                let mut batch = WriteBatch::new();
                batch.set(key(7), format!("w{n:08} "));
                batch.set(key(299), format!("w{n:08} "));
                db.write(batch).expect("a commit");
                let seen = of(&db, 7);
                assert!(seen == format!("w{n:08}") || seen.starts_with('i'), "{seen} after {n}");
            }
        });
        for _ in 0..2 {
            scope.spawn(|| read_whole(&db, &until, &acknowledged));
        }
        let _ended = Ended(&until);
        let start = Instant::now();
        // Each ingest syncs a few files: on a busy machine it may take a second.
        let is_enough = || db.metrics().ingests > 3;
        while start.elapsed() < Duration::from_secs(3) || !is_enough() {
            assert!(start.elapsed() < PATIENCE, "{}", db.metrics());
            db.compact().expect("compacted");
        }
    });
    db.verify().expect("sound");
    db.close().expect("closed");
}

fn read_whole(db: &Db, until: &AtomicBool, acknowledged: &AtomicU64) {
    let mut last = String::new();
    while !until.load(Ordering::Relaxed) {
        let before = acknowledged.load(Ordering::Acquire);
        let snapshot = db.snapshot();
        let seen: Vec<_> =
            snapshot.iter().map(|entry| writer(Some(entry.expect("read").1))).collect();
        let again = PLACES.map(|n| seen_by(&snapshot, n));
        let of_ingest = seen.first().cloned().unwrap_or_default();
        if of_ingest.is_empty() || of_ingest.starts_with('w') {
            assert!(before == 0 && seen.len() <= 2, "{} entries without an ingest", seen.len());
            continue;
        }
        assert_eq!(seen.len(), 300);
        for (n, writer) in (0..).zip(&seen) {
            let is_written = n == 7 || n == 299;
            assert!(*writer == of_ingest || is_written && writer.starts_with('w'), "{n}: {writer}");
        }
        assert_eq!(seen[7].starts_with('w'), seen[299].starts_with('w'), "a batch in part");
        assert_eq!(
            again.to_vec(),
            PLACES.map(|n| seen[usize::try_from(n).expect("small")].clone()),
            "a snapshot changed"
        );
        assert!(of_ingest >= format!("i{before:08}") && of_ingest >= last, "time went backwards");
        last = of_ingest;
    }
}
