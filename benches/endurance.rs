//! A load, then a mixed load for as long as wanted: throughput and latency over
//! time, amplification, memory and space.
//!
//! `cargo bench --bench endurance -- [--entries N] [--seconds S] [--memory-mib M] [--delete] [--dir DIR]`
//! prints one line of CSV for each second, and then a summary. `--delete`: at the end nine
//! tenths of the keys are deleted, and it waits for their space, with a `reclaim_within` of a minute. `--quick` only shows that it runs. Keys are 23 bytes in random order, values 128 bytes of
//! which half compresses away; two threads: half of the operations are gets, 35% sets, 5%
//! deletes, 10% scans of up to 100 entries, of keys by a Zipf distribution.

#[path = "inputs/keys.rs"]
mod keys;
#[path = "gauges/memory.rs"]
mod memory;
#[path = "inputs/mix.rs"]
mod mix;
#[path = "gauges/times.rs"]
mod times;

use esker::{Db, Options, SyncPolicy};
use keys::{key, zipf};
use memory::memory_mib;
use mix::mix;
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};
use times::{nanos, quantile_us};

struct Arguments {
    entries: u64,
    seconds: u64,
    memory_mib: usize,
    delete: bool,
    dir: Option<PathBuf>,
}

impl Arguments {
    fn read() -> Self {
        let mut read = Arguments {
            entries: 20_000_000,
            seconds: 600,
            memory_mib: 1024,
            delete: false,
            dir: None,
        };
        let mut words = std::env::args().skip(1);
        while let Some(word) = words.next() {
            let mut number = || words.next().and_then(|n| n.parse().ok()).expect("a number");
            match word.as_str() {
                "--entries" => read.entries = number(),
                "--seconds" => read.seconds = number(),
                "--memory-mib" => read.memory_mib = usize::try_from(number()).expect("a size"),
                "--delete" => read.delete = true,
                "--dir" => read.dir = words.next().map(Into::into),
                "--quick" => (read.entries, read.seconds) = (20_000, 1),
                "--bench" => {}
                other => panic!("unknown argument {other}"),
            }
        }
        read
    }
}

fn value(n: u64) -> [u8; 128] {
    let mut value = [b'v'; 128];
    for (chunk, i) in value.chunks_exact_mut(8).take(8).zip(0..) {
        chunk.copy_from_slice(&mix(n ^ i << 32).to_le_bytes());
    }
    value
}

/// What one second's operations took, in nanoseconds.
#[derive(Default)]
struct Second {
    gets: Vec<u64>,
    sets: Vec<u64>,
    others: u64,
}

fn print_second(phase: &str, second: u64, mut taken: Second, db: &Db) {
    let operations = taken.gets.len() as u64 + taken.sets.len() as u64 + taken.others;
    let metrics = db.metrics();
    println!(
        "{phase},{second},{operations},{:.1},{:.1},{:.1},{:.1},{},{},{}",
        quantile_us(&mut taken.gets, 0.5),
        quantile_us(&mut taken.gets, 0.999),
        quantile_us(&mut taken.sets, 0.5),
        quantile_us(&mut taken.sets, 0.999),
        metrics.levels[0].tables,
        metrics.table_bytes >> 20,
        memory_mib("VmRSS:"),
    );
}

/// Sets all entries once, and prints each second.
fn load(db: &Db, entries: u64) {
    let (mut second, mut printed, begun) = (Second::default(), 0, Instant::now());
    for n in 0..entries {
        let (key, value, since) = (key(n), value(n), Instant::now());
        db.set(key, value).expect("a set");
        second.sets.push(nanos(since));
        if begun.elapsed().as_secs() > printed {
            print_second("load", printed, std::mem::take(&mut second), db);
            printed = begun.elapsed().as_secs();
        }
    }
    let rate = entries as f64 / begun.elapsed().as_secs_f64();
    eprintln!("loaded {entries} entries in {:.1?}: {rate:.0}/s", begun.elapsed());
}

fn one_operation(db: &Db, random: u64, entries: u64, second: &mut Second) {
    let (key, since) = (key(zipf(random, entries)), Instant::now());
    match random % 20 {
        0..10 => {
            db.get(key).expect("a get");
            second.gets.push(nanos(since));
        }
        10..17 => {
            db.set(key, value(random)).expect("a set");
            second.sets.push(nanos(since));
        }
        17 => {
            db.delete(key).expect("a delete");
            second.others += 1;
        }
        _ => {
            let read = db.range(key..).take(100).filter(Result::is_ok).count();
            second.others += u64::from(read > 0);
        }
    }
}

/// Two threads with all kinds of operations, for `seconds`; prints each of them.
fn mixed(db: &Db, entries: u64, seconds: u64) {
    let (over, shared) = (AtomicBool::new(false), Mutex::new(Second::default()));
    std::thread::scope(|scope| {
        for thread in 0..2_u64 {
            let (over, shared) = (&over, &shared);
            scope.spawn(move || {
                let mut number = thread << 60;
                while !over.load(Ordering::Relaxed) {
                    let mut own = Second::default();
                    for _ in 0..1000 {
                        number += 1;
                        one_operation(db, mix(number), entries, &mut own);
                    }
                    let mut shared = shared.lock().expect("no panic");
                    shared.gets.append(&mut own.gets);
                    shared.sets.append(&mut own.sets);
                    shared.others += own.others;
                }
            });
        }
        for second in 0..seconds {
            std::thread::sleep(Duration::from_secs(1));
            let taken = std::mem::take(&mut *shared.lock().expect("no panic"));
            print_second("mixed", second, taken, db);
        }
        over.store(true, Ordering::Relaxed);
    });
}

fn run(dir: &Path, arguments: &Arguments) {
    let memory_bytes_max = arguments.memory_mib << 20;
    // Without the deletes at the end: as by default.
    let reclaim_within =
        if arguments.delete { Duration::from_secs(60) } else { Options::default().reclaim_within };
    let sync_policy = SyncPolicy::Never;
    let options = Options { sync_policy, memory_bytes_max, reclaim_within, ..Options::default() };
    let db = Db::open(dir, options).expect("opens");
    println!(
        "phase,second,operations,get_p50_us,get_p999_us,set_p50_us,set_p999_us,level_0,tables_mib,rss_mib"
    );
    load(&db, arguments.entries);
    mixed(&db, arguments.entries, arguments.seconds);
    let metrics = db.metrics();
    let after = metrics.table_bytes;
    eprintln!("{metrics}");
    eprintln!("peak memory {} MiB of {}", memory_mib("VmHWM:"), arguments.memory_mib);
    let begun = Instant::now();
    db.compact().expect("compacts");
    let least = db.metrics().table_bytes;
    eprintln!(
        "tables {} MiB; merged down {} MiB in {:.1?}: {:.3} of the live data",
        after >> 20,
        least >> 20,
        begun.elapsed(),
        after as f64 / least.max(1) as f64
    );
    if arguments.delete {
        delete_most(&db, arguments.entries);
    }
    db.close().expect("closes");
}

/// Deletes nine of ten keys, and prints what the tables take each second from then on,
/// without a write, until a ninth of it is left.
fn delete_most(db: &Db, entries: u64) {
    let before = db.metrics().table_bytes;
    let begun = Instant::now();
    for n in (0..entries).filter(|n| n % 10 > 0) {
        db.delete(key(n)).expect("a delete");
    }
    eprintln!("deleted nine tenths in {:.1?}, {} MiB before", begun.elapsed(), before >> 20);
    for second in 0..600 {
        let bytes = db.metrics().table_bytes;
        println!("deleted,{second},0,0,0,0,0,0,{},{}", bytes >> 20, memory_mib("VmRSS:"));
        if bytes < before / 9 {
            eprintln!("{} MiB after {second} s without a write", bytes >> 20);
            return;
        }
        std::thread::sleep(Duration::from_secs(1));
    }
    eprintln!("after ten minutes still {} MiB", db.metrics().table_bytes >> 20);
}

fn main() {
    let arguments = Arguments::read();
    match &arguments.dir {
        Some(dir) => run(dir, &arguments),
        None => run(tempfile::tempdir().expect("a directory").path(), &arguments),
    }
}
