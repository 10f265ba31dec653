//! Backups that versions of this crate have made stay readable.

use esker::{Db, Engine, LsmEngine, MemoryEngine, Options, verify_backup};
use std::path::{Path, PathBuf};

/// As version 0.1 made it, with [`content`].
fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden/backup-1.esker")
}

fn content() -> Vec<(&'static str, Vec<u8>)> {
    let noise = crate::fixture::noise(42, 1500);
    let text = "a value that gets smaller ".repeat(200).into_bytes();
    vec![
        ("", Vec::new()),
        ("config/host", b"10.0.0.1".to_vec()),
        ("config/port", b"8080".to_vec()),
        ("large/noise", noise),
        ("large/text", text),
        ("ünïcode", vec![0, 1, 0xff]),
    ]
}

#[test]
fn format_version_1_is_read() {
    let info = verify_backup(path()).expect("sound");
    assert_eq!((info.entries, info.deletes, info.since), (8, 0, None));
    let dir = tempfile::tempdir().expect("a directory");
    let db = Db::create_from_backup(path(), dir.path().join("db"), Options::default());
    let memory = MemoryEngine::new();
    memory.restore(&path()).expect("restored");
    let engines: [Box<dyn Engine>; 2] =
        [Box::new(LsmEngine::new(db.expect("restored"))), Box::new(memory)];
    for engine in engines {
        let names: Vec<_> = content().iter().map(|(key, _)| (*key).to_owned()).collect();
        assert_eq!(engine.list("").expect("a list"), names);
        for (key, value) in content() {
            assert_eq!(engine.get(key).expect("there"), value, "{key}");
        }
        assert_eq!(engine.list_services().expect("a list"), ["ever"], "the other has expired");
        assert_eq!(engine.get_service("ever").expect("alive"), b"{}");
    }
}

/// Makes the file anew, for a new format: `cargo test --test backup make_golden -- --ignored`.
#[test]
#[ignore = "it writes into the source"]
fn make_golden() {
    use std::time::Duration;
    let dir = tempfile::tempdir().expect("a directory");
    let engine = LsmEngine::open(dir.path(), Options::default()).expect("opens");
    for (key, value) in content() {
        engine.set(key, &value).expect("set");
    }
    engine.set_service("brief", b"{}", Duration::from_secs(60)).expect("registered");
    engine.set_service("ever", b"{}", Duration::MAX).expect("registered");
    engine.backup(&path()).expect("a backup");
}
