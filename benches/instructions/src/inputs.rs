//! What is put into the databases: keys of 23 bytes in random order, values of which half compresses away.
//!
//! The same in every run, so that the counts are, too.

use esker::{Db, Options, SyncPolicy, WriteBatch};
use std::path::Path;
use std::sync::Arc;

use crate::still_fs::StillFs;

/// Bytes of a value that stands in the tables.
pub const VALUE_BYTES: usize = 128;

/// Bytes of a value that does not: four times the threshold.
pub const LARGE_VALUE_BYTES: usize = 4096;

/// An entry to be set.
pub type Entry = (Vec<u8>, Vec<u8>);

/// The `n`-th output of SplitMix64.
pub fn random(n: u64) -> u64 {
    let mut z = n.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    z ^ (z >> 31)
}

/// The key with the number `n`.
pub fn key(n: u64) -> Vec<u8> {
    format!("config/{:016x}", random(n)).into_bytes()
}

/// A key that stands in groups: [`group_prefix`] and the `member`.
pub fn grouped_key(group: u64, member: u64) -> String {
    format!("{}{:08x}", group_prefix(group), random(member) >> 32)
}

/// What the keys of a group begin with.
pub fn group_prefix(group: u64) -> String {
    format!("config/{:08x}", random(group) >> 32)
}

/// The value with the number `n`, of `bytes` bytes: one half random, the other constant.
pub fn value(n: u64, bytes: usize) -> Vec<u8> {
    let mut value = vec![b'v'; bytes];
    for (word, chunk) in (0..).zip(value[..bytes / 2].chunks_exact_mut(8)) {
        chunk.copy_from_slice(&random(n ^ (word << 40)).to_le_bytes());
    }
    value
}

/// The entries with the numbers `numbers`.
pub fn entries(numbers: impl Iterator<Item = u64>, value_bytes: usize) -> Vec<Entry> {
    numbers.map(|n| (key(n), value(n, value_bytes))).collect()
}

/// Who does the work that a call causes and does not wait for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Work {
    /// The call itself: it is counted.
    Inline,
    /// Threads, which are not counted, as in an ordinary database.
    InThreads,
}

/// Opens the database in `dir`, where nothing happens but what is called.
pub fn open(dir: &Path, work: Work) -> Db {
    let options = Options {
        sync_policy: SyncPolicy::Never,
        auto_compaction: false,
        disk_reserve_bytes: 0,
        ..Options::default()
    };
    let fs = StillFs::new(work == Work::InThreads);
    Db::open_with_fs(Arc::new(fs), dir, options).expect("the database opens")
}

/// Sets `entries`, a hundred in a batch.
pub fn load<K: AsRef<[u8]>, V: AsRef<[u8]>>(db: &Db, entries: &[(K, V)]) {
    for entries in entries.chunks(100) {
        let mut batch = WriteBatch::new();
        for (key, value) in entries {
            batch.set(key, value);
        }
        db.write(batch).expect("a commit");
    }
}

/// Makes a database in `dir` with a table for each of `tables`, and closes it.
pub fn make<K: AsRef<[u8]>, V: AsRef<[u8]>>(dir: &Path, tables: &[Vec<(K, V)>]) {
    let db = open(dir, Work::Inline);
    for entries in tables {
        load(&db, entries);
        db.flush().expect("a flush");
    }
    db.close().expect("a close");
}
