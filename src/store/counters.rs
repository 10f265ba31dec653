//! What is counted and timed while the database is open.

use super::metrics::{CompactionMetrics, Latencies, ReadMetrics, ScrubMetrics};
use crate::counter::{Counter, Sharded};
use crate::histogram::Histogram;

macro_rules! counters {
    ($($(#[$doc:meta])* $name:ident),* $(,)?) => {
        /// Totals since the database was opened, counted as things happen.
        #[derive(Debug, Default)]
        pub struct Counters {
            $($(#[$doc])* pub $name: Counter,)*
        }
    };
}

counters! {
    /// Batches committed.
    commits,
    /// Bytes of keys and values in them.
    user_bytes,
    /// Commits of transactions that were refused, since something read had changed.
    conflicts,
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
    /// Bulk loads.
    ingests,
    /// Bytes of the tables that they wrote.
    ingest_written_bytes,
    /// Merges of tables, those included that only moved some.
    compactions,
    /// Bytes that they read.
    compaction_read_bytes,
    /// Bytes that they wrote.
    compaction_written_bytes,
    /// Tables that only moved to another level.
    compaction_moved_tables,
    /// Entries that were not written again.
    compaction_dropped_entries,
    /// Attempts that failed.
    compaction_failures,
    /// Collections of garbage among large values.
    collections,
    /// Bytes that they wrote.
    collection_written_bytes,
    /// Stored bytes of values that they freed.
    collection_freed_bytes,
    /// Attempts that failed.
    collection_failures,
    /// Times that the database was verified in the background.
    scrubs,
    /// Bytes that this read.
    scrub_bytes,
    /// Damages that it found.
    scrub_damages,
    /// Attempts that failed.
    scrub_failures,
    /// Files that could not be removed; the next open tries again.
    files_not_removed,
}

/// How long things took.
#[derive(Debug, Default)]
pub struct Histograms {
    /// See the field of the same name in [`Latencies`]; so with each.
    pub synced_commit: Histogram,
    /// As there.
    pub unsynced_commit: Histogram,
    /// As there.
    pub log_sync: Histogram,
    /// As there.
    pub flush: Histogram,
    /// As there.
    pub compaction: Histogram,
    /// As there.
    pub collection: Histogram,
    /// As there.
    pub stall: Histogram,
    /// As there.
    pub delay: Histogram,
}

/// What gets cost: those that no memtable answered, and the tables that they looked at.
#[derive(Debug, Default)]
pub struct Reads(Sharded<2>);

impl Reads {
    /// Counts a get that looked at `tables`.
    #[inline]
    pub fn count(&self, tables: u64) {
        self.0.add([1, tables]);
    }
}

impl Reads {
    /// As they are told.
    pub(super) fn metrics(&self) -> ReadMetrics {
        let [table_gets, tables_searched] = self.0.get();
        ReadMetrics { table_gets, tables_searched }
    }
}

impl Histograms {
    /// As they are told.
    pub(super) fn snapshot(&self) -> Latencies {
        Latencies {
            synced_commit: self.synced_commit.snapshot(),
            unsynced_commit: self.unsynced_commit.snapshot(),
            log_sync: self.log_sync.snapshot(),
            flush: self.flush.snapshot(),
            compaction: self.compaction.snapshot(),
            collection: self.collection.snapshot(),
            stall: self.stall.snapshot(),
            delay: self.delay.snapshot(),
        }
    }
}

impl Counters {
    /// What is told of verifying in the background.
    pub(super) fn scrub(&self) -> ScrubMetrics {
        ScrubMetrics {
            scrubs: self.scrubs.get(),
            bytes: self.scrub_bytes.get(),
            damages: self.scrub_damages.get(),
            failures: self.scrub_failures.get(),
        }
    }

    /// What is told of compactions.
    pub(super) fn compaction(&self) -> CompactionMetrics {
        CompactionMetrics {
            compactions: self.compactions.get(),
            read_bytes: self.compaction_read_bytes.get(),
            written_bytes: self.compaction_written_bytes.get(),
            moved_tables: self.compaction_moved_tables.get(),
            dropped_entries: self.compaction_dropped_entries.get(),
            failures: self.compaction_failures.get(),
        }
    }
}
