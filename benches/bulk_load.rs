//! A million sorted entries, by ingest and by batches of a thousand.
//!
//! `cargo bench --bench bulk_load` measures; `-- --quick` only shows that it runs.
//! Keys are 23 bytes, values 128 bytes of which half compresses away. Each row has a
//! fresh database, and its time ends when all is durable, in tables and merged.

use esker::{Db, Options, SyncPolicy, WriteBatch};
use std::time::{Duration, Instant};

const ENTRIES: u64 = 1_000_000;
const BATCH: u64 = 1000;

fn main() {
    let quick = std::env::args().any(|arg| arg == "--quick");
    let count = if quick { ENTRIES / 100 } else { ENTRIES };
    println!("{count} entries{}\n", if quick { ", --quick: the figures mean nothing" } else { "" });
    println!("| way | durable | merged as well | entries/s | written per byte |");
    println!("| --- | --- | --- | --- | --- |");
    let rows = [
        ("ingest", SyncPolicy::Always, ingest as fn(&Db, u64)),
        ("batches, not synced", SyncPolicy::Never, batches),
        ("batches, synced", SyncPolicy::Always, batches),
    ];
    for (name, sync_policy, load) in rows {
        let dir = tempfile::tempdir().expect("a directory");
        let options = Options { sync_policy, ..Options::default() };
        let db = Db::open(dir.path(), options).expect("opens");
        let start = Instant::now();
        load(&db, count);
        let durable = start.elapsed();
        db.compact().expect("merged");
        let merged = start.elapsed();
        assert_eq!(db.iter().keys().count() as u64, count);
        let per_second = count as f64 / durable.as_secs_f64();
        let written = db.metrics().write_amplification().expect("some were committed");
        println!(
            "| {name} | {} | {} | {per_second:.0} | {written:.2} |",
            seconds(durable),
            seconds(merged)
        );
        db.close().expect("closes");
    }
}

fn ingest(db: &Db, count: u64) {
    let report = db.ingest((0..count).map(|n| (key(n), value(n)))).expect("ingested");
    assert_eq!(report.entries, count);
}

fn batches(db: &Db, count: u64) {
    for start in (0..count).step_by(usize::try_from(BATCH).expect("small")) {
        let mut batch = WriteBatch::new();
        for n in start..count.min(start + BATCH) {
            batch.set(key(n), value(n));
        }
        db.write(batch).expect("a commit");
    }
    db.flush().expect("flushed");
}

fn key(n: u64) -> String {
    format!("bulk/{n:018}")
}

fn value(n: u64) -> Vec<u8> {
    let mut value = vec![b'v'; 64];
    let mut state = n;
    while value.len() < 128 {
        state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1);
        value.extend_from_slice(&(state ^ state >> 29).to_le_bytes());
    }
    value
}

fn seconds(duration: Duration) -> String {
    format!("{:.2} s", duration.as_secs_f64())
}
