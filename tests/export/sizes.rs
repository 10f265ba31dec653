//! Imports that do not fit into what is sorted in memory.

use crate::disk::{disk, exported, files, import, open, options};
use esker::sim::{CrashModel, SimFs};
use esker::{Db, Engine, LsmEngine, MemoryEngine, Options};
use std::fmt::Write as _;
use std::sync::Arc;

/// Numbers below `count`, each once, in no order (`count` has no factor 7,919).
fn shuffled(count: usize) -> impl Iterator<Item = usize> {
    (0..count).map(move |n| (n * 7919 + 3) % count)
}

/// No compression makes it small.
fn noise(n: usize, size: usize) -> String {
    let mut state = n as u64 + 1;
    let mut next = || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        char::from(b'0' + state.to_be_bytes()[0] % 64)
    };
    (0..size).map(|_| next()).filter(|c| *c != '\\' && *c != '"').collect()
}

/// A document with these keys and, behind them, services that expire.
fn document(keys: impl Iterator<Item = usize>, services: impl Iterator<Item = usize>) -> String {
    let mut text = String::from("{\"kv\":{");
    for (n, key) in keys.enumerate() {
        let comma = if n > 0 { "," } else { "" };
        write!(text, "{comma}\"k{key:05}\":\"{}\"", noise(key, 200)).expect("in memory");
    }
    let (mut all, mut times) = (String::new(), String::new());
    for (n, name) in services.enumerate() {
        let comma = if n > 0 { "," } else { "" };
        write!(all, "{comma}\"s{name:05}\":\"{}\"", noise(name, 60)).expect("in memory");
        write!(times, "{comma}\"s{name:05}\":{}", 2_000_000_000_000_u64 + name as u64)
            .expect("in memory");
    }
    write!(text, "}},\"services\":{{{all}}},\"expires_at_ms\":{{{times}}}}}").expect("in memory");
    text
}

/// The engine in memory after the same.
fn expected(document: &str) -> String {
    let clock = SimFs::new().sim_clock();
    let memory = MemoryEngine::with_clock(clock);
    import(&memory, document).expect("import");
    exported(&memory)
}

fn check(disk: &SimFs, engine: &LsmEngine, document: &str) {
    assert_eq!(exported(engine), expected(document));
    engine.db().verify().expect("sound");
    let tables = engine.db().metrics().tables;
    assert_eq!(files(disk).len(), tables, "no file but those of the database");
    let image = disk.crash_image(&CrashModel::SyncedOnly);
    assert_eq!(exported(&open(&image)), expected(document), "it is durable whatever the policy");
}

#[test]
fn what_stands_in_order_is_written_once() {
    let disk = disk();
    let engine = open(&disk);
    let document = document(0..400, 0..300);
    let report = import(&engine, &document).expect("import");
    assert_eq!((report.kv, report.services, report.expired), (400, 300, 0));
    let metrics = engine.db().metrics();
    assert_eq!(metrics.ingests, 1);
    let tables: u64 = metrics.levels.iter().map(|level| level.bytes).sum();
    assert_eq!(metrics.ingest_written_bytes, tables);
    check(&disk, &engine, &document);
    // Past the level in which tables overlap.
    assert_eq!(metrics.levels[0].tables, 0);
}

#[test]
fn what_stands_in_no_order_is_sorted() {
    for (keys, services) in [(400, 300), (5, 300), (400, 2), (0, 300), (400, 0)] {
        let disk = disk();
        let engine = open(&disk);
        let document = document(shuffled(keys), shuffled(services));
        let report = import(&engine, &document).expect("import");
        assert_eq!((report.kv, report.services), (keys as u64, services as u64));
        assert_eq!(engine.db().metrics().ingests, 1);
        check(&disk, &engine, &document);
    }
}

// Sixteen runs are merged into one, and sixteen of those: this is some 400 runs.
#[test]
fn of_very_many_runs_few_are_read_at_once() {
    let disk = disk();
    let engine = open(&disk);
    let document = document(shuffled(15_000), 0..0);
    let start = disk.calls();
    import(&engine, &document).expect("import");
    assert!(disk.calls() > start);
    check(&disk, &engine, &document);
}

#[test]
fn of_a_key_that_comes_again_and_again_the_last_holds() {
    let disk = disk();
    let engine = open(&disk);
    engine.set("k", b"before").expect("set");
    let mut text = String::from("{\"kv\":{");
    for n in 0..3_000 {
        // Far apart, so that it is in many runs; and twice in one.
        write!(text, "\"{:05}\":\"{}\",", (n * 7919 + 3) % 3000, noise(n, 60)).expect("in memory");
        if n % 100 < 2 {
            write!(text, "\"k\":\"{n}\",").expect("in memory");
        }
    }
    text.push_str("\"~\":\"\"}}");
    let report = import(&engine, &text).expect("import");
    assert_eq!(report.kv, 3002);
    assert_eq!(engine.get("k").expect("get"), b"2901");
    assert_eq!(engine.list("").expect("list").len(), 3002);
    check(&disk, &engine, &text);
}

#[test]
fn it_is_newer_than_what_was_there_and_older_than_what_comes() {
    let disk = disk();
    let engine = open(&disk);
    engine.set("k00001", b"flushed").expect("set");
    engine.set("other", b"stays").expect("set");
    engine.db().flush().expect("flushed");
    engine.set("k00002", b"in memory").expect("set");
    let before = engine.db().snapshot();
    import(&engine, &document(shuffled(400), 0..0)).expect("import");
    engine.set("k00003", b"later").expect("set");
    engine.delete("k00004").expect("delete");
    let check = |engine: &LsmEngine| {
        for n in [1, 2] {
            let value = engine.get(&format!("k{n:05}")).expect("get");
            assert_eq!(value, noise(n, 200).as_bytes());
        }
        assert_eq!(engine.get("k00003").expect("get"), b"later");
        assert!(engine.get("k00004").is_err());
        assert_eq!(engine.get("other").expect("get"), b"stays");
    };
    check(&engine);
    assert_eq!(before.get("kv:k00002").expect("get").as_deref(), Some(&b"in memory"[..]));
    assert_eq!(before.iter().count(), 3);
    drop(before);
    drop(engine);
    check(&open(&disk));
}

// The tables of runs are gone, but what keeps them open keeps their space.
#[cfg(target_os = "linux")]
#[test]
fn the_files_of_runs_give_their_space_back() {
    let dir = tempfile::tempdir().expect("a directory");
    let engine = LsmEngine::open(dir.path(), options()).expect("it opens");
    import(&engine, &document(shuffled(2000), shuffled(1000))).expect("import");
    let open = std::fs::read_dir("/proc/self/fd").expect("the files of this process");
    let open = open.filter_map(|fd| std::fs::read_link(fd.ok()?.path()).ok());
    let gone: Vec<_> = open
        .filter(|path| path.starts_with(dir.path()))
        .filter(|path| path.to_string_lossy().ends_with("(deleted)"))
        .collect();
    assert!(gone.is_empty(), "{gone:?}");
    assert_eq!(engine.list("").expect("list").len(), 2000);
}

#[test]
fn without_a_log_a_large_one_is_durable_and_a_small_one_is_as_any_write() {
    let disk = disk();
    let options = Options { wal_enabled: false, ..options() };
    let open = |disk: &SimFs| {
        let db = Db::open_with_fs(Arc::new(disk.clone()), crate::disk::DIR, options.clone());
        LsmEngine::new(db.expect("it opens"))
    };
    let engine = open(&disk);
    let document = document(shuffled(400), shuffled(300));
    import(&engine, &document).expect("import");
    import(&engine, "{\"kv\":{\"small\":\"\"}}").expect("import");
    assert!(engine.get("small").is_ok());
    let image = disk.crash_image(&CrashModel::Everything);
    assert_eq!(exported(&open(&image)), expected(&document));
    engine.db().flush().expect("flushed");
    let image = disk.crash_image(&CrashModel::SyncedOnly);
    assert!(open(&image).get("small").is_ok());
}
