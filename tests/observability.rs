//! What can be seen of an open database: its metrics, its events, its latencies.

#[expect(dead_code, reason = "shared with tests that use more of it")]
mod hooked_fs;

use esker::sim::{CallKind, Fault, FaultPlan, SimFs};
use esker::{Db, Error, Event, Fs, Listener, Options, SyncPolicy, WriteBatch, WriteOptions};
use hooked_fs::{HookedFs, soon, spawn};
use std::io::ErrorKind;
use std::sync::mpsc::{Receiver, channel};
use std::sync::{Arc, Mutex};
use std::time::Duration;

const DIR: &str = "/db";
const MS: Duration = Duration::from_millis(1);
const EIO: i32 = 5;

fn options(listener: Option<Listener>) -> Options {
    let sync_policy = SyncPolicy::Never;
    Options {
        sync_policy,
        memtable_bytes: 64 << 10,
        value_threshold: usize::MAX,
        memtables_max: 2,
        // What is looked at stays where a flush has put it.
        auto_compaction: false,
        listener,
        ..Options::default()
    }
}

fn open(fs: &(impl Fs + Clone + 'static), listener: Option<Listener>) -> Db {
    Db::open_with_fs(Arc::new(fs.clone()), DIR, options(listener)).expect("opens")
}

/// Flushes are done by the call that makes them due, so that all is counted when it returns.
fn threadless() -> SimFs {
    let fs = SimFs::new();
    fs.set_threads(false);
    fs
}

/// A listener, and what it is told.
fn recorder() -> (Listener, Receiver<Event>) {
    let (sender, events) = channel();
    (Listener::new(move |event| drop(sender.send(event.clone()))), events)
}

fn names(events: &Receiver<Event>) -> Vec<&'static str> {
    let name = |event| match event {
        Event::FlushBegan { .. } => "flush began",
        Event::FlushDone { .. } => "flush done",
        Event::FlushFailed { will_retry: true, .. } => "flush failed",
        Event::FlushFailed { .. } => "flush failed for good",
        Event::StallBegan { .. } => "stall began",
        Event::StallEnded { .. } => "stall ended",
        Event::Poisoned { .. } => "poisoned",
        _ => "another",
    };
    events.try_iter().map(name).collect()
}

fn write(db: &Db, key: &str, sync: bool) {
    let mut batch = WriteBatch::new();
    batch.set(key, "12345");
    db.write_with(batch, WriteOptions { sync: Some(sync) }).expect("a commit");
}

#[test]
fn commits_and_syncs_are_timed_by_the_clock_of_the_file_system() {
    let disk = SimFs::new();
    let fs = HookedFs::new(&disk);
    let db = open(&fs, None);
    let clock = disk.sim_clock();
    fs.set_hook(move |call| {
        match (call.is_done, call.kind) {
            (false, CallKind::Write) => clock.advance(MS),
            (false, CallKind::SyncData) => clock.advance(5 * MS),
            _ => {}
        }
        Ok(())
    });
    write(&db, "first", true); // The first also writes zeros ahead.
    fs.clear_hook();
    let latencies = db.metrics().latencies;
    assert_eq!(latencies.log_sync.max, 5 * MS);
    assert_eq!(latencies.unsynced_commit.count, 0);
    assert!(latencies.synced_commit.sum > 5 * MS, "{latencies:?}");
    for key in ["a", "b", "c"] {
        write(&db, key, false);
    }
    let latencies = db.metrics().latencies;
    assert_eq!((latencies.synced_commit.count, latencies.log_sync.count), (1, 1));
    assert_eq!(
        (latencies.unsynced_commit.count, latencies.unsynced_commit.sum),
        (3, Duration::ZERO)
    );
    // What fails is not among them.
    disk.fail(FaultPlan::once(1, Fault::Errno(EIO)).only(CallKind::Write));
    db.set("refused", "v").expect_err("the write fails");
    assert_eq!(db.metrics().latencies.unsynced_commit.count, 3);
}

#[test]
fn levels_amplification_and_memory_are_those_of_what_was_written() {
    let db = open(&threadless(), None);
    let empty = db.metrics();
    assert_eq!((empty.write_amplification(), empty.block_cache.hit_rate()), (None, None));
    db.set("aa", "1234").expect("set");
    let _snapshot = db.snapshot();
    db.set("aa", "5678").expect("set");
    db.delete("b").expect("delete");
    db.set_with_ttl("c", "12", Duration::from_secs(9)).expect("set");
    assert_eq!(db.metrics().user_bytes, 6 + 6 + 1 + 3);
    db.flush().expect("flush");
    let metrics = db.metrics();
    let level = &metrics.levels[0];
    assert_eq!((level.level, level.tables, level.entries, level.tombstones), (0, 1, 4, 1));
    assert_eq!((level.bytes, level.shadowed_bytes), (metrics.flush_written_bytes, 6));
    assert_eq!((metrics.tables, metrics.table_bytes), (1, level.bytes));
    assert!(metrics.levels[1..].iter().all(|level| level.tables == 0 && level.bytes == 0));
    let written = metrics.log_written_bytes + metrics.flush_written_bytes;
    assert_eq!(metrics.write_amplification(), Some(written as f64 / 16.0));
    assert_eq!(metrics.latencies.flush.count, 1);
    let text = metrics.to_string();
    for expected in ["level", "    0       1", "4 in 4 groups, 16 B", "flush "] {
        assert!(text.contains(expected), "{expected:?} in:\n{text}");
    }
}

#[test]
fn gets_are_counted_by_tables_and_blocks() {
    let db = open(&threadless(), None);
    for value in ["old", "new"] {
        for key in ["a", "k", "z"] {
            db.set(key, value).expect("set");
        }
        db.flush().expect("flush");
    }
    let seen = |db: &Db| {
        let metrics = db.metrics();
        let (reads, cache) = (metrics.reads, metrics.block_cache);
        [reads.table_gets, reads.tables_searched, cache.hits, cache.misses]
    };
    assert_eq!(seen(&db), [0; 4]);
    db.get("k").expect("get");
    assert_eq!(seen(&db), [1, 1, 0, 1], "the newest table has it");
    db.get("k").expect("get");
    assert_eq!(seen(&db), [2, 2, 1, 1]);
    assert_eq!(db.get("l").expect("get"), None);
    assert_eq!(seen(&db), [3, 4, 1, 1], "both might have it, but for their filters");
    assert_eq!(db.get("zz").expect("get"), None);
    assert_eq!(seen(&db), [4, 4, 1, 1], "beyond the keys of both");
    db.set("k", "newest").expect("set");
    db.get("k").expect("get");
    assert_eq!(seen(&db), [4, 4, 1, 1], "a memtable has it");
    assert_eq!(db.metrics().block_cache.hit_rate(), Some(0.5));
    assert_eq!(db.metrics().reads.tables_per_get(), Some(1.0));
}

#[test]
fn snapshots_are_told_with_what_they_hold() {
    let fs = threadless();
    let db = open(&fs, None);
    db.set("k", "123").expect("set");
    let oldest = db.snapshot();
    fs.sim_clock().advance(7 * MS);
    db.set("k", "456").expect("set");
    let newer = db.snapshot();
    db.flush().expect("flush");
    let snapshots = db.metrics().snapshots;
    assert_eq!((snapshots.count, snapshots.oldest_seq), (2, Some(1)));
    assert_eq!((snapshots.oldest_age, snapshots.held_bytes_max), (Some(7 * MS), 4));
    drop(oldest);
    let snapshots = db.metrics().snapshots;
    assert_eq!((snapshots.oldest_seq, snapshots.oldest_age), (Some(2), Some(Duration::ZERO)));
    drop(newer);
    let snapshots = db.metrics().snapshots;
    assert_eq!((snapshots.count, snapshots.oldest_seq, snapshots.held_bytes_max), (0, None, 0));
}

#[test]
fn a_flush_is_told_begun_failed_and_done() {
    let fs = threadless();
    let (listener, events) = recorder();
    let db = open(&fs, Some(listener));
    db.set("a", "v").expect("set");
    fs.fail(FaultPlan::once(2, Fault::Kind(ErrorKind::StorageFull)).only(CallKind::Create));
    db.flush().expect_err("the first attempt makes no table");
    db.flush().expect("the second does");
    let table_bytes = db.metrics().table_bytes;
    db.close().expect("close");
    drop(db);
    let all: Vec<Event> = events.try_iter().collect();
    let is_done = |event: &Event| match event {
        Event::FlushDone { table_bytes, .. } => Some(*table_bytes),
        _ => None,
    };
    assert_eq!(all.iter().find_map(is_done), Some(table_bytes));
    let (sender, events) = channel();
    all.into_iter().for_each(|event| sender.send(event).expect("here"));
    let expected = ["flush began", "flush failed", "flush began", "flush done"];
    assert_eq!(names(&events), expected);
}

#[test]
fn a_stall_is_told_counted_and_timed() {
    let fs = SimFs::new();
    let (clock, (release, released)) = (fs.sim_clock(), channel::<()>());
    let released = Mutex::new(Some(released));
    let (sender, events) = channel();
    let listener = Listener::new(move |event| {
        sender.send(event.clone()).expect("the test listens");
        match event {
            // The flush worker waits here, the first time, until a writer waits for it.
            Event::FlushBegan { .. } => {
                if let Some(released) = released.lock().expect("sound").take() {
                    released.recv().expect("a writer will wait");
                    clock.advance(3 * MS);
                }
            }
            Event::StallBegan { .. } => {
                // It listens no more if there was another stall: that is counted below.
                let _ = release.send(());
            }
            _ => {}
        }
    });
    let db = open(&fs, Some(listener));
    let writing = spawn(move || {
        for n in 0..3 {
            db.set(format!("{n}"), vec![2; 60 << 10]).expect("set");
        }
        db.metrics()
    });
    let metrics = soon(&writing, "the stall ends");
    assert_eq!(metrics.stalls, 1, "{metrics}");
    assert_eq!((metrics.latencies.stall.count, metrics.stall_time), (1, 3 * MS));
    let told = names(&events);
    let at = |name| told.iter().position(|told| *told == name).expect(name);
    assert!(at("flush began") < at("stall began") || at("stall began") < at("flush done"));
    assert!(at("stall began") < at("stall ended"), "{told:?}");
    assert!(metrics.to_string().contains("stalls       1, 3.0ms"), "{metrics}");
}

#[test]
fn poison_is_told_once_with_its_first_cause() {
    let fs = SimFs::new();
    let (listener, events) = recorder();
    let db = open(&fs, Some(listener));
    db.set("a", "v").expect("set");
    fs.fail(FaultPlan::from_on(1, Fault::Errno(EIO)).only(CallKind::SyncData));
    for _ in 0..3 {
        db.persist().expect_err("no sync succeeds");
        db.flush().expect_err("nor does a flush");
    }
    db.close().expect_err("not all is written");
    let causes: Vec<String> = events
        .try_iter()
        .filter_map(|event| match event {
            Event::Poisoned { cause, .. } => Some(cause.to_string()),
            _ => None,
        })
        .collect();
    assert_eq!(causes.len(), 1, "{causes:?}");
    assert!(causes[0].contains("sync"), "{causes:?}");
    let poisoned_by = db.metrics().poisoned_by.expect("poisoned");
    assert!(poisoned_by.contains(&causes[0]), "{poisoned_by}");
}

#[test]
fn a_listener_that_panics_stops_nothing() {
    let fs = threadless();
    let listener = Listener::new(|event| panic!("on purpose, at {event:?}"));
    let db = open(&fs, Some(listener));
    for round in 1..=3 {
        db.set("a", "v").expect("set");
        db.flush().expect("a flush is none of the listener's");
        assert_eq!(db.metrics().flushes, round);
    }
    db.close().expect("close");
    let metrics = db.metrics();
    assert_eq!((metrics.listener_panics, metrics.poisoned_by), (6, None), "begun and done, each");
    let found = open(&fs, None);
    assert_eq!(found.get("a").expect("get").as_deref(), Some(&b"v"[..]));
}

#[test]
fn a_listener_may_read() {
    let fs = SimFs::new();
    let shared: Arc<Mutex<Option<Db>>> = Arc::default();
    let (sender, seen) = channel();
    let listener = Listener::new({
        let shared = Arc::clone(&shared);
        move |event| {
            let db = shared.lock().expect("sound").clone();
            if let (Some(db), Event::Poisoned { .. } | Event::FlushDone { .. }) = (db, event) {
                let value = db.get("a").expect("get").is_some();
                sender
                    .send((value, db.iter().count(), db.metrics().poisoned_by.is_some()))
                    .expect("here");
            }
        }
    });
    let db = open(&fs, Some(listener));
    *shared.lock().expect("sound") = Some(db.clone());
    db.set("a", "v").expect("set");
    let flushed = spawn({
        let db = db.clone();
        move || db.flush()
    });
    soon(&flushed, "the flush").expect("flush");
    assert_eq!(soon(&seen, "the listener"), (true, 1, false));
    db.set("b", "v").expect("set");
    fs.fail(FaultPlan::from_on(1, Fault::Errno(EIO)).only(CallKind::SyncData));
    let persisted = spawn({
        let db = db.clone();
        move || db.persist()
    });
    let e = soon(&persisted, "the sync").expect_err("it fails");
    assert!(matches!(e, Error::Poisoned { .. }), "{e}");
    assert_eq!(soon(&seen, "the listener"), (true, 2, true));
    *shared.lock().expect("sound") = None;
}
