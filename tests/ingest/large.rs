//! Large values of a bulk load: they stand where those of commits do.

use super::hooked_fs::HookedFs;
use super::{DIR, ENOSPC, key, open, quiet_disk};
use esker::sim::{CallKind, SimFs};
use esker::{Db, Engine, Error, Fs, LsmEngine};
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use std::time::Duration;

/// Letters, large enough to stand apart (`value_threshold` is 256 here); Snappy does not make them smaller.
fn large(n: u64, of: &str) -> Vec<u8> {
    let mut state = n.wrapping_mul(0x9e37_79b9_7f4a_7c15) | 1;
    let noise = std::iter::repeat_with(move || {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        b'a' + state.to_be_bytes()[0] % 26
    });
    of.bytes().chain(noise.take(3000)).collect()
}

/// Every third is small.
fn value(n: u64, of: &str) -> Vec<u8> {
    if n.is_multiple_of(3) { format!("{of} {n}").into_bytes() } else { large(n, of) }
}

fn entries(
    numbers: std::ops::Range<u64>,
    of: &'static str,
) -> impl Iterator<Item = (String, Vec<u8>)> {
    numbers.map(move |n| (key(n), value(n, of)))
}

fn files(disk: &SimFs, suffix: &str) -> usize {
    let names = disk.list(Path::new(DIR)).expect("a list");
    names.iter().filter(|name| name.ends_with(suffix)).count()
}

fn assert_is(db: &Db, want: &BTreeMap<String, Vec<u8>>) {
    let pair = |(key, value): (esker::Key, esker::Value)| {
        (String::from_utf8(key.to_vec()).expect("text"), value.to_vec())
    };
    let found: BTreeMap<_, _> = db.iter().map(|entry| pair(entry.expect("a read"))).collect();
    assert!(found == *want, "{} entries, expected {}", found.len(), want.len());
    assert!(
        db.iter()
            .rev()
            .map(|entry| pair(entry.expect("a read")))
            .eq(want.clone().into_iter().rev())
    );
    for (key, value) in want {
        assert!(db.get(key).expect("a read").expect("it is there") == value[..], "{key}");
    }
    db.verify().expect("sound");
}

#[test]
fn they_go_into_value_files_and_their_garbage_is_collected() {
    let disk = quiet_disk();
    let db = open(&disk);
    let report = db.ingest(entries(0..90, "loaded")).expect("ingested");
    assert_eq!(report.value_bytes, 60 * 3006, "two of three, each once");
    assert!(report.table_bytes < 20_000, "{report:?}");
    assert_eq!(db.metrics().values.live_bytes, report.value_bytes);
    let mut want: BTreeMap<_, _> = entries(0..90, "loaded").collect();
    assert_is(&db, &want);

    // Half of them go: over a second load, and deleted.
    let before = db.snapshot();
    db.ingest(entries(0..30, "again")).expect("ingested");
    want.extend(entries(0..30, "again"));
    for n in 30..50 {
        db.delete(key(n)).expect("a commit");
        want.remove(&key(n));
    }
    drop(before);
    db.compact().expect("merged");
    let collected = db.collect_garbage().expect("collected");
    assert!(collected.freed_bytes > 0, "{collected:?}");
    let values = db.metrics().values;
    assert_eq!(values.stored_bytes, values.live_bytes, "all garbage is gone");
    assert_is(&db, &want);
    drop(db);
    assert_is(&open(&disk), &want);
}

#[test]
fn they_expire() {
    let disk = quiet_disk();
    let db = open(&disk);
    let mut ingest = db.start_ingest().expect("begins");
    ingest.put_with_ttl("a", large(1, "soon gone"), Duration::from_secs(5)).expect("a put");
    ingest.put("b", large(2, "stays")).expect("a put");
    ingest.finish().expect("finished");
    assert!(db.get("a").expect("a read").expect("alive") == large(1, "soon gone")[..]);
    disk.sim_clock().advance(Duration::from_secs(6));
    assert_eq!(db.get("a").expect("a read"), None);
    assert!(db.get("b").expect("a read").expect("alive") == large(2, "stays")[..]);
}

// A value file says of each value of which entry it is, number included, and a collection asks the tables for that entry. With
// the numbers of the first attempt beside it, it would take all of them for garbage.
#[test]
fn written_anew_they_are_still_found_by_a_collection() {
    let disk = quiet_disk();
    let db = open(&disk);
    let mut first = db.start_ingest().expect("begins");
    for (key, value) in entries(0..60, "first") {
        first.put(key, value).expect("a put");
    }
    db.ingest(entries(100..130, "second")).expect("ingested");
    assert_eq!(first.finish().expect("finished").rewrites, 1);
    let (count, named) = (files(&disk, ".val"), db.metrics().values.files);
    assert_eq!(count, named, "those of the first attempt are gone");
    let mut want: BTreeMap<_, _> = entries(0..60, "first").collect();
    want.extend(entries(100..130, "second"));
    assert_is(&db, &want);
    // So that there is something to collect in each file.
    for n in (0..60).chain(100..130).filter(|n| n % 2 == 0) {
        db.delete(key(n)).expect("a commit");
        want.remove(&key(n));
    }
    db.compact().expect("merged");
    assert!(db.collect_garbage().expect("collected").freed_bytes > 0);
    assert_is(&db, &want);
}

#[test]
fn without_room_nothing_of_them_is_left() {
    // While they are written, and when all is written but the edit.
    for file in [".val", "MANIFEST"] {
        let disk = quiet_disk();
        let fs = HookedFs::new(&disk);
        let db = open(&fs);
        db.set(key(1), "old").expect("a commit");
        db.flush().expect("flushed");
        fs.set_hook(move |call| {
            let name = call.path.to_string_lossy();
            let is_it = name.contains(file) && (call.offset > 0 || file == ".val");
            if is_it && call.kind == CallKind::Write && call.is_done {
                return Err(io::Error::from_raw_os_error(ENOSPC));
            }
            Ok(())
        });
        let e = db.ingest(entries(0..200, "ingested")).expect_err("no room");
        assert!(matches!(e, Error::Io { op: "write", .. }), "{e}");
        assert_eq!(files(&disk, ".val"), 0, "{file}");
        assert_eq!(db.iter().count(), 1);
        fs.clear_hook();
        db.ingest(entries(0..200, "ingested")).expect("there is room again");
        assert_is(&db, &entries(0..200, "ingested").collect());
    }
}

// Several runs of a sorter, whose values are read back out of value files when they are merged.
#[test]
fn an_import_in_any_order_sorts_them() {
    let disk = quiet_disk();
    let engine = LsmEngine::new(open(&disk));
    let number = |n: u64| (n * 37) % 101;
    let pairs: Vec<_> = (0..101).map(|n| (key(number(n)), value(number(n), "imported"))).collect();
    let kv = pairs.iter().map(|(key, value)| {
        format!("\"{key}\":\"{}\"", std::str::from_utf8(value).expect("letters"))
    });
    let text = format!("{{\"kv\":{{{}}}}}", kv.collect::<Vec<_>>().join(","));
    engine.import(&mut text.as_bytes()).expect("imported");
    for (key, value) in &pairs {
        assert!(engine.get(key).expect("it is there") == *value, "{key}");
    }
    let large = pairs.iter().map(|(_, value)| value.len() as u64).filter(|&size| size > 256);
    let values = engine.db().metrics().values;
    assert_eq!(values.live_bytes, large.sum::<u64>());
    assert_eq!(files(&disk, ".val"), values.files, "those of the runs are gone");
}
