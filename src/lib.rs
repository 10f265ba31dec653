//! esker: a log-structured key-value storage engine in pure Rust, for programs
//! that embed a store and may not link C.
//!
//! [`Db`] is the general store: ordered byte keys, byte values, batches, time
//! to live, snapshots, ranges in both directions.
//!
//! ```
//! # fn main() -> Result<(), esker::Error> {
//! # let dir = tempfile::tempdir().expect("a directory");
//! use esker::{Db, Options, WriteBatch};
//!
//! let db = Db::open(dir.path(), Options::default())?;
//! db.set("config/host", "10.0.0.1")?;
//!
//! let mut batch = WriteBatch::new();
//! batch.set("config/port", "8080");
//! batch.delete("config/old");
//! db.write(batch)?; // All of it, or nothing.
//!
//! for entry in db.prefix("config/") {
//!     let (key, value) = entry?;
//!     println!("{} = {}", key.escape_ascii(), value.escape_ascii());
//! }
//! db.close()?;
//! # Ok(()) }
//! ```
//!
//! # What is promised
//!
//! After any crash, the database equals the result of some prefix of the
//! commit order. The prefix contains every commit acknowledged as durable.
//! Batches and transactions appear whole or not at all. What *acknowledged as
//! durable* means is up to the [`SyncPolicy`]; the default is the safest.
//!
//! Damage is never read as absence: a damaged block, record or table is
//! [`Error::Corruption`] naming the file and the offset, never "key not found".

#[cfg(not(target_pointer_width = "64"))]
compile_error!(
    "esker is built for 64-bit targets: a memtable may hold more than 4 GiB, and values of 1 GiB are in memory whole"
);

mod archive;
mod arena;
mod backup;
mod clock;
mod commit;
mod compaction;
mod counter;
#[cfg(feature = "sim")]
pub mod crashtest;
mod db;
mod engine;
mod error;
mod event;
mod flush;
mod format;
mod fs;
#[cfg(feature = "sim")]
pub mod fuzzing;
mod gc;
mod histogram;
mod ingest;
pub mod inspect;
mod iter;
mod json;
mod lsm_engine;
mod manifest;
mod memtable;
mod options;
mod read;
mod recovery;
mod repair;
#[cfg(feature = "server")]
pub mod server;
mod spin;
mod store;
mod table;
mod txn;
mod verify;
mod vlog;
mod wal;
mod worker;

pub use archive::{
    BackupInfo, BackupOptions, BackupProgress, BackupReport, FollowedBackup, RestoreOptions,
    RestoreReport,
};
pub use clock::{Clock, SystemClock};
pub use db::{
    Db, DbTransaction, Ingest, IngestReport, Keys, Range, Snapshot, TransactionKeys,
    TransactionRange, WriteBatch, verify_backup, verify_backup_chain, verify_backup_from,
};
pub use engine::{Config, EXPIRED_RETENTION, Engine, MemoryEngine, Transaction};
pub use error::{Error, Result};
pub use event::{Event, Listener, StallReason};
pub use fs::disk::DiskFs;
pub use fs::{DirLock, File, Fs, OpenMode};
pub use gc::Collected;
pub use histogram::Latency;
pub use json::{ExportData, ExportReport, ImportReport};
pub use lsm_engine::{LsmEngine, new_engine};
pub use options::{Compression, Options, SyncPolicy, WriteOptions};
pub use read::{Key, Value};
pub use repair::{Loss, RepairReport, repair, repair_with_fs};
pub use store::{
    CacheMetrics, CompactionMetrics, FileLayout, FollowedMetrics, Latencies, Layout, LevelLayout,
    LevelMetrics, MemoryMetrics, Metrics, PressureMetrics, ReadMetrics, RecoveryReport,
    ScrubMetrics, SnapshotMetrics, TableLayout, ValueMetrics,
};

pub use verify::{Finding, FindingKind, VerifyOptions, VerifyProgress, VerifyReport};

#[cfg(feature = "sim")]
pub use fs::sim;

/// The README's example is compiled with the documentation's.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;

/// So are those of the guide.
#[cfg(doctest)]
#[doc = include_str!("../docs/guide.md")]
struct Guide;
