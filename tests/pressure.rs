//! Writers that are faster than compaction and the collection of garbage: they are slowed, and
//! stopped where level 0 is full or space used up; but never for what does not come.

#[expect(dead_code, reason = "shared with tests that use more of it")]
mod hooked_fs;

use esker::sim::{CallKind, SimFs};
use esker::{Compression, Db, Event, Listener, Options, StallReason, SyncPolicy};
use hooked_fs::{HookedFs, until};
use std::path::Path;
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

/// Longer than anything here takes: forty flushes on a disk that others are at.
const LONG: Duration = Duration::from_secs(90);

/// More tables of level 0 than there may be.
const TABLES: u64 = 44;

fn options(listener: Option<Listener>) -> Options {
    Options {
        sync_policy: SyncPolicy::Never,
        memtable_bytes: 64 << 10,
        value_threshold: usize::MAX,
        log_file_bytes: 64 << 10,
        listener,
        ..Options::default()
    }
}

/// Writes as much as `tables` memtables hold.
fn fill(db: &Db, tables: u64) -> Result<(), esker::Error> {
    for n in 0..tables * 16 {
        let number = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
        db.set(number.to_be_bytes(), vec![b'v'; 4000])?;
    }
    Ok(())
}

fn level_0(db: &Db) -> usize {
    db.metrics().levels[0].tables
}

/// A database whose compactions begin when the gate is dropped, and its stalls.
fn held(dir: &Path) -> (Arc<Db>, Sender<()>, Receiver<bool>) {
    let (gate, closed) = channel::<()>();
    let (told, stalls) = channel();
    let closed = Mutex::new(closed);
    let listener = Listener::new(move |event: &Event| match event {
        Event::CompactionBegan { .. } => drop(closed.lock().expect("no panic").recv()),
        Event::StallBegan { reason: StallReason::Level0, .. } => drop(told.send(true)),
        Event::StallEnded { reason: StallReason::Level0, .. } => drop(told.send(false)),
        _ => {}
    });
    let db = Db::open(dir, options(Some(listener))).expect("opens");
    (Arc::new(db), gate, stalls)
}

#[test]
fn writers_are_slowed_then_stopped_and_go_on_when_level_0_is_merged() {
    let dir = tempfile::tempdir().expect("a directory");
    let (db, gate, stalls) = held(dir.path());
    let writer = {
        let db = Arc::clone(&db);
        thread::spawn(move || fill(&db, TABLES))
    };
    assert!(stalls.recv_timeout(LONG).expect("a stall"));
    let metrics = db.metrics();
    assert!(metrics.levels[0].tables >= 36, "{metrics}");
    assert_eq!(metrics.pressure.debt_percent, 100);
    assert!(metrics.pressure.allowed_bytes_per_second.is_some());
    assert!(metrics.latencies.delay.count > 0, "slowed before: {metrics}");
    assert!(db.get("x").expect("reads go on").is_none());
    assert!(!writer.is_finished());
    drop(gate);
    assert!(!stalls.recv_timeout(LONG).expect("its end"));
    writer.join().expect("no panic").expect("all is written");
    // Who held the gate had merged five of them; the others are the next job's, and those come since.
    until("the next merge", || level_0(&db) < 36);
    assert!(db.metrics().pressure.drained_bytes_per_second.is_some());
}

#[test]
fn close_does_not_wait_for_a_stopped_writer() {
    let dir = tempfile::tempdir().expect("a directory");
    let (db, gate, stalls) = held(dir.path());
    let writer = {
        let db = Arc::clone(&db);
        thread::spawn(move || fill(&db, TABLES))
    };
    assert!(stalls.recv_timeout(LONG).expect("a stall"));
    let (told, closed) = channel();
    thread::spawn(move || told.send(db.close()));
    // The compaction is held up still: the writer is let go all the same.
    assert!(!stalls.recv_timeout(LONG).expect("its end"));
    let written = writer.join().expect("no panic");
    assert!(matches!(written, Err(esker::Error::Closed)), "{written:?}");
    drop(gate);
    closed.recv_timeout(LONG).expect("close returns").expect("closes");
}

/// Flips a bit in the first block of each table in `dir`.
fn damage_tables(dir: &Path) {
    let tables = std::fs::read_dir(dir).expect("a directory").map(|e| e.expect("an entry").path());
    for path in tables.filter(|path| path.extension().is_some_and(|e| e == "tbl")) {
        let mut bytes = std::fs::read(&path).expect("a table");
        bytes[100] ^= 1;
        std::fs::write(&path, bytes).expect("written");
    }
}

#[test]
fn nobody_stops_for_a_level_0_that_cannot_be_merged() {
    let dir = tempfile::tempdir().expect("a directory");
    let off = Options { auto_compaction: false, ..options(None) };
    let db = Db::open(dir.path(), off).expect("opens");
    fill(&db, TABLES).expect("without compaction nobody merges");
    db.close().expect("closes");
    let tables = level_0(&db);
    assert!(tables > 36, "{tables}");
    damage_tables(dir.path());
    let (told, done) = channel();
    thread::spawn(move || {
        let db = Db::open(dir.path(), options(None)).expect("opens");
        told.send(fill(&db, TABLES).map(|()| (level_0(&db), db.metrics().stalls)))
    });
    let written = done.recv_timeout(LONG).expect("nobody waits for ever");
    let (now, _) = written.expect("all is written");
    assert!(now > tables, "damage is left alone: {now}");
}

/// A database whose collections begin to write when the gate is dropped, and its stalls for space.
fn uncollected() -> (Arc<Db>, Sender<()>, Receiver<bool>) {
    let (gate, closed) = channel::<()>();
    let (told, stalls) = channel();
    let fs = HookedFs::new(&SimFs::new());
    let closed = Mutex::new(closed);
    fs.set_hook(move |call| {
        if call.is(CallKind::Write, ".val") {
            let _ = closed.lock().expect("no panic").recv(); // An error: the gate is open for good.
        }
        Ok(())
    });
    let listener = Listener::new(move |event: &Event| match event {
        Event::StallBegan { reason: StallReason::Space, .. } => drop(told.send(true)),
        Event::StallEnded { reason: StallReason::Space, .. } => drop(told.send(false)),
        _ => {}
    });
    let options = Options {
        value_threshold: 1 << 10,
        compression: Compression::None,
        disk_reserve_bytes: 0,
        // Merges find garbage a quarter of the live values at a time: the last quarter is four of them.
        space_amp_max: 5.0,
        ..options(Some(listener))
    };
    let db = Db::open_with_fs(Arc::new(fs), "/db", options).expect("opens");
    (Arc::new(db), gate, stalls)
}

/// Writes 60 values of 16 KiB again and again, one by one, whenever nothing but space may slow it. Beside
/// them stand others that live for ever, so that no file goes as long as nobody collects.
fn overwrite(db: &Db, sets: u64) -> Result<Vec<u64>, esker::Error> {
    let mut rates = Vec::new();
    for n in 0..sets {
        while db.metrics().pressure.allowed_bytes_per_second.is_some() {
            thread::yield_now();
        }
        db.set(format!("again{}", n % 60), vec![b'v'; 16 << 10])?;
        if n % 3 == 0 {
            db.set(format!("once{n}"), vec![b'w'; 1 << 10])?;
        }
        rates.extend(db.metrics().pressure.allowed_value_bytes_per_second);
    }
    Ok(rates)
}

#[test]
fn writers_of_large_values_are_slowed_then_stopped_and_go_on_when_garbage_is_collected() {
    let (db, gate, stalls) = uncollected();
    let writer = {
        let db = Arc::clone(&db);
        thread::spawn(move || overwrite(&db, 500))
    };
    assert!(stalls.recv_timeout(LONG).expect("a stall"));
    let metrics = db.metrics();
    // A flush may have made it a little less by now: what it brings counts as alive until it is merged.
    assert!(metrics.pressure.debt_percent > 50, "{metrics}");
    assert!(metrics.pressure.allowed_value_bytes_per_second.is_some(), "{metrics}");
    assert_eq!(metrics.values.collections, 0, "{metrics}");
    assert!(metrics.latencies.delay.count >= 3, "slowed before: {metrics}");
    assert!(!writer.is_finished());
    drop(gate);
    assert!(!stalls.recv_timeout(LONG).expect("its end"));
    let rates = writer.join().expect("no panic").expect("all is written");
    // Long before the stop.
    let before = rates.iter().take_while(|rate| **rate > 256 << 10).count();
    assert!(before >= 6, "{rates:?}");
    db.compact().expect("compacts");
    db.collect_garbage().expect("collects");
    let pressure = db.metrics().pressure;
    assert_eq!(pressure.allowed_value_bytes_per_second, None, "{pressure:?}");
}

#[test]
fn what_collections_give_back_is_measured() {
    let fs = SimFs::new();
    fs.set_threads(false);
    let options = Options {
        value_threshold: 1 << 10,
        compression: Compression::None,
        disk_reserve_bytes: 0,
        space_amp_max: 1.1,
        auto_compaction: false,
        ..options(None)
    };
    let db = Db::open_with_fs(Arc::new(fs.clone()), "/db", options).expect("opens");
    let set = |n: u64| db.set(format!("key{:02}", n % 60), vec![b'v'; 16 << 10]).expect("a set");
    (0..60).for_each(set);
    db.compact().expect("compacts");
    let drained = || db.metrics().pressure.drained_value_bytes_per_second;
    assert_eq!(drained(), None, "there is no garbage");
    // Every second one: no file goes whole.
    (0..60).step_by(2).for_each(set);
    db.compact().expect("compacts");
    assert_eq!(drained(), None, "nothing has been given back");
    fs.sim_clock().advance(Duration::from_secs(2));
    let before = db.metrics().values.stored_bytes;
    db.collect_garbage().expect("collects");
    let freed = before - db.metrics().values.stored_bytes;
    assert!(freed > 25 * (16 << 10), "{freed}");
    // The first lot took two seconds, the others no time.
    let measured = drained().expect("measured");
    assert!(measured > 0 && measured <= freed / 2, "{measured}, of {freed} in two seconds");
}
