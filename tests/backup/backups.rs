//! What a backup holds, and how it gets to its place.

use crate::fixture::{
    BACKUP, DIR, Done, all, fill, names, noise, open, options, quiet_disk, read_file, write_file,
};
use crate::hooked_fs::{HookedFs, until};
use esker::sim::{CallKind, CrashModel, SimFs};
use esker::{
    BackupOptions, BackupProgress, Clock, Db, Engine, Error, LsmEngine, MemoryEngine, Options,
    RestoreOptions, verify_backup, verify_backup_from,
};
use std::collections::BTreeMap;
use std::io;
use std::ops::ControlFlow;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};

#[test]
fn everything_that_was_there_is_there_again() {
    let disk = quiet_disk();
    let db = open(&disk);
    fill(&db);
    let before = all(&db);
    let report = db.backup(BACKUP).expect("a backup");
    assert_eq!(usize::try_from(report.entries).expect("few"), before.len());
    assert_eq!(report.sequence_number, db.metrics().last_seq);
    let info = db.verify_backup(BACKUP).expect("sound");
    assert_eq!((info.entries, info.bytes), (report.entries, report.bytes));
    assert_eq!((info.deletes, info.since), (0, None));
    let raw: usize = before.iter().map(|(key, value)| key.len() + value.len()).sum();
    assert_eq!(usize::try_from(info.raw_bytes).expect("few"), raw);
    assert!(info.bytes < info.raw_bytes, "what was in Snappy is still");
    // Into a new directory, with other thresholds.
    for value_threshold in [64, 256, 2000, 1 << 31] {
        let other_dir = format!("/other/{value_threshold}");
        let options = Options { value_threshold, ..options() };
        let fs = Arc::new(disk.clone());
        let other = Db::create_from_backup_with_fs(fs.clone(), BACKUP, &other_dir, options.clone())
            .expect("restored");
        assert_eq!(all(&other), before);
        other.verify().expect("sound");
        let values = names(&disk, &other_dir).iter().any(|name| name.ends_with(".val"));
        assert_eq!(values, value_threshold < 1 << 31);
        other.set("k", "v").expect("a commit");
        drop(other);
        let other = Db::open_with_fs(fs, &other_dir, options).expect("opens");
        assert_eq!(all(&other).len(), before.len() + 1);
    }
    // Into this one, twice, by file and by stream.
    for n in 0..60 {
        db.set(format!("k{n:03}"), noise(n, 900)).expect("a commit");
    }
    db.restore(BACKUP).expect("restored");
    assert_eq!(all(&db), before);
    db.verify().expect("sound");
    db.delete("k001").expect("a commit");
    let mut stream = Vec::new();
    db.backup_to(&mut stream, BackupOptions::default()).expect("a backup");
    verify_backup_from(stream.as_slice()).expect("sound");
    db.set("k001", "x").expect("a commit");
    db.restore_from(stream.as_slice(), RestoreOptions::default()).expect("restored");
    assert_eq!(all(&db).len(), before.len() - 1);
    drop(db);
    let db = open(&disk);
    assert_eq!(all(&db).len(), before.len() - 1);
    // Its values can be collected and its tables merged as any.
    for n in 0..40 {
        db.set(format!("k{n:03}"), noise(n, 900)).expect("a commit");
    }
    db.compact().expect("compacted");
    db.collect_garbage().expect("collected");
    db.verify().expect("sound");
    let info = db.verify_backup(BACKUP).expect("sound");
    assert_eq!(info.entries, report.entries, "the file is not touched by any of it");
}

#[test]
fn an_empty_database_is_one_too() {
    let disk = quiet_disk();
    let db = open(&disk);
    assert_eq!(db.backup(BACKUP).expect("a backup").entries, 0);
    db.set("a", "1").expect("a commit");
    assert_eq!(db.restore(BACKUP).expect("restored").entries, 0);
    assert_eq!(all(&db), []);
    db.set("b", "1").expect("a commit");
    drop(db);
    assert_eq!(all(&open(&disk)).len(), 1);
    let fs = Arc::new(disk.clone());
    let other = Db::create_from_backup_with_fs(fs, BACKUP, "/other", options()).expect("restored");
    assert_eq!(all(&other), []);
}

#[test]
fn times_to_live_end_when_they_would_have_ended() {
    let disk = quiet_disk();
    let db = open(&disk);
    db.set_with_ttl("soon", "s", Duration::from_secs(1)).expect("a commit");
    db.set_with_ttl("late", noise(1, 900), Duration::from_secs(100)).expect("a commit");
    db.backup(BACKUP).expect("a backup");
    disk.sim_clock().advance(Duration::from_secs(2));
    db.delete("late").expect("a commit");
    db.restore(BACKUP).expect("restored");
    let engine = LsmEngine::new(db.clone());
    assert_eq!(db.get("soon").expect("a read"), None);
    assert!(db.get("late").expect("a read").is_some());
    disk.sim_clock().advance(Duration::from_secs(98));
    assert_eq!(db.get("late").expect("a read"), None);
    // What was seen expired stays so where the clock is behind, and in another database too.
    engine.set_service("web", b"{}", Duration::from_secs(1)).expect("registered");
    disk.sim_clock().advance(Duration::from_secs(1));
    assert!(matches!(engine.get_service("web"), Err(Error::ServiceExpired)));
    db.backup(BACKUP).expect("a backup");
    let now_ms = disk.sim_clock().now_ms();
    disk.sim_clock().set_ms(now_ms - 500);
    let fs = Arc::new(disk.clone());
    let other = Db::create_from_backup_with_fs(fs, BACKUP, "/other", options()).expect("restored");
    let other = LsmEngine::new(other);
    assert!(matches!(other.get_service("web"), Err(Error::ServiceExpired)));
    // Purged, it is no longer in a backup.
    disk.sim_clock().advance(Duration::from_secs(1000));
    assert_eq!(db.backup(BACKUP).expect("a backup").entries, 0);
}

#[test]
fn each_engine_restores_the_file_of_the_other() {
    let dir = tempfile::tempdir().expect("a directory");
    let path = dir.path().join("backup");
    let memory = MemoryEngine::new();
    let lsm = LsmEngine::open(dir.path().join("db"), Options::default()).expect("opens");
    let engines: [&dyn Engine; 2] = [&memory, &lsm];
    for (from, to) in [(0, 1), (1, 0)] {
        let (from, to) = (engines[from], engines[to]);
        let keys = ["", "a", "kv:a", "svc:a", "ü"];
        for (n, key) in (0..).zip(keys) {
            from.set(key, &noise(n, 1 << (3 * n))).expect("set");
            to.set(&format!("{key} to go"), b"").expect("set");
        }
        from.set("text", &[b'x'; 9000]).expect("set");
        from.set_service("web", &[b'y'; 2000], Duration::from_secs(1000)).expect("registered");
        from.set_service("ever", b"{}", Duration::MAX).expect("registered");
        from.backup(&path).expect("a backup");
        assert_eq!(verify_backup(&path).expect("sound").entries, 8);
        to.restore(&path).expect("restored");
        assert_eq!(to.list("").expect("a list"), from.list("").expect("a list"));
        for key in from.list("").expect("a list") {
            assert_eq!(to.get(&key).expect("there"), from.get(&key).expect("there"));
        }
        assert_eq!(to.list_services().expect("a list"), ["ever", "web"]);
        assert_eq!(to.get_service("web").expect("there"), [b'y'; 2000]);
        for key in from.list("").expect("a list") {
            from.delete(&key).expect("deleted");
        }
    }
    // What no engine has put there has no place in memory; nothing is dropped in silence.
    lsm.db().set("neither", "").expect("set");
    lsm.backup(&path).expect("a backup");
    memory.set("kept", b"").expect("set");
    let e = memory.restore(&path).expect_err("refused");
    assert!(matches!(e, Error::InvalidArgument { .. }) && e.to_string().contains("neither"), "{e}");
    assert!(memory.get("kept").is_ok());
}

/// Each commit of thread `i` sets two keys of it to its number and to what it knew of the others.
fn commit(db: &Db, thread: usize, number: u64, known: [u64; 4]) {
    let mut batch = esker::WriteBatch::new();
    let text = format!("{number} {known:?}");
    // One is large, so that it is in the log.
    let large = [text.as_bytes(), &noise(number, 600)].concat();
    batch.set(format!("{thread}/small"), text);
    batch.set(format!("{thread}/large"), large);
    db.write(batch).expect("a commit");
}

/// The number that the commit which `value` is of had, and what it knew of the others.
fn number_and_known(value: &[u8]) -> (u64, Vec<u64>) {
    let end = value.iter().position(|&b| b == b']').expect("written by `commit`");
    let text = str::from_utf8(&value[..end]).expect("text");
    let (number, known) = text.split_once(" [").expect("two parts");
    let known = known.split(", ").map(|n| n.parse().expect("a number")).collect();
    (number.parse().expect("a number"), known)
}

#[test]
fn made_while_four_threads_write_it_is_one_prefix_of_the_commits() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = Options { memtable_bytes: 1 << 18, log_file_bytes: 1 << 18, ..options() };
    let db = Db::open(dir.path().join("db"), options.clone()).expect("opens");
    let acknowledged: [AtomicU64; 4] = std::array::from_fn(|_| AtomicU64::new(0));
    let is_over = AtomicBool::new(false);
    let known = || std::array::from_fn(|i| acknowledged[i].load(Ordering::SeqCst));
    std::thread::scope(|scope| {
        for thread in 0..4 {
            let (db, acknowledged, is_over, known) = (&db, &acknowledged, &is_over, &known);
            scope.spawn(move || {
                for number in 1.. {
                    if is_over.load(Ordering::SeqCst) {
                        return;
                    }
                    commit(db, thread, number, known());
                    acknowledged[thread].store(number, Ordering::SeqCst);
                }
            });
        }
        let _done = Done(&is_over);
        let until = Instant::now() + Duration::from_secs(3);
        let mut backups = 0;
        while Instant::now() < until || backups < 3 {
            let path = dir.path().join(format!("backup {backups}"));
            let before = known();
            let report = db.backup(&path).expect("a backup");
            let copy = dir.path().join(format!("copy {backups}"));
            let copy = Db::create_from_backup(&path, &copy, options.clone()).expect("restored");
            let mut found = [0; 4];
            let mut knew = BTreeMap::new();
            for (thread, found) in found.iter_mut().enumerate() {
                let read = |which| copy.get(format!("{thread}/{which}")).expect("a read");
                let Some(small) = read("small") else { continue };
                let large = read("large").expect("batches are whole");
                let (number, known) = number_and_known(&small);
                assert_eq!(number_and_known(&large), (number, known.clone()), "batches are whole");
                (*found, _) = (number, knew.insert(thread, known));
            }
            for thread in 0..4 {
                assert!(found[thread] >= before[thread], "all that was acknowledged before");
                for known in knew.values() {
                    assert!(found[thread] >= known[thread], "all that a commit in it had seen");
                }
            }
            // Two operations each, and nothing else is numbered: so no commit is left out.
            assert_eq!(found.iter().sum::<u64>() * 2, report.sequence_number);
            backups += 1;
        }
    });
    db.verify().expect("sound");
}

#[test]
fn progress_is_told_and_can_end_it() {
    let disk = SimFs::new();
    let options = Options { auto_compaction: false, ..options() };
    let db = Db::open_with_fs(Arc::new(disk.clone()), DIR, options).expect("opens");
    for n in 0..40 {
        db.set(format!("k{n:03}"), noise(n, 100_000)).expect("a commit");
    }
    let mut told = Vec::new();
    let mut progress = |progress: BackupProgress| {
        told.push(progress);
        ControlFlow::Continue(())
    };
    let options = BackupOptions { progress: Some(&mut progress), ..BackupOptions::default() };
    let report = db.backup_with(BACKUP, options).expect("a backup");
    assert!(told.len() > 3 && told.is_sorted_by(|a, b| a.bytes_done < b.bytes_done));
    assert!(told.iter().all(|p| p.bytes_done <= p.bytes_total));
    let last = told.last().expect("told");
    assert_eq!((last.bytes_done, last.bytes_total), (report.bytes, report.bytes));
    assert!(told[0].bytes_total > report.bytes / 2, "it is known beforehand, about");

    let old = read_file(&disk, BACKUP);
    db.set("more", "").expect("a commit");
    let mut calls = 0;
    let mut progress = |_: BackupProgress| {
        calls += 1;
        if calls == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let options = BackupOptions { progress: Some(&mut progress), ..BackupOptions::default() };
    let e = db.backup_with(BACKUP, options).expect_err("ended");
    assert!(matches!(e, Error::Cancelled), "{e}");
    assert_eq!(calls, 2);
    assert_eq!(names(&disk, "/backups"), ["one"], "nothing is left of it");
    assert_eq!(read_file(&disk, BACKUP), old, "the old one stands");

    // From here on nothing is written in the background; a log file that has served may still go.
    until("the memtables in tables", || db.metrics().memtables == 1);
    let before = (all(&db), names(&disk, DIR));
    let mut calls = 0;
    let mut progress = |_: BackupProgress| {
        calls += 1;
        if calls == 2 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    let e = db.restore_with(BACKUP, RestoreOptions { progress: Some(&mut progress) });
    assert!(matches!(e, Err(Error::Cancelled)), "{e:?}");
    assert_eq!(all(&db), before.0, "nothing has changed");
    let left: Vec<_> = names(&disk, DIR).into_iter().filter(|n| !before.1.contains(n)).collect();
    assert!(left.is_empty(), "{left:?}");
    db.verify().expect("nor is anything missing");
}

#[test]
fn no_more_is_written_than_the_limit_says() {
    let dir = tempfile::tempdir().expect("a directory");
    let db = Db::open(dir.path().join("db"), Options::default()).expect("opens");
    for n in 0..30 {
        db.set(format!("k{n:03}"), noise(n, 100_000)).expect("a commit");
    }
    let begun = Instant::now();
    let options = BackupOptions { bytes_per_second: 10_000_000, ..BackupOptions::default() };
    let report = db.backup_with(dir.path().join("backup"), options).expect("a backup");
    let due = Duration::from_secs_f64(report.bytes as f64 / 1e7);
    assert!(begun.elapsed() + Duration::from_millis(10) > due, "{:?} of {due:?}", begun.elapsed());
    // Who closes the database does not wait for one that takes an hour.
    let slow = db.clone();
    let path = dir.path().join("slow");
    let (begun, has_begun) = std::sync::mpsc::channel();
    let backup = std::thread::spawn(move || {
        let mut progress = |_: BackupProgress| {
            begun.send(()).expect("the test listens");
            ControlFlow::Continue(())
        };
        let progress = Some(&mut progress as _);
        let options =
            BackupOptions { bytes_per_second: 1000, progress, ..BackupOptions::default() };
        slow.backup_with(path, options)
    });
    has_begun.recv().expect("it begins");
    db.close().expect("closed");
    let e = backup.join().expect("no panic").expect_err("closed");
    assert!(matches!(e, Error::Closed), "{e}");
    let left: Vec<_> = std::fs::read_dir(dir.path()).expect("a list").collect();
    assert_eq!(left.len(), 2, "the database and the first backup: {left:?}");
}

#[test]
fn the_old_file_stands_until_the_new_one_is_whole_and_synced() {
    let disk = quiet_disk();
    let fs = HookedFs::new(&disk);
    let db = open(&fs);
    db.set("a", "1").expect("a commit");
    db.backup(BACKUP).expect("a backup");
    let old = read_file(&disk, BACKUP);
    db.set("a", "2").expect("a commit");
    // Each call on the new file fails once.
    for kind in [CallKind::Write, CallKind::SyncData, CallKind::Rename] {
        fs.set_hook(move |call| {
            let is_backup = call.path.starts_with("/backups");
            if is_backup && call.kind == kind && !call.is_done {
                return Err(io::Error::other("on purpose"));
            }
            Ok(())
        });
        let e = db.backup(BACKUP).expect_err("it failed");
        assert!(matches!(e, Error::Io { .. }), "{e}");
        fs.clear_hook();
        assert_eq!(names(&disk, "/backups"), ["one"], "{kind:?}: nothing is left of it");
        assert_eq!(read_file(&disk, BACKUP), old, "{kind:?}: the old one stands");
    }
    db.set("b", "3").expect("it goes on: no file of the database failed");
    // A power cut before the rename: the old file; what was begun is refused, and the next one removes it.
    let image = {
        let disk = disk.clone();
        let taken = Arc::new(std::sync::Mutex::new(None));
        let slot = Arc::clone(&taken);
        fs.set_hook(move |call| {
            if call.kind == CallKind::Write && call.path.starts_with("/backups") && !call.is_done {
                *slot.lock().expect("alone") = Some(disk.crash_image(&CrashModel::Everything));
            }
            Ok(())
        });
        db.backup(BACKUP).expect("a backup");
        fs.clear_hook();
        taken.lock().expect("alone").take().expect("a write")
    };
    assert_eq!(read_file(&image, BACKUP), old);
    let found = open(&image);
    let partial = names(&image, "/backups").into_iter().find(|name| name != "one").expect("left");
    let e = found.restore(format!("/backups/{partial}")).expect_err("cut short");
    assert!(matches!(&e, Error::Corruption { file, .. } if file.ends_with(&partial)), "{e}");
    // Of another backup, and of another database, is not ours to remove.
    write_file(&image, "/backups/one.partial-0000000000000000-0", b"");
    write_file(&image, &format!("/backups/other{}", &partial[3..]), b"");
    found.backup(BACKUP).expect("a backup");
    let left = names(&image, "/backups");
    assert_eq!(left.len(), 3, "{left:?}");
    assert!(!left.contains(&partial));
    // As durable as it says.
    let image = disk.crash_image(&CrashModel::SyncedOnly);
    let found = open(&image);
    found.restore(BACKUP).expect("whole");
    assert_eq!(all(&found).len(), 2);
}

#[test]
fn names_of_a_databases_own_files_are_refused_and_its_directory_is_a_place_like_any() {
    let disk = quiet_disk();
    let db = open(&disk);
    fill(&db);
    for name in ["CURRENT", "LOCK", "000001.log", "000012.tbl", "MANIFEST-000002", "CURRENT.tmp"] {
        for dir in [DIR, "/elsewhere"] {
            let e = db.backup(format!("{dir}/{name}")).expect_err("refused");
            assert!(matches!(e, Error::InvalidArgument { .. }), "{e}");
        }
    }
    assert!(matches!(db.backup("/"), Err(Error::InvalidArgument { .. })));
    let path = format!("{DIR}/mine");
    db.backup(&path).expect("a backup");
    let before = all(&db);
    db.set("more", "").expect("a commit");
    db.close().expect("closed");
    let db = open(&disk);
    db.restore(&path).expect("no open removes it");
    assert_eq!(all(&db), before);
    // Files of the open directory are no backups.
    for name in names(&disk, DIR).iter().filter(|name| *name != "mine") {
        let e = db.restore(format!("{DIR}/{name}")).expect_err("no backup");
        assert!(matches!(e, Error::Corruption { .. }), "{name}: {e}");
    }
    assert_eq!(all(&db), before);
    db.verify().expect("sound");
}

#[test]
fn a_backup_stops_at_damage_and_leaves_no_file() {
    let disk = quiet_disk();
    let db = open(&disk);
    fill(&db);
    db.close().expect("closed");
    for extension in [".tbl", ".val", ".log"] {
        let image = disk.crash_image(&CrashModel::Everything);
        let mut damaged = 0;
        for name in names(&image, DIR).iter().filter(|name| name.ends_with(extension)) {
            let path = format!("{DIR}/{name}");
            let mut bytes = read_file(&image, &path);
            if bytes.len() > 1000 {
                let part = bytes.len() / 10;
                bytes[part..9 * part].fill(0x5a);
                write_file(&image, &path, &bytes);
                damaged += 1;
            }
        }
        assert!(damaged > 0, "{extension}");
        let db = Db::open_with_fs(Arc::new(image.clone()), DIR, options()).expect("opens");
        let e = db.backup(BACKUP).expect_err(extension);
        assert!(matches!(e, Error::Corruption { .. }), "{extension}: {e}");
        assert_eq!(names(&image, "/backups"), Vec::<String>::new());
    }
}
