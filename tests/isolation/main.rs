//! Isolation: what transactions that run side by side may see of each other.
//!
//! `checker` judges a history of transactions, whoever made it, and is itself tested by
//! histories with each anomaly planted; `histories` has many threads make histories
//! and has it judge them; `anomalies` shows each anomaly not happening, to be
//! read; `conflicts` is what makes a commit fail, and what does not; `overlay` is what
//! a transaction sees of its own; `bank` runs long.

#[expect(dead_code, reason = "shared with tests that use more of it")]
#[path = "../hooked_fs/mod.rs"]
mod hooked_fs;

mod anomalies;
mod bank;
mod checker;
mod conflicts;
mod histories;
mod overlay;

use esker::sim::SimFs;
use esker::{Db, Options, SyncPolicy};
use std::sync::Arc;

/// So small that memtables, tables and merges change all the time.
fn small_options(sync_policy: SyncPolicy) -> Options {
    Options {
        sync_policy,
        memtable_bytes: 64 << 10,
        log_file_bytes: 64 << 10,
        table_bytes: 16 << 10,
        block_bytes: 512,
        value_threshold: 256,
        value_garbage_percent: 10,
        ..Options::default()
    }
}

/// A database on a simulated disk, without threads.
fn quiet(options: Options) -> (SimFs, Db) {
    let fs = SimFs::new();
    fs.set_threads(false);
    let db = Db::open_with_fs(Arc::new(fs.clone()), "/db", options).expect("opens");
    (fs, db)
}

/// A database in a directory of its own.
fn fresh(options: Options) -> (tempfile::TempDir, Db) {
    let dir = tempfile::tempdir().expect("a directory");
    let db = Db::open(dir.path(), options).expect("opens");
    (dir, db)
}
