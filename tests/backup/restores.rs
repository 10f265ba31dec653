//! What becomes of everything else when a backup is restored into an open database.

use crate::fixture::{
    BACKUP, DIR, Entries, all, fill, names, noise, open, options, quiet_disk, read_file,
};
use crate::hooked_fs::{Gate, HookedFs, soon, spawn};
use esker::sim::{CallKind, CrashModel, SimFs};
use esker::{Db, Error, Options, RestoreOptions, Snapshot, SyncPolicy};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::channel;
use std::time::{Duration, Instant};

const ENOSPC: i32 = 28;
const EIO: i32 = 5;

fn seen_by(snapshot: &Snapshot) -> Entries {
    let entries = snapshot.iter().map(|entry| entry.expect("a read"));
    entries.map(|(key, value)| (key.to_vec(), value.to_vec())).collect()
}

/// A database with other content than its backup; that of the backup, and that which is there.
fn changed_since(db: &Db) -> (Entries, Entries) {
    fill(db);
    let old = all(db);
    db.backup(BACKUP).expect("a backup");
    for n in 0..50_u64 {
        db.set(format!("k{n:03}"), noise(n + 100, 300)).expect("a commit");
        if n == 25 {
            db.flush().expect("flushed");
        }
    }
    db.delete("ingested").expect("a commit");
    (old, all(db))
}

#[test]
fn who_read_before_goes_on_reading_the_old_state() {
    let disk = quiet_disk();
    let db = open(&disk);
    let (restored, old) = changed_since(&db);
    let snapshot = db.snapshot();
    let mut iterator = db.iter();
    let mut backwards = db.iter().rev();
    let first = iterator.next().expect("an entry").expect("a read");
    db.restore(BACKUP).expect("restored");
    let again = snapshot.clone();
    let after = db.snapshot();
    let check = |when: &str| {
        for snapshot in [&snapshot, &again] {
            assert_eq!(seen_by(snapshot), old, "{when}");
            for (key, value) in &old {
                let found = snapshot.get(key).expect("a read");
                assert_eq!(found.as_deref(), Some(value.as_slice()), "{when}");
            }
        }
        assert_eq!(snapshot.get("ingested").expect("a read"), None, "{when}");
        assert_eq!(seen_by(&after), restored, "{when}");
    };
    check("at once");
    for n in 0..50 {
        db.set(format!("k{n:03}"), noise(n, 400)).expect("a commit");
    }
    let changed = all(&db);
    check("after commits");
    db.flush().expect("flushed");
    db.compact().expect("compacted");
    db.collect_garbage().expect("collected");
    check("compacted and collected");
    // A second one: now there are three states.
    db.restore(BACKUP).expect("restored");
    check("after another restore");
    assert_eq!(all(&db), restored);
    let rest = iterator.map(|entry| entry.expect("a read"));
    let seen: Entries =
        std::iter::once(first).chain(rest).map(|(k, v)| (k.to_vec(), v.to_vec())).collect();
    assert_eq!(seen, old, "an iterator from before");
    let last = backwards.next().expect("an entry").expect("a read");
    assert_eq!((last.0.to_vec(), last.1.to_vec()), old.last().expect("some").clone());
    assert_ne!(changed, restored);
    // Once nobody reads them, the files of all that was are gone.
    let held = names(&disk, DIR).len();
    drop((snapshot, again, after, backwards));
    db.set("k", "v").expect("a commit");
    db.compact().expect("compacted");
    let left = names(&disk, DIR);
    assert!(left.len() < held, "{left:?}");
    let tables = left.iter().filter(|name| name.ends_with(".tbl")).count();
    assert_eq!(tables, db.metrics().tables, "{left:?}");
    db.verify().expect("sound");
}

#[test]
fn it_is_one_commit_among_others_and_durable() {
    for sync_policy in [SyncPolicy::Always, SyncPolicy::Never] {
        for wal_enabled in [true, false] {
            let disk = quiet_disk();
            let options = Options { sync_policy, wal_enabled, ..options() };
            let reopen = |disk: &SimFs| {
                Db::open_with_fs(Arc::new(disk.clone()), DIR, options.clone()).expect("opens")
            };
            let db = reopen(&disk);
            let (restored, _) = changed_since(&db);
            let before = db.metrics().last_seq;
            let report = db.restore(BACKUP).expect("restored");
            assert_eq!(report.sequence_number, before + 1);
            assert_eq!(db.snapshot().sequence_number(), before + 1);
            assert_eq!(usize::try_from(report.entries).expect("few"), restored.len());
            let image = disk.crash_image(&CrashModel::SyncedOnly);
            let found = reopen(&image);
            assert_eq!(all(&found), restored, "{sync_policy:?}, log: {wal_enabled}");
            found.verify().expect("sound");
            db.set("later", "1").expect("a commit");
            db.delete("k001").expect("a commit");
            db.persist().expect("a sync");
            let now = all(&db);
            let image = disk.crash_image(&CrashModel::SyncedOnly);
            assert_eq!(all(&reopen(&image)), now, "{sync_policy:?}, log: {wal_enabled}");
            db.close().expect("closed");
            assert_eq!(all(&reopen(&disk)), now);
        }
    }
}

#[test]
fn without_room_nothing_has_changed_and_nothing_is_left() {
    // Which write finds no room: of a table, of a value file, of the next log file, of the manifest.
    for file in [".tbl", ".val", ".log", "MANIFEST"] {
        let disk = quiet_disk();
        let fs = HookedFs::new(&disk);
        let options = Options { disk_reserve_bytes: 0, ..options() };
        let db = Db::open_with_fs(Arc::new(fs.clone()), DIR, options).expect("opens");
        let (restored, _) = changed_since(&db);
        db.flush().expect("flushed");
        db.compact().expect("compacted");
        db.collect_garbage().expect("collected");
        let old = all(&db);
        let before = names(&disk, DIR);
        fs.refuse_tables(file == ".tbl");
        fs.set_hook(move |call| {
            let name = call.path.to_string_lossy();
            // Of the manifest, an edit: and after it has been written, as if it had come to the disk all the same.
            let is_it = if file == "MANIFEST" {
                name.contains(file) && call.offset > 0 && call.is_done
            } else {
                name.ends_with(file) && !call.is_done
            };
            if is_it && call.kind == CallKind::Write {
                return Err(io::Error::from_raw_os_error(ENOSPC));
            }
            Ok(())
        });
        let e = db.restore(BACKUP).expect_err("no room");
        assert!(matches!(e, Error::Io { op: "write" | "extend", .. }), "{file}: {e}");
        fs.clear_hook();
        fs.refuse_tables(false);
        assert_eq!(all(&db), old, "{file}");
        let kinds = [".tbl", ".val"];
        let files = |names: &[String]| -> Vec<String> {
            let is_it = |name: &&String| kinds.iter().any(|kind| name.ends_with(kind));
            names.iter().filter(is_it).cloned().collect()
        };
        assert_eq!(files(&names(&disk, DIR)), files(&before), "{file}");
        assert_eq!(all(&open(&disk.crash_image(&CrashModel::Everything))), old, "{file}");
        db.set("more", "1").expect("it goes on");
        db.restore(BACKUP).expect("there is room again");
        assert_eq!(all(&db), restored, "{file}");
        db.verify().expect("sound");
    }
}

// The edit may stand in the manifest, and nothing can be written that is without it. What is
// committed afterwards must be newer than the restore, or the next open finds records in the
// log that are older than it.
#[test]
fn an_edit_of_which_nothing_is_known_is_indeterminate() {
    let disk = quiet_disk();
    let fs = HookedFs::new(&disk);
    let db = open(&fs);
    let (restored, old) = changed_since(&db);
    fs.set_hook(|call| {
        let is_manifest = call.path.to_string_lossy().contains("MANIFEST");
        if is_manifest && call.kind == CallKind::Write && call.is_done {
            return Err(io::Error::from_raw_os_error(ENOSPC));
        }
        Ok(())
    });
    let e = db.restore(BACKUP).expect_err("no room");
    assert!(matches!(e, Error::Indeterminate { .. }), "{e}");
    assert_eq!(all(&db), old, "not visible");
    db.set("later", "1").expect("the log has room");
    let found = open(&disk.crash_image(&CrashModel::Everything));
    let is_later = |(key, _): &(Vec<u8>, Vec<u8>)| key == b"later";
    let (later, rest): (Entries, Entries) = all(&found).into_iter().partition(is_later);
    let restored: Entries = restored.into_iter().filter(|entry| !is_later(entry)).collect();
    assert_eq!((later.len(), &rest), (1, &restored), "the edit was there");
    found.verify().expect("sound");
    fs.clear_hook();
    db.flush().expect("there is room again");
    db.persist().expect("a sync");
    let now = all(&db);
    assert_eq!(all(&open(&disk.crash_image(&CrashModel::Everything))), now, "it is gone for good");
    db.verify().expect("sound");
}

#[test]
fn a_failed_sync_poisons_and_leaves_the_old_state_or_the_new() {
    for (file, is_open) in
        [(".tbl", false), (".val", false), (".log", false), (DIR, false), ("MANIFEST", true)]
    {
        let disk = quiet_disk();
        let fs = HookedFs::new(&disk);
        let db = open(&fs);
        let (restored, _) = changed_since(&db);
        db.flush().expect("flushed");
        let old = all(&db);
        fs.set_hook(move |call| {
            let is_sync = matches!(call.kind, CallKind::SyncData | CallKind::SyncDir);
            let name = call.path.to_string_lossy();
            let is_it = if file == DIR { name == DIR } else { name.contains(file) };
            if is_sync && is_it && !call.is_done {
                return Err(io::Error::from_raw_os_error(EIO));
            }
            Ok(())
        });
        let e = db.restore(BACKUP).expect_err("a sync failed");
        match e {
            Error::Indeterminate { .. } => assert!(is_open, "{file}"),
            Error::Poisoned { .. } => assert!(!is_open, "{file}"),
            e => panic!("{file}: {e}"),
        }
        fs.clear_hook();
        let e = db.set("a", "b").expect_err("poisoned");
        assert!(matches!(e, Error::Poisoned { .. }), "{e}");
        assert_eq!(all(&db), old, "not visible");
        drop(db);
        let found = all(&open(&disk.crash_image(&CrashModel::Everything)));
        assert!(found == old || is_open && found == restored, "{file}");
    }
}

/// A job is held at its first table until the restore is in force.
fn held_while_restored(
    prepare: fn(&Db),
    job: impl FnOnce(&Db) + Send + 'static,
    is_its: fn(&str) -> bool,
) {
    let disk = SimFs::new();
    let fs = HookedFs::new(&disk);
    let options = Options { auto_compaction: false, ..options() };
    let db = Db::open_with_fs(Arc::new(fs.clone()), DIR, options.clone()).expect("opens");
    let (restored, old) = changed_since(&db);
    let snapshot = db.snapshot();
    prepare(&db);
    let (gate, has_reached, go_on) = Gate::new();
    fs.set_hook(move |call| {
        if call.kind == CallKind::SyncData && is_its(&call.path.to_string_lossy()) {
            gate.pass();
        }
        Ok(())
    });
    let working = db.clone();
    let job = spawn(move || job(&working));
    soon(&has_reached, "the job");
    db.restore(BACKUP).expect("restored");
    db.set("after", "1").expect("a commit");
    go_on.send(()).expect("it waits");
    soon(&job, "the job's end");
    fs.clear_hook();
    let mut expected = restored;
    let at = expected.partition_point(|(key, _)| key.as_slice() < b"after".as_slice());
    expected.insert(at, (b"after".to_vec(), b"1".to_vec()));
    assert_eq!(all(&db), expected);
    assert_eq!(seen_by(&snapshot), old);
    db.verify().expect("sound");
    drop(snapshot);
    db.flush().expect("flushed");
    db.compact().expect("compacted");
    assert_eq!(all(&db), expected);
    db.close().expect("closed");
    let tables = names(&disk, DIR).iter().filter(|name| name.ends_with(".tbl")).count();
    let db = Db::open_with_fs(Arc::new(disk.clone()), DIR, options).expect("opens");
    assert_eq!(tables, db.metrics().tables, "what the job wrote is gone");
    assert_eq!(all(&db), expected);
    db.verify().expect("sound");
}

#[test]
fn a_flush_that_was_under_way_comes_to_nothing() {
    held_while_restored(
        |_| {},
        |db| {
            // Whether it is told that it was replaced or not: it must not hang.
            db.flush().expect("what was in memory is replaced");
        },
        |path| path.ends_with(".tbl"),
    );
}

#[test]
fn a_compaction_that_was_under_way_comes_to_nothing() {
    held_while_restored(
        // Else it would be the flush that is held.
        |db| db.flush().expect("flushed"),
        |db| db.compact().expect("it goes on with what is there now"),
        |path| path.ends_with(".tbl"),
    );
}

#[test]
fn a_collection_that_was_under_way_comes_to_nothing() {
    held_while_restored(
        |db| {
            db.flush().expect("flushed");
            db.compact().expect("compacted");
        },
        |db| {
            db.collect_garbage().expect("it goes on with what is there now");
        },
        |path| path.ends_with(".val"),
    );
}

#[test]
fn close_waits_for_one_that_is_being_put_in_force_and_ends_one_that_is_read() {
    // It is held at the manifest's edit.
    let disk = SimFs::new();
    let fs = HookedFs::new(&disk);
    let db = open(&fs);
    let (restored, _) = changed_since(&db);
    db.flush().expect("flushed");
    let (gate, has_reached, go_on) = Gate::new();
    let is_restoring = Arc::new(AtomicBool::new(false));
    let armed = Arc::clone(&is_restoring);
    fs.set_hook(move |call| {
        let is_manifest = call.path.to_string_lossy().contains("MANIFEST");
        // The threads of the database have names, that which restores has none.
        let is_its = armed.load(Ordering::SeqCst) && std::thread::current().name().is_none();
        if is_its && call.kind == CallKind::SyncData && is_manifest {
            gate.pass();
        }
        Ok(())
    });
    is_restoring.store(true, Ordering::SeqCst);
    let restoring = db.clone();
    let restore = spawn(move || restoring.restore(BACKUP).map(drop));
    soon(&has_reached, "the edit");
    let closing = db.clone();
    let close = spawn(move || closing.close());
    assert!(close.recv_timeout(Duration::from_millis(100)).is_err(), "it waits");
    go_on.send(()).expect("it waits");
    soon(&restore, "the restore").expect("restored");
    soon(&close, "the close").expect("closed");
    fs.clear_hook();
    let db = open(&disk);
    assert_eq!(all(&db), restored);

    // A stream that gives nothing more does not keep the database from being closed.
    struct Slow {
        bytes: Vec<u8>,
        at: usize,
        closed: std::sync::mpsc::Receiver<()>,
    }
    impl io::Read for Slow {
        fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
            if self.at > 0 {
                self.closed.recv().expect("the test goes on");
            }
            let count = buf.len().min(self.bytes.len() - self.at).min(5000);
            buf[..count].copy_from_slice(&self.bytes[self.at..self.at + count]);
            self.at += count;
            Ok(count)
        }
    }
    let (closed, has_closed) = channel();
    let slow = Slow { bytes: read_file(&disk, BACKUP), at: 0, closed: has_closed };
    let restoring = db.clone();
    let restore = spawn(move || restoring.restore_from(slow, RestoreOptions::default()));
    let closing = db.clone();
    soon(&spawn(move || closing.close()), "the close").expect("closed");
    let before = names(&disk, DIR);
    // Until nobody reads any more.
    (0..1000).all(|_| closed.send(()).is_ok());
    let e = soon(&restore, "the restore").expect_err("closed");
    assert!(matches!(e, Error::Closed), "{e}");
    assert_eq!(names(&disk, DIR), before, "nothing is touched after the close");
    assert_eq!(all(&open(&disk)), restored);
}

#[test]
fn readers_see_one_state_or_the_other_and_never_go_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = Options { memtable_bytes: 1 << 18, log_file_bytes: 1 << 18, ..options() };
    let db = Db::open(dir.path().join("db"), options.clone()).expect("opens");
    let path = dir.path().join("backup");
    let keys = |n: u64| format!("k{n:04}");
    for n in 0..200 {
        db.set(keys(n), [&b"0 "[..], &noise(n, 400)].concat()).expect("a commit");
    }
    db.backup(&path).expect("a backup");
    // How often it was restored; and a number that rises with each commit, from 0 after each restore.
    let is_over = AtomicBool::new(false);
    let reads = AtomicU64::new(0);
    std::thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                while !is_over.load(Ordering::SeqCst) {
                    let snapshot = db.snapshot();
                    let epochs = |snapshot: &Snapshot| -> Vec<Vec<u8>> {
                        let entries = snapshot.prefix("k").map(|entry| entry.expect("a read").1);
                        entries
                            .map(|v| v.split(|&b| b == b' ').next().unwrap_or_default().to_vec())
                            .collect()
                    };
                    let seen = epochs(&snapshot);
                    assert_eq!(seen.len(), 200);
                    assert!(seen.iter().all(|epoch| *epoch == seen[0]), "of one state");
                    assert_eq!(epochs(&snapshot), seen, "the same again");
                    reads.fetch_add(1, Ordering::SeqCst);
                }
            });
        }
        scope.spawn(|| {
            // All keys in one commit, so that each state is of one epoch.
            for epoch in 1.. {
                if is_over.load(Ordering::SeqCst) {
                    return;
                }
                let mut batch = esker::WriteBatch::new();
                for n in 0..200 {
                    let value = [format!("{epoch} ").as_bytes(), &noise(n + epoch, 400)].concat();
                    batch.set(keys(n), value);
                }
                db.write(batch).expect("a commit");
            }
        });
        scope.spawn(|| {
            while !is_over.load(Ordering::SeqCst) {
                db.compact().expect("compacted");
                db.collect_garbage().expect("collected");
            }
        });
        let until = Instant::now() + Duration::from_secs(4);
        let mut restores = 0;
        while Instant::now() < until || restores < 5 || reads.load(Ordering::SeqCst) < 5 {
            db.restore(&path).expect("restored");
            restores += 1;
        }
        is_over.store(true, Ordering::SeqCst);
    });
    db.restore(&path).expect("restored");
    assert!(all(&db).iter().all(|(_, value)| value.starts_with(b"0 ")));
    db.verify().expect("sound");
    db.close().expect("closed");
    let db = Db::open(dir.path().join("db"), options).expect("opens");
    assert_eq!(all(&db).len(), 200);
    db.verify().expect("sound");
}

#[test]
fn a_new_directory_holds_no_database_until_it_is_whole() {
    let disk = quiet_disk();
    let fs = HookedFs::new(&disk);
    let db = open(&fs);
    let (restored, _) = changed_since(&db);
    drop(db);
    // At each call an image of what a crash may leave.
    let images = Arc::new(std::sync::Mutex::new(Vec::new()));
    let (shared, below) = (Arc::clone(&images), disk.clone());
    fs.set_hook(move |call| {
        if call.path.starts_with("/new") || call.path == std::path::Path::new("/") {
            let models = [CrashModel::Everything, CrashModel::SyncedOnly];
            let taken = models.iter().map(|model| below.crash_image(model));
            shared.lock().expect("alone").extend(taken);
        }
        Ok(())
    });
    let other = Db::create_from_backup_with_fs(Arc::new(fs.clone()), BACKUP, "/new", options());
    let other = other.expect("restored");
    fs.clear_hook();
    assert_eq!(all(&other), restored);
    let mut outcomes = [0; 3];
    for image in images.lock().expect("alone").drain(..) {
        match Db::open_with_fs(Arc::new(image.clone()), "/new", options()) {
            Err(e) => {
                assert!(
                    matches!(&e, Error::Corruption { file, .. } if file.ends_with("CURRENT")),
                    "{e}"
                );
                outcomes[0] += 1;
            }
            Ok(db) if all(&db).is_empty() => outcomes[1] += 1,
            Ok(db) => {
                assert_eq!(all(&db), restored);
                db.verify().expect("sound");
                outcomes[2] += 1;
            }
        }
    }
    assert!(outcomes.iter().all(|&count| count > 0), "{outcomes:?}");
    // Each call fails once: then there is no database, or the whole one.
    let calls = Arc::new(AtomicU64::new(0));
    for fails in 0.. {
        let dir = format!("/fails/{fails}");
        calls.store(0, Ordering::SeqCst);
        let (counted, under) = (Arc::clone(&calls), dir.clone());
        fs.set_hook(move |call| {
            let is_it = call.path.starts_with(&under) && !call.is_done;
            if is_it && counted.fetch_add(1, Ordering::SeqCst) == fails {
                return Err(io::Error::from_raw_os_error(EIO));
            }
            Ok(())
        });
        let made = Db::create_from_backup_with_fs(Arc::new(fs.clone()), BACKUP, &dir, options());
        fs.clear_hook();
        if calls.load(Ordering::SeqCst) <= fails {
            assert_eq!(all(&made.expect("nothing failed")), restored);
            assert!(fails > 5);
            break;
        }
        if let Err(e) = made {
            assert!(matches!(e, Error::Io { .. }), "{e}");
            match Db::open_with_fs(Arc::new(disk.clone()), &dir, options()) {
                Ok(db) => assert!(all(&db).is_empty() || all(&db) == restored, "call {fails}"),
                Err(e) => assert!(matches!(e, Error::Corruption { .. }), "{e}"),
            }
        }
    }
}

#[test]
fn a_new_directory_must_be_empty() {
    let disk = quiet_disk();
    let db = open(&disk);
    changed_since(&db);
    let fs = Arc::new(disk.clone());
    for dir in [DIR, "/backups"] {
        let before = names(&disk, dir);
        let e = Db::create_from_backup_with_fs(fs.clone(), BACKUP, dir, options());
        assert!(matches!(e, Err(Error::InvalidArgument { .. })), "{e:?}");
        let e = db.checkpoint(dir);
        assert!(matches!(e, Err(Error::InvalidArgument { .. })), "{e:?}");
        assert_eq!(names(&disk, dir), before);
    }
}
