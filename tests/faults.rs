//! What each policy keeps, and what comes of each failure: the promises of
//! `SyncPolicy`, `Error::Indeterminate` and `Error::Poisoned`, one by one.

use esker::sim::{CallKind, CrashModel, Fault, FaultPlan, SimFs};
use esker::{Db, Error, Options, SyncPolicy, WriteBatch, WriteOptions};
use std::collections::VecDeque;
use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

const DIR: &str = "/db";

fn options(sync_policy: SyncPolicy) -> Options {
    // What is refused for want of room is refused alone: without a reserve to give up.
    Options {
        sync_policy,
        memtable_bytes: 64 << 10,
        value_threshold: usize::MAX,
        disk_reserve_bytes: 0,
        ..Options::default()
    }
}

fn open(fs: &SimFs, sync_policy: SyncPolicy) -> Db {
    Db::open_with_fs(Arc::new(fs.clone()), DIR, options(sync_policy)).expect("opens")
}

fn has(db: &Db, key: &str) -> bool {
    db.get(key).expect("a read").is_some()
}

/// The database as the next run finds it after a power cut that takes all
/// that was not synced.
fn after_power_cut(fs: &SimFs) -> (SimFs, Db) {
    let disk = fs.crash_image(&CrashModel::SyncedOnly);
    let db = open(&disk, SyncPolicy::Never);
    (disk, db)
}

#[test]
fn always_keeps_each_commit() {
    let fs = SimFs::new();
    let db = open(&fs, SyncPolicy::Always);
    for n in 0..20 {
        db.set(format!("{n}"), "v").expect("set");
        let (_, found) = after_power_cut(&fs);
        assert!(has(&found, &format!("{n}")));
    }
}

#[test]
fn never_keeps_what_persist_and_a_synced_write_cover_and_all_before_it() {
    let fs = SimFs::new();
    let db = open(&fs, SyncPolicy::Never);
    db.set("a", "v").expect("set");
    assert!(!has(&after_power_cut(&fs).1, "a"));
    db.persist().expect("persist");
    db.set("b", "v").expect("set");
    let (_, found) = after_power_cut(&fs);
    assert!(has(&found, "a") && !has(&found, "b"));
    let mut batch = WriteBatch::new();
    batch.set("c", "v");
    db.write_with(batch, WriteOptions { sync: Some(true) }).expect("write");
    let (_, found) = after_power_cut(&fs);
    assert!(has(&found, "b") && has(&found, "c"));
    // The death of the process alone takes nothing.
    db.set("d", "v").expect("set");
    assert!(has(&open(&fs.crash_image(&CrashModel::Everything), SyncPolicy::Never), "d"));
}

#[test]
fn a_write_may_ask_for_less_than_always() {
    let fs = SimFs::new();
    let db = open(&fs, SyncPolicy::Always);
    let mut batch = WriteBatch::new();
    batch.set("a", "v");
    db.write_with(batch, WriteOptions { sync: Some(false) }).expect("write");
    assert_eq!(db.metrics().log_syncs, 0);
    assert!(!has(&after_power_cut(&fs).1, "a"));
}

#[test]
fn a_synced_write_covers_the_log_files_before_its_own() {
    let fs = SimFs::new();
    // The second file that is made from here on is the first memtable's table.
    // It fails, and the flush worker waits a little, so that the log files
    // stay needed.
    let db = open(&fs, SyncPolicy::Never);
    fs.fail(FaultPlan::once(2, Fault::Errno(5)).only(CallKind::Create));
    for n in 0..40 {
        db.set(format!("{n:02}"), vec![1; 3000]).expect("set");
    }
    let mut batch = WriteBatch::new();
    batch.set("last", "v");
    db.write_with(batch, WriteOptions { sync: Some(true) }).expect("write");
    let (_, found) = after_power_cut(&fs);
    for n in 0..40 {
        assert!(has(&found, &format!("{n:02}")), "{n}");
    }
    assert!(has(&found, "last"));
}

#[test]
fn interval_syncs_by_itself() {
    let fs = SimFs::new();
    let db = open(&fs, SyncPolicy::Interval(Duration::from_millis(5)));
    db.set("a", "v").expect("set");
    let start = std::time::Instant::now();
    while db.metrics().log_syncs == 0 {
        assert!(start.elapsed() < Duration::from_secs(60), "no sync came");
        std::thread::yield_now();
    }
    assert!(has(&after_power_cut(&fs).1, "a"));
}

#[test]
fn an_overdue_sync_holds_the_next_writer_back() {
    let fs = SimFs::new();
    let hour = Duration::from_secs(3600);
    let db = open(&fs, SyncPolicy::Interval(hour));
    db.set("a", "v").expect("set");
    fs.sim_clock().advance(hour - Duration::from_secs(1));
    db.set("b", "v").expect("set");
    assert_eq!(db.metrics().log_syncs, 0, "not due yet");
    fs.sim_clock().advance(Duration::from_secs(2));
    db.set("c", "v").expect("set");
    assert_eq!(db.metrics().log_syncs, 1);
    let (_, found) = after_power_cut(&fs);
    assert!(has(&found, "a") && has(&found, "b") && !has(&found, "c"));
}

#[test]
fn a_failed_sync_is_indeterminate_and_poisons_for_good() {
    let fs = SimFs::new();
    let db = open(&fs, SyncPolicy::Always);
    db.set("a", "v").expect("set");
    fs.fail(FaultPlan::once(1, Fault::Errno(5)).only(CallKind::SyncData));
    let e = db.set("b", "v").expect_err("the sync failed");
    assert!(matches!(e, Error::Indeterminate { .. }), "{e}");
    assert!(e.to_string().contains("sync of /db/000001.log"), "{e}");
    // The disk works again; the handle does not, and says why.
    for _ in 0..3 {
        for e in [
            db.set("c", "v").expect_err("poisoned"),
            db.persist().expect_err("poisoned"),
            db.flush().expect_err("poisoned"),
        ] {
            assert!(matches!(e, Error::Poisoned { .. }), "{e}");
            assert!(e.to_string().contains("sync of /db/000001.log"), "{e}");
        }
    }
    assert!(db.metrics().poisoned_by.is_some());
    assert!(has(&db, "a") && !has(&db, "b"), "reads go on; what failed is not shown");
    let (_, found) = after_power_cut(&fs);
    assert!(has(&found, "a") && !has(&found, "b") && !has(&found, "c"));
    assert!(matches!(db.close(), Err(Error::Poisoned { .. })));
    db.close().expect("idempotent");
    drop(open(&fs, SyncPolicy::Always));
}

#[test]
fn a_full_disk_refuses_the_write_and_nothing_else() {
    let fs = SimFs::new();
    let db = open(&fs, SyncPolicy::Always);
    db.set("a", "v").expect("set");
    fs.fail(FaultPlan::from_on(1, Fault::Kind(ErrorKind::StorageFull)).only(CallKind::Write));
    // It does not fit into what was claimed ahead.
    let e = db.set("b", vec![1; 2 << 20]).expect_err("the disk is full");
    assert!(matches!(e, Error::Io { .. }), "{e}");
    assert!(has(&db, "a") && !has(&db, "b"));
    fs.clear_faults();
    db.set("c", "v").expect("there is space again");
    drop(db);
    let (_, found) = after_power_cut(&fs);
    assert!(has(&found, "a") && !has(&found, "b") && has(&found, "c"));
}

#[test]
fn no_good_record_follows_a_partial_one_in_the_same_file() {
    // How much of the failed write is left differs from seed to seed.
    for seed in 0..16 {
        let fs = SimFs::with_seed(seed);
        let db = open(&fs, SyncPolicy::Always);
        db.set("a", "v").expect("set");
        fs.fail(FaultPlan::once(1, Fault::Errno(5)).only(CallKind::Write));
        // Long enough that the next record would not cover what is left of it.
        let e = db.set("b", vec![1; 3000]).expect_err("the write failed");
        assert!(matches!(e, Error::Indeterminate { .. }), "{e}");
        assert!(!has(&db, "b"));
        db.set("c", "v").expect("goes on in a new file");
        let written = fs.crash_image(&CrashModel::Everything);
        for image in [written, fs.crash_image(&CrashModel::SyncedOnly)] {
            let found = open(&image, SyncPolicy::Never);
            assert!(has(&found, "a") && !has(&found, "b") && has(&found, "c"));
            assert_eq!(found.metrics().recovery.log_cut_at, None, "seed {seed}");
        }
    }
}

#[test]
fn a_flush_that_cannot_be_done_is_told_and_tried_again() {
    let fs = SimFs::new();
    let db = open(&fs, SyncPolicy::Never);
    db.set("a", "v").expect("set");
    fs.fail(FaultPlan::from_on(1, Fault::Kind(ErrorKind::StorageFull)).only(CallKind::Create));
    let e = db.flush().expect_err("no file can be made");
    assert!(matches!(e, Error::Io { .. }), "{e}");
    assert!(has(&db, "a"));
    fs.clear_faults();
    db.flush().expect("there is space again");
    assert_eq!(db.metrics().tables, 1);
    assert!(has(&after_power_cut(&fs).1, "a"));
}

#[test]
fn writers_are_told_when_no_memtable_can_be_written_out() {
    let fs = SimFs::new();
    let small = Options { memtables_max: 2, ..options(SyncPolicy::Never) };
    let db = Db::open_with_fs(Arc::new(fs.clone()), DIR, small).expect("opens");
    fs.fail(FaultPlan::from_on(1, Fault::Kind(ErrorKind::StorageFull)).only(CallKind::SyncDir));
    let mut refused = None;
    for n in 0..200 {
        if let Err(e) = db.set(format!("{n:03}"), vec![1; 3000]) {
            refused = Some((n, e));
            break;
        }
    }
    let (n, e) = refused.expect("memory is bounded");
    assert!(matches!(e, Error::Io { .. } | Error::Poisoned { .. }), "{e}");
    for before in 0..n {
        assert!(has(&db, &format!("{before:03}")));
    }
}

#[test]
fn without_a_log_flush_and_persist_keep_and_nothing_else() {
    let fs = SimFs::new();
    let without = Options { wal_enabled: false, ..options(SyncPolicy::Always) };
    let db = Db::open_with_fs(Arc::new(fs.clone()), DIR, without).expect("opens");
    db.set("a", "v").expect("set");
    assert!(!has(&after_power_cut(&fs).1, "a"));
    db.persist().expect("persist");
    assert!(has(&after_power_cut(&fs).1, "a"));
    db.set("b", "v").expect("set");
    assert!(!has(&open(&fs.crash_image(&CrashModel::Everything), SyncPolicy::Never), "b"));
    db.close().expect("close");
    assert!(has(&after_power_cut(&fs).1, "b"));
}

#[test]
fn what_was_seen_expired_stays_so_when_the_clock_steps_back() {
    let fs = SimFs::new();
    let clock = fs.sim_clock();
    clock.set_ms(1_000_000);
    let db = open(&fs, SyncPolicy::Always);
    db.set_with_ttl("seen", "v", Duration::from_secs(10)).expect("set");
    db.set_with_ttl("later", "v", Duration::from_secs(20)).expect("set");
    clock.set_ms(1_010_000);
    assert!(!has(&db, "seen"), "alive only while now < set time + ttl");
    clock.set_ms(1_000_000);
    assert!(!has(&db, "seen") && has(&db, "later"));
    // A commit carries it through the death of the process,
    db.set("any", "v").expect("set");
    let found = open(&fs.crash_image(&CrashModel::Everything), SyncPolicy::Never);
    assert!(!has(&found, "seen") && has(&found, "later"));
    // and close by itself.
    clock.set_ms(1_020_000);
    assert!(!has(&db, "later"));
    clock.set_ms(1_000_000);
    db.close().expect("close");
    let found = open(&fs, SyncPolicy::Never);
    assert!(!has(&found, "seen") && !has(&found, "later"));
}

#[test]
fn a_kill_a_reopen_and_then_a_power_cut_lose_nothing_that_was_shown() {
    let fs = SimFs::new();
    let db = open(&fs, SyncPolicy::Never);
    for n in 0..40 {
        db.set(format!("{n:02}"), vec![1; 3000]).expect("set");
    }
    let killed = fs.crash_image(&CrashModel::Everything);
    let reopened = open(&killed, SyncPolicy::Never);
    let shown: Vec<_> = reopened.range::<&[u8]>(..).map(|e| e.expect("an entry")).collect();
    assert_eq!(shown.len(), 40);
    let (_, found) = after_power_cut(&killed);
    let left: Vec<_> = found.range::<&[u8]>(..).map(|e| e.expect("an entry")).collect();
    assert_eq!(left, shown);
}

#[test]
fn after_close_every_call_says_so() {
    let fs = SimFs::new();
    let db = open(&fs, SyncPolicy::Never);
    db.set("a", "v").expect("set");
    let (clone, snapshot, mut range) = (db.clone(), db.snapshot(), db.range::<&str>(..));
    assert!(range.next().is_some());
    db.close().expect("close");
    clone.close().expect("idempotent, on every clone");
    let closed = |e: Option<Error>| assert!(matches!(e, Some(Error::Closed)), "{e:?}");
    closed(clone.get("a").err());
    closed(clone.set("a", "v").err());
    closed(clone.write(WriteBatch::new()).err());
    closed(clone.delete("a").err());
    closed(clone.persist().err());
    closed(clone.flush().err());
    closed(clone.verify().err());
    closed(snapshot.get("a").err());
    closed(snapshot.prefix("a").next().and_then(Result::err));
    closed(range.next().and_then(Result::err));
    assert!(range.next().is_none(), "it has ended");
}

// The zeros go out in steps of 16 KiB, up to the next multiple of 256 KiB: of
// the sixteen that follow the first 256 KiB, four are needed for this record.
#[test]
fn room_for_the_record_is_room_enough() {
    let fs = SimFs::new();
    let inline = Options { value_threshold: usize::MAX, ..Options::default() };
    let db = Db::open_with_fs(Arc::new(fs.clone()), DIR, inline).expect("opens");
    db.set("before", vec![1; 200 << 10]).expect("a set");
    fs.fail(FaultPlan::once(5, Fault::Errno(28)).only(CallKind::Write));
    db.set("a", vec![1; 119 << 10]).expect("there is room for it");
    assert_eq!(fs.faults_hit(), 1);
    // What is larger claims its room with one call, or has none.
    for (size, hits) in [(119 << 10, 2), (300 << 10, 3)] {
        fs.fail(FaultPlan::once(1, Fault::Errno(28)).only(CallKind::Write));
        let e = db.set("b", vec![1; size]).expect_err("there is no room");
        assert!(matches!(e, Error::Io { .. }), "{e}");
        assert_eq!(fs.faults_hit(), hits);
    }
    db.set("c", "v").expect("there is room again");
    let (_, found) = after_power_cut(&fs);
    assert!(has(&found, "a") && !has(&found, "b") && has(&found, "c"));
    assert_eq!(found.metrics().recovery.log_cut_at, None);
}

#[test]
fn a_failed_sync_of_a_table_or_of_its_edit_poisons() {
    let files = ["000003.log", "000004.tbl", "MANIFEST-000002"];
    for (nth, file) in (1..).zip(files) {
        let cause = &format!("sync of /db/{file}");
        let fs = SimFs::new();
        let db = open(&fs, SyncPolicy::Never);
        db.set("a", "v").expect("set");
        fs.fail(FaultPlan::once(nth, Fault::Errno(5)).only(CallKind::SyncData));
        for e in [
            db.flush().expect_err("the sync failed"),
            db.flush().expect_err("poisoned"),
            db.set("b", "v").expect_err("poisoned"),
            db.persist().expect_err("poisoned"),
        ] {
            assert!(matches!(e, Error::Poisoned { .. }), "{e}");
            assert!(e.to_string().contains(cause), "{e}");
        }
        assert!(has(&db, "a"), "reads go on");
        drop(db);
        let killed = fs.crash_image(&CrashModel::Everything);
        assert!(has(&open(&killed, SyncPolicy::Never), "a"), "the log is still there");
    }
}

/// A database with an entry that was seen expired at 1,010 s, by a clock that
/// has stepped back since.
fn seen_expired(sync_policy: SyncPolicy) -> (SimFs, Db) {
    let fs = SimFs::new();
    let clock = fs.sim_clock();
    clock.set_ms(1_000_000);
    let options = Options {
        sync_policy,
        value_threshold: usize::MAX,
        disk_reserve_bytes: 0,
        ..Options::default()
    };
    let db = Db::open_with_fs(Arc::new(fs.clone()), DIR, options).expect("opens");
    db.set_with_ttl("seen", "v", Duration::from_secs(10)).expect("set");
    db.flush().expect("flush");
    clock.set_ms(1_010_000);
    assert!(!has(&db, "seen"));
    clock.set_ms(1_000_000);
    (fs, db)
}

#[test]
fn what_is_seen_expired_after_the_last_commit_is_kept_by_close() {
    let (fs, db) = seen_expired(SyncPolicy::Always);
    db.close().expect("close");
    let (_, found) = after_power_cut(&fs);
    assert!(!has(&found, "seen"));
}

#[test]
fn a_refused_commit_does_not_take_the_expiry_floor_with_it() {
    let (fs, db) = seen_expired(SyncPolicy::Always);
    // More than the log has claimed ahead, and less than the memtable takes.
    fs.fail(FaultPlan::once(1, Fault::Errno(28)).only(CallKind::Write));
    let e = db.set("refused", vec![1; 300 << 10]).expect_err("no room");
    assert!(matches!(e, Error::Io { .. }), "{e}");
    db.set("any", "v").expect("there is room again");
    let (_, found) = after_power_cut(&fs);
    assert!(!has(&found, "seen") && has(&found, "any"));
}

#[test]
fn a_recovered_expiry_floor_survives_the_next_crash() {
    let (fs, db) = seen_expired(SyncPolicy::Always);
    db.set("any", "v").expect("the floor's record goes along");
    let (disk, found) = after_power_cut(&fs);
    assert!(!has(&found, "seen"));
    // Nothing was committed since, and the handle was not closed.
    let (_, found) = after_power_cut(&disk);
    assert!(!has(&found, "seen") && has(&found, "any"));
}

#[test]
fn short_and_interrupted_calls_show_nowhere() {
    let run = |fs: &SimFs| {
        let db = open(fs, SyncPolicy::Always);
        for n in 0..6 {
            db.set(format!("{n}"), vec![n; 3000]).expect("set");
        }
        db.flush().expect("flush");
        db.set("last", "v").expect("set");
        let (_, found) = after_power_cut(fs);
        for db in [&db, &found] {
            for n in 0..6 {
                let value = db.get(format!("{n}")).expect("a read");
                assert_eq!(value.as_deref(), Some(&vec![n; 3000][..]));
            }
            assert!(has(db, "last"));
        }
        db.close().expect("close");
    };
    let fs = SimFs::new();
    run(&fs);
    let calls = fs.calls();
    let short = SimFs::new();
    short.fail(FaultPlan::from_on(1, Fault::Short));
    run(&short);
    assert!(short.faults_hit() > 20);
    for nth in 1..calls {
        let fs = SimFs::new();
        fs.fail(FaultPlan::once(nth, Fault::Interrupted));
        run(&fs);
    }
}

#[test]
fn options_out_of_range_are_refused_before_anything_is_made() {
    let fs = SimFs::new();
    let wrong = Options { memtables_max: 1, ..Options::default() };
    let e = Db::open_with_fs(Arc::new(fs.clone()), DIR, wrong).expect_err("one is too few");
    assert!(matches!(e, Error::InvalidArgument { .. }), "{e}");
    assert_eq!(fs.mutating_calls(), 0);
}

/// Wherever a read fails, an iterator gives out what is there up to that place, tells the error, and has
/// ended, at both ends; a transaction's as well. What was not read is never taken for what is not there.
#[test]
fn an_iterator_that_meets_an_unreadable_place_tells_it_and_ends() {
    let fs = SimFs::new();
    fs.set_threads(false);
    let tables = Options {
        block_bytes: 256,
        table_bytes: 4 << 10,
        block_cache_bytes: 0,
        auto_compaction: false,
        ..options(SyncPolicy::Never)
    };
    let db =
        Db::open_with_fs(Arc::new(fs.clone()), DIR, Options { value_threshold: 100, ..tables })
            .expect("opens");
    let key = |n: u32| format!("key {n:03}").into_bytes();
    for layer in 0..4 {
        for n in (0..240).filter(|n| n % (layer + 1) == 0) {
            match (n + layer) % 5 {
                0 => db.delete(key(n)).expect("delete"),
                1 => db.set(key(n), vec![b'l'; 150]).expect("set"),
                _ => db.set(key(n), format!("layer {layer}")).expect("set"),
            }
        }
        db.flush().expect("flush");
        if layer == 1 {
            db.compact().expect("compact");
        }
    }
    let all: Vec<Vec<u8>> = db.iter().keys().map(|key| key.expect("a key").to_vec()).collect();
    let mut tx = db.transaction();
    tx.set("key 000", "own").expect("set");
    let (mut met, mut whole) = (0, 0);
    for nth in 1.. {
        for turns in [0b0, 0b1, 0b0110, 0b1110] {
            for is_tx in [false, true] {
                let mut left: VecDeque<Vec<u8>> = all.iter().cloned().collect();
                if is_tx && left[0] != b"key 000" {
                    left.push_front(b"key 000".to_vec());
                }
                type Rows<'a> =
                    dyn DoubleEndedIterator<Item = esker::Result<(esker::Key, esker::Value)>> + 'a;
                let mut rows: Box<Rows<'_>> =
                    if is_tx { Box::new(tx.iter()) } else { Box::new(db.iter()) };
                fs.fail(FaultPlan::from_on(nth, Fault::Errno(5)).only(CallKind::Read));
                for turn in 0.. {
                    let is_front = turns >> (turn % 4) & 1 == 0;
                    let row = if is_front { rows.next() } else { rows.next_back() };
                    let want = if is_front { left.pop_front() } else { left.pop_back() };
                    match row {
                        Some(Ok((key, _))) => assert_eq!(Some(key.to_vec()), want),
                        Some(Err(e)) => {
                            assert!(matches!(e, Error::Io { .. }), "{e}");
                            met += 1;
                            break;
                        }
                        None => {
                            assert_eq!(want, None, "read {nth}");
                            whole += 1;
                            break;
                        }
                    }
                }
                fs.clear_faults();
                assert!(rows.next().is_none() && rows.next_back().is_none());
            }
        }
        if whole >= 8 {
            break;
        }
        whole = 0;
    }
    assert!(met > 100, "{met}");
}
