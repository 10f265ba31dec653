//! One directory, one handle: a second opener is refused and changes nothing.

use esker::{Db, Error, Options};
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;

const CHILD: &str = "ESKER_LOCKING_DIR";

/// Without a file that comes into being a second after an open: on a busy machine that is in the midst of a test.
fn options() -> Options {
    Options { disk_reserve_bytes: 0, ..Options::default() }
}

/// Name, content and time of change of every file.
fn fingerprint(dir: &Path) -> BTreeMap<String, (Vec<u8>, std::time::SystemTime)> {
    let entries = std::fs::read_dir(dir).expect("a directory");
    let files = entries.map(|entry| {
        let entry = entry.expect("an entry");
        let content = std::fs::read(entry.path()).expect("a file");
        let changed = entry.metadata().and_then(|m| m.modified()).expect("a time");
        (entry.file_name().into_string().expect("UTF-8"), (content, changed))
    });
    files.collect()
}

fn assert_refused(opened: Result<Db, Error>, dir: &Path) {
    let e = opened.expect_err("it is open already");
    assert!(matches!(&e, Error::Locked { .. }), "{e}");
    let text = format!(
        "failed to open {}: Cannot acquire directory lock: another process is using this database",
        dir.display()
    );
    assert_eq!(e.to_string(), text);
}

#[test]
fn a_second_handle_of_this_process_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let db = Db::open(dir.path(), options()).expect("opens");
    db.set("a", "1").expect("set");
    let before = fingerprint(dir.path());
    assert_refused(Db::open(dir.path(), options()), dir.path());
    assert_eq!(fingerprint(dir.path()), before);
    db.close().expect("close");
    assert!(matches!(db.get("a"), Err(Error::Closed)));
    let again = Db::open(dir.path(), options()).expect("the lock went with close");
    assert_eq!(again.get("a").expect("get").as_deref(), Some(&b"1"[..]));
    drop(db);
    drop(again);
    Db::open(dir.path(), options()).expect("the lock went with the last handle");
}

#[test]
fn a_second_process_is_refused() {
    if let Some(dir) = std::env::var_os(CHILD) {
        assert_refused(Db::open(&dir, options()), Path::new(&dir));
        return;
    }
    let dir = tempfile::tempdir().expect("a directory");
    let db = Db::open(dir.path(), options()).expect("opens");
    db.set("a", "1").expect("set");
    let before = fingerprint(dir.path());
    let child = Command::new(std::env::current_exe().expect("this program"))
        .args(["--exact", "a_second_process_is_refused"])
        .env(CHILD, dir.path())
        .output()
        .expect("a child");
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    assert_eq!(fingerprint(dir.path()), before);
}

#[test]
fn a_stale_lock_file_does_not_matter() {
    let dir = tempfile::tempdir().expect("a directory");
    std::fs::write(dir.path().join("LOCK"), b"12345").expect("write");
    Db::open(dir.path(), options()).expect("nobody holds it");
}

#[test]
fn an_open_that_is_not_to_create_leaves_no_trace() {
    let dir = tempfile::tempdir().expect("a directory");
    let options = Options { create_if_missing: false, ..Options::default() };
    let missing = dir.path().join("missing");
    for path in [&missing, &dir.path().to_path_buf()] {
        let e = Db::open(path, options.clone()).expect_err("there is none");
        assert!(matches!(&e, Error::InvalidArgument { .. }), "{e}");
    }
    assert!(!missing.exists() && fingerprint(dir.path()).is_empty());

    // One that has lost its `CURRENT` is not taken for none, with the lock file or without.
    let lost = dir.path().join("lost");
    let db = Db::open(&lost, Options::default()).expect("opens");
    db.set("a", "b").expect("a set");
    db.flush().expect("flushed");
    db.close().expect("closed");
    std::fs::remove_file(lost.join("CURRENT")).expect("removed");
    for _ in 0..2 {
        let e = Db::open(&lost, options.clone()).expect_err("it has none");
        assert!(matches!(&e, Error::Corruption { file, .. } if file.ends_with("CURRENT")), "{e}");
        let _ = std::fs::remove_file(lost.join("LOCK"));
    }
    std::fs::remove_dir_all(&lost).expect("removed");

    // As one is after an open that ended before it had made anything else.
    std::fs::write(dir.path().join("LOCK"), b"").expect("write");
    let before = fingerprint(dir.path());
    let e = Db::open(dir.path(), options).expect_err("there is none");
    assert!(matches!(&e, Error::InvalidArgument { .. }), "{e}");
    assert_eq!(fingerprint(dir.path()), before);
}
