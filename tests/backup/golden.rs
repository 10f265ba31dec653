//! Backups that versions of this crate have made stay readable.

use esker::{
    BackupOptions, Db, Engine, LsmEngine, MemoryEngine, Options, verify_backup, verify_backup_chain,
};
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

/// A full backup and two increments, as version 0.1 made them.
fn chain() -> [PathBuf; 3] {
    let dir = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/golden");
    [0, 1, 2].map(|number| dir.join(format!("backup-1.chain-{number}.esker")))
}

/// What [`content`] has become by the last of them.
fn content_of_chain() -> Vec<(&'static str, Vec<u8>)> {
    let mut content = content();
    content.retain(|(key, _)| !["config/host", "config/port", "large/noise"].contains(key));
    content.push(("config/port", b"9090".to_vec()));
    content.push(("large/more", crate::fixture::noise(43, 1600)));
    content.sort_by_key(|(key, _)| *key);
    content
}

#[test]
fn increments_of_format_version_1_are_read() {
    let info = verify_backup_chain(chain()).expect("sound");
    let counts: Vec<_> = info.iter().map(|info| (info.entries, info.deletes)).collect();
    assert_eq!(counts, [(8, 0), (3, 1), (3, 2)]);
    assert_eq!((info[0].base_id, info[0].since), (None, None));
    for link in info.windows(2) {
        assert_eq!(link[1].base_id, Some(link[0].backup_id));
        assert_eq!(link[1].since, Some(link[0].sequence_number));
    }
    let dir = tempfile::tempdir().expect("a directory");
    let db = Db::create_from_backups(chain(), dir.path().join("db"), Options::default());
    let engine = LsmEngine::new(db.expect("restored"));
    let names: Vec<_> = content_of_chain().iter().map(|(key, _)| (*key).to_owned()).collect();
    assert_eq!(engine.list("").expect("a list"), names);
    for (key, value) in content_of_chain() {
        assert_eq!(engine.get(key).expect("there"), value, "{key}");
    }
    let services = engine.list_services().expect("a list");
    assert_eq!(services.len(), 0, "one is deleted, the other has expired");
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

/// As [`make_golden`].
#[test]
#[ignore = "it writes into the source"]
fn make_golden_chain() {
    use std::time::Duration;
    let dir = tempfile::tempdir().expect("a directory");
    let engine = LsmEngine::open(dir.path(), Options::default()).expect("opens");
    let [full, first, second] = chain();
    for (key, value) in content() {
        engine.set(key, &value).expect("set");
    }
    engine.set_service("brief", b"{}", Duration::from_secs(60)).expect("registered");
    engine.set_service("ever", b"{}", Duration::MAX).expect("registered");
    let followed = BackupOptions { followed: true, ..BackupOptions::default() };
    let base = engine.db().backup_with(full, followed).expect("a backup");
    engine.delete("config/host").expect("deleted");
    engine.set("config/port", b"8081").expect("set");
    engine.set("large/more", &crate::fixture::noise(43, 1600)).expect("set");
    let base = engine.db().backup_since(base.backup_id, first).expect("an increment");
    engine.delete("large/noise").expect("deleted");
    engine.set("config/port", b"9090").expect("set");
    engine.delete_service("ever").expect("deleted");
    engine.db().backup_since(base.backup_id, second).expect("an increment");
}
