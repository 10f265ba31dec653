//! The engine where the file system allows it no threads: flushes are the work
//! of the calls that cause them, with the same promises.

#[expect(dead_code, reason = "shared with tests that use more of it")]
mod hooked_fs;

use esker::sim::{CallKind, CrashModel, SimFs};
use esker::{Db, Error, Fs, Options, SyncPolicy};
use hooked_fs::{HookedFs, soon, spawn};
use std::io;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::path::Path;
use std::sync::Arc;

const DIR: &str = "/db";
const EIO: i32 = 5;

fn open(fs: &(impl Fs + Clone + 'static)) -> Db {
    let options = Options {
        sync_policy: SyncPolicy::Never,
        memtable_bytes: 64 << 10,
        value_threshold: usize::MAX,
        memtables_max: 2,
        ..Options::default()
    };
    Db::open_with_fs(Arc::new(fs.clone()), DIR, options).expect("opens")
}

fn threadless() -> (SimFs, HookedFs) {
    let disk = SimFs::new();
    disk.set_threads(false);
    let fs = HookedFs::new(&disk);
    (disk, fs)
}

fn tables(disk: &SimFs) -> usize {
    let names = disk.list(Path::new(DIR)).expect("a list");
    names.iter().filter(|name| name.ends_with(".tbl")).count()
}

fn has(db: &Db, key: &str) -> bool {
    db.get(key).expect("a read").is_some()
}

/// A value after which the next of its kind needs a new memtable.
fn rotating_value() -> Vec<u8> {
    vec![2; 60 << 10]
}

// Were each attempt to write its own, every failure would leave a table behind
// that nobody names, on a disk that may be full already.
#[test]
fn a_table_is_kept_from_a_failed_attempt_to_the_next() {
    let (disk, fs) = threadless();
    let db = open(&fs);
    db.set("a", "v").expect("a commit");
    fs.set_hook(|call| {
        let is_edit = call.kind == CallKind::Write
            && call.path.to_string_lossy().contains("MANIFEST")
            && !call.is_done;
        if is_edit { Err(io::Error::from_raw_os_error(EIO)) } else { Ok(()) }
    });
    for attempt in 1..=3 {
        // The first edit fails, and after it the manifests that are to replace it.
        let failed = db.flush().expect_err("no edit can be written");
        assert!(matches!(failed, Error::Io { op: "write", .. }), "{failed}");
        assert_eq!(tables(&disk), 1, "attempt {attempt}");
    }
    fs.clear_hook();
    db.flush().expect("it can again");
    assert_eq!((tables(&disk), db.metrics().tables), (1, 1));
    assert!(has(&open(&disk.crash_image(&CrashModel::SyncedOnly)), "a"));
}

// There is room for one sealed memtable. Once the disk has some again, the very
// first commit must find that out, since nobody else looks.
#[test]
fn a_commit_first_tries_again_what_keeps_room_from_it() {
    let (disk, fs) = threadless();
    let db = open(&fs);
    fs.refuse_tables(true);
    let mut keys = ["0", "1", "2", "3"].into_iter();
    let (refused, e) = keys
        .by_ref()
        .find_map(|key| db.set(key, rotating_value()).err().map(|e| (key, e)))
        .expect("memory is bounded");
    assert!(matches!(e, Error::Io { .. }), "{e}");
    assert!(db.metrics().flush_failure.is_some(), "and it is told");
    fs.refuse_tables(false);
    db.set(refused, rotating_value()).expect("there is room again");
    assert_eq!(db.metrics().flush_failure, None);
    let found = open(&disk.crash_image(&CrashModel::Everything));
    assert!(has(&found, "0") && has(&found, refused));
}

#[test]
fn a_panic_in_a_flush_poisons() {
    let (_disk, fs) = threadless();
    let db = open(&fs);
    db.set("a", "v").expect("a commit");
    fs.set_hook(|call| {
        assert!(!call.is(CallKind::Write, ".tbl"), "on purpose, at {}", call.offset);
        Ok(())
    });
    catch_unwind(AssertUnwindSafe(|| db.flush())).expect_err("the panic goes on in its caller");
    fs.clear_hook();
    // Nobody waits for what will not come, either.
    let told = spawn(move || (db.set("b", "v"), db.flush(), has(&db, "a"), db.close()));
    let (set, flushed, has_a, closed) = soon(&told, "calls after the panic");
    for answer in [set, flushed, closed] {
        assert!(matches!(answer, Err(Error::Poisoned { .. })), "{answer:?}");
    }
    assert!(has_a, "reads go on");
}
