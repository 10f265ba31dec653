//! `verify`: all damage is found and named, none is made up, whatever goes on meanwhile.

use esker::sim::{CrashModel, SimFs};
use esker::{
    Db, Error, Event, FindingKind, Fs, Listener, OpenMode, Options, SyncPolicy, VerifyOptions,
    VerifyReport, WriteBatch,
};
use std::collections::{BTreeMap, BTreeSet};
use std::io::{Seek, SeekFrom, Write};
use std::ops::ControlFlow;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

const DIR: &str = "/db";

/// How long a test waits for what must come.
const PATIENCE: Duration = Duration::from_secs(60);

type Files = BTreeMap<String, Vec<u8>>;

fn files(fs: &SimFs) -> Files {
    let names = fs.list(Path::new(DIR)).expect("a directory");
    let read = |name: String| {
        let file = fs.open(&Path::new(DIR).join(&name), OpenMode::Read).expect("opens");
        let mut bytes = vec![0; usize::try_from(file.len().expect("len")).expect("small")];
        let mut at = 0;
        while at < bytes.len() {
            at += file.read_at(&mut bytes[at..], at as u64).expect("a read");
        }
        (name, bytes)
    };
    names.into_iter().map(read).collect()
}

/// Puts a file with these bytes in the place of another, if there is one.
fn put(fs: &SimFs, name: &str, bytes: &[u8]) {
    let path = Path::new(DIR).join(name);
    let _ = fs.remove(&path);
    let file = fs.open(&path, OpenMode::CreateNew).expect("a file");
    let mut at = 0;
    while at < bytes.len() {
        at += file.write_at(&bytes[at..], at as u64).expect("a write");
    }
}

fn disk_of(files: &Files) -> SimFs {
    let fs = SimFs::new();
    fs.create_dir_all(Path::new(DIR)).expect("a directory");
    files.iter().for_each(|(name, bytes)| put(&fs, name, bytes));
    fs
}

fn options() -> Options {
    Options {
        sync_policy: SyncPolicy::Never,
        memtable_bytes: 64 << 10,
        block_bytes: 512,
        auto_compaction: false,
        disk_reserve_bytes: 0,
        ..Options::default()
    }
}

/// Values of many sizes, incompressible, three in ten of them large.
fn value(n: u64) -> Vec<u8> {
    let size = [10, 100, 300, 2000, 20, 70, 1500, 4, 90, 3000][usize::try_from(n % 10).expect("?")];
    let mut state = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let byte = |_| {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        state.to_be_bytes()[0]
    };
    (0..size).map(byte).collect()
}

/// A database with tables on two levels, a value file, segments in log files, and two log files that are
/// not in tables.
fn lived() -> SimFs {
    let fs = SimFs::new();
    fs.set_threads(false);
    let open = || Db::open_with_fs(Arc::new(fs.clone()), DIR, options()).expect("opens");
    let db = open();
    let set = |db: &Db, numbers: std::ops::Range<u64>| {
        for n in numbers {
            let mut batch = WriteBatch::new();
            batch.set(format!("key{:03}", n * 7 % 150), value(n));
            batch.delete(format!("key{:03}", n * 11 % 150));
            db.write(batch).expect("a commit");
        }
    };
    set(&db, 0..60);
    db.flush().expect("a flush");
    set(&db, 60..100);
    drop(db); // What is in the log goes into a value file.
    let db = open();
    set(&db, 100..150);
    db.compact().expect("compacts");
    set(&db, 150..180);
    db.flush().expect("a flush");
    set(&db, 180..200);
    fs.crash_image(&CrashModel::Everything)
}

fn open_read_only(fs: &SimFs) -> Db {
    Db::open_read_only_with_fs(Arc::new(fs.clone()), DIR, options()).expect("opens")
}

fn verify(db: &Db) -> VerifyReport {
    let report = db.verify_with(VerifyOptions::default(), |_| ControlFlow::Continue(()));
    report.expect("nobody closes it")
}

/// The names of the files that have damage.
fn damaged(report: &VerifyReport) -> BTreeSet<String> {
    let damages = report.findings.iter().filter(|finding| finding.is_damage());
    let name = |path: &Path| path.file_name().expect("a file").to_string_lossy().into_owned();
    damages.map(|finding| name(&finding.file)).collect()
}

#[test]
fn whatever_byte_is_flipped_of_whatever_file_is_found() {
    let good = files(&lived());
    let kinds = [".tbl", ".val", ".log", "MANIFEST", "CURRENT"];
    for kind in kinds {
        assert!(good.keys().any(|name| name.contains(kind)), "{kind} of {:?}", good.keys());
    }
    assert!(good.keys().filter(|name| name.ends_with(".log")).count() >= 2, "a segment, a log");
    let mut flipped = 0;
    for (name, bytes) in good.iter().filter(|(name, _)| *name != "LOCK") {
        // The zeros that are written ahead of the records are nobody's.
        let end = bytes.iter().rposition(|&b| b != 0).expect("something") + 1;
        let step = (end / 150).max(1);
        for at in (0..end).step_by(step).chain([end - 1]) {
            let fs = disk_of(&good);
            let db = open_read_only(&fs);
            let mut bytes = bytes.clone();
            bytes[at] ^= 1 << (at % 8);
            put(&fs, name, &bytes);
            let report = verify(&db);
            assert!(damaged(&report).contains(name), "byte {at} of {name}: {report}");
            assert!(report.findings.iter().all(|f| f.offset <= at as u64), "{at}: {report}");
            let error = db.verify().expect_err("the first damage is an error");
            assert!(matches!(error, Error::Corruption { .. } | Error::UnsupportedFormat { .. }));
            flipped += 1;
        }
        // Cut short, and gone.
        let fs = disk_of(&good);
        let db = open_read_only(&fs);
        put(&fs, name, &bytes[..end / 2]);
        assert!(damaged(&verify(&db)).contains(name), "half of {name}");
        let fs = disk_of(&good);
        let db = open_read_only(&fs);
        fs.remove(&Path::new(DIR).join(name)).expect("removed");
        assert!(damaged(&verify(&db)).contains(name), "{name} is missing");
    }
    assert!(flipped > 700, "{flipped}");
    let report = verify(&open_read_only(&disk_of(&good)));
    assert!(report.is_sound() && report.is_complete, "{report}");
}

#[test]
fn it_goes_on_behind_damage_and_names_all_of_it_once() {
    let mut files = files(&lived());
    let tables: Vec<String> = files.keys().filter(|n| n.ends_with(".tbl")).cloned().collect();
    let values = files.keys().find(|n| n.ends_with(".val")).expect("a value file").clone();
    let sound = verify(&open_read_only(&disk_of(&files)));
    let mut flip = |name: &str, at: usize| {
        files.get_mut(name).expect("there")[at] ^= 4;
    };
    // Blocks of 512 B, so these are different ones.
    for at in [10, 1200, 2400] {
        flip(&tables[0], at);
    }
    flip(&tables[1], 10);
    flip(&values, 200);
    let fs = disk_of(&files);
    let db = open_read_only(&fs);
    let report = verify(&db);
    let of = |name: &str| {
        let is_it = |f: &&esker::Finding| f.file.ends_with(name);
        report.findings.iter().filter(is_it).map(|f| f.offset).collect::<Vec<_>>()
    };
    assert_eq!(of(&tables[0]).len(), 3, "{report}");
    assert_eq!(of(&tables[1]), [0], "{report}");
    assert_eq!(of(&values).len(), 1, "{report}");
    assert_eq!(report.damages, 5, "{report}");
    assert_eq!((report.files, report.is_complete), (sound.files, true));
    assert!(report.entries < sound.entries && report.entries > sound.entries / 2);
    let text = report.to_string();
    assert!(text.contains("5 damages") && text.contains(&values), "{text}");
}

#[test]
fn values_that_nothing_points_to_are_verified() {
    let fs = SimFs::new();
    fs.set_threads(false);
    let open = || Db::open_with_fs(Arc::new(fs.clone()), DIR, options()).expect("opens");
    let db = open();
    db.set("k", value(3)).expect("a set");
    db.set("k", value(9)).expect("a set");
    drop(db);
    drop(open()); // Both are moved into a value file, and the first is overwritten.
    let mut files = files(&fs);
    let (name, bytes) = files.iter_mut().find(|(n, _)| n.ends_with(".val")).expect("a value file");
    let garbage = value(3);
    let at = bytes.windows(garbage.len()).position(|w| w == garbage).expect("it is there");
    bytes[at + 1000] ^= 1;
    let name = name.clone();
    let db = open_read_only(&disk_of(&files));
    assert_eq!(db.get("k").expect("a read").as_deref(), Some(&value(9)[..]));
    let report = verify(&db);
    let [finding] = &report.findings[..] else { panic!("{report}") };
    assert!(finding.file.ends_with(&name) && finding.offset == at as u64, "{report}");
}

/// Ends the writers, also where the test fails.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

#[test]
fn nothing_is_made_up_beside_writers_compaction_and_collection() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = Options {
        memtable_bytes: 64 << 10,
        table_bytes: 16 << 10,
        log_file_bytes: 64 << 10,
        auto_compaction: true,
        value_gc_interval: Duration::from_millis(5),
        value_garbage_percent: 10,
        ..options()
    };
    let db = Db::open(dir.path(), options).expect("opens");
    let is_over = AtomicBool::new(false);
    std::thread::scope(|scope| {
        for writer in 0..2_u64 {
            let (db, is_over) = (&db, &is_over);
            scope.spawn(move || {
                let mut n = writer;
                while !is_over.load(Ordering::Relaxed) {
                    db.set(format!("key{:04}", n * 7919 % 800), value(n)).expect("a set");
                    db.delete(format!("key{:04}", n * 104_729 % 800)).expect("a delete");
                    n += 2;
                }
            });
        }
        let _over = Over(&is_over);
        let begun = Instant::now();
        let mut verified = 0;
        // It keeps tables that are merged away.
        let mut iterator = db.iter();
        // On a busy machine each of these may take a second.
        let is_enough = |verified| {
            let metrics = db.metrics();
            verified > 5 && metrics.compaction.compactions > 5 && metrics.values.collections > 0
        };
        while begun.elapsed() < Duration::from_secs(4) || !is_enough(verified) {
            assert!(begun.elapsed() < PATIENCE, "{verified}: {}", db.metrics());
            let report = verify(&db);
            assert!(report.findings.is_empty() && report.is_complete, "{report}");
            verified += 1;
            if verified % 3 == 0 {
                iterator = db.iter();
            }
        }
        drop(iterator);
    });
}

#[test]
fn progress_is_told_and_can_cancel() {
    let db = open_read_only(&lived());
    let mut told = Vec::new();
    let report = db.verify_with(VerifyOptions::default(), |progress| {
        told.push((progress.bytes_done, progress.bytes_in_all));
        ControlFlow::Continue(())
    });
    let report = report.expect("it is open");
    assert!(told.is_sorted() && told.len() >= 2, "{told:?}");
    let &(done, in_all) = told.last().expect("some");
    assert_eq!(done, report.bytes);
    assert!(done <= in_all && done > in_all / 10 * 9, "{done} of {in_all}");
    let mut calls = 0;
    let cancelled = db.verify_with(VerifyOptions::default(), |_| {
        calls += 1;
        ControlFlow::Break(())
    });
    let cancelled = cancelled.expect("that is no error");
    assert!(!cancelled.is_complete && calls == 1 && cancelled.bytes < report.bytes);
}

#[test]
fn its_pace_is_kept_and_a_close_ends_it_at_once() {
    let dir = tempfile::tempdir().expect("a directory");
    let db = Db::open(dir.path(), options()).expect("opens");
    for n in 0..2000_u64 {
        db.set(n.to_be_bytes(), value(n)).expect("a set");
    }
    db.flush().expect("a flush");
    let bytes = verify(&db).bytes;
    let begun = Instant::now();
    let paced = VerifyOptions { bytes_per_second: bytes * 2 };
    let report = db.verify_with(paced, |_| ControlFlow::Continue(())).expect("it is open");
    let took = begun.elapsed();
    assert!(report.is_complete && took > Duration::from_millis(350), "{took:?}");
    let closing = db.clone();
    let closer = std::thread::spawn(move || {
        std::thread::sleep(Duration::from_millis(200));
        closing.close().expect("closes");
        Instant::now()
    });
    let slow = VerifyOptions { bytes_per_second: 1000 };
    let ended = db.verify_with(slow, |_| ControlFlow::Continue(())).map(drop);
    let late = closer.join().expect("no panic").elapsed();
    assert!(matches!(ended, Err(Error::Closed)), "{ended:?}");
    // Not the twenty minutes that are left.
    assert!(bytes > 1_000_000 && late < PATIENCE, "{late:?}");
}

#[test]
fn files_that_nothing_names_are_findings_and_no_damage() {
    let dir = tempfile::tempdir().expect("a directory");
    let db = Db::open(dir.path(), options()).expect("opens");
    db.set("k", value(3)).expect("a set");
    db.close().expect("closes");
    let db = Db::open(dir.path(), options()).expect("opens");
    db.flush().expect("its files are made, and others removed");
    let strays = ["000001.tbl", "000002.val", "099999.tbl", "CURRENT.tmp", "notes.txt"];
    for name in strays {
        std::fs::write(dir.path().join(name), "x").expect("written");
    }
    // What an iterator still reads is not among them.
    let iterator = db.iter();
    db.set("k", value(6)).expect("a set");
    db.compact().expect("compacts");
    let report = db.verify().expect("that is no damage");
    let mut found: Vec<_> = report.findings.iter().collect();
    found.sort_by(|a, b| a.file.cmp(&b.file));
    let names: Vec<_> = found.iter().map(|f| f.file.file_name().expect("a file")).collect();
    assert_eq!(names, strays, "{report}");
    assert!(found.iter().all(|f| f.kind == FindingKind::Unnamed && !f.is_damage()));
    assert!(report.is_sound());
    drop(iterator);
}

#[test]
fn the_scrub_tells_of_damage_and_ends_at_close() {
    let dir = tempfile::tempdir().expect("a directory");
    let (sender, events) = std::sync::mpsc::channel();
    let listener = Listener::new(move |event: &Event| {
        if matches!(event, Event::ScrubDone { .. }) {
            let _ = sender.send(event.clone());
        }
    });
    let options = Options {
        scrub_interval: Some(Duration::from_millis(20)),
        scrub_bytes_per_second: 0,
        listener: Some(listener),
        ..options()
    };
    let db = Db::open(dir.path(), options.clone()).expect("opens");
    for n in 0..300_u64 {
        db.set(n.to_be_bytes(), value(n)).expect("a set");
    }
    db.flush().expect("a flush");
    let next = || events.recv_timeout(PATIENCE).expect("a scrub");
    let Event::ScrubDone { damages, first_damage, .. } = next() else { panic!("filtered") };
    assert!(damages == 0 && first_damage.is_none());
    let entry = |e: std::io::Result<std::fs::DirEntry>| e.expect("an entry").path();
    let mut paths = std::fs::read_dir(dir.path()).expect("a directory").map(entry);
    let table = paths.find(|path| path.extension().is_some_and(|e| e == "tbl")).expect("a table");
    // The byte alone: a file that is written anew is empty for a moment, and a scrub may come to it just then.
    let flipped = [std::fs::read(&table).expect("read")[100] ^ 1];
    let mut file = std::fs::File::options().write(true).open(&table).expect("opens");
    file.seek(SeekFrom::Start(100)).expect("its place");
    assert_eq!(file.write(&flipped).expect("written"), 1);
    let begun = Instant::now();
    let mut scrubs = std::iter::repeat_with(next).take_while(|_| begun.elapsed() < PATIENCE);
    let found = scrubs.find_map(|event| match event {
        Event::ScrubDone { first_damage, damages: 1.., .. } => first_damage,
        _ => None,
    });
    let Some(Error::Corruption { file, offset: 0, .. }) = &found else { panic!("{found:?}") };
    assert_eq!(*file, table);
    let scrub = db.metrics().scrub;
    assert!(scrub.scrubs >= 2 && scrub.damages >= 1 && scrub.bytes > 0, "{scrub:?}");
    db.close().expect("closes");

    // In the middle of a slow one, too.
    let options = Options { scrub_bytes_per_second: 1000, ..options };
    let db = Db::open(dir.path(), options).expect("opens");
    std::thread::sleep(Duration::from_millis(300));
    let begun = Instant::now();
    db.close().expect("closes");
    // Not the three minutes that it would take.
    assert!(begun.elapsed() < PATIENCE, "{:?}", begun.elapsed());
    assert_eq!(db.metrics().scrub.scrubs, 0);
}
