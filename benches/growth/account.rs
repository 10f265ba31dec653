//! What the engine and the system have counted, and what that comes to between two moments.

use crate::csv::Csv;
use esker::{Db, Metrics};

/// The counts of one moment.
pub struct Account {
    metrics: Metrics,
    /// Bytes that went through the system's calls, from and to files and whatever else.
    calls_read_bytes: u64,
    calls_written_bytes: u64,
}

impl Account {
    pub fn take(db: &Db) -> Self {
        let io = std::fs::read_to_string("/proc/self/io").expect("Linux");
        let field = |name: &str| {
            let line = io.lines().find_map(|line| line.strip_prefix(name)).expect("a field");
            line.trim().parse().expect("a number")
        };
        let (calls_read_bytes, calls_written_bytes) = (field("rchar:"), field("wchar:"));
        Account { metrics: db.metrics(), calls_read_bytes, calls_written_bytes }
    }

    /// What the engine says that it has written, everywhere.
    fn written_bytes(&self) -> u64 {
        let metrics = &self.metrics;
        metrics.log_written_bytes
            + metrics.flush_written_bytes
            + metrics.ingest_written_bytes
            + metrics.compaction.written_bytes
            + metrics.values.written_bytes
    }

    fn slowed_seconds(&self) -> f64 {
        (self.metrics.stall_time + self.metrics.pressure.delay_time).as_secs_f64()
    }
}

/// A phase, from one account to the next.
pub struct Between<'a>(pub &'a Account, pub &'a Account);

impl Between<'_> {
    fn of(&self, count: impl Fn(&Account) -> u64) -> f64 {
        count(self.1).checked_sub(count(self.0)).expect("counts only grow") as f64
    }

    /// Adds the columns `NAME_write_amp`, what is written to log, tables and files with values for each byte that was
    /// set, and `NAME_write_calls_amp`, the same as the system counted it: with zeros ahead of the log, and manifests.
    ///
    /// The phase had `sets` of `entry_bytes`, and its memtables have been written out.
    pub fn push_writes_to(&self, csv: &mut Csv, name: &str, sets: u64, entry_bytes: u64) {
        let user = self.of(|account| account.metrics.user_bytes);
        assert_eq!(user, (sets * entry_bytes) as f64, "every byte that was set is counted");
        let (said, called) = (self.of(Account::written_bytes), self.of(|a| a.calls_written_bytes));
        // Half of a value compresses away, so a quarter of it is not all of it.
        assert!(said > user / 4.0, "{said} bytes written of {user} that were set");
        assert!(called >= said, "said to be written: {said}, to the system {called}");
        csv.push(&format!("{name}_write_amp"), said / user);
        csv.push(&format!("{name}_write_calls_amp"), called / user);
        csv.push(&format!("{name}_slowed_s"), self.1.slowed_seconds() - self.0.slowed_seconds());
    }

    /// Adds what each of `gets` cost: `NAME_tables`, how many were looked at; `NAME_blocks`, how many were read from a
    /// file; `NAME_bytes`, how many the system gave.
    pub fn push_reads_to(&self, csv: &mut Csv, name: &str, gets: u64) {
        let each = |count: f64| count / gets as f64;
        let tables = self.of(|account| account.metrics.reads.tables_searched);
        csv.push(&format!("{name}_tables"), each(tables));
        csv.push(
            &format!("{name}_blocks"),
            each(self.of(|account| account.metrics.block_cache.misses)),
        );
        csv.push(&format!("{name}_bytes"), each(self.of(|account| account.calls_read_bytes)));
    }

    /// The share of blocks that were in the cache, in percent.
    pub fn hit_percent(&self) -> f64 {
        let hits = self.of(|account| account.metrics.block_cache.hits);
        let misses = self.of(|account| account.metrics.block_cache.misses);
        100.0 * hits / (hits + misses).max(1.0)
    }

    /// Commits for each sync of the log.
    pub fn commits_a_sync(&self) -> f64 {
        let syncs = self.of(|account| account.metrics.log_syncs);
        assert!(syncs > 0.0, "synced commits are synced");
        self.of(|account| account.metrics.commits) / syncs
    }
}
