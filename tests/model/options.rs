//! Under which options everything must come out the same.

use esker::{Compression, Options, SyncPolicy};
use std::time::Duration;

/// Every option at its smallest, or off.
pub fn tiny() -> Options {
    Options {
        memtable_bytes: 64 << 10,
        value_threshold: 100,
        value_garbage_percent: 5,
        memtables_max: 2,
        log_file_bytes: 64 << 10,
        block_bytes: 256,
        table_bytes: 4 << 10,
        expired_retention: Duration::ZERO,
        reclaim_within: Duration::from_millis(1),
        block_cache_bytes: 0,
        sync_policy: SyncPolicy::Never,
        ..Options::default()
    }
}

/// Each of them for itself, and together.
pub fn all() -> Vec<(&'static str, Options)> {
    let of = Options::default;
    vec![
        ("default", of()),
        ("tiny memtable", Options { memtable_bytes: 64 << 10, memtables_max: 2, ..of() }),
        ("tiny log files", Options { log_file_bytes: 64 << 10, ..of() }),
        ("tiny blocks", Options { block_bytes: 256, ..of() }),
        ("no cache", Options { block_cache_bytes: 0, ..of() }),
        ("tiny cache", Options { block_cache_bytes: 600, block_bytes: 256, ..of() }),
        ("not compressed", Options { compression: Compression::None, block_bytes: 256, ..of() }),
        (
            "synced at intervals",
            Options { sync_policy: SyncPolicy::Interval(Duration::from_millis(1)), ..of() },
        ),
        ("never synced", Options { sync_policy: SyncPolicy::Never, ..of() }),
        ("tiny tables", Options { table_bytes: 4 << 10, ..of() }),
        ("never merged unasked", Options { auto_compaction: false, ..of() }),
        ("all tiny", tiny()),
        ("without a log", Options { wal_enabled: false, ..tiny() }),
    ]
}
