//! Large values under load: whether the space stays bounded and how even the latency is; and
//! what a threshold between small and large costs.
//!
//! `cargo bench --bench values -- [--gib N] [--live-mib M] [--dir DIR]` overwrites `M` MiB of live data (64)
//! by random keys, values from 100 B to 1 MiB, until `N` GiB (8) have been written, and prints one
//! line of CSV a second; it fails when the disk holds more than `space_amp_max` allows.
//! `--sweep` loads, overwrites and reads values from 64 B to 64 KiB under thresholds from 256 B to 64 KiB,
//! and prints a table. `--quick` only shows that it runs.

#[path = "inputs/bytes.rs"]
mod bytes;
#[path = "gauges/disk.rs"]
mod disk;
#[path = "inputs/mix.rs"]
mod mix;
#[path = "gauges/times.rs"]
mod times;

use bytes::Bytes;
use disk::disk_bytes;
use esker::{Db, Options, SyncPolicy};
use mix::mix;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::time::{Duration, Instant};
use times::{nanos, quantile_us};

const KIB: u64 = 1 << 10;
const MIB: u64 = 1 << 20;

struct Arguments {
    total_bytes: u64,
    live_bytes: u64,
    sweep_bytes: u64,
    sweep: bool,
    dir: Option<PathBuf>,
}

impl Arguments {
    fn read() -> Self {
        let mut read = Arguments {
            total_bytes: 8 << 30,
            live_bytes: 64 * MIB,
            sweep_bytes: 512 * MIB,
            sweep: false,
            dir: None,
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut number = || words.next().and_then(|n| n.parse::<u64>().ok()).expect("a number");
            match word.as_str() {
                "--gib" => read.total_bytes = number() << 30,
                "--live-mib" => read.live_bytes = number() * MIB,
                "--sweep" => read.sweep = true,
                "--dir" => read.dir = words.next().map(Into::into),
                "--quick" => {
                    (read.total_bytes, read.live_bytes) = (64 * MIB, 8 * MIB);
                    read.sweep_bytes = 8 * MIB;
                }
                "--bench" => {}
                other => panic!("unknown argument {other}"),
            }
        }
        read
    }
}

/// A size from `low` to `high`, each order of magnitude as often as the others.
#[expect(clippy::cast_possible_truncation, reason = "a size of a value")]
fn size(random: u64, low: u64, high: u64) -> usize {
    let part = (random >> 11) as f64 / (1_u64 << 53) as f64;
    (low as f64 * (high as f64 / low as f64).powf(part)) as usize
}

/// What `space_amp_max` and its documentation allow beside `live_bytes`.
#[expect(clippy::cast_possible_truncation, reason = "bytes of a disk")]
fn bound(options: &Options, live_bytes: u64) -> u64 {
    (live_bytes as f64 * options.space_amp_max) as u64
        + 2 * options.log_file_bytes
        + options.log_replay_bytes_max
        + options.disk_reserve_bytes
        + options.log_file_bytes
        + 64 * MIB // Tables.
}

fn overwrite(dir: &Path, arguments: &Arguments) {
    let options = Options { sync_policy: SyncPolicy::Never, ..Options::default() };
    let db = Db::open(dir, options.clone()).expect("opens");
    let bytes = Bytes::new(16);
    // Of a value of this distribution on average.
    let mean = (MIB - 100) / 9;
    let keys = arguments.live_bytes / mean;
    let key = |n: u64| format!("key{:08}", n % keys);
    let (over, written) = (AtomicBool::new(false), AtomicU64::new(0));
    let times = Mutex::new((Vec::new(), Vec::new()));
    let mut highest = 0;
    println!(
        "second,mib_written,sets,set_p50_us,set_p999_us,get_p999_us,disk_mib,stored_mib,live_mib"
    );
    std::thread::scope(|scope| {
        scope.spawn(|| {
            for n in 0_u64.. {
                if written.load(Ordering::Relaxed) >= arguments.total_bytes {
                    break;
                }
                let random = mix(n);
                let value = bytes.value(random, size(mix(random), 100, MIB));
                let since = Instant::now();
                db.set(key(random), value).expect("a set");
                times.lock().expect("no panic").0.push(nanos(since));
                written.fetch_add(value.len() as u64, Ordering::Relaxed);
                let since = Instant::now();
                db.get(key(mix(random + 1))).expect("a get");
                times.lock().expect("no panic").1.push(nanos(since));
            }
            over.store(true, Ordering::Relaxed);
        });
        for second in 0.. {
            std::thread::sleep(Duration::from_secs(1));
            let (mut sets, mut gets) = std::mem::take(&mut *times.lock().expect("no panic"));
            let (values, disk) = (db.metrics().values, disk_bytes(dir));
            highest = highest.max(disk);
            println!(
                "{second},{},{},{:.1},{:.1},{:.1},{},{},{}",
                written.load(Ordering::Relaxed) / MIB,
                sets.len(),
                quantile_us(&mut sets, 0.5),
                quantile_us(&mut sets, 0.999),
                quantile_us(&mut gets, 0.999),
                disk / MIB,
                values.stored_bytes / MIB,
                values.live_bytes / MIB,
            );
            if over.load(Ordering::Relaxed) {
                break;
            }
        }
    });
    let metrics = db.metrics();
    let bound = bound(&options, arguments.live_bytes);
    eprintln!("{metrics}{:?}", metrics.values);
    eprintln!("at most {} MiB on the disk, {} MiB allowed", highest / MIB, bound / MIB);
    assert!(highest <= bound, "the space is not bounded");
    db.compact().expect("compacts");
    db.collect_garbage().expect("collects");
    db.flush().expect("flushes");
    eprintln!("{} MiB after compaction and collection", disk_bytes(dir) / MIB);
    db.close().expect("closes");
}

/// One line of the sweep.
fn sweep_one(dir: &Path, threshold: usize, total_bytes: u64) {
    let options = Options {
        sync_policy: SyncPolicy::Never,
        value_threshold: threshold,
        ..Options::default()
    };
    let db = Db::open(dir, options).expect("opens");
    let bytes = Bytes::new(16);
    let mean = (64 * KIB - 64) / 7;
    let keys = (total_bytes / mean / 4).max(1);
    let key = |n: u64| format!("key{:08}", n % keys);
    let (begun, mut written, mut n) = (Instant::now(), 0, 0);
    while written < total_bytes {
        let random = mix(n);
        let value = bytes.value(random, size(mix(random), 64, 64 * KIB));
        db.set(key(if n < keys { n } else { random }), value).expect("a set");
        written += value.len() as u64;
        n += 1;
    }
    db.flush().expect("flushes");
    let sets = n as f64 / begun.elapsed().as_secs_f64();
    db.compact().expect("compacts");
    db.collect_garbage().expect("collects");
    let metrics = db.metrics();
    let all_written = metrics.log_written_bytes
        + metrics.flush_written_bytes
        + metrics.compaction.written_bytes
        + metrics.values.written_bytes;
    let begun = Instant::now();
    for n in 0..keys * 2 {
        db.get(key(mix(n))).expect("a get");
    }
    let gets = (keys * 2) as f64 / begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    let scanned = db.iter().map(|entry| entry.expect("an entry").1.len() as u64).sum::<u64>();
    let scan = scanned as f64 / MIB as f64 / begun.elapsed().as_secs_f64();
    let begun = Instant::now();
    let listed = db.iter().keys().count();
    let list = listed as f64 / begun.elapsed().as_secs_f64();
    println!(
        "| {threshold} | {sets:.0} | {gets:.0} | {scan:.0} | {list:.0} | {:.2} | {} |",
        all_written as f64 / written as f64,
        disk_bytes(dir) / MIB
    );
    db.close().expect("closes");
}

fn sweep(arguments: &Arguments) {
    println!(
        "| threshold, B | sets/s | gets/s | scan, MiB/s | keys/s | written a byte | disk, MiB |"
    );
    println!("|---|---|---|---|---|---|---|");
    for threshold in [256, 512, 1024, 2048, 4096, 8192, 16384, 65536, usize::MAX] {
        let dir = tempfile::tempdir().expect("a directory");
        sweep_one(dir.path(), threshold, arguments.sweep_bytes);
    }
}

fn main() {
    let arguments = Arguments::read();
    if arguments.sweep {
        return sweep(&arguments);
    }
    match &arguments.dir {
        Some(dir) => overwrite(dir, &arguments),
        None => overwrite(tempfile::tempdir().expect("a directory").path(), &arguments),
    }
}
