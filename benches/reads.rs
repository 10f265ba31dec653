//! What ranges and lookups cost: a figure for each kind of read.
//!
//! `cargo bench --bench reads` measures; `-- --quick` only shows that it runs;
//! `-- NAME` takes the rows whose name has NAME in it. Keys are 23 bytes in
//! random order, values 128 bytes of which half compresses away.

use esker::{Db, Engine, LsmEngine, Options, SyncPolicy, WriteBatch};
use std::time::Instant;

const ROUNDS: usize = 5;

struct Bench {
    quick: bool,
    only: Option<String>,
}

impl Bench {
    fn count(&self, full: u64) -> u64 {
        if self.quick { full / 100 } else { full }
    }

    fn wants(&self, name: &str) -> bool {
        self.only.as_ref().is_none_or(|only| name.contains(only.as_str()))
    }

    /// The median of some rounds of `run`, which returns how much it did.
    fn row(&self, name: &str, mut run: impl FnMut() -> u64) {
        if !self.wants(name) {
            return;
        }
        let rounds = if self.quick { 1 } else { ROUNDS };
        let mut rates: Vec<f64> = (0..rounds)
            .map(|_| {
                let start = Instant::now();
                let done = run();
                as_f64(done) / start.elapsed().as_secs_f64()
            })
            .collect();
        rates.sort_by(f64::total_cmp);
        println!("{name:<28} {:>12.0} /s", rates[rates.len() / 2]);
    }
}

#[expect(clippy::cast_precision_loss, reason = "counts are small")]
fn as_f64(n: u64) -> f64 {
    n as f64
}

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let only = arguments.iter().find(|argument| !argument.starts_with("--")).cloned();
    let bench = Bench { quick: arguments.iter().any(|argument| argument == "--quick"), only };
    one_table(&bench);
    overlapping_tables(&bench);
    lists(&bench);
    tombstones(&bench);
    versions(&bench);
}

fn options() -> Options {
    Options {
        sync_policy: SyncPolicy::Never,
        block_cache_bytes: 256 << 20,
        memtable_bytes: 512 << 20,
        log_file_bytes: 512 << 20,
        ..Options::default()
    }
}

fn random(n: u64) -> u64 {
    let mut z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

fn key(n: u64) -> String {
    format!("config/{:016x}", random(n))
}

fn value(n: u64) -> Vec<u8> {
    let mut value = vec![b'v'; 128];
    for (word, bytes) in (0..).zip(value.chunks_mut(8).take(8)) {
        bytes.copy_from_slice(&random(n ^ (word << 40)).to_le_bytes());
    }
    value
}

/// Sets `keys` and writes them out as `tables` tables.
fn filled(keys: impl Iterator<Item = String>, count: u64, tables: u64) -> (tempfile::TempDir, Db) {
    let dir = tempfile::tempdir().expect("a directory");
    let db = Db::open(dir.path(), options()).expect("opens");
    let each = count.div_ceil(tables);
    let mut batch = WriteBatch::new();
    for (n, key) in (1..).zip(keys) {
        batch.set(key, value(n));
        if n % 1000 == 0 || n % each == 0 {
            db.write(std::mem::take(&mut batch)).expect("a commit");
        }
        if n % each == 0 {
            db.flush().expect("a flush");
        }
    }
    db.write(batch).expect("a commit");
    db.flush().expect("a flush");
    (dir, db)
}

fn scan(bench: &Bench, name: &str, db: &Db, count: u64) {
    bench.row(&format!("{name} scan"), || {
        let mut bytes = 0;
        for entry in db.iter() {
            let (key, value) = entry.expect("an entry");
            bytes += key.len() + value.len();
        }
        assert_eq!(bytes, usize::try_from(count).expect("small") * (23 + 128));
        count
    });
    bench.row(&format!("{name} scan keys"), || {
        let bytes: usize = db.iter().keys().map(|key| key.expect("a key").len()).sum();
        assert_eq!(bytes, usize::try_from(count).expect("small") * 23);
        count
    });
    bench.row(&format!("{name} scan back"), || {
        let bytes: usize = db.iter().rev().map(|entry| entry.expect("an entry").0.len()).sum();
        assert_eq!(bytes, usize::try_from(count).expect("small") * 23);
        count
    });
}

fn one_table(bench: &Bench) {
    if !bench.wants("one table scan back keys get") {
        return;
    }
    let count = bench.count(500_000);
    let (_dir, db) = filled((0..count).map(key), count, 1);
    scan(bench, "one table", &db, count);
    let keys: Vec<String> = (0..count).map(|n| key(random(n) % count)).collect();
    bench.row("get", || {
        for key in &keys {
            assert!(db.get(key).expect("a read").is_some());
        }
        count
    });
}

fn overlapping_tables(bench: &Bench) {
    if !bench.wants("eight tables scan back keys") {
        return;
    }
    let count = bench.count(500_000);
    let (_dir, db) = filled((0..count).map(key), count, 8);
    scan(bench, "eight tables", &db, count);
}

fn lists(bench: &Bench) {
    if !bench.wants("list100") {
        return;
    }
    let groups = bench.count(2_000);
    let name = |group: u64, member: u64| {
        format!("kv:config/{:08x}{:08x}", random(group) >> 32, random(member) >> 32)
    };
    // By members, so that what is listed together was not written together.
    let keys = (0..100).flat_map(|member| (0..groups).map(move |group| name(group, member)));
    let (_dir, db) = filled(keys, groups * 100, 1);
    let engine = LsmEngine::new(db);
    let lists = bench.count(50_000);
    bench.row("list100", || {
        for n in 0..lists {
            let prefix = format!("config/{:08x}", random(random(n) % groups) >> 32);
            assert_eq!(engine.list(&prefix).expect("a list").len(), 100);
        }
        lists
    });
}

/// Deleted keys in front of a live one, as after a queue was worked off.
fn tombstones(bench: &Bench) {
    if !bench.wants("tombstones") {
        return;
    }
    let count = bench.count(1_000_000);
    let name = |n: u64| format!("config/{n:016x}");
    let (_dir, db) = filled((0..count).map(name), count, 1);
    let mut batch = WriteBatch::new();
    for n in 0..count {
        batch.delete(name(n));
        if batch.len() == 1000 {
            db.write(std::mem::take(&mut batch)).expect("a commit");
        }
    }
    db.write(batch).expect("a commit");
    db.set(name(count), "alive").expect("a commit");
    db.set("a", "alive").expect("a commit");
    db.flush().expect("a flush");
    bench.row("tombstones forwards", || {
        assert!(db.range("b"..).next().expect("one").is_ok());
        count
    });
    bench.row("tombstones backwards", || {
        assert!(db.range(..name(count)).next_back().expect("one").is_ok());
        count
    });
}

/// One key with very many versions, of which a snapshot keeps the eldest.
fn versions(bench: &Bench) {
    if !bench.wants("versions") {
        return;
    }
    let count = bench.count(500_000);
    let dir = tempfile::tempdir().expect("a directory");
    let db = Db::open(dir.path(), options()).expect("opens");
    db.set("a", "before").expect("a commit");
    db.set("b", "eldest").expect("a commit");
    db.set("c", "behind").expect("a commit");
    let snapshot = db.snapshot();
    for n in 0..count {
        db.set("b", n.to_le_bytes()).expect("a commit");
    }
    db.flush().expect("a flush");
    let reads = bench.count(100).max(1);
    bench.row("versions, newest", || {
        (0..reads).for_each(|_| assert_eq!(db.iter().count(), 3));
        reads
    });
    bench.row("versions, eldest", || {
        (0..reads).for_each(|_| assert_eq!(snapshot.iter().count(), 3));
        reads
    });
    bench.row("versions, backwards", || {
        (0..reads).for_each(|_| assert_eq!(db.iter().rev().count(), 3));
        reads
    });
}
