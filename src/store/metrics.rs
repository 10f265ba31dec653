//! What happened so far, and how things stand.

use super::{Segments, Store};
use crate::format::{Level, TableMeta};
use crate::histogram::Latency;
use std::time::Duration;

/// What `open` found and did.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// use esker::{Db, Options};
/// let db = Db::open(dir.path(), Options::default())?;
/// db.set("a", "1")?;
/// db.set("b", "2")?;
/// drop(db); // Without a close: all is in the log.
/// let report = Db::open(dir.path(), Options::default())?.metrics().recovery;
/// assert_eq!((report.batches_replayed, report.log_cut_at), (2, None));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct RecoveryReport {
    /// Batches replayed from the log.
    pub batches_replayed: u64,
    /// Log files read.
    pub log_files: u64,
    /// Bytes of the records in them: at most `Options::log_replay_bytes_max` of the last
    /// run, and one batch.
    pub log_bytes: u64,
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

/// How an open database stands. What is counted, is since it was opened.
///
/// `Display` writes it as a short table.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// let db = esker::Db::open(dir.path(), esker::Options::default())?;
/// db.set("key", "value")?;
/// let metrics = db.metrics();
/// assert_eq!((metrics.commits, metrics.user_bytes), (1, 8));
/// println!("{metrics}");
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, PartialEq, Eq)]
#[non_exhaustive]
pub struct Metrics {
    /// The newest visible sequence number: operations committed since the
    /// database was created, and the numbers that bulk loads skipped.
    pub last_seq: u64,
    /// The tables, by level, from 0 on; each level is there.
    pub levels: Vec<LevelMetrics>,
    /// Tables, of all levels.
    pub tables: usize,
    /// Bytes of all tables.
    pub table_bytes: u64,
    /// Memtables in memory, the active one included.
    pub memtables: usize,
    /// What takes memory.
    pub memory: MemoryMetrics,
    /// How the cache of blocks does.
    pub block_cache: CacheMetrics,
    /// What gets cost.
    pub reads: ReadMetrics,
    /// Batches committed.
    pub commits: u64,
    /// Groups they were committed in.
    pub commit_groups: u64,
    /// Bytes of the keys and values in them, without what the log adds.
    pub user_bytes: u64,
    /// Commits of transactions that failed with `Conflict`.
    pub conflicts: u64,
    /// Bytes written to the log.
    pub log_written_bytes: u64,
    /// Syncs of the log.
    pub log_syncs: u64,
    /// Tables written from memtables.
    pub flushes: u64,
    /// Bytes of those tables.
    pub flush_written_bytes: u64,
    /// Failed attempts to write one.
    pub flush_failures: u64,
    /// What the flush worker is failing with at the moment; it keeps trying.
    pub flush_failure: Option<String>,
    /// Bulk loads (`Db::ingest`); each is one of `commits`, too.
    pub ingests: u64,
    /// Bytes of the tables that they wrote.
    pub ingest_written_bytes: u64,
    /// What merging tables came to.
    pub compaction: CompactionMetrics,
    /// Large values, outside of the tables.
    pub values: ValueMetrics,
    /// What verifying in the background came to (`Options::scrub_interval`).
    pub scrub: ScrubMetrics,
    /// Times that writers had to wait.
    pub stalls: u64,
    /// How long they waited, together, in waits that have ended. While one waits, the
    /// writers that come after it wait with it; that is counted once.
    pub stall_time: Duration,
    /// How writers are slowed.
    pub pressure: PressureMetrics,
    /// Whether the disk was full and the reserve (`Options::disk_reserve_bytes`) is given up:
    /// sets are refused.
    pub is_reserve_given_up: bool,
    /// The snapshots that are held; an open transaction holds one, too.
    pub snapshots: SnapshotMetrics,
    /// The backups upon which increments can follow.
    pub followed: FollowedMetrics,
    /// How long things took.
    pub latencies: Latencies,
    /// What poisoned the handle, if anything did.
    pub poisoned_by: Option<String>,
    /// Panics in `Options::listener`, or in the program's logger, when told of an event.
    pub listener_panics: u64,
    /// Files that could not be removed.
    pub files_not_removed: u64,
    /// What `open` found and did.
    pub recovery: RecoveryReport,
}

/// The tables of one level.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
/// db.set("a", "1")?;
/// db.set("b", "2")?;
/// db.flush()?;
/// let level = &db.metrics().levels[0];
/// assert_eq!((level.level, level.tables, level.entries, level.tombstones), (0, 1, 2, 0));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct LevelMetrics {
    /// Which level: 0 is where memtables are written out to.
    pub level: u8,
    /// Tables.
    pub tables: usize,
    /// Length of their files, in bytes.
    pub bytes: u64,
    /// Entries in them, tombstones and shadowed versions included.
    pub entries: u64,
    /// Tombstones among them.
    pub tombstones: u64,
    /// Bytes of keys and values, uncompressed, of entries that have a newer version in
    /// the same table.
    pub shadowed_bytes: u64,
}

/// What takes memory, in bytes.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
/// db.set("key", [7; 1000])?;
/// let memory = db.metrics().memory;
/// assert!(memory.memtable_bytes > 1000);
/// assert_eq!(memory.budget_bytes, esker::Options::default().memory_bytes_max);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct MemoryMetrics {
    /// Used in memtables, the active one included.
    pub memtable_bytes: usize,
    /// Blocks in the cache.
    pub block_cache_bytes: u64,
    /// Indexes and filters of tables in memory.
    pub head_bytes: usize,
    /// What all of it may take together, with what compaction takes: `Options::memory_bytes_max`.
    pub budget_bytes: usize,
}

/// How the cache of blocks does. Reads for `Db::verify` and for merging tables go past it.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
/// assert_eq!(db.metrics().block_cache.hit_rate(), None);
/// db.set("key", "value")?;
/// db.flush()?;
/// for _ in 0..4 {
///     db.get("key")?;
/// }
/// let cache = db.metrics().block_cache;
/// assert_eq!((cache.hits, cache.misses, cache.hit_rate()), (3, 1, Some(0.75)));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CacheMetrics {
    /// Blocks that were in it, also if another thread had loaded them ahead of a scan.
    pub hits: u64,
    /// Blocks that had to be read from a file.
    pub misses: u64,
}

impl CacheMetrics {
    /// The share of hits, from 0 to 1; `None` before the first block.
    ///
    /// See the example of [`CacheMetrics`].
    #[must_use]
    pub fn hit_rate(&self) -> Option<f64> {
        ratio(self.hits, self.hits + self.misses)
    }
}

/// What gets cost. A get that a memtable answers looks at no table, and is not counted.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
/// db.set("key", "value")?;
/// db.get("key")?; // The memtable answers.
/// assert_eq!(db.metrics().reads.tables_per_get(), None);
/// db.flush()?;
/// db.get("key")?;
/// let reads = db.metrics().reads;
/// assert_eq!((reads.table_gets, reads.tables_searched), (1, 1));
/// assert_eq!(reads.tables_per_get(), Some(1.0));
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ReadMetrics {
    /// Gets that no memtable answered.
    pub table_gets: u64,
    /// Tables that they looked at, because their range of keys has the key: at most one
    /// block in each.
    pub tables_searched: u64,
}

impl ReadMetrics {
    /// Read amplification: tables looked at for each get that no memtable answered. `None`
    /// before the first.
    ///
    /// See the example of [`ReadMetrics`].
    #[must_use]
    pub fn tables_per_get(&self) -> Option<f64> {
        ratio(self.tables_searched, self.table_gets)
    }
}

/// Large values, and what collecting garbage among them came to.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
/// db.set("photo", [7; 10_000])?;
/// db.flush()?;
/// let values = db.metrics().values;
/// assert_eq!((values.files, values.segments), (1, 1));
/// assert!(0 < values.live_bytes && values.live_bytes <= values.stored_bytes);
/// db.delete("photo")?;
/// db.compact()?;
/// assert_eq!(db.metrics().values.live_bytes, 0);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ValueMetrics {
    /// Files with values that tables point to: log files that stayed, and files that were
    /// written for it.
    pub files: usize,
    /// Segments in them.
    pub segments: usize,
    /// Bytes in them: of a log file all of it, of another the values that it was written with.
    pub stored_bytes: u64,
    /// Of these, those to which tables point. What was overwritten and not merged yet is among them.
    pub live_bytes: u64,
    /// How often garbage was collected.
    pub collections: u64,
    /// Bytes written for it.
    pub written_bytes: u64,
    /// Stored bytes that it freed.
    pub freed_bytes: u64,
    /// Attempts that failed.
    pub failures: u64,
}

/// What verifying in the background came to.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// use esker::{Db, Event, Listener, Options};
/// use std::time::Duration;
/// let (sender, events) = std::sync::mpsc::channel();
/// let options = Options {
///     scrub_interval: Some(Duration::from_millis(1)),
///     listener: Some(Listener::new(move |event| drop(sender.send(event.clone())))),
///     ..Options::default()
/// };
/// let db = Db::open(dir.path(), options)?;
/// assert!(events.iter().any(|event| matches!(event, Event::ScrubDone { damages: 0, .. })));
/// let scrub = db.metrics().scrub;
/// assert!(scrub.scrubs >= 1 && scrub.damages == 0);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct ScrubMetrics {
    /// How often all of the database was verified.
    pub scrubs: u64,
    /// Bytes that were read and checked for it.
    pub bytes: u64,
    /// Damages that were found, the same ones again each time.
    pub damages: u64,
    /// Attempts that failed.
    pub failures: u64,
}

/// What merging tables came to.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
/// for value in ["old", "new"] {
///     db.set("key", value)?;
///     db.flush()?;
/// }
/// db.compact()?;
/// let compaction = db.metrics().compaction;
/// assert!(compaction.compactions >= 1);
/// assert_eq!(compaction.dropped_entries, 1); // What was overwritten.
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct CompactionMetrics {
    /// How often it was done.
    pub compactions: u64,
    /// Bytes of tables read for it.
    pub read_bytes: u64,
    /// Bytes of tables written by it.
    pub written_bytes: u64,
    /// Tables that only moved to another level, without being read or written.
    pub moved_tables: u64,
    /// Entries that nobody can read any more, and that were not written again.
    pub dropped_entries: u64,
    /// Attempts that failed.
    pub failures: u64,
}

/// How writers are slowed because compaction or flushes are behind.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
/// db.set("key", "value")?;
/// let pressure = db.metrics().pressure;
/// // Nothing waits for compaction, so nobody is slowed.
/// assert_eq!((pressure.debt_percent, pressure.allowed_bytes_per_second), (0, None));
/// assert!(pressure.delay_time.is_zero());
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct PressureMetrics {
    /// How far things have come from where writers are first slowed to where they stop, in
    /// percent. 0 also where that has just begun.
    pub debt_percent: u64,
    /// Bytes of keys and values that may be written a second; `None`: there is no limit.
    pub allowed_bytes_per_second: Option<u64>,
    /// Bytes of large values, as they are stored, that may be written a second, because the files with
    /// large values come near to `Options::space_amp_max`; `None`: there is no limit.
    pub allowed_value_bytes_per_second: Option<u64>,
    /// What compaction takes out of level 0, in such bytes a second, lately; `None` before
    /// the first time.
    pub drained_bytes_per_second: Option<u64>,
    /// What collections and merges give back of files with large values, in bytes a second, lately, while
    /// half and more of what `Options::space_amp_max` allows for garbage was used up; `None` before the first time.
    pub drained_value_bytes_per_second: Option<u64>,
    /// How long leaders have slept, together, with their groups.
    pub delay_time: Duration,
}

/// The snapshots that are held (`Db::snapshot`; an iterator of `Db` holds one, too).
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
/// db.set("key", "old")?;
/// let snapshot = db.snapshot();
/// db.set("key", "new")?;
/// let metrics = db.metrics().snapshots;
/// assert_eq!((metrics.count, metrics.oldest_seq), (1, Some(snapshot.sequence_number())));
/// drop(snapshot);
/// assert_eq!(db.metrics().snapshots.count, 0);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct SnapshotMetrics {
    /// How many.
    pub count: usize,
    /// The sequence number of the oldest.
    pub oldest_seq: Option<u64>,
    /// For how long that number has been held.
    pub oldest_age: Option<Duration>,
    /// What they keep on disk, in bytes of keys and values, at most: all that has a newer version
    /// in the same table ([`LevelMetrics::shadowed_bytes`]), be it kept for a snapshot or only
    /// not merged yet. 0 where none is held. What has its newer version in another table
    /// is not in it.
    pub held_bytes_max: u64,
}

/// The backups upon which increments can follow (`Db::followed_backups`).
///
/// See the example of [`crate::Db::followed_backups`].
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct FollowedMetrics {
    /// How many.
    pub count: usize,
    /// The sequence number of the oldest: what was deleted after it keeps a tombstone
    /// ([`LevelMetrics::tombstones`]), in the last level too.
    pub oldest_seq: Option<u64>,
}

/// How long things took that succeeded.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// # let dir = tempfile::tempdir().expect("a directory");
/// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
/// db.set("key", "value")?;
/// let latencies = db.metrics().latencies;
/// assert_eq!((latencies.synced_commit.count, latencies.unsynced_commit.count), (1, 0));
/// assert!(latencies.log_sync.count >= 1); // It waited for one.
/// assert!(latencies.synced_commit.max >= latencies.log_sync.min);
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[non_exhaustive]
pub struct Latencies {
    /// A commit that returned durable: `SyncPolicy::Always`, or asked for in `WriteOptions`.
    pub synced_commit: Latency,
    /// A commit that did not wait for a sync.
    pub unsynced_commit: Latency,
    /// A sync of the log, of all its files and the directory where that was due.
    pub log_sync: Latency,
    /// A memtable written out: its table, the syncs, the manifest.
    pub flush: Latency,
    /// A merge of tables.
    pub compaction: Latency,
    /// A collection of garbage among large values.
    pub collection: Latency,
    /// A wait of writers ([`Metrics::stalls`]).
    pub stall: Latency,
    /// A leader's sleep before its group, because compaction or flushes are behind
    /// ([`PressureMetrics`]); the group slept with it.
    pub delay: Latency,
}

impl Metrics {
    /// Write amplification: bytes written to the log and to tables for each byte of keys
    /// and values committed. `None` before the first commit. What is still in memtables will be
    /// written, and `open` may have written what others committed: it is a figure for long runs.
    ///
    /// ```
    /// # fn main() -> Result<(), esker::Error> {
    /// # let dir = tempfile::tempdir().expect("a directory");
    /// # let db = esker::Db::open(dir.path(), esker::Options::default())?;
    /// assert_eq!(db.metrics().write_amplification(), None);
    /// db.set("key", [7; 1000])?;
    /// let in_the_log = db.metrics().write_amplification().expect("a commit");
    /// assert!(in_the_log > 1.0);
    /// db.flush()?;
    /// assert!(db.metrics().write_amplification() > Some(in_the_log)); // And once more in a table.
    /// # Ok(()) }
    /// ```
    #[must_use]
    pub fn write_amplification(&self) -> Option<f64> {
        let tables = self.flush_written_bytes
            + self.ingest_written_bytes
            + self.compaction.written_bytes
            + self.values.written_bytes;
        ratio(self.log_written_bytes + tables, self.user_bytes)
    }
}

fn ratio(part: u64, whole: u64) -> Option<f64> {
    (whole > 0).then(|| part as f64 / whole as f64)
}

impl LevelMetrics {
    fn of<'a>(level: Level, metas: impl Iterator<Item = &'a TableMeta>) -> Self {
        let level = u8::try_from(level.index()).expect("a level is a byte");
        let mut found = LevelMetrics { level, ..LevelMetrics::default() };
        for meta in metas {
            found.tables += 1;
            found.bytes += meta.size_bytes;
            found.entries += meta.properties.entries;
            found.tombstones += meta.properties.tombstones;
            found.shadowed_bytes += meta.properties.shadowed_bytes;
        }
        found
    }
}

impl Store {
    /// How things stand. `recovery`: what `open` found.
    pub fn metrics(&self, recovery: &RecoveryReport) -> Metrics {
        let view = self.views.pin();
        let counters = &self.counters;
        let tables_of =
            |level| view.version.metas().filter(move |(at, _)| *at == level).map(|(_, meta)| meta);
        let levels: Vec<_> =
            Level::all().map(|level| LevelMetrics::of(level, tables_of(level))).collect();
        let sealed = view.sealed.iter().map(|sealed| sealed.memtable.used_bytes());
        let latencies = self.latencies.snapshot();
        Metrics {
            last_seq: self.visible.load().0,
            tables: levels.iter().map(|level| level.tables).sum(),
            table_bytes: levels.iter().map(|level| level.bytes).sum(),
            memtables: 1 + view.sealed.len(),
            memory: MemoryMetrics {
                memtable_bytes: view.active.used_bytes() + sealed.sum::<usize>(),
                block_cache_bytes: self.cache.used_bytes(),
                head_bytes: self.heads.used_bytes(),
                budget_bytes: self.options.memory_bytes_max,
            },
            block_cache: self.cache_metrics(),
            reads: self.reads.metrics(),
            commits: counters.commits.get(),
            commit_groups: counters.commit_groups.get(),
            user_bytes: counters.user_bytes.get(),
            conflicts: counters.conflicts.get(),
            log_written_bytes: counters.log_written_bytes.get(),
            log_syncs: counters.log_syncs.get(),
            flushes: counters.flushes.get(),
            flush_written_bytes: counters.flush_written_bytes.get(),
            flush_failures: counters.flush_failures.get(),
            ingests: counters.ingests.get(),
            ingest_written_bytes: counters.ingest_written_bytes.get(),
            flush_failure: self.views.failure().map(|e| e.to_string()),
            compaction: counters.compaction(),
            values: self.value_metrics(view.version.segments()),
            scrub: counters.scrub(),
            stalls: counters.stalls.get(),
            stall_time: latencies.stall.sum,
            pressure: PressureMetrics {
                debt_percent: self.pressure.debt_percent(),
                allowed_bytes_per_second: self.pressure.rate(),
                allowed_value_bytes_per_second: self.pressure.value_rate(),
                drained_bytes_per_second: self.pressure.drained(),
                drained_value_bytes_per_second: self.pressure.drained_space(),
                delay_time: latencies.delay.sum,
            },
            is_reserve_given_up: self.reserve.is_given_up(),
            snapshots: self.snapshot_metrics(&levels),
            followed: self.followed_metrics(),
            levels,
            latencies,
            poisoned_by: self.health.poisoned_by().map(|e| e.to_string()),
            listener_panics: self.observer.listener_panics.get(),
            files_not_removed: counters.files_not_removed.get(),
            recovery: recovery.clone(),
        }
    }

    fn value_metrics(&self, segments: &Segments) -> ValueMetrics {
        let files = segments.files();
        let counters = &self.counters;
        ValueMetrics {
            files: files.len(),
            segments: segments.iter().count(),
            stored_bytes: files.values().map(|bytes| bytes.stored_bytes).sum(),
            live_bytes: files.values().map(|bytes| bytes.live_bytes).sum(),
            collections: counters.collections.get(),
            written_bytes: counters.collection_written_bytes.get(),
            freed_bytes: counters.collection_freed_bytes.get(),
            failures: counters.collection_failures.get(),
        }
    }

    fn cache_metrics(&self) -> CacheMetrics {
        let [hits, misses] = self.cache.hits_and_misses();
        CacheMetrics { hits, misses }
    }

    fn followed_metrics(&self) -> FollowedMetrics {
        let followed = self.followed.list();
        FollowedMetrics {
            count: followed.len(),
            oldest_seq: followed.first().map(|oldest| oldest.seq.0),
        }
    }

    fn snapshot_metrics(&self, levels: &[LevelMetrics]) -> SnapshotMetrics {
        let (count, oldest) = self.snapshots.summary();
        let shadowed = levels.iter().map(|level| level.shadowed_bytes).sum();
        SnapshotMetrics {
            count,
            oldest_seq: oldest.map(|(seq, _)| seq.0),
            oldest_age: oldest.map(|(_, since)| self.since(since)),
            held_bytes_max: if count > 0 { shadowed } else { 0 },
        }
    }
}
