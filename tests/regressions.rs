//! Bugs that were, one test each, with the story of how they came about.

#[expect(dead_code, reason = "shared with tests that use more of it")]
mod hooked_fs;

use esker::sim::{CallKind, CrashModel, Fault, FaultPlan, SimFs};
use esker::{Db, Error, Fs, OpenMode, Options, SyncPolicy, WriteBatch, WriteOptions};
use hooked_fs::{Gate, HookedFs, Once, soon, spawn};
use std::io;
use std::path::Path;
use std::process::Command;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::mpsc::channel;
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

const DIR: &str = "/db";
const EIO: i32 = 5;
const EINVAL: i32 = 22;
const ENOSPC: i32 = 28;

fn options(sync_policy: SyncPolicy) -> Options {
    Options {
        sync_policy,
        memtable_bytes: 64 << 10,
        value_threshold: usize::MAX,
        ..Options::default()
    }
}

fn open(fs: &(impl Fs + Clone + 'static), options: Options) -> Result<Db, Error> {
    Db::open_with_fs(Arc::new(fs.clone()), DIR, options)
}

fn get(db: &Db, key: &str) -> Option<Vec<u8>> {
    db.get(key).expect("a read").map(Into::into)
}

fn names(fs: &SimFs, extension: &str) -> Vec<String> {
    let mut names = fs.list(Path::new(DIR)).expect("a directory");
    names.retain(|name| name.ends_with(extension));
    names.sort();
    names
}

/// Commits until the log file that is being written has its successor due: the
/// next batch of 60 KiB will not fit into the memtable, smaller ones will.
fn fill_memtable(db: &Db) {
    db.set("filler", vec![1; 20 << 10]).expect("a commit");
}

fn rotating_value() -> Vec<u8> {
    vec![2; 60 << 10]
}

// The write of a new log file's header failed, but its bytes were on the disk
// all the same. The file was removed again, without a sync of the directory, and
// commits went on in the old file. After a power cut that undid the removal the
// new file was taken for the successor: its header says that the old file had
// ended before those commits, which had been acknowledged as durable and were
// dropped without a word.
#[test]
fn a_log_file_that_was_given_up_does_not_end_the_one_before_it() {
    let disk = SimFs::new();
    let fs = HookedFs::new(&disk);
    let db = open(&fs, options(SyncPolicy::Always)).expect("opens");
    fill_memtable(&db);
    fs.set_hook(move |call| {
        if call.is(CallKind::Write, ".log") && call.offset == 0 && call.is_done {
            return Err(io::Error::from_raw_os_error(EIO));
        }
        Ok(())
    });
    let refused = db.set("large", rotating_value()).expect_err("no new log file");
    assert!(matches!(refused, Error::Io { .. }), "{refused}");
    fs.clear_hook();
    db.set("small", "1").expect("durable");
    for count in 0..=disk.pending_count() {
        let image = disk.crash_image(&CrashModel::Prefix(count));
        let db = open(&image, options(SyncPolicy::Always)).expect("opens");
        assert_eq!(get(&db, "small").as_deref(), Some(&b"1"[..]), "{count} operations");
    }
}

// The disk was full when a log file was to be begun, and what was there of it
// could not be removed. Later there was room, the next file was begun and
// commits in it were acknowledged as durable. At the next open the log was taken
// to end at the file without a header between the two.
#[test]
fn the_log_goes_on_behind_a_file_that_was_never_begun() {
    for header in [false, true] {
        let disk = SimFs::new();
        let fs = HookedFs::new(&disk);
        let db = open(&fs, options(SyncPolicy::Always)).expect("opens");
        fill_memtable(&db);
        fs.set_hook(move |call| match call.kind {
            CallKind::Write if call.is(CallKind::Write, ".log") && call.is_done == header => {
                // The first write to a file is its header.
                match call.offset {
                    0 => Err(io::Error::from_raw_os_error(ENOSPC)),
                    _ => Ok(()),
                }
            }
            CallKind::Remove => Err(io::Error::from_raw_os_error(EIO)),
            _ => Ok(()),
        });
        db.set("large", rotating_value()).expect_err("no new log file");
        // Lets the log files stand that the flush would remove.
        fs.refuse_tables(true);
        fs.clear_hook();
        db.set("small", "1").expect("durable");
        db.set("large", rotating_value()).expect("durable");
        let image = disk.crash_image(&CrashModel::SyncedOnly);
        assert_eq!(names(&image, ".log").len(), 3, "{:?}", names(&image, ".log"));
        let db = open(&image, options(SyncPolicy::Always)).expect("opens");
        assert_eq!(get(&db, "small").as_deref(), Some(&b"1"[..]), "header: {header}");
        assert!(get(&db, "large") == Some(rotating_value()), "header: {header}");
        assert_eq!(db.metrics().recovery.log_cut_at, None);
    }
}

// The same, after a failed write had sealed the old file: since the file without
// a header did not say where the old one had ended, the refused record at its
// end was replayed, although commits after it had been acknowledged.
#[test]
fn a_refused_record_does_not_replay_when_a_log_file_was_given_up_after_it() {
    let disk = SimFs::new();
    let fs = HookedFs::new(&disk);
    let db = open(&fs, options(SyncPolicy::Always)).expect("opens");
    db.set("before", "1").expect("durable");
    let steps = AtomicUsize::new(0);
    fs.set_hook(move |call| {
        let is_step = usize::from(call.is(CallKind::Write, ".log"));
        let step = steps.fetch_add(is_step, Ordering::AcqRel) + is_step;
        match call.kind {
            // The record is written whole, and the call fails.
            CallKind::Write if step == 2 => Err(io::Error::from_raw_os_error(EIO)),
            // The next file gets nothing, not even removed.
            CallKind::Write if step == 3 => Err(io::Error::from_raw_os_error(ENOSPC)),
            CallKind::Remove => Err(io::Error::from_raw_os_error(EIO)),
            _ => Ok(()),
        }
    });
    let e = db.set("refused", "1").expect_err("the write failed");
    assert!(matches!(e, Error::Indeterminate { .. }), "{e}");
    let e = db.set("refused too", "1").expect_err("no new log file");
    assert!(matches!(e, Error::Io { .. }), "{e}");
    fs.refuse_tables(true);
    fs.clear_hook();
    db.set("after", "1").expect("durable");
    // No sync covered the refused record; the death of the process leaves it.
    for model in [CrashModel::SyncedOnly, CrashModel::Everything] {
        let db = open(&disk.crash_image(&model), Options::default()).expect("opens");
        let seen = ["before", "refused", "after"].map(|key| get(&db, key).is_some());
        assert_eq!(seen, [true, false, true], "{model:?}");
    }
}

// A recovery was interrupted after it had made its log file. The next open found
// that file and reported the log as cut there, though nothing had been lost.
#[test]
fn the_log_file_of_an_interrupted_recovery_is_not_reported_as_a_cut() {
    let disk = SimFs::new();
    let db = open(&disk, options(SyncPolicy::Always)).expect("opens");
    db.set("a", "1").expect("durable");
    let image = disk.crash_image(&CrashModel::Everything);
    image.fail(FaultPlan::once(1, Fault::Errno(ENOSPC)).only(CallKind::Rename));
    let failed = open(&image, options(SyncPolicy::Always)).expect_err("CURRENT is not switched");
    assert!(matches!(failed, Error::Io { op: "rename", .. }), "{failed}");
    let db = open(&image, options(SyncPolicy::Always)).expect("opens");
    assert_eq!(get(&db, "a").as_deref(), Some(&b"1"[..]));
    assert_eq!(db.metrics().recovery.log_cut_at, None);
}

// A file system that panicked under the leader of a group left the queue led for
// ever: those who waited in it and all who came later hung.
#[test]
fn a_leader_that_panics_poisons_and_releases_everyone() {
    let fs = HookedFs::new(&SimFs::new());
    let db = open(&fs, options(SyncPolicy::Always)).expect("opens");
    let (gate, at_write, go_on) = Gate::new();
    fs.set_hook(move |call| {
        if call.is(CallKind::Write, ".log") {
            gate.pass();
            panic!("on purpose");
        }
        Ok(())
    });
    let leader = {
        let db = db.clone();
        thread::spawn(move || db.set("a", "1"))
    };
    soon(&at_write, "the leader writes");
    let waiting: Vec<_> = (0..3)
        .map(|n: u32| {
            let db = db.clone();
            spawn(move || db.set(n.to_string(), "1"))
        })
        .collect();
    let flushing = {
        let db = db.clone();
        spawn(move || db.flush())
    };
    thread::sleep(Duration::from_millis(50));
    go_on.send(()).expect("the leader listens");
    leader.join().expect_err("the panic goes on in its own thread");
    for waiting in waiting {
        let told = soon(&waiting, "a writer that waited");
        assert!(matches!(told, Err(Error::Poisoned { .. })), "{told:?}");
    }
    let told = soon(&flushing, "a flush that waited");
    assert!(matches!(told, Err(Error::Poisoned { .. })), "{told:?}");
    let later = {
        let db = db.clone();
        spawn(move || (db.set("b", "1"), db.close()))
    };
    let (told, closed) = soon(&later, "a later writer");
    assert!(matches!(told, Err(Error::Poisoned { .. })), "{told:?}");
    assert!(matches!(closed, Err(Error::Poisoned { .. })), "{closed:?}");
}

// A panic in the midst of `persist` had already taken the list of files to sync:
// the next sync passed over them, and acknowledged what was not durable.
#[test]
fn a_sync_that_panics_is_not_taken_for_done() {
    let disk = SimFs::new();
    let fs = HookedFs::new(&disk);
    let db = open(&fs, options(SyncPolicy::Never)).expect("opens");
    fs.refuse_tables(true);
    fill_memtable(&db);
    db.set("large", rotating_value()).expect("a commit");
    // The flush worker syncs a log file too, once: that is over.
    while db.metrics().flush_failures == 0 {
        thread::yield_now();
    }
    fs.set_hook(|call| match call.kind {
        CallKind::SyncData if call.is(CallKind::SyncData, ".log") => panic!("on purpose"),
        _ => Ok(()),
    });
    let persisting = {
        let db = db.clone();
        thread::spawn(move || db.persist())
    };
    persisting.join().expect_err("the panic goes on in its own thread");
    fs.clear_hook();
    let mut batch = WriteBatch::new();
    batch.set("synced", "1");
    let told = db.write_with(batch, WriteOptions { sync: Some(true) });
    assert!(matches!(told, Err(Error::Poisoned { .. })), "{told:?}");
}

// A sync failed while a writer was in the midst of its write. `close` then saw
// the handle poisoned and did not wait for that writer; the directory was opened
// again, and the writer was told `Ok` for a commit that was in no log that
// anybody would read.
#[test]
fn close_waits_for_a_writer_also_when_poisoned() {
    let disk = SimFs::new();
    let fs = HookedFs::new(&disk);
    let db = open(&fs, options(SyncPolicy::Never)).expect("opens");
    db.set("a", "1").expect("a commit");
    // Blocks the next sync of a log until its gate opens, and fails it; meanwhile the next write of a log.
    let (sync_gate, at_sync, open_sync) = Gate::new();
    let (write_gate, at_write, open_write) = Gate::new();
    let is_blocked = AtomicBool::new(false);
    fs.set_hook(move |call| {
        if call.is(CallKind::SyncData, ".log") && !is_blocked.swap(true, Ordering::AcqRel) {
            sync_gate.pass();
            return Err(io::Error::from_raw_os_error(EIO));
        }
        if call.is(CallKind::Write, ".log") && is_blocked.load(Ordering::Acquire) {
            write_gate.pass();
        }
        Ok(())
    });
    let persisting = {
        let db = db.clone();
        spawn(move || db.persist())
    };
    soon(&at_sync, "the sync");
    let writing = {
        let db = db.clone();
        spawn(move || db.set("b", "1"))
    };
    soon(&at_write, "the write");
    open_sync.send(()).expect("the sync listens");
    let told = soon(&persisting, "the sync");
    assert!(matches!(told, Err(Error::Poisoned { .. })), "{told:?}");
    let closing = {
        let db = db.clone();
        spawn(move || db.close())
    };
    thread::sleep(Duration::from_millis(100));
    let reopened_early = open(&fs, options(SyncPolicy::Never));
    assert!(matches!(reopened_early, Err(Error::Locked { .. })), "{reopened_early:?}");
    open_write.send(()).expect("the write listens");
    let acknowledged = soon(&writing, "the write").is_ok();
    soon(&closing, "close").expect_err("poisoned");
    let db = open(&fs, options(SyncPolicy::Never)).expect("opens");
    assert_eq!(get(&db, "b").is_some(), acknowledged);
}

// A commit that found no room on the disk kept its reservation in the memtable.
// Small commits, for which the log had room ahead, were then refused as well,
// since a new memtable takes a new log file.
#[test]
fn a_refused_commit_takes_no_room_in_the_memtable() {
    let disk = SimFs::new();
    let options =
        Options { memtable_bytes: 1500 << 10, value_threshold: usize::MAX, ..Options::default() };
    let db = open(&disk, options).expect("opens");
    disk.fail(FaultPlan::from_on(1, Fault::Errno(ENOSPC)).only(CallKind::Create));
    disk.fail(FaultPlan::once(1, Fault::Errno(ENOSPC)).only(CallKind::Write));
    let refused = db.set("large", vec![1; 1450 << 10]).expect_err("no room");
    assert!(matches!(refused, Error::Io { .. }), "{refused}");
    for n in 0..20 {
        db.set(format!("{n}"), vec![1; 10 << 10]).expect("the log has room");
    }
}

// An open that ran out of space while it replayed the log left the tables that it
// had written until the next open that succeeded: with each attempt there was
// less space, until there could be no success.
#[test]
fn an_open_that_fails_leaves_no_tables_behind() {
    let disk = SimFs::new();
    let db = open(
        &disk,
        Options {
            sync_policy: SyncPolicy::Never,
            value_threshold: usize::MAX,
            ..Options::default()
        },
    );
    let db = db.expect("opens");
    for n in 0..10 {
        db.set(format!("{n}"), vec![1; 20 << 10]).expect("a commit");
    }
    let image = disk.crash_image(&CrashModel::Everything);
    // The small memtables of this open fill up four times.
    image.fail(FaultPlan::from_on(3, Fault::Errno(ENOSPC)).only(CallKind::Create));
    for _ in 0..2 {
        let failed = open(&image, options(SyncPolicy::Never)).expect_err("no room");
        assert!(matches!(failed, Error::Io { .. }), "{failed}");
        assert_eq!(names(&image, ".tbl"), Vec::<String>::new());
    }
    image.clear_faults();
    let db = open(&image, options(SyncPolicy::Never)).expect("opens");
    assert_eq!(get(&db, "9").map(|value| value.len()), Some(20 << 10));
}

// Read-only file systems of some kinds (squashfs as the root, say) answer EINVAL
// to the sync of a directory. No database could be made anywhere below one.
#[test]
fn a_parent_that_cannot_be_synced_is_no_obstacle() {
    let disk = SimFs::new();
    disk.create_dir_all(Path::new("/data/bases")).expect("directories");
    disk.sync_dir(Path::new("/")).expect("a sync");
    disk.sync_dir(Path::new("/data")).expect("a sync");
    // "/data/bases", "/data", "/".
    disk.fail(FaultPlan::once(3, Fault::Errno(EINVAL)).only(CallKind::SyncDir));
    let db = Db::open_with_fs(Arc::new(disk.clone()), "/data/bases/a", Options::default());
    db.expect("opens").set("a", "1").expect("a commit");
    assert_eq!(disk.faults_hit(), 1);
}

// File numbers count on from the largest in the directory. A stray file with the
// largest number there is made the next ones start over from zero, below the
// number from which on the manifest says that logs count: what was committed
// after that was not read at the next open.
#[test]
fn a_stray_file_with_a_huge_number_is_left_alone() {
    let disk = SimFs::new();
    drop(open(&disk, options(SyncPolicy::Always)).expect("opens"));
    let stray = Path::new(DIR).join(format!("{}.log", u64::MAX));
    disk.open(&stray, OpenMode::CreateNew).expect("a file");
    let db = open(&disk, options(SyncPolicy::Always)).expect("opens");
    for n in 0..20 {
        db.set(format!("{n}"), vec![1; 20 << 10]).expect("a commit");
    }
    drop(db);
    let db = open(&disk, options(SyncPolicy::Always)).expect("opens");
    assert!((0..20).all(|n| get(&db, &n.to_string()).is_some()));
    assert!(names(&disk, ".log").contains(&format!("{}.log", u64::MAX)));
}

// A table whose file could not even be made was counted as one that could not be
// removed.
#[test]
fn a_file_that_was_never_made_does_not_count_as_left_over() {
    let disk = SimFs::new();
    // One attempt a call: a flush worker has succeeded with its second before a caller on a busy
    // machine comes to hear of the first.
    disk.set_threads(false);
    let db = open(&disk, options(SyncPolicy::Always)).expect("opens");
    db.set("a", "1").expect("a commit");
    // The second: the first is the next log file.
    disk.fail(FaultPlan::once(2, Fault::Errno(ENOSPC)).only(CallKind::Create));
    db.flush().expect_err("no room for the table");
    let metrics = db.metrics();
    assert_eq!((metrics.flush_failures, metrics.files_not_removed), (1, 0));
}

// `close` looked whether the memtable was empty, and found it so while a commit
// that belonged into it was still on its way. Without a log that commit was in
// nothing that `close` wrote, and yet its writer was told `Ok`.
#[test]
fn close_writes_out_a_commit_that_is_still_on_its_way() {
    let disk = SimFs::new();
    let unlogged = Options { wal_enabled: false, ..Options::default() };
    let db = open(&disk, unlogged.clone()).expect("opens");
    let writing = {
        let db = db.clone();
        // Large, so that it is on its way for a while.
        spawn(move || db.set("a", vec![1; 32 << 20]))
    };
    while db.metrics().commits == 0 {
        std::hint::spin_loop();
    }
    db.close().expect("close");
    soon(&writing, "the commit").expect("it was under way before the close");
    let db = open(&disk, unlogged).expect("opens");
    assert!(get(&db, "a").is_some());
}

// `flush`, and so `close`, gave up at the first table for which there was no room,
// and did not sync the log any more: "nothing is lost", its documentation says.
#[test]
fn a_flush_without_room_still_makes_the_log_durable() {
    for close in [false, true] {
        let disk = SimFs::new();
        let fs = HookedFs::new(&disk);
        let db = open(&fs, options(SyncPolicy::Never)).expect("opens");
        db.set("a", "1").expect("a commit");
        fs.refuse_tables(true);
        let failed = if close { db.close() } else { db.flush() }.expect_err("no room");
        assert!(matches!(failed, Error::Io { .. }), "{failed}");
        let image = disk.crash_image(&CrashModel::SyncedOnly);
        let db = open(&image, options(SyncPolicy::Never)).expect("opens");
        assert!(get(&db, "a").is_some(), "close: {close}");
    }
}

// The directory stayed locked after `close` where the program was just starting
// another: between fork and exec that one has all open files too, the lock with
// them.
#[test]
fn close_unlocks_while_a_child_is_being_started() {
    let dir = tempfile::tempdir().expect("a directory");
    let is_over = AtomicBool::new(false);
    thread::scope(|scope| {
        scope.spawn(|| {
            while !is_over.load(Ordering::Relaxed) {
                let program = std::env::current_exe().expect("this program");
                let child = Command::new(program).arg("--help").output();
                assert!(child.expect("a child").status.success());
            }
        });
        let outcome = (0..150).try_for_each(|_| {
            Db::open(dir.path(), options(SyncPolicy::Never)).and_then(|db| db.close())
        });
        is_over.store(true, Ordering::Relaxed);
        outcome.expect("the lock went with close");
    });
}

/// The database of `disk`, as a process that died left it; with a change.
fn damaged(disk: &SimFs, change: impl FnOnce(&SimFs)) -> SimFs {
    let image = disk.crash_image(&CrashModel::Everything);
    change(&image);
    image
}

fn read(disk: &SimFs, name: &str) -> Vec<u8> {
    let file = disk.open(&Path::new(DIR).join(name), OpenMode::Read).expect("a file");
    let mut bytes = vec![0; usize::try_from(file.len().expect("its length")).expect("small")];
    assert_eq!(file.read_at(&mut bytes, 0).expect("a read"), bytes.len());
    bytes
}

fn overwrite(disk: &SimFs, name: &str, bytes: &[u8]) {
    let path = Path::new(DIR).join(name);
    let _ = disk.remove(&path); // It need not be there.
    let file = disk.open(&path, OpenMode::CreateNew).expect("a file");
    assert_eq!(file.write_at(bytes, 0).expect("a write"), bytes.len());
}

/// A database with one table and a log, all of it durable.
fn with_table_and_log(disk: &SimFs) {
    let db = open(disk, options(SyncPolicy::Always)).expect("opens");
    db.set("table", "1").expect("a commit");
    db.flush().expect("a flush");
    db.set("log", "1").expect("a commit");
}

// A damaged edit at the end of the manifest was taken for one that was being
// written. What came of it was told, but of a file that was sound: the log that
// the edit had replaced, and which had been removed for it, was said to be
// missing. (Found by the corruption sweep.)
#[test]
fn damage_to_the_last_edit_is_told_of_the_manifest() {
    let disk = SimFs::new();
    with_table_and_log(&disk);
    let manifest = names(&disk, "").into_iter().find(|n| n.starts_with("MANIFEST")).expect("one");
    let whole = read(&disk, &manifest);
    let (last, rest) = whole.split_last().expect("an edit");
    for bytes in [rest, &[rest, &[last ^ 0x55]].concat()] {
        let disk = damaged(&disk, |disk| overwrite(disk, &manifest, bytes));
        let error = open(&disk, options(SyncPolicy::Always)).expect_err("it is damaged");
        let Error::Corruption { file, .. } = &error else { panic!("{error}") };
        assert_eq!(*file, Path::new(DIR).join(&manifest), "{error}");
    }
}

// Nothing said that the header of the log that the manifest names had been
// durable; the claims inside the file are bound to it, and were lost with it.
// So a log that was exchanged, zeroed or another database's opened as one cut
// off at its beginning: under `Always`, acknowledged commits gone, and only the
// metrics said so. (Found by the corruption sweep.)
#[test]
fn a_log_that_is_not_the_one_that_the_manifest_names_is_refused() {
    let (disk, other) = (SimFs::new(), SimFs::new());
    with_table_and_log(&disk);
    with_table_and_log(&other);
    let log = names(&disk, ".log").pop().expect("a log");
    assert_eq!(names(&other, ".log"), std::slice::from_ref(&log), "the same name");
    for bytes in [read(&other, &log), vec![0; 4096], Vec::new(), vec![0x55; 4096]] {
        let disk = damaged(&disk, |disk| overwrite(disk, &log, &bytes));
        let error = open(&disk, options(SyncPolicy::Always)).expect_err("it is another");
        let Error::Corruption { file, offset: 0, .. } = &error else { panic!("{error}") };
        assert_eq!(*file, Path::new(DIR).join(&log), "{error}");
    }
}

// The log's next file may hold nothing durable when a memtable is flushed; under
// `Never` it is not synced at all. A power cut right after the edit that names it
// must leave its header, which the next open asks for since the bug above.
#[test]
fn the_log_that_an_edit_names_has_a_durable_header() {
    let disk = SimFs::new();
    let db = open(&disk, options(SyncPolicy::Never)).expect("opens");
    for n in 0..40_u8 {
        db.set([n], vec![n; 3000]).expect("a commit");
        for model in [CrashModel::SyncedOnly, CrashModel::Scattered { seed: n.into() }] {
            drop(open(&disk.crash_image(&model), options(SyncPolicy::Never)).expect("opens"));
        }
    }
    db.flush().expect("a flush");
    assert!(db.metrics().flushes > 0, "a memtable was written out");
}

// That the entry of the database's directory cannot be made durable is forgiven
// where the directory was there before; it was forgiven, too, where the open had
// just made it, and a power cut took the directory with all that had been
// committed in it. (Found by failing every call with EACCES and with EROFS.)
#[test]
fn the_entry_of_a_directory_that_open_made_is_durable_or_the_open_fails() {
    const EACCES: i32 = 13;
    for nth in 1..=3 {
        let disk = SimFs::new();
        disk.fail(FaultPlan::once(nth, Fault::Errno(EACCES)).only(CallKind::SyncDir));
        let opened = open(&disk, options(SyncPolicy::Always));
        // The third is of the directory itself.
        let error = opened.expect_err("a sync failed").to_string();
        assert!(error.contains("sync of /"), "{error}");
        let db = open(&disk, options(SyncPolicy::Always)).expect("no sync fails");
        db.set("key", "value").expect("set");
        let after = disk.crash_image(&CrashModel::SyncedOnly);
        let db = open(&after, options(SyncPolicy::Always)).expect("opens");
        assert!(get(&db, "key").is_some(), "sync {nth}");
    }
    // A parent that is closed to us for ever refuses each attempt, and no
    // attempt makes the directory that the next one would find.
    let disk = SimFs::new();
    disk.fail(FaultPlan::from_on(1, Fault::Errno(EACCES)).only(CallKind::SyncDir));
    for _ in 0..3 {
        open(&disk, options(SyncPolicy::Always)).expect_err("a sync fails");
    }
    assert_eq!(disk.list(Path::new("/")).expect("a list"), Vec::<String>::new());
    // One that was there before need not be ours to make durable.
    disk.clear_faults();
    disk.create_dir_all(Path::new(DIR)).expect("a directory");
    disk.fail(FaultPlan::once(1, Fault::Errno(EACCES)).only(CallKind::SyncDir));
    open(&disk, options(SyncPolicy::Always)).expect("opens");
}

// With `CURRENT` and the tables removed, and nothing in the log, what was left was
// taken for a creation that had been interrupted: cleared away, and a new database
// made in its place, though a manifest stood there that named the tables.
// (Found by fuzzing: files removed at random before an open.)
#[test]
fn a_manifest_that_was_in_use_is_not_taken_for_a_creations() {
    let disk = SimFs::new();
    let db = open(&disk, options(SyncPolicy::Always)).expect("opens");
    db.set("key", "value").expect("set");
    db.close().expect("closes");
    for name in names(&disk, ".tbl").into_iter().chain(names(&disk, ".log")) {
        disk.remove(&Path::new(DIR).join(name)).expect("removed");
    }
    disk.remove(&Path::new(DIR).join("CURRENT")).expect("removed");
    let before = names(&disk, "");
    let error = open(&disk, options(SyncPolicy::Always)).expect_err("CURRENT is gone").to_string();
    assert!(error.contains("CURRENT") && error.contains("MANIFEST-000002"), "{error}");
    assert_eq!(names(&disk, ""), before);
}

// With `CURRENT` and the table removed and the manifest of the second run replaced by
// that of the first, which names nothing, all was cleared away: but no creation
// gives a file the number that the later ones had.
// (Found by fuzzing: three damages at once.)
#[test]
fn a_file_with_a_later_number_is_not_taken_for_a_creations() {
    for kept in ["log", "MANIFEST"] {
        let disk = SimFs::new();
        for _ in 0..2 {
            let db = open(&disk, options(SyncPolicy::Always)).expect("opens");
            // Else the second would go on with the files of the first.
            db.flush().expect("a flush");
            db.close().expect("closes");
        }
        for name in names(&disk, "") {
            if name != "LOCK" && !name.contains(kept) {
                disk.remove(&Path::new(DIR).join(name)).expect("removed");
            }
        }
        let before = names(&disk, "");
        // Nothing in them says that there was ever anything.
        for name in before.iter().filter(|name| *name != "LOCK") {
            let path = Path::new(DIR).join(name);
            disk.remove(&path).expect("removed");
            disk.open(&path, OpenMode::CreateNew).expect("an empty file");
        }
        let error = open(&disk, options(SyncPolicy::Always)).expect_err("told").to_string();
        assert!(error.contains("CURRENT") && error.contains(kept), "{error}");
        assert_eq!(names(&disk, ""), before);
    }
}

/// Lets the flush worker into its first sync of the log file that it will name,
/// and there, with the disk failing as `fail` has it, another thread commit and
/// sync the same file. What that was told, once the flush has failed as well.
fn two_sync_one_log_file(
    disk: &SimFs,
    fail: fn(&SimFs, &Path) -> io::Result<()>,
) -> Result<(), Error> {
    let fs = HookedFs::new(disk);
    let db = open(&fs, options(SyncPolicy::Never)).expect("opens");
    fill_memtable(&db);
    db.persist().expect("a sync");
    let (reached, at_sync) = channel();
    let (wrote, written) = channel();
    let (tell, told) = channel();
    let (below, once, told) = (disk.clone(), Once::default(), Mutex::new((written, told)));
    let is_awaited = Arc::new(AtomicBool::new(false));
    let is_its = Arc::clone(&is_awaited);
    fs.set_hook(move |call| {
        if call.is(CallKind::Write, ".log") && call.is_done && is_its.load(Ordering::Acquire) {
            let _ = wrote.send(()); // It is the first that is waited for.
        }
        if !call.is(CallKind::SyncData, ".log") || !once.is_first() {
            return Ok(());
        }
        let failed = fail(&below, call.path);
        reached.send(()).expect("the test listens");
        let (written, told) = &*told.lock().expect("nobody else is here");
        // The commit has passed all looks at the handle's health, and is about to sync.
        soon(written, "the commit's record");
        // It must not be told before this sync has ended. If it is, then by now.
        let _ = told.recv_timeout(Duration::from_millis(300));
        failed
    });
    db.set("large", rotating_value()).expect("a commit");
    soon(&at_sync, "the flush worker's sync");
    is_awaited.store(true, Ordering::Release);
    let writer = db.clone();
    let answer = spawn(move || {
        let mut batch = WriteBatch::new();
        batch.set("synced", "1");
        let answer = writer.write_with(batch, WriteOptions { sync: Some(true) });
        let _ = tell.send(()); // Nobody waits for it any more, as a rule.
        answer
    });
    let answer = soon(&answer, "the commit");
    db.flush().expect_err("poisoned");
    answer
}

// The flush worker and a commit synced the same log file at the same time. The
// system tells of a failed write to one of them alone: to the commit the sync
// was a success, and it was acknowledged as durable.
#[test]
fn a_sync_that_failed_for_the_flush_worker_fails_for_the_commit_beside_it() {
    let disk = SimFs::new();
    let answer = two_sync_one_log_file(&disk, |disk, log| {
        disk.fail(FaultPlan::once(1, Fault::Errno(EIO)).only(CallKind::SyncData));
        disk.open(log, OpenMode::Read)?.sync_data()
    });
    let found = open(&disk.crash_image(&CrashModel::SyncedOnly), options(SyncPolicy::Never));
    assert_eq!(get(&found.expect("opens"), "synced"), None, "dropped by the sync that failed");
    assert!(matches!(answer, Err(Error::Indeterminate { .. })), "{answer:?}");
}

// The other way round: to the flush worker it was a success. It named the log
// file, whose header was lost, and removed the one before it; the database was
// refused from then on, with what had been durable in it.
#[test]
fn a_sync_that_failed_for_a_commit_fails_for_the_flush_worker_beside_it() {
    let disk = SimFs::new();
    let answer = two_sync_one_log_file(&disk, |disk, _| {
        disk.fail(FaultPlan::once(1, Fault::Errno(EIO)).only(CallKind::SyncData));
        Ok(())
    });
    assert!(matches!(answer, Err(Error::Indeterminate { .. })), "{answer:?}");
    let found = open(&disk.crash_image(&CrashModel::SyncedOnly), options(SyncPolicy::Never));
    assert!(get(&found.expect("opens"), "filler").is_some(), "it was durable");
}

// A recovery was interrupted by a power cut after it had begun its log, and the
// cut took the file's name and much of what there had been to recover. The next
// run came to give a later log file the same number; a second cut left of that
// the name alone, over the block of the first one's header. It is intact, says
// that the log before it had ended at 0, and so everything in that was dropped,
// what had been acknowledged as durable included.
#[test]
fn a_header_that_turns_up_again_does_not_end_the_log_before_it() {
    let never = || options(SyncPolicy::Never);
    let disk = SimFs::new();
    let fs = HookedFs::new(&disk);
    fs.refuse_tables(true);
    let db = open(&fs, never()).expect("opens");
    for _ in 0..3 {
        db.set("large", rotating_value()).expect("a commit");
    }
    let first = disk.crash_image(&CrashModel::Everything);
    drop(open(&first, never()).expect("opens"));
    let interrupted = names(&first, ".log").pop().expect("its log");
    let path = Path::new(DIR).join(&interrupted);
    let mut header = [0; 48];
    let read = first.open(&path, OpenMode::Read).and_then(|file| file.read_at(&mut header, 0));
    assert_eq!(read.expect("a header"), 48);

    let second = disk.crash_image(&CrashModel::SyncedOnly);
    let fs = HookedFs::new(&second);
    fs.refuse_tables(true);
    let db = open(&fs, never()).expect("opens");
    db.set("durable", "1").expect("a commit");
    db.persist().expect("a sync");
    let left = second.crash_image(&CrashModel::SyncedOnly);
    // Further files follow, and one of them has the number.
    assert!(names(&left, ".log").iter().all(|name| *name < interrupted), "{interrupted}");
    let file = left.open(&path, OpenMode::CreateNew).expect("the name");
    assert_eq!(file.write_at(&header, 0).expect("the block"), 48);
    let db = open(&left, never()).expect("opens");
    assert_eq!(get(&db, "durable").as_deref(), Some(&b"1"[..]));
}

// A write of nothing that asks to be durable acknowledged that it and all before
// it were, and synced nothing. (Found by fuzzing: a power cut after such a write.)
#[test]
fn an_empty_write_that_is_synced_covers_all_before_it() {
    let disk = SimFs::new();
    let db = open(&disk, options(SyncPolicy::Never)).expect("opens");
    db.set("key", "value").expect("set");
    db.write_with(WriteBatch::new(), WriteOptions { sync: Some(true) }).expect("a write");
    let after = disk.crash_image(&CrashModel::SyncedOnly);
    let found = open(&after, options(SyncPolicy::Never)).expect("opens");
    assert!(get(&found, "key").is_some());
    // And where there is nothing left to sync, none is made.
    let syncs = db.metrics().log_syncs;
    db.write_with(WriteBatch::new(), WriteOptions { sync: Some(true) }).expect("a write");
    db.write(WriteBatch::new()).expect("a write");
    assert_eq!(db.metrics().log_syncs, syncs);
}

// On a full disk each attempt of a flush or of an open left a manifest or a table
// behind, in part or whole: what room there was went to leftovers.
// (Found by a second reader.)
#[test]
fn attempts_without_room_leave_nothing_behind() {
    let disk = SimFs::new();
    disk.set_threads(false);
    let db = open(&disk, options(SyncPolicy::Always)).expect("opens");
    db.set("key", "value").expect("set");
    // One write of the flush after the other fails, with all after it.
    let mut failed = 0;
    for nth in 1..=12 {
        db.set("key", nth.to_string()).expect("set");
        let mut before = None;
        for attempt in 0..6 {
            disk.fail(FaultPlan::from_on(nth, Fault::Errno(ENOSPC)).only(CallKind::Write));
            let flushed = db.flush();
            disk.clear_faults();
            if flushed.is_ok() {
                break;
            }
            failed += 1;
            // The first has written the header of a log file as well, so its last write is another.
            if attempt == 0 {
                continue;
            }
            let after = names(&disk, "");
            assert_eq!(before.get_or_insert(after.clone()), &after, "write {nth} of a flush");
        }
        db.flush().expect("there is room");
    }
    assert!(failed > 5, "{failed}");
    db.set("in the log", "1").expect("set");
    drop(db);
    // And so with an open. The log that it begins is removed by the next one.
    let but_logs = |disk: &SimFs| -> Vec<String> {
        names(disk, "").into_iter().filter(|name| !name.ends_with(".log")).collect()
    };
    let mut failed = 0;
    for nth in 1.. {
        let disk = disk.crash_image(&CrashModel::Everything);
        let before = but_logs(&disk);
        for _ in 0..3 {
            disk.fail(FaultPlan::from_on(nth, Fault::Errno(ENOSPC)).only(CallKind::Write));
            let opened = open(&disk, options(SyncPolicy::Always));
            disk.clear_faults();
            if opened.is_ok() {
                assert!(failed > 4, "{failed}");
                return;
            }
            failed += 1;
            let mut after = but_logs(&disk);
            after.retain(|name| name != "CURRENT.tmp"); // Made anew by the next attempt.
            assert_eq!(after, before, "write {nth} of an open");
        }
    }
}
