//! The documented latency table beside what this machine does.
//!
//! `cargo bench --bench latency_table` measures; `-- --quick` only shows that
//! it runs. Keys are 23 bytes in random order, values 128 bytes of which half
//! compresses away. Each row has a fresh database, through the `Engine`
//! interface, as the table's readers use it.

use esker::{Engine, LsmEngine, Options, SyncPolicy};
use std::time::{Duration, Instant};

/// One row of the documented table: operation, what is documented for it
/// synced and not (p50 of latency, or throughput).
struct Row {
    name: &'static str,
    documented: [&'static str; 2],
    run: fn(&Bench) -> Figures,
}

const LATENCIES: &[Row] = &[
    Row { name: "Get", documented: ["~100 us", "~100 us"], run: gets },
    Row { name: "Set (single)", documented: ["~1-2 ms", "~100 us"], run: sets },
    Row { name: "BatchSet (100)", documented: ["~10 ms", "~1 ms"], run: batches },
    Row { name: "List (100 keys)", documented: ["~1 ms", "~1 ms"], run: lists },
];

const THROUGHPUTS: &[Row] = &[
    Row { name: "Write-only", documented: ["~1,000/s", "~50,000/s"], run: sets },
    Row { name: "Read-only", documented: ["~100,000/s", "~100,000/s"], run: gets },
    Row { name: "Mixed (50/50)", documented: ["~5,000/s", "~30,000/s"], run: mixed },
];

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    println!("esker beside the documented latency table (medians of one run{})\n", note(quick));
    println!("| operation | policy | documented | p50 | p99 | throughput |");
    println!("| --- | --- | --- | --- | --- | --- |");
    for row in LATENCIES.iter().chain(THROUGHPUTS) {
        for (synced, documented) in [true, false].into_iter().zip(row.documented) {
            let bench = Bench::new(synced, quick);
            let figures = (row.run)(&bench);
            bench.engine.close().expect("closes");
            println!(
                "| {} | {} | {documented} | {} | {} | {}/s |",
                row.name,
                if synced { "synced" } else { "not synced" },
                time(figures.percentile(50)),
                time(figures.percentile(99)),
                thousands(figures.throughput()),
            );
        }
    }
    println!("\nBackup of 1 GB (documented ~5 s): there is no backup yet.");
    println!("An idle machine halts its cores and wakes them slowly: synced rows are");
    println!(
        "steadier with a low-priority busy loop beside this (`nice -n 19 sh -c 'while :; do :; done'`)."
    );
}

fn note(quick: bool) -> &'static str {
    if quick { ", --quick: the figures mean nothing" } else { "" }
}

struct Bench {
    engine: LsmEngine,
    /// Divides all counts.
    shrink: u64,
    synced: bool,
    _dir: tempfile::TempDir,
}

impl Bench {
    fn new(synced: bool, quick: bool) -> Self {
        let dir = tempfile::tempdir().expect("a directory");
        let sync_policy = if synced { SyncPolicy::Always } else { SyncPolicy::Never };
        let options = Options { sync_policy, ..Options::default() };
        let engine = LsmEngine::open(dir.path(), options).expect("opens");
        Bench { engine, shrink: if quick { 100 } else { 1 }, synced, _dir: dir }
    }

    /// How often to do it: fewer times where each waits for the disk.
    fn count(&self, synced: u64, not_synced: u64) -> u64 {
        (if self.synced { synced } else { not_synced }) / self.shrink
    }

    fn load(&self, keys: u64) {
        for start in (0..keys).step_by(1000) {
            let items: Vec<(String, Vec<u8>)> =
                (start..keys.min(start + 1000)).map(|n| (key(n), value(n))).collect();
            self.set_all(&items);
        }
    }

    fn set_all(&self, items: &[(String, Vec<u8>)]) {
        let items: Vec<(&str, &[u8])> =
            items.iter().map(|(k, v)| (k.as_str(), v.as_slice())).collect();
        self.engine.batch_set(&items).expect("batch_set");
    }
}

/// Latencies of single operations, sorted, and the time of all.
struct Figures {
    latencies: Vec<Duration>,
    elapsed: Duration,
}

impl Figures {
    fn of(count: u64, mut operation: impl FnMut(u64)) -> Self {
        let mut latencies = Vec::new();
        let start = Instant::now();
        for n in 0..count.max(1) {
            let begun = Instant::now();
            operation(n);
            latencies.push(begun.elapsed());
        }
        let elapsed = start.elapsed();
        latencies.sort_unstable();
        Figures { latencies, elapsed }
    }

    fn percentile(&self, percent: usize) -> Duration {
        self.latencies[(self.latencies.len() * percent / 100).min(self.latencies.len() - 1)]
    }

    fn throughput(&self) -> u64 {
        let per_second = self.latencies.len() as f64 / self.elapsed.as_secs_f64();
        format!("{per_second:.0}").parse().expect("a whole number")
    }
}

fn sets(bench: &Bench) -> Figures {
    Figures::of(bench.count(3_000, 500_000), |n| {
        bench.engine.set(&key(n), &value(n)).expect("set");
    })
}

fn batches(bench: &Bench) -> Figures {
    let batch = |n: u64| (n * 100..n * 100 + 100).map(|n| (key(n), value(n))).collect::<Vec<_>>();
    let all: Vec<_> = (0..bench.count(500, 2_000).max(1)).map(batch).collect();
    Figures::of(all.len() as u64, |n| {
        bench.set_all(&all[usize::try_from(n).expect("an index")]);
    })
}

fn gets(bench: &Bench) -> Figures {
    let keys = 500_000 / bench.shrink;
    bench.load(keys);
    Figures::of(keys, |n| {
        let found = bench.engine.get(&key(mix(n) % keys)).expect("every key is there");
        assert_eq!(found.len(), 128);
    })
}

fn lists(bench: &Bench) -> Figures {
    let prefixes = 2_000 / bench.shrink;
    for prefix in 0..prefixes {
        let items = (0..100).map(|n| (format!("config/{prefix:06}/{n:09}"), value(n)));
        bench.set_all(&items.collect::<Vec<_>>());
    }
    Figures::of(prefixes * 5, |n| {
        let prefix = mix(n) % prefixes;
        let keys = bench.engine.list(&format!("config/{prefix:06}/")).expect("list");
        assert_eq!(keys.len(), 100);
    })
}

fn mixed(bench: &Bench) -> Figures {
    let keys = bench.count(20_000, 200_000);
    bench.load(keys);
    Figures::of(keys, |n| {
        if n % 2 == 0 {
            bench.engine.get(&key(mix(n) % keys)).expect("every key is there");
        } else {
            bench.engine.set(&key(mix(n) % keys), &value(n)).expect("set");
        }
    })
}

/// SplitMix64: numbers in random order, each once.
fn mix(n: u64) -> u64 {
    let mut z = n.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn key(n: u64) -> String {
    format!("config/{:016x}", mix(n))
}

/// 64 bytes of noise, 64 that compress away.
fn value(n: u64) -> Vec<u8> {
    let mut value: Vec<u8> = (0..8).flat_map(|i| mix(n * 8 + i).to_le_bytes()).collect();
    value.resize(128, b'v');
    value
}

fn time(duration: Duration) -> String {
    let us = duration.as_secs_f64() * 1e6;
    if us < 1000.0 { format!("{us:.1} us") } else { format!("{:.2} ms", us / 1000.0) }
}

fn thousands(n: u64) -> String {
    let digits = n.to_string();
    let mut out = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(digit);
    }
    out
}
