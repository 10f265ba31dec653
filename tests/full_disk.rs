//! A disk that is full: what the reserve is for (`Options::disk_reserve_bytes`).

use esker::sim::{CallKind, CrashModel, Fault, FaultPlan, SimFs, errno};
use esker::{Db, Error, Fs, OpenMode, Options, SyncPolicy, WriteBatch};
use std::io::ErrorKind;
use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

const DIR: &str = "/db";
const RESERVE: u64 = 512 << 10;
/// Room on the disk: the log is extended in steps of 256 KiB.
const CAPACITY: u64 = 3 << 20;

fn options() -> Options {
    Options {
        sync_policy: SyncPolicy::Never,
        memtable_bytes: 64 << 10,
        log_file_bytes: 64 << 10,
        table_bytes: 16 << 10,
        disk_reserve_bytes: RESERVE,
        ..Options::default()
    }
}

fn open(fs: &SimFs) -> Db {
    Db::open_with_fs(Arc::new(fs.clone()), DIR, options()).expect("opens")
}

fn disk(has_threads: bool) -> SimFs {
    let fs = SimFs::new();
    fs.set_threads(has_threads);
    fs.set_capacity(Some(CAPACITY));
    fs
}

fn reserve_bytes(fs: &SimFs) -> Option<u64> {
    let file = fs.open(&Path::new(DIR).join("RESERVE"), OpenMode::Read).ok()?;
    Some(file.len().expect("a length"))
}

/// Lets time pass, and the background see it.
fn until(fs: &SimFs, db: &Db, what: &str, is_so: impl Fn() -> bool) {
    let started = Instant::now();
    while !is_so() {
        assert!(
            started.elapsed() < Duration::from_secs(60),
            "{what} did not come: {}",
            db.metrics()
        );
        fs.sim_clock().advance(Duration::from_secs(10));
        if !fs.allows_threads() {
            db.delete("nothing").expect("a delete passes");
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

fn is_refusal(e: &Error) -> bool {
    matches!(e, Error::Io { source, .. } if source.kind() == ErrorKind::StorageFull)
}

fn value(n: u32) -> Vec<u8> {
    let mut state = u64::from(n) + 1;
    let next = |_| {
        state =
            state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        state.to_be_bytes()[0]
    };
    (0..2000).map(next).collect()
}

/// Sets keys from `first` on until a set is refused; which is the first that was.
fn fill(db: &Db, first: u32) -> u32 {
    for n in first.. {
        match db.set(n.to_be_bytes(), value(n)) {
            Ok(()) => {}
            Err(e) => {
                assert!(is_refusal(&e), "{e}");
                return n;
            }
        }
        assert!(u64::from(n) * 2000 < CAPACITY, "the disk must be full by now");
    }
    unreachable!("a disk is finite")
}

fn check(db: &Db, keys: std::ops::Range<u32>) {
    assert!(
        db.iter()
            .map(|e| e.expect("an entry").0.to_vec())
            .eq(keys.clone().map(|n| n.to_be_bytes().to_vec()))
    );
    for n in keys {
        assert_eq!(db.get(n.to_be_bytes()).expect("a read").as_deref(), Some(&*value(n)), "{n}");
    }
}

fn full_disk(has_threads: bool) {
    let fs = disk(has_threads);
    let db = open(&fs);
    assert_eq!(reserve_bytes(&fs), None, "an open does not wait for it");
    until(&fs, &db, "the reserve", || reserve_bytes(&fs) == Some(RESERVE));
    let count = fill(&db, 0);
    // Somebody else takes of what it gave: else the engine may well make it again, out of what the end of a log file
    // gives back, before this thread gets to look.
    fs.set_capacity(Some(CAPACITY - RESERVE / 2));
    let count = fill(&db, count);
    assert!(db.metrics().is_reserve_given_up);
    // An attempt to make it again may be under way, and will not come to its end.
    assert_ne!(reserve_bytes(&fs), Some(RESERVE));

    // Sets are refused, deletes pass.
    let refused = db.set("new", "v").expect_err("a full disk");
    let text = refused.to_string();
    assert!(is_refusal(&refused) && text.contains("RESERVE") && text.contains("delete"), "{text}");
    let mut mixed = WriteBatch::new();
    mixed.delete(0_u32.to_be_bytes());
    mixed.set("new", "v");
    assert!(is_refusal(&db.write(mixed).expect_err("it has a set")));
    check(&db, 0..count);

    // A run that dies here comes back, on the full disk.
    fs.set_capacity(Some(CAPACITY));
    let image = fs.crash_image(&CrashModel::Everything);
    let again = open(&image);
    check(&again, 0..count);
    drop(again);

    let kept = count / 4;
    for n in kept..count {
        db.delete(n.to_be_bytes()).expect("a delete passes");
    }
    check(&db, 0..kept);
    db.compact().expect("compaction has room");
    until(&fs, &db, "room", || !db.metrics().is_reserve_given_up);
    assert_eq!(reserve_bytes(&fs), Some(RESERVE));
    for n in kept..kept + 20 {
        db.set(n.to_be_bytes(), value(n)).expect("sets pass again");
    }
    check(&db, 0..kept + 20);
    db.close().expect("closes");
    check(&open(&fs), 0..kept + 20);
}

#[test]
fn deletes_make_room_on_a_full_disk() {
    full_disk(true);
}

#[test]
fn deletes_make_room_on_a_full_disk_without_threads() {
    full_disk(false);
}

// Another than us may have filled it while we were away.
#[test]
fn an_open_takes_its_room_from_the_reserve() {
    let fs = disk(true);
    let db = open(&fs);
    until(&fs, &db, "the reserve", || reserve_bytes(&fs) == Some(RESERVE));
    for n in 0..20_u32 {
        db.set(n.to_be_bytes(), value(n)).expect("set");
    }
    drop(db);
    fs.set_capacity(Some(0));
    let full = Db::open_with_fs(Arc::new(fs.crash_image(&CrashModel::Everything)), DIR, options());
    assert!(is_refusal(&full.expect_err("not even the reserve's room is there")));
    let names = fs.list(Path::new(DIR)).expect("a list");
    let len = |name: &String| {
        let path = Path::new(DIR).join(name);
        fs.open(&path, OpenMode::Read).expect("opens").len().expect("a length")
    };
    fs.set_capacity(Some(names.iter().map(len).sum()));
    let db = open(&fs);
    check(&db, 0..20);
}

#[test]
fn a_quota_is_a_full_disk_and_a_reserve_that_is_off_changes_nothing() {
    let fs = SimFs::new();
    let db = open(&fs);
    db.set("a", "v").expect("set");
    until(&fs, &db, "the reserve", || reserve_bytes(&fs) == Some(RESERVE));
    fs.fail(FaultPlan::from_on(1, Fault::Errno(errno::EDQUOT)).only(CallKind::Write));
    while db.set("b", vec![1; 9000]).is_ok() {}
    assert!(db.metrics().is_reserve_given_up);
    fs.clear_faults();
    until(&fs, &db, "room", || !db.metrics().is_reserve_given_up);
    db.set("b", "v").expect("set");

    let fs = SimFs::new();
    let off = Options { disk_reserve_bytes: 0, ..options() };
    let db = Db::open_with_fs(Arc::new(fs.clone()), DIR, off).expect("opens");
    fs.fail(FaultPlan::from_on(1, Fault::Errno(errno::ENOSPC)).only(CallKind::Write));
    while db.set("b", vec![1; 9000]).is_ok() {}
    assert!(!db.metrics().is_reserve_given_up);
    assert_eq!(reserve_bytes(&fs), None);
}

#[test]
fn a_reserve_of_another_size_or_damaged_is_no_harm() {
    let fs = SimFs::new();
    let db = open(&fs);
    db.set("a", "v").expect("set");
    until(&fs, &db, "the reserve", || reserve_bytes(&fs) == Some(RESERVE));
    drop(db);
    let path = Path::new(DIR).join("RESERVE");
    fs.remove(&path).expect("removed");
    let torn = fs.open(&path, OpenMode::CreateNew).expect("made");
    torn.write_at(b"torn", 0).expect("written");
    let db = open(&fs);
    assert!(db.get("a").expect("a read").is_some());
    until(&fs, &db, "the reserve", || reserve_bytes(&fs) == Some(RESERVE));
    drop(db);
    let off = Options { disk_reserve_bytes: 0, ..options() };
    drop(Db::open_with_fs(Arc::new(fs.clone()), DIR, off).expect("opens"));
    assert_eq!(reserve_bytes(&fs), None, "who turns it off gets the room back");
}
