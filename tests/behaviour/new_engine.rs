//! What `new_engine` opens for which configuration.

use esker::{Config, Engine, Error, new_engine};
use std::path::Path;
use std::sync::Arc;

fn config(dir: &Path, name: &str) -> Config {
    Config {
        r#type: name.to_string(),
        data_dir: dir.join("data"),
        backup_dir: dir.join("backups"),
        ..Config::default()
    }
}

#[test]
fn lsm_and_its_alias_open_the_same_store() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for (name, found, left) in [("lsm", None, "first"), ("badger", Some("first"), "second")] {
        let engine: Arc<dyn Engine> = new_engine(&config(dir.path(), name)).expect("it opens");
        match found {
            None => assert!(matches!(engine.get("k"), Err(Error::KeyNotFound))),
            Some(value) => assert_eq!(engine.get("k").expect("get"), value.as_bytes()),
        }
        engine.set("k", left.as_bytes()).expect("set");
        engine.close().expect("close");
    }
    let names: Vec<_> = std::fs::read_dir(dir.path())
        .expect("it is a directory")
        .map(|entry| entry.expect("an entry").file_name())
        .collect();
    assert_eq!(names, ["data"], "files go to data_dir and nowhere else");
}

#[test]
fn memory_or_not_enabled_touches_no_disk() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    let off = |name: &str| Config { enabled: false, ..config(dir.path(), name) };
    for config in [config(dir.path(), "memory"), off("lsm"), off("badger"), off("nonsense")] {
        let engine = new_engine(&config).expect("it opens");
        engine.set("k", b"v").expect("set");
        assert_eq!(engine.get("k").expect("get"), b"v");
        engine.close().expect("close");
    }
    assert_eq!(std::fs::read_dir(dir.path()).expect("it is a directory").count(), 0);
}

#[test]
fn other_types_are_refused_by_name() {
    let dir = tempfile::tempdir().expect("a temporary directory");
    for name in ["rocksdb", "LSM", ""] {
        let error = new_engine(&config(dir.path(), name)).expect_err("no such engine");
        assert!(matches!(&error, Error::UnsupportedType { name: it } if it == name), "{error:?}");
        assert_eq!(error.to_string(), format!("unsupported persistence type: {name}"));
    }
    assert_eq!(std::fs::read_dir(dir.path()).expect("it is a directory").count(), 0);
}

#[test]
fn every_sync_setting_keeps_what_was_closed() {
    for (sync_writes, wal_enabled) in [(true, true), (false, true), (true, false), (false, false)] {
        let dir = tempfile::tempdir().expect("a temporary directory");
        let config = Config { sync_writes, wal_enabled, ..config(dir.path(), "lsm") };
        let engine = new_engine(&config).expect("it opens");
        engine.set("k", b"v").expect("set");
        engine.close().expect("close");
        let engine = new_engine(&config).expect("it opens again");
        assert_eq!(engine.get("k").expect("get"), b"v", "{config:?}");
    }
}
