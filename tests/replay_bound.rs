//! `Options::log_replay_bytes_max`: how much log an open replays at most, whenever
//! the process was killed.

use esker::sim::{CrashModel, SimFs};
use esker::{Compression, Db, Options, SyncPolicy};
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
