//! What only the engine on disk can answer: its lock, and the `Db` under it.

use esker::{Db, Engine, Error, LsmEngine, Options};
use std::path::Path;
use std::process::Command;

/// Set for the child process that tries to open what its parent has open.
const OPEN_VARIABLE: &str = "ESKER_TEST_OPEN";

fn assert_locked(dir: &Path) {
    let error = LsmEngine::open(dir, Options::default()).expect_err("it is open already");
    assert!(matches!(&error, Error::Locked { dir: it } if it == dir), "{error:?}");
    assert_eq!(
        error.to_string(),
        format!(
            "failed to open {}: Cannot acquire directory lock: \
             another process is using this database",
            dir.display()
        )
    );
}

#[test]
fn a_second_opener_is_refused_here_and_elsewhere() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let engine = LsmEngine::open(dir.path(), Options::default()).expect("it opens");
    engine.set("k", b"v").expect("set");
    assert_locked(dir.path());
    let child = Command::new(std::env::current_exe().expect("this test's binary"))
        .args(["--exact", "lsm::child_that_opens"])
        .env(OPEN_VARIABLE, dir.path())
        .output()
        .expect("the child runs");
    assert!(child.status.success(), "{}", String::from_utf8_lossy(&child.stdout));
    assert_eq!(engine.get("k").expect("get"), b"v");
    engine.close().expect("close");
    let engine = LsmEngine::open(dir.path(), Options::default()).expect("free again");
    assert_eq!(engine.get("k").expect("get"), b"v");
}

/// The other process of the test above; on its own it does nothing.
#[test]
fn child_that_opens() {
    if let Some(dir) = std::env::var_os(OPEN_VARIABLE) {
        assert_locked(Path::new(&dir));
    }
}

#[test]
fn keys_and_services_stand_behind_their_prefixes() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let db = Db::open(dir.path(), Options::default()).expect("it opens");
    let engine = LsmEngine::new(db.clone());
    engine.set("config/host", b"10.0.0.1").expect("set");
    engine.set_service("web", b"{}", std::time::Duration::from_secs(3600)).expect("set_service");
    let keys: Vec<Vec<u8>> = db
        .range::<&[u8]>(..)
        .map(|entry| entry.map(|(key, _)| key.into()))
        .collect::<Result<_, _>>()
        .expect("it iterates");
    assert_eq!(keys, [b"kv:config/host".to_vec(), b"svc:web".to_vec()]);
    db.set("kv:written below", b"v").expect("set");
    assert_eq!(engine.get("written below").expect("get"), b"v");
    assert_eq!(engine.db().get("svc:web").expect("get").as_deref(), Some(&b"{}"[..]));
}

/// A program that also writes through `Db` may put any bytes under `kv:`.
/// What is no string is not part of what the engine holds.
#[test]
fn keys_that_are_no_strings_are_left_out_and_left_alone() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let db = Db::open(dir.path(), Options::default()).expect("it opens");
    let engine = LsmEngine::new(db.clone());
    engine.set("a", b"1").expect("set");
    engine.set("\u{10FFFF}", b"2").expect("set");
    for key in [&b"kv:\xFF"[..], b"kv:a\xFF", b"kv:a\xC3", b"svc:\xFF\xFF", b"other", b"kv", b""] {
        db.set(key, b"raw").expect("set");
    }
    assert_eq!(engine.list("").expect("list"), ["a", "\u{10FFFF}"]);
    assert_eq!(engine.list("a").expect("list"), ["a"]);
    assert!(engine.list_services().expect("list_services").is_empty());
    engine.batch_delete(&["a", "\u{10FFFF}"]).expect("batch_delete");
    assert!(engine.list("").expect("list").is_empty());
    assert_eq!(db.get(b"kv:\xFF").expect("get").as_deref(), Some(&b"raw"[..]));
}

/// The database may be closed below the engine, too.
#[test]
fn closing_the_db_closes_the_engine() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let db = Db::open(dir.path(), Options::default()).expect("it opens");
    let engine = LsmEngine::new(db.clone());
    let mut tx = engine.begin_tx().expect("begin_tx");
    tx.set("k", b"v").expect("set");
    db.close().expect("close");
    assert!(matches!(engine.get("k"), Err(Error::Closed)));
    assert!(matches!(engine.list(""), Err(Error::Closed)));
    assert!(matches!(tx.commit(), Err(Error::Closed)));
    engine.close().expect("closing again is fine");
}
