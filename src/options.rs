//! What can be set when a database is opened, as plain data.
//!
//! Every field states its unit, its default and why that is the default.
//! [`Options::validate`] runs once, at open.

mod memory;

use crate::error::{Error, Result};
use crate::event::Listener;
use std::fmt;
use std::time::Duration;

/// When a commit is made durable: what `Ok` from a write means.
///
/// The contract, whatever the policy: after any crash, the database equals the
/// result of some prefix of the commit order. The prefix contains every commit
/// acknowledged as durable. Batches and transactions appear whole or not at all.
///
/// ```
/// # fn main() -> Result<(), esker::Error> {
/// use esker::sim::{CrashModel, SimFs};
/// use esker::{Db, Options, SyncPolicy};
/// use std::sync::Arc;
/// for (sync_policy, survives_a_power_cut) in [(SyncPolicy::Always, true), (SyncPolicy::Never, false)] {
///     let (fs, options) = (SimFs::new(), Options { sync_policy, ..Options::default() });
///     let db = Db::open_with_fs(Arc::new(fs.clone()), "/db", options.clone())?;
///     db.set("key", "value")?;
///     let [power, kill] = [CrashModel::SyncedOnly, CrashModel::Everything].map(|model| fs.crash_image(&model));
///     let db = Db::open_with_fs(Arc::new(power), "/db", options.clone())?;
///     assert_eq!(db.get("key")?.is_some(), survives_a_power_cut);
///     let db = Db::open_with_fs(Arc::new(kill), "/db", options)?;
///     assert!(db.get("key")?.is_some()); // The death of the process takes nothing.
/// }
/// # Ok(()) }
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum SyncPolicy {
    /// `Ok` means: this commit and all before it are on stable storage:
    /// fdatasync of the log succeeded, and its directory entry was synced
    /// before. One sync may serve many commits; none is acknowledged before it.
    #[default]
    Always,
    /// `Ok` means: survives the death of the process. A power cut may drop a
    /// suffix only, at most this interval plus one sync old; overdue syncs hold
    /// writers back. The interval is from 1 ms to 1 hour.
    Interval(Duration),
    /// `Ok` means: survives the death of the process. A power cut may drop a
    /// suffix, never a middle. Tables and manifests are still synced before
    /// they are referenced and before the log they replace goes.
    Never,
}

/// How the blocks of a table are compressed.
///
/// ```
/// use esker::{Compression, Db, Options, sim::SimFs};
/// use std::sync::Arc;
/// let table_bytes = |compression| -> esker::Result<u64> {
///     let options = Options { compression, ..Options::default() };
///     let db = Db::open_with_fs(Arc::new(SimFs::new()), "/db", options)?;
///     db.set("key", [7; 1000])?;
///     db.flush()?;
///     Ok(db.metrics().table_bytes)
/// };
/// assert!(table_bytes(Compression::Snappy)? < table_bytes(Compression::None)? / 2);
/// # Ok::<(), esker::Error>(())
/// ```
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Compression {
    /// Blocks are stored as they are.
    None,
    /// Blocks are compressed with Snappy; one that does not shrink by at least
    /// an eighth is stored as it is.
    #[default]
    Snappy,
}

/// No value smaller than this is kept out of the tables, in bytes.
pub const VALUE_THRESHOLD_MIN: usize = 64;

/// How a database is opened.
///
/// ```
/// use esker::{Options, SyncPolicy};
/// let options = Options { sync_policy: SyncPolicy::Never, ..Options::default() };
/// assert_eq!(options.memtable_bytes, 64 << 20);
/// ```
#[derive(Debug, Clone, PartialEq)]
pub struct Options {
    /// What `Ok` from a write means. Default: [`SyncPolicy::Always`], because
    /// a store should keep what it acknowledged unless told otherwise.
    pub sync_policy: SyncPolicy,
    /// Whether commits go to the write-ahead log. Default: true. Without it
    /// nothing survives the end of the process, however it comes, but what
    /// `flush` and `close` wrote; `sync_policy` then has no effect.
    pub wal_enabled: bool,
    /// Make the directory and a new database in it when there is none.
    /// Default: true.
    pub create_if_missing: bool,
    /// Memory of one memtable, in bytes, from 64 KiB to 4 GiB. When it is full
    /// it is written out as a table. Default: 64 MiB, as the reference.
    pub memtable_bytes: usize,
    /// Memtables in memory, the one being written included, at least 2. When
    /// as many are waiting to be written out, writers wait. Default: 5, as the
    /// reference.
    pub memtables_max: usize,
    /// Size at which a log file ends and the next begins, in bytes, at least
    /// 64 KiB; the memtable is then written out too. A batch larger than this
    /// still goes into one file. Default: 64 MiB, as the reference.
    pub log_file_bytes: u64,
    /// How much log an open has to replay at most, in bytes, at least 64 KiB, and one
    /// batch: when what is not in tables yet comes to this, writers wait until a memtable
    /// has been written out, however large memtables and log files may be. A log file ends
    /// at half of it at the latest. Default: 320 MiB, what five memtables of the default
    /// size come to, a matter of seconds.
    pub log_replay_bytes_max: u64,
    /// Size of a file `RESERVE` beside the others, in bytes, 0 or from 4 KiB to 1 TiB, that
    /// is given up when the disk is full: what it took is then left to deletes, flushes and
    /// compaction, and commits with a set are refused until it can be made again in full. 0
    /// turns it off: a full disk may then refuse deletes, too. It is made a second after the
    /// open, or the first write where nothing was to be done at the open. Default: 16 MiB: the tombstones of some hundred thousand keys, or the merge of a
    /// few small tables. Where tables are large and compaction is to have room for any
    /// of its jobs, several times `table_bytes` are better.
    pub disk_reserve_bytes: u64,
    /// Size of a table's block before compression, in bytes, from 256 B to
    /// 1 MiB. Default: 4 KiB, one page: what one read of the disk gives anyway.
    pub block_bytes: usize,
    /// Size from which a table that a compaction writes ends and the next begins,
    /// in bytes, from 4 KiB to 4 GiB; those that memtables become are as large as these.
    /// Default: 32 MiB.
    pub table_bytes: u64,
    /// Whether tables are merged, and garbage among large values collected, in the background as they
    /// come to need it. Without, only [`crate::Db::compact`] and [`crate::Db::collect_garbage`] do: reads slow down with each table, and deleted
    /// space stays in use. Default: true.
    pub auto_compaction: bool,
    /// How soon a delete or an expiry gives back the space of what it hides, without
    /// further writes, at least 1 ms. Where deletes are many, or where a scan passes over 10,000 of them in one
    /// step, it happens earlier by itself;
    /// where they are few, each may cost a table to be written anew, which a longer time
    /// spares. Default: 24 hours.
    pub reclaim_within: Duration,
    /// How long an expired entry is still told from one that never was
    /// (`service expired` of the `Engine` interface); only then may its space be given
    /// back. Default: 10 minutes, as the reference.
    pub expired_retention: Duration,
    /// How blocks and large values are compressed. Default: Snappy, as the reference.
    pub compression: Compression,
    /// Values of so many bytes and more are written once, into the log, and stay there: the tree holds
    /// pointers to them. At least 64 B; larger than any value: never. Those of a bulk load and of a
    /// restore go into files of their own. Without a log (`wal_enabled`) what is committed stands in the tree, whole.
    /// Default: 1 KiB.
    pub value_threshold: usize,
    /// The part of a file with large values that may be garbage before its live values are
    /// written anew, in percent, from 1 to 99. Default: 50.
    pub value_garbage_percent: u8,
    /// How many bytes a second the collection of garbage among large values reads and writes together at
    /// most, while [`Options::space_amp_max`] is not in danger; 0: as many as it can. Default: 64 MiB.
    pub value_gc_bytes_per_second: u64,
    /// How much the files with large values may take, for each byte of those values to which tables point,
    /// snapshots' included; at least 1.1. From half of what that allows beyond them on, garbage
    /// is collected at once and as fast as can be; in the last quarter who writes large values is slowed, in
    /// proportion; who would exceed it waits. To it comes, whatever lives, what is
    /// on its way: twice `log_file_bytes`, the log that is not in tables yet (`log_replay_bytes_max`), and a file that
    /// is being collected, until its readers are gone. Large values that were overwritten or deleted are
    /// garbage once tables are merged: level 0 is, when it points to a quarter of those below. Tables are bounded
    /// by their levels, not by this. Default: 2.5.
    pub space_amp_max: f64,
    /// How often garbage among large values is looked for, at least 1 ms. Beside that, it is where no more than 1 MiB
    /// was written for 2 seconds, unless that failed within this time, and whenever [`Options::space_amp_max`] is in
    /// danger. Default: 5 minutes, as the reference.
    pub value_gc_interval: Duration,
    /// How long after the open, and after each time that it is done, the whole database is verified in the
    /// background ([`crate::Db::verify`]): damage on a disk is found while there is still a
    /// backup without it. At least 1 ms. Told by [`crate::Event::ScrubDone`] and in
    /// [`crate::Metrics::scrub`]. Default: `None`, never: it reads all there is.
    pub scrub_interval: Option<Duration>,
    /// How many bytes a second that reads at most; 0: as many as the disk gives. Default: 16 MiB,
    /// 100 GiB in under two hours.
    pub scrub_bytes_per_second: u64,
    /// Memory of the whole database, in bytes, at least 4 MiB: memtables, indexes and
    /// filters of tables, the block cache, and what compaction takes. Where these would take more
    /// than this together, memtables and cache are made smaller than asked for. Not in it: a
    /// batch larger than a memtable while it waits to be written out, what iterators hold,
    /// values on their way to the caller, and, where blocks of the cache come to be of another size, free memory
    /// between those of before, until these are gone: at worst as much again as the cache has. Default: 1 GiB, with which memtables and cache are as asked for by default.
    pub memory_bytes_max: usize,
    /// Memory for uncompressed blocks, in bytes; 0 turns the cache off.
    /// Default: 256 MiB, as the peers we compare with.
    pub block_cache_bytes: usize,
    /// Who is told of flushes, stalls and the like as they happen. Default: nobody.
    pub listener: Option<Listener>,
}

impl Default for Options {
    fn default() -> Self {
        Options {
            sync_policy: SyncPolicy::Always,
            wal_enabled: true,
            create_if_missing: true,
            memtable_bytes: 64 << 20,
            memtables_max: 5,
            log_file_bytes: 64 << 20,
            log_replay_bytes_max: 320 << 20,
            disk_reserve_bytes: 16 << 20,
            block_bytes: 4 << 10,
            table_bytes: 32 << 20,
            auto_compaction: true,
            reclaim_within: Duration::from_secs(24 * 3600),
            expired_retention: Duration::from_secs(600),
            compression: Compression::Snappy,
            value_threshold: 1 << 10,
            value_garbage_percent: 50,
            value_gc_bytes_per_second: 64 << 20,
            space_amp_max: 2.5,
            value_gc_interval: Duration::from_secs(300),
            scrub_interval: None,
            scrub_bytes_per_second: 16 << 20,
            memory_bytes_max: 1 << 30,
            block_cache_bytes: 256 << 20,
            listener: None,
        }
    }
}

impl Options {
    /// The interval of [`SyncPolicy::Interval`], where that is the policy and
    /// there is a log to sync.
    pub(crate) fn interval(&self) -> Option<Duration> {
        match self.sync_policy {
            SyncPolicy::Interval(interval) if self.wal_enabled => Some(interval),
            _ => None,
        }
    }

    /// The size at which a log file ends, in bytes.
    pub(crate) fn log_file_limit(&self) -> u64 {
        // The next one is filled while this one's memtable is written out.
        self.log_file_bytes.min(self.log_replay_bytes_max / 2)
    }

    /// Up to which size level 0, and the level that it is merged into, are left
    /// alone, in bytes: that of the memtables that level 0 holds when it is merged.
    pub(crate) fn level_base_bytes(&self) -> u64 {
        u64::try_from(self.memtable_bytes).unwrap_or(u64::MAX).saturating_mul(4)
    }

    /// Up to how many bytes of the level below a table should overlap, so that no
    /// job of compaction is larger than some twenty tables.
    pub(crate) fn overlap_bytes_max(&self) -> u64 {
        self.table_bytes.saturating_mul(10)
    }

    /// Checks every field against its range.
    ///
    /// ```
    /// use esker::{Error, Options};
    /// assert!(Options::default().validate().is_ok());
    /// let options = Options { memtables_max: 1, ..Options::default() };
    /// let Err(Error::InvalidArgument { detail }) = options.validate() else { panic!("it passed") };
    /// assert_eq!(detail, "memtables_max is 1; it must be at least 2");
    /// ```
    ///
    /// # Errors
    /// [`Error::InvalidArgument`] naming the field, its value and its range.
    pub fn validate(&self) -> Result<()> {
        let check = |ok: bool, text: fmt::Arguments<'_>| match ok {
            true => Ok(()),
            false => Err(Error::invalid(text.to_string())),
        };
        if let SyncPolicy::Interval(d) = self.sync_policy {
            check(
                (Duration::from_millis(1)..=Duration::from_secs(3600)).contains(&d),
                format_args!("sync_policy: an interval of {d:?}; it must be from 1 ms to 1 h"),
            )?;
        }
        check(
            (1 << 16..=1 << 32).contains(&self.memtable_bytes),
            format_args!(
                "memtable_bytes is {}; it must be from 64 KiB to 4 GiB",
                self.memtable_bytes
            ),
        )?;
        check(
            self.memtables_max >= 2,
            format_args!("memtables_max is {}; it must be at least 2", self.memtables_max),
        )?;
        check(
            self.log_file_bytes >= 1 << 16,
            format_args!("log_file_bytes is {}; it must be at least 64 KiB", self.log_file_bytes),
        )?;
        check(
            self.memory_bytes_max >= memory::MEMORY_BYTES_MIN,
            format_args!(
                "memory_bytes_max is {}; it must be at least 4 MiB",
                self.memory_bytes_max
            ),
        )?;
        check(
            self.log_replay_bytes_max >= 1 << 16,
            format_args!(
                "log_replay_bytes_max is {}; it must be at least 64 KiB",
                self.log_replay_bytes_max
            ),
        )?;
        check(
            self.disk_reserve_bytes == 0 || (4 << 10..=1 << 40).contains(&self.disk_reserve_bytes),
            format_args!(
                "disk_reserve_bytes is {}; it must be 0 or from 4 KiB to 1 TiB",
                self.disk_reserve_bytes
            ),
        )?;
        self.validate_values()?;
        check(
            self.scrub_interval.is_none_or(|interval| interval >= Duration::from_millis(1)),
            format_args!("scrub_interval is {:?}; it must be at least 1 ms", self.scrub_interval),
        )?;
        check(
            (4 << 10..=1 << 32).contains(&self.table_bytes),
            format_args!("table_bytes is {}; it must be from 4 KiB to 4 GiB", self.table_bytes),
        )?;
        check(
            self.reclaim_within >= Duration::from_millis(1),
            format_args!("reclaim_within is {:?}; it must be at least 1 ms", self.reclaim_within),
        )?;
        check(
            (256..=1 << 20).contains(&self.block_bytes),
            format_args!("block_bytes is {}; it must be from 256 B to 1 MiB", self.block_bytes),
        )
    }

    /// [`Options::validate`] of what has to do with large values.
    fn validate_values(&self) -> Result<()> {
        let check = |ok: bool, text: fmt::Arguments<'_>| match ok {
            true => Ok(()),
            false => Err(Error::invalid(text.to_string())),
        };
        check(
            self.value_threshold >= VALUE_THRESHOLD_MIN,
            format_args!(
                "value_threshold is {}; it must be at least {VALUE_THRESHOLD_MIN} bytes",
                self.value_threshold
            ),
        )?;
        check(
            (1..=99).contains(&self.value_garbage_percent),
            format_args!(
                "value_garbage_percent is {}; it must be from 1 to 99",
                self.value_garbage_percent
            ),
        )?;
        check(
            self.space_amp_max >= 1.1,
            format_args!("space_amp_max is {}; it must be at least 1.1", self.space_amp_max),
        )?;
        check(
            self.value_gc_interval >= Duration::from_millis(1),
            format_args!(
                "value_gc_interval is {:?}; it must be at least 1 ms",
                self.value_gc_interval
            ),
        )
    }
}

/// How one commit differs from the database's [`Options`].
///
/// See the example of [`crate::Db::write_with`].
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct WriteOptions {
    /// `Some(true)`: durable on return, as under [`SyncPolicy::Always`].
    /// `Some(false)`: do not wait for a sync, as under [`SyncPolicy::Never`];
    /// a later synced commit makes this one durable too. `None`: by the policy
    /// of the database.
    pub sync: Option<bool>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn defaults_are_valid_and_safe() {
        let options = Options::default();
        assert!(options.validate().is_ok());
        assert_eq!(options.sync_policy, SyncPolicy::Always);
        assert!(options.wal_enabled);
    }

    #[test]
    fn each_range_is_held_and_named() {
        let bad = [
            (Options { memtable_bytes: 1, ..Options::default() }, "memtable_bytes"),
            (Options { memtables_max: 1, ..Options::default() }, "memtables_max"),
            (Options { log_file_bytes: 1, ..Options::default() }, "log_file_bytes"),
            (Options { log_replay_bytes_max: 1, ..Options::default() }, "log_replay_bytes_max"),
            (Options { disk_reserve_bytes: 1, ..Options::default() }, "disk_reserve_bytes"),
            (Options { block_bytes: 1, ..Options::default() }, "block_bytes"),
            (Options { memory_bytes_max: 1, ..Options::default() }, "memory_bytes_max"),
            (Options { table_bytes: 1, ..Options::default() }, "table_bytes"),
            (Options { value_threshold: 63, ..Options::default() }, "value_threshold"),
            (Options { space_amp_max: f64::NAN, ..Options::default() }, "space_amp_max"),
            (Options { value_garbage_percent: 0, ..Options::default() }, "value_garbage_percent"),
            (
                Options { value_gc_interval: Duration::ZERO, ..Options::default() },
                "value_gc_interval",
            ),
            (
                Options { scrub_interval: Some(Duration::ZERO), ..Options::default() },
                "scrub_interval",
            ),
            (Options { reclaim_within: Duration::ZERO, ..Options::default() }, "reclaim_within"),
            (
                Options { sync_policy: SyncPolicy::Interval(Duration::ZERO), ..Options::default() },
                "sync_policy",
            ),
        ];
        for (options, field) in bad {
            let text = options.validate().expect_err(field).to_string();
            assert!(text.contains(field), "{text}");
        }
    }
}
