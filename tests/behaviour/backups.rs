//! Backup and restore: the state of one moment, whole or not at all, on every engine.

use crate::fixture::Fixture;
use esker::{Engine, Error};
use std::sync::Arc;
use std::time::Duration;

on_every_engine!(
    what_was_there_is_there_again,
    a_restore_replaces_everything,
    the_old_file_is_replaced_by_a_whole_one,
    missing_directories_are_made,
    a_file_that_is_no_backup_is_refused_and_nothing_is_touched,
    names_of_a_databases_files_are_refused,
    an_empty_engine_can_be_backed_up,
    after_close_both_are_refused,
    each_engine_reads_what_any_has_written,
    transactions_from_before_a_restore_conflict,
);
on_every_engine_with_a_clock!(services_expire_when_they_would_have_expired);

fn filled(engine: &Arc<dyn Engine>) {
    engine.batch_set(&[("", b""), ("a", b"1"), ("kv:b", b"2"), ("svc:c", b"3")]).expect("set");
    engine.set("large", &[b'x'; 5000]).expect("set");
    engine.set("binary", &(0..=255).cycle().take(3000).collect::<Vec<u8>>()).expect("set");
    engine.set_service("web", b"{}", Duration::from_secs(3600)).expect("registered");
    engine.set_service("a", &[7; 2000], Duration::MAX).expect("registered");
}

type Named = Vec<(String, Vec<u8>)>;

/// Keys and services, with what they have.
fn content(engine: &Arc<dyn Engine>) -> (Named, Named) {
    let keys = engine.list("").expect("a list").into_iter();
    let kv = keys.map(|key| (key.clone(), engine.get(&key).expect("there"))).collect();
    let names = engine.list_services().expect("a list").into_iter();
    let services = names.map(|name| (name.clone(), engine.get_service(&name).expect("there")));
    (kv, services.collect())
}

fn what_was_there_is_there_again(fixture: &impl Fixture) {
    let engine = fixture.engine();
    filled(&engine);
    let before = content(&engine);
    let path = fixture.backup_dir().join("one.db");
    let report = engine.backup(&path).expect("a backup");
    assert_eq!(report.entries, 8);
    assert_eq!(report.bytes, fixture.read_file(&path).len() as u64);
    assert_eq!(content(&engine), before, "nothing changes by it");
    let engine = fixture.reopened();
    assert_eq!(engine.restore(&path).expect("restored").entries, 8);
    assert_eq!(content(&engine), before);
    assert_eq!(content(&fixture.reopened()), before);
}

// Of the Go implementation it was a merge by version: a silent no-op, where all is newer.
fn a_restore_replaces_everything(fixture: &impl Fixture) {
    let engine = fixture.engine();
    filled(&engine);
    let before = content(&engine);
    let path = fixture.backup_dir().join("one.db");
    engine.backup(&path).expect("a backup");
    engine.set("a", b"changed").expect("set");
    engine.set("new", b"").expect("set");
    engine.delete("large").expect("deleted");
    engine.delete_service("web").expect("deleted");
    engine.set_service("other", b"", Duration::from_secs(3600)).expect("registered");
    for _ in 0..2 {
        engine.restore(&path).expect("restored");
        assert_eq!(content(&engine), before);
    }
    engine.set("a", b"later").expect("set");
    assert_eq!(engine.get("a").expect("there"), b"later", "what comes after it counts");
    engine.restore(&path).expect("restored");
    assert_eq!(content(&fixture.reopened()), before);
}

fn the_old_file_is_replaced_by_a_whole_one(fixture: &impl Fixture) {
    let engine = fixture.engine();
    let path = fixture.backup_dir().join("one.db");
    engine.set("a", b"1").expect("set");
    engine.backup(&path).expect("a backup");
    fixture.write_file(&path, &[b'x'; 100_000]);
    engine.backup(&path).expect("a backup");
    engine.set("a", b"2").expect("set");
    engine.restore(&path).expect("restored");
    assert_eq!(engine.get("a").expect("there"), b"1");
}

fn missing_directories_are_made(fixture: &impl Fixture) {
    let engine = fixture.engine();
    let path = fixture.backup_dir().join("and/more/of/them/one.db");
    engine.backup(&path).expect("a backup");
    engine.restore(&path).expect("restored");
    let nowhere = fixture.backup_dir().join("nowhere/one.db");
    let e = engine.restore(&nowhere).expect_err("there is none");
    assert!(matches!(e, Error::Io { .. }), "{e}");
}

fn a_file_that_is_no_backup_is_refused_and_nothing_is_touched(fixture: &impl Fixture) {
    let engine = fixture.engine();
    filled(&engine);
    let path = fixture.backup_dir().join("one.db");
    engine.backup(&path).expect("a backup");
    engine.set("since", b"").expect("set");
    let before = content(&engine);
    let whole = fixture.read_file(&path);
    let mut flipped = whole.clone();
    flipped[whole.len() / 2] ^= 1;
    let longer = [&whole[..], b"\n"].concat();
    let files: [(&[u8], &str); 6] = [
        (b"", "an empty file"),
        (
            b"these are some words, and no backup, though long enough to be one: see for yourself",
            "a text",
        ),
        (&whole[..whole.len() / 2], "one cut short"),
        (&whole[..whole.len() - 1], "one cut short"),
        (&flipped, "one with a flipped bit"),
        (&longer, "one with something behind it"),
    ];
    for (bytes, what) in files {
        fixture.write_file(&path, bytes);
        let e = engine.restore(&path).expect_err(what);
        let is_named = matches!(&e, Error::Corruption { file, .. } if *file == path);
        assert!(is_named && e.to_string().starts_with("Corruption detected"), "{what}: {e}");
        assert_eq!(content(&engine), before, "{what}");
    }
    fixture.write_file(&path, &whole);
    engine.restore(&path).expect("restored");
    assert!(matches!(engine.get("since"), Err(Error::KeyNotFound)));
}

fn names_of_a_databases_files_are_refused(fixture: &impl Fixture) {
    let engine = fixture.engine();
    for name in ["CURRENT", "000001.log", "LOCK"] {
        let e = engine.backup(&fixture.backup_dir().join(name)).expect_err(name);
        assert!(matches!(e, Error::InvalidArgument { .. }), "{e}");
    }
}

fn an_empty_engine_can_be_backed_up(fixture: &impl Fixture) {
    let engine = fixture.engine();
    let path = fixture.backup_dir().join("one.db");
    assert_eq!(engine.backup(&path).expect("a backup").entries, 0);
    filled(&engine);
    assert_eq!(engine.restore(&path).expect("restored").entries, 0);
    assert_eq!(content(&engine), (vec![], vec![]));
}

fn after_close_both_are_refused(fixture: &impl Fixture) {
    let engine = fixture.engine();
    let path = fixture.backup_dir().join("one.db");
    engine.backup(&path).expect("a backup");
    engine.close().expect("closed");
    assert!(matches!(engine.backup(&path), Err(Error::Closed)));
    assert!(matches!(engine.restore(&path), Err(Error::Closed)));
}

fn each_engine_reads_what_any_has_written(fixture: &impl Fixture) {
    let engine = fixture.engine();
    filled(&engine);
    // One without a time never expires, whichever engine it goes through.
    engine.import(&mut &b"{\"services\":{\"forever\":{}}}"[..]).expect("imported");
    let before = content(&engine);
    let path = fixture.backup_dir().join("one.db");
    engine.backup(&path).expect("a backup");
    let dir = tempfile::tempdir().expect("a temporary directory");
    let copy = dir.path().join("copy.db");
    std::fs::write(&copy, fixture.read_file(&path)).expect("written");
    let memory = esker::MemoryEngine::new();
    let lsm = esker::LsmEngine::open(dir.path().join("db"), esker::Options::default());
    let others: [Arc<dyn Engine>; 2] = [Arc::new(memory), Arc::new(lsm.expect("opens"))];
    for other in others {
        other.restore(&copy).expect("restored");
        // The clocks differ, so of services only those are alike that never expire.
        assert_eq!(content(&other).0, before.0);
        assert_eq!(other.get_service("a").expect("there"), [7; 2000]);
        assert_eq!(other.get_service("forever").expect("there"), b"{}");
        let exported = other.export_data().expect("exported");
        assert!(!exported.expires_at_ms.contains_key("forever"));
        other.backup(&copy).expect("a backup");
        fixture.write_file(&path, &std::fs::read(&copy).expect("there"));
        engine.set("since", b"").expect("set");
        engine.restore(&path).expect("restored");
        assert_eq!(content(&engine).0, before.0);
    }
}

fn services_expire_when_they_would_have_expired(fixture: &impl Fixture) {
    fixture.set_now_ms(1_000_000);
    let engine = fixture.engine();
    engine.set_service("web", b"{}", Duration::from_millis(1000)).expect("registered");
    let path = fixture.backup_dir().join("one.db");
    engine.backup(&path).expect("a backup");
    fixture.set_now_ms(1_000_500);
    engine.delete_service("web").expect("deleted");
    engine.restore(&path).expect("restored");
    fixture.set_now_ms(1_000_999);
    assert_eq!(engine.get_service("web").expect("alive"), b"{}");
    fixture.set_now_ms(1_001_000);
    assert!(matches!(engine.get_service("web"), Err(Error::ServiceExpired)));
    engine.restore(&path).expect("restored");
    assert!(matches!(engine.get_service("web"), Err(Error::ServiceExpired)));
    // What was once seen expired stays so, also when the clock steps back.
    fixture.set_now_ms(1_000_000);
    engine.restore(&path).expect("restored");
    assert!(matches!(engine.get_service("web"), Err(Error::ServiceExpired)));
    // One that was to be purged is not in a backup, whichever engine makes it.
    fixture.set_now_ms(1_001_000 + 600_000);
    assert_eq!(engine.backup(&path).expect("a backup").entries, 0);
}

fn transactions_from_before_a_restore_conflict(fixture: &impl Fixture) {
    let engine = fixture.engine();
    let path = fixture.backup_dir().join("one.db");
    engine.set("a", b"kept").expect("set");
    engine.backup(&path).expect("a backup");
    engine.set("a", b"later").expect("set");
    let mut reader = engine.begin_tx().expect("begun");
    let mut writer = engine.begin_tx().expect("begun");
    let mut only_reads = engine.begin_tx().expect("begun");
    assert_eq!(reader.get("a").expect("there"), b"later");
    reader.set("b", b"1").expect("noted");
    writer.set("b", b"2").expect("noted");
    engine.restore(&path).expect("restored");
    // It goes on reading what was there when it began.
    assert_eq!(only_reads.get("a").expect("there"), b"later");
    assert_eq!(reader.get("a").expect("there"), b"later");
    only_reads.commit().expect("it changes nothing");
    for mut tx in [reader, writer] {
        let refused = tx.commit();
        assert!(matches!(refused, Err(Error::Conflict)), "{refused:?}");
    }
    assert_eq!(engine.list("").expect("a list"), ["a"]);
    assert_eq!(engine.get("a").expect("there"), b"kept");
    let mut later = engine.begin_tx().expect("begun");
    assert_eq!(later.get("a").expect("there"), b"kept");
    later.set("b", b"3").expect("noted");
    later.commit().expect("nothing has changed since");
}
