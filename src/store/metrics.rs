//! What happened so far, and how things stand.

use std::sync::atomic::{AtomicU64, Ordering};

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Totals since the database was opened, counted as things happen.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub $name: Counter,)*
        }
    };
}

/// A total.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds `n`.
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    /// The total so far.
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

counters! {
    /// Batches committed.
    commits,
    /// Groups they were committed in.
    commit_groups,
    /// Bytes written to the log.
    log_written_bytes,
    /// Syncs of the log.
    log_syncs,
    /// Times that a writer waited for a memtable to be written out.
    stalls,
    /// Tables written from memtables.
    flushes,
    /// Bytes of those tables.
    flush_written_bytes,
    /// Attempts to write one that failed and were or will be repeated.
    flush_failures,
    /// Compactions done, moves of whole tables included.
    compactions,
    /// Bytes of the tables that were merged.
    compaction_read_bytes,
    /// Bytes of the tables that came of it.
    compaction_written_bytes,
    /// Entries that were merged.
    compaction_entries_read,
    /// Of these, entries that nobody could see any more.
    compaction_entries_dropped,
    /// Tables that went down a level as they were.
    tables_moved,
    /// Compactions that failed; they were or will be tried again, unless their input is damaged.
    compaction_failures,
    /// Files that could not be removed; the next open tries again.
    files_not_removed,
}

/// What `open` found and did.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// Batches replayed from the log.
    pub batches_replayed: u64,
    /// Log files read.
    pub log_files: u64,
    /// Bytes at the end of the log that held no intact record, or came after
    /// one that was not: a torn tail, cut off. They had not been acknowledged
    /// as durable.
    pub log_cut_bytes: u64,
    /// Where the log was cut: file name and offset.
    pub log_cut_at: Option<(String, u64)>,
    /// Files left over by an interrupted run, removed.
    pub files_removed: u64,
    /// Leftover files that could not be removed; the next open tries again.
    pub files_not_removed: u64,
}

/// How an open database stands.
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// The newest visible sequence number: operations committed since the
    /// database was created.
    pub last_seq: u64,
    /// Tables.
    pub tables: usize,
    /// Bytes of all tables.
    pub table_bytes: u64,
    /// Entries in all tables, tombstones and shadowed versions included.
    pub table_entries: u64,
    /// Tombstones among them.
    pub table_tombstones: u64,
    /// Memtables in memory, the active one included.
    pub memtables: usize,
    /// Memory used in them, in bytes.
    pub memtable_bytes: usize,
    /// Memory of the blocks in the cache, in bytes.
    pub block_cache_bytes: u64,
    /// Batches committed since open.
    pub commits: u64,
    /// Groups they were committed in.
    pub commit_groups: u64,
    /// Bytes written to the log since open.
    pub log_written_bytes: u64,
    /// Syncs of the log since open.
    pub log_syncs: u64,
    /// Times that a writer waited for a memtable to be written out.
    pub stalls: u64,
    /// Tables written from memtables since open.
    pub flushes: u64,
    /// Bytes of those tables.
    pub flush_written_bytes: u64,
    /// Failed attempts to write one.
    pub flush_failures: u64,
    /// Compactions since open, moves of whole tables included.
    pub compactions: u64,
    /// Bytes of the tables that were merged since open.
    pub compaction_read_bytes: u64,
    /// Bytes of the tables that came of it.
    pub compaction_written_bytes: u64,
    /// Entries that were merged since open.
    pub compaction_entries_read: u64,
    /// Of these, entries that nobody could see any more.
    pub compaction_entries_dropped: u64,
    /// Tables that went down a level as they were, since open.
    pub tables_moved: u64,
    /// Compactions that failed since open: tried again, unless their input is damaged.
    pub compaction_failures: u64,
    /// What the flush worker is failing with at the moment; it keeps trying.
    pub flush_failure: Option<String>,
    /// What poisoned the handle, if anything did.
    pub poisoned_by: Option<String>,
    /// Files that could not be removed since open.
    pub files_not_removed: u64,
    /// What `open` found and did.
    pub recovery: RecoveryReport,
}
