//! What an open does: how much log it replays at most, whenever the process was killed
//! (`Options::log_replay_bytes_max`); and that it writes nothing after a run that ended in order, nor does
//! anything before the first write.

use esker::sim::{CallKind, CrashModel, Fault, FaultPlan, SimFs};
use esker::{Compression, Db, Error, Fs, OpenMode, Options, SyncPolicy};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread;
use std::time::{Duration, Instant};

const BOUND: u64 = 64 << 10;

/// Memtables and log files that alone would let megabytes come together.
fn options() -> Options {
    Options {
        sync_policy: SyncPolicy::Never,
        log_replay_bytes_max: BOUND,
        compression: Compression::None,
        ..Options::default()
    }
}

fn open(fs: &SimFs) -> Db {
    Db::open_with_fs(Arc::new(fs.clone()), "/db", options()).expect("opens")
}

/// Ends the writers, also where the test fails: else it would wait for them for ever.
struct Over<'a>(&'a AtomicBool);

impl Drop for Over<'_> {
    fn drop(&mut self) {
        self.0.store(true, Ordering::Relaxed);
    }
}

/// What an open replays after the process is killed now; with what it showed.
fn replayed_after_kill(fs: &SimFs) -> u64 {
    let db = open(&fs.crash_image(&CrashModel::Everything));
    db.metrics().recovery.log_bytes
}

#[test]
fn a_kill_at_any_moment_leaves_no_more_to_replay_than_is_allowed() {
    const VALUE: usize = 5_000;
    let fs = SimFs::new();
    let db = open(&fs);
    let (is_over, sets) = (AtomicBool::new(false), AtomicU64::new(0));
    let most = thread::scope(|scope| {
        for thread in 0..4_u64 {
            let (db, is_over, sets) = (&db, &is_over, &sets);
            scope.spawn(move || {
                for (n, size) in (0_u64..).zip((1..=7).cycle()) {
                    if is_over.load(Ordering::Relaxed) {
                        break;
                    }
                    let value = vec![1; VALUE * size / 7];
                    db.set(((thread << 32) | (n % 1500)).to_be_bytes(), value).expect("set");
                    sets.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
        let _over = Over(&is_over);
        let (begun, mut most, mut moments) = (Instant::now(), 0, 0);
        // As many moments and sets as it takes, however they come to share the processor.
        while sets.load(Ordering::Relaxed) < 6000 || moments < 20 || most <= BOUND / 4 {
            assert!(begun.elapsed() < Duration::from_secs(60), "{most} bytes in {moments} moments");
            most = most.max(replayed_after_kill(&fs));
            moments += 1;
        }
        most
    });
    let batch = VALUE as u64 + 100;
    assert!(most <= BOUND + batch, "{most} bytes");
    let metrics = db.metrics();
    assert!(metrics.flushes >= sets.into_inner() * 2_857 / BOUND, "{metrics}");
}

#[test]
fn without_threads_the_bound_holds_after_each_commit() {
    let fs = SimFs::new();
    fs.set_threads(false);
    let db = open(&fs);
    let mut most = 0;
    for n in 0..60_u32 {
        db.set(n.to_be_bytes(), vec![1; 9_000]).expect("set");
        most = most.max(replayed_after_kill(&fs));
    }
    assert!(most <= BOUND + 9_100, "{most} bytes");
    assert!(most > BOUND / 4, "{most} bytes");
}

#[test]
fn a_batch_larger_than_the_bound_is_all_that_comes_on_top() {
    const LARGE: usize = 300_000;
    let fs = SimFs::new();
    let db = open(&fs);
    for n in 0..20_u32 {
        let size = if n % 3 == 2 { LARGE } else { 20_000 };
        db.set(n.to_be_bytes(), vec![1; size]).expect("a batch of any size commits");
        let replayed = replayed_after_kill(&fs);
        assert!(replayed <= BOUND + LARGE as u64 + 100, "{replayed} bytes after {n}");
    }
    assert_eq!(db.iter().count(), 20);
}

/// A database that was closed in order, on a file system without threads.
fn closed() -> SimFs {
    let fs = SimFs::new();
    fs.set_threads(false);
    let db = open(&fs);
    db.set("a", "1").expect("set");
    db.set("large", vec![1; 20_000]).expect("set");
    db.close().expect("closed");
    fs
}

fn get(db: &Db, key: &str) -> Option<Vec<u8>> {
    db.get(key).expect("a read").map(|value| value.to_vec())
}

fn opened(fs: &SimFs) -> u64 {
    let names = fs.list(Path::new("/db")).expect("a list");
    let number = |name: &String| name.strip_prefix("MANIFEST-")?.parse().ok();
    names.iter().find_map(number).expect("a manifest")
}

#[test]
fn after_a_close_in_order_nothing_is_written_before_the_first_write() {
    let fs = closed();
    let (before, calls) = (fs.content_hash(), fs.mutating_calls());
    for _ in 0..3 {
        let db = open(&fs);
        assert_eq!(get(&db, "a"), Some(b"1".to_vec()));
        assert_eq!(db.iter().count(), 2);
        let mut backup = Vec::new();
        db.backup_to(&mut backup, esker::BackupOptions::default()).expect("a backup");
        assert!(db.verify().expect("verified").is_sound());
        assert_eq!(db.metrics().recovery.log_bytes, 0);
        db.close().expect("closed");
    }
    assert_eq!(fs.content_hash(), before);
    // What there is of calls that change something: to take the lock.
    fs.set_trace(true);
    drop(open(&fs));
    let changing = fs.trace().into_iter().filter(|call| !call.contains("LOCK")).filter(|call| {
        ["write", "sync", "create", "rename", "remove", "set_len", "allocate"]
            .iter()
            .any(|kind| call.contains(kind))
    });
    assert_eq!(changing.collect::<Vec<_>>(), Vec::<String>::new());
    assert!(fs.mutating_calls() - calls <= 8, "{} calls", fs.mutating_calls() - calls);

    let (db, manifest) = (open(&fs), opened(&fs));
    db.set("b", "2").expect("the first write");
    assert_ne!(opened(&fs), manifest, "it has a manifest of its own");
    assert_eq!(db.metrics().recovery.files_removed, 2, "log and manifest of the last run");
    let again = open(&fs.crash_image(&CrashModel::Everything));
    let found = ["a", "b"].map(|key| get(&again, key));
    assert_eq!(found, [Some(b"1".to_vec()), Some(b"2".to_vec())]);
}

// The mark is not synced. What it says holds without it; and what a power cut takes of it is no damage.
#[test]
fn without_the_mark_of_an_end_in_order_an_open_does_it_at_once() {
    let fs = closed();
    for model in [CrashModel::SyncedOnly, CrashModel::Everything] {
        let disk = fs.crash_image(&model);
        disk.set_threads(false);
        let (calls, manifest) = (disk.mutating_calls(), opened(&disk));
        let db = open(&disk);
        let has_switched = opened(&disk) != manifest;
        assert_eq!(has_switched, model == CrashModel::SyncedOnly, "{model:?}");
        assert!(!has_switched || disk.mutating_calls() > calls + 5);
        assert_eq!(get(&db, "a"), Some(b"1".to_vec()));
        db.close().expect("closed");
    }
    // A run that did not end in order leaves none.
    let db = open(&fs);
    db.set("b", "2").expect("set");
    drop(db);
    let manifest = opened(&fs);
    assert_eq!(get(&open(&fs), "b"), Some(b"2".to_vec()));
    assert_ne!(opened(&fs), manifest);
}

#[test]
fn each_call_that_changes_something_begins_the_run() {
    type Call = fn(&Db);
    let calls: [(&str, Call); 9] = [
        ("set", |db| db.set("b", "2").expect("set")),
        ("flush", |db| db.flush().expect("flushed")),
        ("compact", |db| db.compact().expect("compacted")),
        ("collect_garbage", |db| _ = db.collect_garbage().expect("collected")),
        ("ingest", |db| _ = db.ingest([("b", "2")]).expect("loaded")),
        ("checkpoint", |db| db.checkpoint("/second").expect("made")),
        ("restore", |db| {
            let mut backup = Vec::new();
            db.backup_to(&mut backup, esker::BackupOptions::default()).expect("a backup");
            db.restore_from(&backup[..], esker::RestoreOptions::default()).expect("restored");
        }),
        ("followed backup", |db| {
            let options = esker::BackupOptions { followed: true, ..Default::default() };
            db.backup_to(Vec::new(), options).expect("a backup");
        }),
        ("transact", |db| {
            db.transact(|tx| tx.set("a", "2")).expect("committed");
        }),
    ];
    for (name, call) in calls {
        let fs = closed();
        let (db, manifest) = (open(&fs), opened(&fs));
        call(&db);
        assert_ne!(opened(&fs), manifest, "{name}");
        db.set("after", name).expect("set");
        // It stands in a log file of this run.
        db.set("late", vec![2; 20_000]).expect("set");
        assert_eq!(get(&db, "late"), Some(vec![2; 20_000]), "{name}");
        db.close().expect("closed");
        let db = open(&fs);
        assert_eq!(get(&db, "after"), Some(name.as_bytes().to_vec()), "{name}");
        assert_eq!(get(&db, "large"), Some(vec![1; 20_000]), "{name}");
    }
}

#[test]
fn what_is_refused_at_the_first_write_is_tried_again_at_the_next() {
    for kind in [CallKind::Create, CallKind::Write] {
        let fs = closed();
        let db = open(&fs);
        let names = || fs.list(Path::new("/db")).expect("a list");
        let before = names();
        for nth in 1..=2 {
            fs.fail(FaultPlan::once(nth, Fault::Errno(28)).only(kind));
            let refused = db.set("b", "2").expect_err("no room");
            assert!(matches!(refused, Error::Io { .. }), "{kind:?} {nth}: {refused}");
            fs.clear_faults();
            assert_eq!(get(&db, "a"), Some(b"1".to_vec()));
            assert_eq!(get(&db, "b"), None);
            assert_eq!(names(), before, "{kind:?} {nth}: nothing is left of the attempt");
        }
        db.set("b", "2").expect("set");
        let again = open(&fs.crash_image(&CrashModel::Everything));
        assert_eq!(get(&again, "b"), Some(b"2".to_vec()));
    }
}

// Which manifest is in force is open then, and with it which log counts.
#[test]
fn a_sync_that_fails_at_the_first_write_poisons() {
    let file = (1..=3).map(|nth| (CallKind::SyncData, nth));
    let directory = (1..=2).map(|nth| (CallKind::SyncDir, nth));
    for (kind, nth) in file.chain(directory) {
        let fs = closed();
        let db = open(&fs);
        fs.fail(FaultPlan::once(nth, Fault::Errno(5)).only(kind));
        let refused = db.set("b", "2").expect_err("a sync failed");
        assert!(matches!(refused, Error::Poisoned { .. }), "{kind:?} {nth}: {refused}");
        assert!(matches!(db.set("b", "2"), Err(Error::Poisoned { .. })));
        assert_eq!(get(&db, "a"), Some(b"1".to_vec()));
        db.close().expect_err("it is poisoned");
        let db = open(&fs);
        assert_eq!((get(&db, "a"), get(&db, "b")), (Some(b"1".to_vec()), None));
    }
}

// What a reader was told of expiry is written down, though nothing else is.
#[test]
fn a_run_that_only_reads_writes_down_what_it_saw_expired() {
    let fs = expiring();
    let db = open(&fs);
    assert_eq!(get(&db, "a"), None);
    db.close().expect("closed");
    fs.sim_clock().set_ms(1_000_000);
    assert_eq!(get(&open(&fs), "a"), None, "it is gone though the clock has stepped back");
    assert_eq!(get(&open(&fs.crash_image(&CrashModel::SyncedOnly)), "a"), None);
}

// It must begin for that, and cannot: that is an answer, of which the next open still makes the best.
#[test]
fn a_close_that_cannot_write_down_what_was_seen_expired_says_so() {
    for (kind, lasting) in
        [CallKind::Create, CallKind::Write].map(|k| [(k, false), (k, true)]).concat()
    {
        let fs = expiring();
        let db = open(&fs);
        assert_eq!(get(&db, "a"), None);
        let plan = if lasting { FaultPlan::from_on } else { FaultPlan::once };
        fs.fail(plan(1, Fault::Errno(28)).only(kind));
        let refused = db.close().expect_err("no room");
        assert!(matches!(refused, Error::Io { .. }), "{kind:?}: {refused}");
        fs.clear_faults();
        let db = open(&fs);
        assert_eq!(get(&db, "b"), Some(b"2".to_vec()));
        db.close().expect("closed");
    }
}

// No sync that failed is made again, not even by a close that has something to write down.
#[test]
fn a_close_of_what_a_failed_sync_poisoned_changes_nothing() {
    let fs = expiring();
    let db = open(&fs);
    assert_eq!(get(&db, "a"), None);
    fs.fail(FaultPlan::once(2, Fault::Errno(5)).only(CallKind::SyncDir));
    db.set("c", "3").expect_err("after the switch");
    let before = fs.content_hash();
    assert!(matches!(db.close(), Err(Error::Poisoned { .. })));
    assert_eq!(fs.content_hash(), before);
}

// Without threads a caller does what is due: but not where nothing has been written yet.
#[test]
fn a_batch_without_operations_does_no_work_on_the_last_runs_files() {
    let fs = expiring();
    fs.sim_clock().advance(Duration::from_secs(100_000));
    let (db, before) = (open(&fs), fs.content_hash());
    db.write(esker::WriteBatch::new()).expect("nothing to do");
    assert_eq!(fs.content_hash(), before);
    db.set("c", "3").expect("set");
    db.close().expect("closed");
}

/// A database that was closed in order, of which `a` has expired since then, seen by nobody.
fn expiring() -> SimFs {
    let fs = SimFs::new();
    fs.set_threads(false);
    fs.sim_clock().set_ms(1_000_000);
    let db = open(&fs);
    db.set_with_ttl("a", "1", Duration::from_secs(1)).expect("set");
    db.set("b", "2").expect("set");
    db.close().expect("closed");
    fs.sim_clock().set_ms(1_002_000);
    fs
}

#[test]
fn damage_to_the_last_runs_manifest_is_found_before_this_one_begins() {
    // In the mark, and in the last edit before it.
    for from_end in [3, 33 + 3] {
        let fs = closed();
        let db = open(&fs);
        db.verify().expect("sound");
        let path = Path::new("/db").join(format!("MANIFEST-{:06}", opened(&fs)));
        let manifest = fs.open(&path, OpenMode::Read).expect("the manifest");
        let mut bytes = vec![0; usize::try_from(manifest.len().expect("a length")).expect("small")];
        manifest.read_at(&mut bytes, 0).expect("read");
        let at = bytes.len() - from_end;
        bytes[at] ^= 1;
        fs.remove(&path).expect("removed");
        let made = fs.open(&path, OpenMode::CreateNew);
        made.and_then(|file| file.write_at(&bytes, 0)).expect("damaged");
        let found = db.verify().map(|report| report.is_sound());
        assert!(matches!(found, Err(Error::Corruption { .. })), "{from_end}: {found:?}");
    }
}

// The files of the last run go while somebody looks at them.
#[test]
fn a_run_that_begins_under_a_verification_is_no_damage() {
    for _ in 0..40 {
        let fs = closed();
        fs.set_threads(true);
        let db = open(&fs);
        thread::scope(|scope| {
            scope.spawn(|| db.set("b", "2").expect("set"));
            for _ in 0..3 {
                let report = db.verify().expect("verified");
                assert!(report.is_sound(), "{report}");
            }
        });
    }
}

/// Whether what `fill` leaves behind has the next run begin, with threads and `options`, within `patience`, though nobody
/// writes.
fn begins_by_itself(fill: impl Fn(&Db), options: Options, patience: Duration) -> bool {
    let fs = SimFs::new();
    fs.set_threads(false);
    let filling = Options { auto_compaction: false, ..self::options() };
    let db = Db::open_with_fs(Arc::new(fs.clone()), "/db", filling).expect("opens");
    fill(&db);
    db.close().expect("closed");
    fs.set_threads(true);
    let db = Db::open_with_fs(Arc::new(fs.clone()), "/db", options).expect("opens");
    let (manifest, begun) = (opened(&fs), Instant::now());
    let has_begun = || opened(&fs) != manifest && db.metrics().recovery.files_removed >= 2;
    while !has_begun() && begun.elapsed() < patience {
        thread::yield_now();
    }
    let has_begun = has_begun();
    db.set("b", "2").expect("the first write");
    assert_ne!(opened(&fs), manifest, "it has a manifest of its own");
    db.close().expect("closed");
    assert_eq!(get(&open(&fs), "b"), Some(b"2".to_vec()));
    has_begun
}

/// What it is, who fills the database, and how it is opened then.
type Case<'a> = (&'a str, &'a dyn Fn(&Db), Options);

#[test]
fn where_there_is_work_for_threads_the_run_begins_by_itself() {
    let hour = Duration::from_secs(3600);
    let set = |db: &Db, key: &str, bytes: usize| db.set(key, vec![1; bytes]).expect("set");
    let scrubbed = || Options { scrub_interval: Some(hour), ..options() };
    let at_rest = || Options { auto_compaction: false, ..options() };
    let deleted = |db: &Db| {
        set(db, "a", 10);
        db.delete("a").expect("delete");
    };
    let works: [Case<'_>; 6] = [
        ("a delete", &deleted, options()),
        ("what expires", &|db| db.set_with_ttl("a", "1", hour).expect("set"), options()),
        (
            "large values that expire",
            &|db| {
                db.set_with_ttl("a", vec![1; 20_000], hour).expect("set");
            },
            options(),
        ),
        (
            "a file of large values with small ones, which are in a table",
            &|db| {
                set(db, "a", 8_000);
                set(db, "c", 1_000);
            },
            options(),
        ),
        (
            "tables in level 0",
            &|db| {
                for _ in 0..5 {
                    set(db, "a", 10);
                    db.flush().expect("flush");
                }
            },
            options(),
        ),
        ("scrubs", &|db| set(db, "a", 10), scrubbed()),
    ];
    for (what, fill, options) in works {
        assert!(begins_by_itself(fill, options, Duration::from_secs(60)), "{what}: it never does");
    }
    let none: [Case<'_>; 3] = [
        ("nothing", &|_| {}, options()),
        (
            "entries that live",
            &|db| {
                set(db, "a", 10);
                set(db, "c", 20);
            },
            options(),
        ),
        ("a delete that nobody merges away", &deleted, at_rest()),
    ];
    for (what, fill, options) in none {
        // Some ten times as long as it would take.
        assert!(!begins_by_itself(fill, options, Duration::from_secs(1)), "{what}");
    }
}

// Two may come first, the threads of the run, and a close.
#[test]
fn many_first_writes_and_a_close_at_once() {
    for round in 0..60_u32 {
        let fs = closed();
        fs.set_threads(true);
        let db = open(&fs);
        let acknowledged: Vec<u32> = thread::scope(|scope| {
            let writers: Vec<_> = (0..4_u32)
                .map(|n| {
                    let db = &db;
                    scope.spawn(move || match db.set(n.to_be_bytes(), "v") {
                        Ok(()) => Some(n),
                        Err(Error::Closed) => None,
                        Err(e) => panic!("{e}"),
                    })
                })
                .collect();
            for _ in 0..round % 20 {
                thread::yield_now();
            }
            db.close().expect("closed");
            writers.into_iter().filter_map(|writer| writer.join().expect("no panic")).collect()
        });
        let db = open(&fs);
        for n in acknowledged {
            assert!(db.get(n.to_be_bytes()).expect("a read").is_some(), "round {round}: {n}");
        }
        assert_eq!(get(&db, "a"), Some(b"1".to_vec()));
    }
}

/// They read a page of filter and index each, and the block: what is large of a table is read by who asks often, or walks.
#[test]
fn the_first_gets_of_a_database_do_without_the_heads_of_its_tables() {
    const KEYS: u32 = 120_000;
    let dir = tempfile::tempdir().expect("a directory");
    let options =
        || Options { auto_compaction: false, sync_policy: SyncPolicy::Never, ..Options::default() };
    let key = |number: u32| format!("key {:08x}", number.wrapping_mul(0x9e37_79b1)).into_bytes();
    let db = Db::open(dir.path(), options()).expect("opens");
    for number in 0..KEYS {
        db.set(key(number), number.to_be_bytes()).expect("set");
    }
    db.flush().expect("flush");
    for number in (0..KEYS).filter(|number| !number.is_multiple_of(3)) {
        if number % 3 == 1 {
            db.set(key(number), b"new").expect("set");
        } else {
            db.delete(key(number)).expect("delete");
        }
    }
    db.close().expect("close");

    let db = Db::open(dir.path(), options()).expect("opens");
    let (tables, head_bytes) = (db.metrics().tables, || db.metrics().memory.head_bytes);
    assert_eq!(tables, 2, "the memtable was written out by the close");
    let check = |number: u32| {
        let found = db.get(key(number)).expect("sound").map(|value| value.to_vec());
        let expected = match number % 3 {
            _ if number >= KEYS => None,
            0 => Some(number.to_be_bytes().to_vec()),
            1 => Some(b"new".to_vec()),
            _ => None,
        };
        assert_eq!(found, expected, "{number}");
    };
    for number in [0, 1, 2, KEYS] {
        check(number);
        assert_eq!(head_bytes(), 0, "after the get of {number}");
    }
    (0..KEYS + 300).step_by(301).for_each(check);
    assert!(head_bytes() > 165_000, "11 bits a key at least: {}", head_bytes());
}

/// Where a lock file stood, a directory that others had made was taken for one that is durable. Found by a reader.
#[test]
fn a_directory_with_a_lock_file_is_made_durable() {
    let fs = SimFs::new();
    fs.create_dir_all(Path::new("/of/others")).expect("made");
    drop(fs.open(Path::new("/of/others/LOCK"), OpenMode::CreateNew).expect("made"));
    let options = Options { sync_policy: SyncPolicy::Always, ..options() };
    let open = |fs: &SimFs| Db::open_with_fs(Arc::new(fs.clone()), "/of/others", options.clone());
    let db = open(&fs).expect("opens");
    db.set("a", "b").expect("a set");
    let after = fs.crash_image(&CrashModel::SyncedOnly);
    let found = open(&after).expect("opens").get("a").expect("a read");
    assert_eq!(found.as_deref(), Some(&b"b"[..]));
}
