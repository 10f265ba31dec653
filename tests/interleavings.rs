//! What the contract promises at one call to the disk: with the power going or
//! the process dying just there, another thread writing meanwhile, or a panic.

mod hooked_fs;

use esker::crashtest::workload::value;
use esker::sim::{CallKind, CrashModel, SimFs};
use esker::{Db, Error, Fs, Options, SyncPolicy, WriteBatch, WriteOptions};
use hooked_fs::{Gate, HookedFs, Once, patiently, soon, spawn, until};
use std::io;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

const DIR: &str = "/db";
const EIO: i32 = 5;
const ENOSPC: i32 = 28;

fn options(sync_policy: SyncPolicy) -> Options {
    Options {
        sync_policy,
        memtable_bytes: 64 << 10,
        value_threshold: usize::MAX,
        ..Options::default()
    }
}

fn open(fs: &(impl Fs + Clone + 'static), sync_policy: SyncPolicy) -> Db {
    Db::open_with_fs(Arc::new(fs.clone()), DIR, options(sync_policy)).expect("opens")
}

fn get(db: &Db, key: &str) -> Option<Vec<u8>> {
    db.get(key).expect("a read").map(Into::into)
}

fn write(db: &Db, key: &str, sync: bool) -> Result<(), Error> {
    let mut batch = WriteBatch::new();
    batch.set(key, "v");
    db.write_with(batch, WriteOptions { sync: Some(sync) })
}

/// A value after which the next of its kind needs a new memtable and log file.
fn rotating_value() -> Vec<u8> {
    vec![2; 60 << 10]
}

/// Makes a group whose leader does not want a sync and whose follower does, by
/// holding up the write of whoever leads before them. False: they came too
/// late to be one group, or in the other order.
fn group_of_two(disk: &SimFs, wait: Duration) -> bool {
    let fs = HookedFs::new(disk);
    let db = open(&fs, SyncPolicy::Never);
    let (gate, at_write, go_on) = Gate::new();
    fs.set_hook(move |call| {
        if call.is(CallKind::Write, ".log") {
            gate.pass();
        }
        Ok(())
    });
    let start = |key: &'static str, sync| {
        let db = db.clone();
        spawn(move || write(&db, key, sync))
    };
    let first = start("first", false);
    soon(&at_write, "the first write");
    let leader = start("leader", false);
    thread::sleep(wait);
    let follower = start("follower", true);
    thread::sleep(wait);
    go_on.send(()).expect("the writer listens");
    for told in [first, leader, follower] {
        soon(&told, "a commit").expect("a commit");
    }
    let metrics = db.metrics();
    assert_eq!(metrics.commits, 3);
    metrics.commit_groups == 2
}

#[test]
fn a_group_syncs_if_any_of_its_members_asks_for_it() {
    let disk = patiently("two writers that wait form a group", |wait| {
        let disk = SimFs::new();
        group_of_two(&disk, wait).then_some(disk)
    });
    let found = open(&disk.crash_image(&CrashModel::SyncedOnly), SyncPolicy::Never);
    let seen = ["first", "leader", "follower"].map(|key| get(&found, key).is_some());
    assert_eq!(seen, [true; 3], "the follower was acknowledged as durable");
}

#[test]
fn what_is_written_during_a_sync_is_not_covered_by_it() {
    let disk = SimFs::new();
    let fs = HookedFs::new(&disk);
    let db = open(&fs, SyncPolicy::Never);
    write(&db, "before", false).expect("a commit");
    let (gate, at_sync, go_on) = Gate::new();
    fs.set_hook(move |call| {
        // After the disk has done its part, before the engine knows.
        if call.is(CallKind::SyncData, ".log") && call.is_done {
            gate.pass();
        }
        Ok(())
    });
    let persisting = {
        let db = db.clone();
        spawn(move || db.persist())
    };
    soon(&at_sync, "the sync");
    write(&db, "during", false).expect("a commit");
    go_on.send(()).expect("the sync listens");
    soon(&persisting, "the sync").expect("a sync");
    db.persist().expect("another sync");
    let found = open(&disk.crash_image(&CrashModel::SyncedOnly), SyncPolicy::Never);
    assert!(get(&found, "before").is_some() && get(&found, "during").is_some());
}

#[test]
fn a_failed_sync_of_the_directory_is_indeterminate_and_poisons() {
    let disk = SimFs::new();
    let fs = HookedFs::new(&disk);
    let db = open(&fs, SyncPolicy::Always);
    db.set("a", rotating_value()).expect("a commit");
    fs.refuse_tables(true);
    let once = Once::default();
    fs.set_hook(move |call| {
        if call.kind == CallKind::SyncDir && once.is_first() {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        Ok(())
    });
    // The commit is the first in a new log file, whose name is not durable.
    let e = db.set("b", rotating_value()).expect_err("the sync failed");
    assert!(matches!(e, Error::Indeterminate { .. }), "{e}");
    let e = db.set("c", "v").expect_err("poisoned");
    assert!(matches!(e, Error::Poisoned { .. }), "{e}");
    assert!(get(&db, "b").is_none(), "what failed is not shown");
}

#[test]
fn a_flush_does_not_wait_for_a_commit_that_was_refused() {
    let disk = SimFs::new();
    let fs = HookedFs::new(&disk);
    let inline = Options { value_threshold: usize::MAX, ..Options::default() };
    let db = Db::open_with_fs(Arc::new(fs.clone()), DIR, inline).expect("opens");
    db.set("a", "v").expect("a commit");
    fs.set_hook(|_| Err(io::Error::from_raw_os_error(ENOSPC)));
    let e = db.set("large", vec![1; 300 << 10]).expect_err("no room");
    assert!(matches!(e, Error::Io { .. }), "{e}");
    fs.clear_hook();
    // With the only handle: if it hangs, so would dropping it here.
    let flushing = spawn(move || {
        db.flush().expect("a flush");
        let tables = db.metrics().tables;
        db.close().expect("close");
        tables
    });
    assert_eq!(soon(&flushing, "a flush"), 1);
}

#[test]
fn a_panic_in_the_flush_worker_poisons() {
    let fs = HookedFs::new(&SimFs::new());
    let db = open(&fs, SyncPolicy::Always);
    db.set("a", "v").expect("a commit");
    fs.set_hook(|call| {
        assert!(!call.is(CallKind::Write, ".tbl"), "on purpose");
        Ok(())
    });
    let using = spawn(move || {
        let answers = [db.flush(), db.set("b", "v"), db.persist(), db.flush(), db.close()];
        (answers, db.metrics().poisoned_by)
    });
    let (answers, poisoned_by) = soon(&using, "a poisoned handle");
    for answer in answers {
        assert!(matches!(answer, Err(Error::Poisoned { .. })), "{answer:?}");
    }
    let cause = poisoned_by.expect("poisoned");
    assert!(cause.contains("esker-flush") && cause.contains("on purpose"), "{cause}");
}

/// What the process' death and a power cut leave, before and after each call
/// that `act` makes.
fn images_of(disk: &SimFs, fs: &HookedFs, act: impl FnOnce()) -> Vec<(String, SimFs)> {
    let images = Arc::new(Mutex::new(Vec::new()));
    let (disk, taken) = (disk.clone(), Arc::clone(&images));
    fs.set_hook(move |call| {
        let when = if call.is_done { "after" } else { "before" };
        let at = format!("{when} {:?} of {} at {}", call.kind, call.path.display(), call.offset);
        let mut models = vec![CrashModel::Everything, CrashModel::SyncedOnly];
        if call.kind == CallKind::Rename {
            // The rename may be there and what was made before it not.
            models.extend((0..64).map(|seed| CrashModel::Scattered { seed }));
        }
        let mut taken = taken.lock().expect("no panic under the lock");
        taken.extend(
            models.iter().map(|model| (format!("{model:?} {at}"), disk.crash_image(model))),
        );
        Ok(())
    });
    act();
    fs.clear_hook();
    std::mem::take(&mut *images.lock().expect("no panic under the lock"))
}

#[test]
fn what_a_manifest_names_is_durable_before_the_edit_is() {
    let disk = SimFs::new();
    let fs = HookedFs::new(&disk);
    let db = open(&fs, SyncPolicy::Always);
    db.set("a", "1").expect("a commit");
    let images = images_of(&disk, &fs, || db.flush().expect("a flush"));
    assert!(images.iter().any(|(at, _)| at.contains("SyncData of /db/MANIFEST-")), "{images:?}");
    for (at, image) in images {
        let found = Db::open_with_fs(Arc::new(image), DIR, options(SyncPolicy::Never));
        let found = found.unwrap_or_else(|e| panic!("{at}: {e}"));
        assert_eq!(get(&found, "a").as_deref(), Some(&b"1"[..]), "{at}");
    }
}

#[test]
fn what_current_names_is_durable_before_the_rename() {
    let before = SimFs::new();
    open(&before, SyncPolicy::Always).set("a", "1").expect("a commit");
    let disk = before.crash_image(&CrashModel::SyncedOnly);
    let fs = HookedFs::new(&disk);
    let images = images_of(&disk, &fs, || drop(open(&fs, SyncPolicy::Always)));
    assert!(images.iter().any(|(at, _)| at.contains("after Rename of /db/CURRENT")), "{images:?}");
    for (at, image) in images {
        let found = Db::open_with_fs(Arc::new(image), DIR, options(SyncPolicy::Never));
        let found = found.unwrap_or_else(|e| panic!("{at}: {e}"));
        assert_eq!(get(&found, "a").as_deref(), Some(&b"1"[..]), "{at}");
    }
}

#[test]
fn what_is_committed_after_a_flush_survives() {
    let disk = SimFs::new();
    let db = open(&disk, SyncPolicy::Always);
    db.set("a", "1").expect("a commit");
    db.set("b", "1").expect("a commit");
    db.flush().expect("a flush");
    db.set("a", "2").expect("a commit");
    let disk = disk.crash_image(&CrashModel::SyncedOnly);
    let db = open(&disk, SyncPolicy::Always);
    assert_eq!(get(&db, "a").as_deref(), Some(&b"2"[..]), "from the log");
    assert_eq!(get(&db, "b").as_deref(), Some(&b"1"[..]), "from the table");
    db.close().expect("close");
    // With nothing in the log, only the manifest knows the last number.
    let db = open(&disk, SyncPolicy::Always);
    db.set("b", "2").expect("a commit");
    db.flush().expect("a flush");
    let disk = disk.crash_image(&CrashModel::SyncedOnly);
    let db = open(&disk, SyncPolicy::Always);
    assert_eq!(get(&db, "a").as_deref(), Some(&b"2"[..]));
    assert_eq!(get(&db, "b").as_deref(), Some(&b"2"[..]));
    let last_seq = db.metrics().last_seq;
    db.flush().expect("a flush of nothing");
    drop(db);
    assert_eq!(open(&disk, SyncPolicy::Always).metrics().last_seq, last_seq);
}

/// Flushes until there is no failure any more.
fn flush_at_last(db: &Db) {
    until("a flush", || {
        let flushed = db.flush();
        assert!(matches!(flushed, Ok(()) | Err(Error::Io { .. })), "{flushed:?}");
        flushed.is_ok()
    });
}

#[test]
fn an_edit_is_kept_when_the_manifest_is_written_anew() {
    for is_done in [false, true] {
        let disk = SimFs::new();
        let fs = HookedFs::new(&disk);
        let db = open(&fs, SyncPolicy::Always);
        db.set("a", "1").expect("a commit");
        let once = Once::default();
        fs.set_hook(move |call| {
            let is_edit = call.kind == CallKind::Write
                && call.path.to_string_lossy().contains("MANIFEST")
                && call.is_done == is_done;
            if is_edit && once.is_first() {
                return Err(io::Error::from_raw_os_error(EIO));
            }
            Ok(())
        });
        flush_at_last(&db);
        assert!(db.metrics().flush_failures > 0, "the first edit failed");
        db.set("b", "1").expect("a commit");
        db.flush().expect("a flush");
        let found = open(&disk.crash_image(&CrashModel::SyncedOnly), SyncPolicy::Never);
        assert!(get(&found, "a").is_some() && get(&found, "b").is_some());
    }
}

#[test]
fn the_newest_version_wins_wherever_it_stands() {
    let disk = SimFs::new();
    let fs = HookedFs::new(&disk);
    // Else the tables may have been merged before they are looked at.
    let unmerged = Options { auto_compaction: false, ..options(SyncPolicy::Never) };
    let db = Db::open_with_fs(Arc::new(fs.clone()), DIR, unmerged).expect("opens");
    fs.refuse_tables(true);
    db.set("deleted", "v").expect("a commit");
    // Each in a memtable of its own.
    for n in 0..4_u8 {
        db.set("k", [n]).expect("a commit");
        db.set(format!("filler {n}"), rotating_value()).expect("a commit");
    }
    db.delete("deleted").expect("a commit");
    let check = |db: &Db, where_: &str| {
        assert_eq!(get(db, "k").as_deref(), Some(&[3][..]), "{where_}");
        assert_eq!(get(db, "deleted"), None, "{where_}");
        let keys = db.range::<&str>(..).keys().map(|key| Vec::from(key.expect("a key")));
        let keys: Vec<_> = keys.map(|key| String::from_utf8(key).expect("ours")).collect();
        assert_eq!(keys, ["filler 0", "filler 1", "filler 2", "filler 3", "k"], "{where_}");
        let k = db.prefix("k").next_back().expect("k").expect("k");
        assert_eq!(k.1, &[3][..], "{where_}");
    };
    assert!(db.metrics().memtables > 3, "{:?}", db.metrics());
    check(&db, "in memtables");
    check(&open(&disk.crash_image(&CrashModel::Everything), SyncPolicy::Never), "from the logs");
    fs.refuse_tables(false);
    flush_at_last(&db);
    assert!(db.metrics().tables > 3, "{:?}", db.metrics());
    check(&db, "in tables");
    check(&open(&disk.crash_image(&CrashModel::SyncedOnly), SyncPolicy::Never), "reopened");
}

#[test]
fn closing_does_not_wait_for_a_compaction() {
    let fs = SimFs::new();
    let hooked = HookedFs::new(&fs);
    let options =
        Options { memtable_bytes: 1 << 20, log_file_bytes: 1 << 20, ..options(SyncPolicy::Never) };
    let db = Db::open_with_fs(Arc::new(hooked.clone()), DIR, options.clone()).expect("opens");
    for n in 0..20_000 {
        db.set(format!("{:05}", n * 7919 % 20_000), value(n, 0, 100)).expect("a commit");
    }
    db.flush().expect("a flush");
    // The second piece of a table that a compaction writes waits until the close has begun.
    let (gate, has_begun, go_on) = Gate::new();
    let is_second = Once::default();
    hooked.set_hook(move |call| {
        if call.is(CallKind::Write, ".tbl") && !call.is_done && !is_second.is_first() {
            gate.pass();
        }
        Ok(())
    });
    let compacting = db.clone();
    let compacted = spawn(move || compacting.compact());
    soon(&has_begun, "a compaction begins");
    let closing = db.clone();
    let closed = spawn(move || closing.close());
    while !matches!(db.get("00000"), Err(Error::Closed)) {
        thread::yield_now();
    }
    // While it is at its files they are not another handle's.
    let early = closed.recv_timeout(Duration::from_millis(200));
    assert!(early.is_err(), "it closed while a compaction was writing: {early:?}");
    drop(go_on);
    soon(&closed, "it closes").expect("closes");
    let compacted = soon(&compacted, "the compaction ends");
    assert!(matches!(compacted, Err(Error::Closed)), "{compacted:?}");
    hooked.clear_hook();
    let tables = || {
        let names = fs.list(Path::new(DIR)).expect("a list");
        names.iter().filter(|name| name.ends_with(".tbl")).count()
    };
    assert_eq!(tables(), db.metrics().tables, "what was being written is gone");
    let db = Db::open_with_fs(Arc::new(fs.clone()), DIR, options).expect("opens");
    assert_eq!(db.iter().count(), 20_000);
}

/// The blocks that a scan comes to next are loaded on a thread of its own, which is not to be at it when the directory
/// has another owner.
#[test]
fn a_close_waits_for_a_block_that_is_being_loaded_ahead_of_a_scan() {
    let fs = HookedFs::new(&SimFs::new());
    // All in one table.
    let options = Options { memtable_bytes: 64 << 20, ..options(SyncPolicy::Never) };
    let db = Db::open_with_fs(Arc::new(fs.clone()), DIR, options).expect("opens");
    for number in 0..6_000 {
        db.set(format!("{number:06}"), value(number, 0, 500)).expect("a commit");
    }
    db.flush().expect("a flush");
    let (gate, at_read, go_on) = Gate::new();
    fs.set_hook(move |call| {
        let is_ahead = thread::current().name() == Some("esker-preload");
        if is_ahead && call.is(CallKind::Read, ".tbl") {
            gate.pass();
        }
        Ok(())
    });
    let mut scan = db.iter();
    assert_eq!(scan.by_ref().take(3_000).filter(Result::is_ok).count(), 3_000);
    soon(&at_read, "a read ahead of the scan");
    let closing = {
        let db = db.clone();
        spawn(move || db.close())
    };
    let outcome = closing.recv_timeout(Duration::from_millis(100));
    assert!(outcome.is_err(), "it closed in the midst of a read: {outcome:?}");
    go_on.send(()).expect("the thread listens");
    soon(&closing, "the close").expect("a close");
    assert!(matches!(scan.next(), Some(Err(Error::Closed))));
}
