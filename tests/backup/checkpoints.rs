//! A checkpoint is a database of its own, of the same files.

use crate::fixture::{DIR, all, fill, names, noise, open, options, quiet_disk, read_file};
use crate::hooked_fs::HookedFs;
use esker::sim::{CallKind, CrashModel};
use esker::{Db, Error, Fs, Options};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::time::Instant;

const COPY: &str = "/copies/one";

#[test]
fn it_holds_what_was_there_and_each_goes_its_own_way() {
    let disk = quiet_disk();
    let db = open(&disk);
    fill(&db);
    let before = all(&db);
    db.checkpoint(COPY).expect("a checkpoint");
    assert_eq!(all(&db), before);
    let files: Vec<_> = names(&disk, COPY)
        .into_iter()
        .filter(|name| names(&disk, DIR).contains(name) && name.contains('.'))
        .collect();
    assert!(files.iter().any(|name| name.ends_with(".tbl")), "{files:?}");
    assert!(files.iter().any(|name| name.ends_with(".val")), "{files:?}");
    assert!(files.iter().any(|name| name.ends_with(".log")), "{files:?}");
    let content = || files.iter().map(|name| read_file(&disk, &format!("{COPY}/{name}"))).collect();
    let linked: Vec<Vec<u8>> = content();
    for n in 0..40 {
        db.set(format!("k{n:03}"), noise(n, 800)).expect("a commit");
    }
    db.compact().expect("compacted");
    db.collect_garbage().expect("collected");
    let changed = all(&db);
    assert_eq!(content() as Vec<Vec<u8>>, linked, "INV-5: nobody writes into them");
    let fs = Arc::new(disk.clone());
    let copy = Db::open_with_fs(fs.clone(), COPY, options()).expect("opens");
    assert_eq!(all(&copy), before);
    copy.verify().expect("sound");
    for (key, _) in &before {
        copy.delete(key).expect("a commit");
    }
    copy.set("in the copy", noise(1, 900)).expect("a commit");
    copy.compact().expect("compacted");
    copy.collect_garbage().expect("collected");
    assert_eq!(all(&db), changed);
    db.verify().expect("sound");
    copy.close().expect("closed");
    db.close().expect("closed");
    assert_eq!(all(&open(&disk)), changed);
    let copy = Db::open_with_fs(fs.clone(), COPY, options()).expect("opens");
    assert_eq!(all(&copy).len(), 1);
    // One of a checkpoint is a checkpoint.
    copy.checkpoint("/copies/two").expect("a checkpoint");
    let copy = Db::open_with_fs(fs, "/copies/two", options()).expect("opens");
    assert_eq!(all(&copy).len(), 1);
}

#[test]
fn it_is_durable_when_the_call_returns() {
    for wal_enabled in [true, false] {
        let disk = quiet_disk();
        let options = Options { wal_enabled, ..options() };
        let fs = Arc::new(disk.clone());
        let db = Db::open_with_fs(fs, DIR, options.clone()).expect("opens");
        fill(&db);
        for dir in [COPY, "/beside", "/deep/down/there", "/deep/two"] {
            db.checkpoint(dir).expect("a checkpoint");
            let image = Arc::new(disk.crash_image(&CrashModel::SyncedOnly));
            let copy = Db::open_with_fs(image, dir, options.clone()).expect("opens");
            assert_eq!(all(&copy), all(&db), "{dir}");
            copy.verify().expect("sound");
        }
    }
}

/// A database that was opened by way of a directory that no one had synced says nothing of how durable that is.
#[test]
fn where_its_database_stands_is_not_taken_for_durable() {
    let disk = quiet_disk();
    let db = open(&disk);
    fill(&db);
    db.close().expect("closed");
    disk.create_dir_all(Path::new("/new")).expect("a directory");
    let fs = Arc::new(disk.clone());
    let db = Db::open_with_fs(fs, "/new/../db", options()).expect("opens");
    db.checkpoint("/new/copy").expect("a checkpoint");
    let image = Arc::new(disk.crash_image(&CrashModel::SyncedOnly));
    let copy = Db::open_with_fs(image, "/new/copy", options()).expect("opens");
    assert_eq!(all(&copy), all(&db));
}

/// What such a sync has dropped may be the name of a table that the manifest is about to name.
#[test]
fn a_failed_sync_of_the_databases_own_directory_poisons() {
    let disk = quiet_disk();
    let fs = HookedFs::new(&disk);
    let db = open(&fs);
    fill(&db);
    db.flush().expect("flushed");
    fs.set_hook(|call| {
        let fails = call.kind == CallKind::SyncDir && call.path == Path::new(DIR);
        if fails { Err(io::Error::from_raw_os_error(5)) } else { Ok(()) }
    });
    let e = db.checkpoint(format!("{DIR}/copy")).expect_err("it failed");
    assert!(matches!(e, Error::Io { op: "sync", .. }), "{e}");
    fs.clear_hook();
    let e = db.set("a", "b").expect_err("refused");
    assert!(matches!(e, Error::Poisoned { .. }), "{e}");
}

#[test]
fn where_links_are_refused_files_are_copied() {
    let disk = quiet_disk();
    let fs = HookedFs::new(&disk);
    let db = open(&fs);
    fill(&db);
    const EXDEV: i32 = 18;
    fs.set_hook(|call| match call.kind {
        CallKind::Link => Err(io::Error::from_raw_os_error(EXDEV)),
        _ => Ok(()),
    });
    db.checkpoint(COPY).expect("a checkpoint");
    fs.clear_hook();
    let image = Arc::new(disk.crash_image(&CrashModel::SyncedOnly));
    let copy = Db::open_with_fs(image, COPY, options()).expect("opens");
    assert_eq!(all(&copy), all(&db));
    copy.verify().expect("sound");
    let large = names(&disk, COPY).iter().any(|name| name.ends_with(".tbl"));
    assert!(large);
}

#[test]
fn one_that_fails_leaves_no_database_and_one_that_was_cut_does_not_open() {
    let disk = quiet_disk();
    let fs = HookedFs::new(&disk);
    let db = open(&fs);
    fill(&db);
    db.flush().expect("flushed");
    let kinds =
        [CallKind::Link, CallKind::Write, CallKind::SyncData, CallKind::SyncDir, CallKind::Rename];
    for (number, kind) in (0..).zip(kinds) {
        let dir = format!("/failed/{number}");
        let under = dir.clone();
        fs.set_hook(move |call| {
            if call.kind == kind && call.path.starts_with(&under) && !call.is_done {
                return Err(io::Error::from_raw_os_error(28));
            }
            Ok(())
        });
        let e = db.checkpoint(&dir).expect_err("it failed");
        assert!(matches!(e, Error::Io { .. }), "{e}");
        fs.clear_hook();
        assert_eq!(names(&disk, &dir), ["LOCK"], "{kind:?}");
        db.checkpoint(&dir).expect("to the same place");
    }
    // Without `CURRENT` it is none, and says so.
    disk_without_current(&disk);
    let e = Db::open_with_fs(Arc::new(disk.clone()), "/failed/0", options()).expect_err("none");
    assert!(matches!(&e, Error::Corruption { file, .. } if file.ends_with("CURRENT")), "{e}");
    db.set("a", "b").expect("the original goes on");
}

fn disk_without_current(disk: &esker::sim::SimFs) {
    use esker::Fs;
    disk.remove(std::path::Path::new("/failed/0/CURRENT")).expect("removed");
}

#[test]
fn on_a_real_disk_it_takes_no_longer_than_the_memtable() {
    let dir = tempfile::tempdir().expect("a directory");
    let db = Db::open(dir.path().join("db"), Options::default()).expect("opens");
    for n in 0..300 {
        db.set(format!("k{n:03}"), noise(n, 100_000)).expect("a commit");
    }
    db.flush().expect("flushed");
    let begun = Instant::now();
    db.checkpoint(dir.path().join("copy")).expect("a checkpoint");
    println!("30 MB in {:?}", begun.elapsed());
    let copy = Db::open(dir.path().join("copy"), Options::default()).expect("opens");
    assert_eq!(all(&copy), all(&db));
}
