//! Doing a merge: many tables in, new tables out.

use super::pick::{Job, Kind};
use crate::error::{Error, Result};
use crate::format::{EntryKind, EntryRef, FileKind, Level, TableId, TableMeta};
use crate::iter::{Concat, Cursor, Fate, Merge, Retention};
use crate::store::{Store, Version};
use crate::table::{Streams, Table, TableBuilder, TableOptions};
use std::sync::Arc;

/// Where a table should end because of the level below its own: one that overlaps more there than
/// a job should merge could later only go down as a whole.
struct Cuts<'a> {
    below: &'a [Arc<Table>],
    /// How many of them begin at or before the last key.
    reached: usize,
    /// Bytes of those that the table being written overlaps.
    overlapped_bytes: u64,
    bytes_max: u64,
}

impl<'a> Cuts<'a> {
    fn new(version: &'a Version, level: Level, bytes_max: u64) -> Self {
        // Level 0 is not cut.
        let below = level.below().filter(|_| level != Level::ZERO);
        let below = below.map_or(&[][..], |below| version.level(below));
        Cuts { below, reached: 0, overlapped_bytes: 0, bytes_max }
    }

    /// Goes on to `key`; whether the table, with it, overlaps too much.
    fn reach(&mut self, key: &[u8]) -> bool {
        while let Some(table) =
            self.below.get(self.reached).filter(|table| table.meta().smallest_key() <= key)
        {
            self.overlapped_bytes += table.meta().size_bytes;
            self.reached += 1;
        }
        self.overlapped_bytes > self.bytes_max
    }

    /// A table begins with `key`, which was reached.
    fn begin(&mut self, key: &[u8]) {
        let last = self.reached.checked_sub(1).and_then(|last| self.below.get(last));
        let last = last.filter(|table| table.meta().largest_key() >= key);
        self.overlapped_bytes = last.map_or(0, |table| table.meta().size_bytes);
    }
}

/// How many entries are merged between two looks at whether to go on.
const LOOK_EVERY: u64 = 1024;

/// Merges the tables of a job. The tables that it has written are removed again
/// when it fails.
pub struct Merger<'a> {
    store: &'a Store,
    version: &'a Version,
    job: &'a Job,
    /// When the first of what is in the inputs left memory.
    written_ms: u64,
    /// Up to when entries have to have expired to be dropped.
    expired_until_ms: u64,
    builder: Option<(TableId, TableBuilder)>,
    cuts: Cuts<'a>,
    written: Vec<TableMeta>,
    entries_read: u64,
    entries_dropped: u64,
}

impl<'a> Merger<'a> {
    /// For `job`, whose tables are in `version`.
    pub fn new(
        store: &'a Store,
        version: &'a Version,
        job: &'a Job,
        expired_until_ms: u64,
    ) -> Self {
        debug_assert_eq!(job.kind, Kind::Merge);
        Merger {
            store,
            version,
            job,
            written_ms: 0,
            expired_until_ms,
            builder: None,
            cuts: Cuts::new(version, job.to, store.options.overlap_bytes_max()),
            written: Vec::new(),
            entries_read: 0,
            entries_dropped: 0,
        }
    }

    /// Merges `inputs`; returns the tables written, which are durable, though their
    /// names are not, and how many entries are in none of them.
    ///
    /// # Errors
    /// [`Error::Corruption`] of an input; [`Error::Io`]; [`Error::Closed`] when the
    /// database is closed meanwhile. What was written is removed again, if it can be.
    pub fn run(mut self, inputs: &[Arc<Table>]) -> Result<(Vec<TableMeta>, u64)> {
        // Of those that have something to wait: what is in the others has arrived.
        let waits = |meta: &&TableMeta| meta.properties.tombstones + meta.properties.expiring > 0;
        let metas = inputs.iter().map(|table| table.meta()).filter(waits);
        self.written_ms = metas.map(|meta| meta.written_ms).min().unwrap_or(0);
        match self.merge(inputs) {
            Ok(()) => Ok((self.written, self.entries_dropped)),
            Err(e) => {
                let open = self.builder.take().map(|(id, _)| id);
                for id in open.into_iter().chain(self.written.iter().map(|meta| meta.id)) {
                    self.store.remove(FileKind::Table(id));
                }
                Err(e)
            }
        }
    }

    fn merge(&mut self, inputs: &[Arc<Table>]) -> Result<()> {
        // In this order: a backup that is being made holds a snapshot until it is among those followed.
        let snapshots = self.store.snapshots.seqs();
        let kept_after = self.store.followed.deletes_kept_after();
        let mut retention = Retention::new(snapshots).keeping_deletes_after(kept_after);
        let mut merge = Merge::new(self.sources(inputs));
        merge.seek_first()?;
        let (mut last_key, mut is_version) = (Vec::new(), false);
        while let Some(entry) = merge.entry() {
            if self.entries_read.is_multiple_of(LOOK_EVERY) {
                self.check_wanted()?;
            }
            self.entries_read += 1;
            let is_expired = self.is_expired(entry);
            let is_lowest = || self.is_lowest(entry.key);
            let fate = retention.fate(entry, is_version, is_expired, is_lowest);
            let kept = match fate {
                Fate::Keep => Some(entry),
                Fate::Bury => Some(EntryRef { kind: EntryKind::Delete, payload: b"", ..entry }),
                Fate::Drop => None,
            };
            match kept {
                Some(entry) => self.add(entry, &mut last_key)?,
                None => self.entries_dropped += 1,
            }
            is_version = merge.next()?.is_version;
        }
        self.finish_table()
    }

    /// One source for each table of level 0, and one for all tables of another level, which
    /// has one of them open at a time (INV-4).
    fn sources(&self, inputs: &[Arc<Table>]) -> Vec<Concat<Streams>> {
        let (upper, lower) = inputs.split_at(self.job.upper.len().min(inputs.len()));
        let of = |level: Level, tables: &[Arc<Table>]| -> Vec<Concat<Streams>> {
            let size = if level == Level::ZERO { 1 } else { tables.len().max(1) };
            tables.chunks(size).map(|tables| Concat::new(Streams(tables.to_vec()))).collect()
        };
        let mut sources = of(self.job.from, upper);
        sources.extend(of(self.job.to, lower));
        sources
    }

    fn check_wanted(&self) -> Result<()> {
        self.store.health.check_sound()?;
        self.store.health.check_open()?;
        if self.store.views.is_stopped() { Err(Error::Closed) } else { Ok(()) }
    }

    /// Whether the entry's time has passed long enough ago for it to go. As for a
    /// reader, that it has passed is noted: it must not come alive elsewhere.
    fn is_expired(&self, entry: EntryRef<'_>) -> bool {
        match entry.value() {
            Some((Some(expires_at_ms), _)) => {
                // By the time at which the job was chosen: should the clock step back
                // meanwhile, it would be chosen again for what it then left.
                let is_expired = expires_at_ms <= self.expired_until_ms;
                if is_expired {
                    self.store.expiry.raise(expires_at_ms);
                }
                is_expired
            }
            _ => false,
        }
    }

    /// Whether no table below the job's may hold `key`.
    fn is_lowest(&self, key: &[u8]) -> bool {
        let below = Level::all().filter(|level| *level > self.job.to);
        below.into_iter().all(|level| self.version.table_of(level, key).is_none())
    }

    fn add(&mut self, entry: EntryRef<'_>, last_key: &mut Vec<u8>) -> Result<()> {
        // All versions of a key in one table (INV-3). Level 0 is merged into one.
        let limit = self.store.options.table_bytes;
        let is_full = self.builder.as_ref().is_some_and(|(_, b)| b.size_bytes() >= limit);
        let is_wide = self.cuts.reach(entry.key);
        if (is_full || is_wide) && self.job.to != Level::ZERO && entry.key != last_key.as_slice() {
            self.finish_table()?;
        }
        if self.builder.is_none() {
            self.cuts.begin(entry.key);
            let home = &self.store.home;
            let id = TableId(home.draw_file_id().0);
            let options = TableOptions::from(&self.store.options);
            let fs = home.fs.as_ref();
            let mut builder = TableBuilder::create(fs, &home.dir, home.database, id, options)?;
            builder.set_written(self.written_ms);
            self.builder = Some((id, builder));
        }
        if let Some((_, builder)) = &mut self.builder {
            builder.add(entry)?;
        }
        last_key.clear();
        last_key.extend_from_slice(entry.key);
        Ok(())
    }

    fn finish_table(&mut self) -> Result<()> {
        let Some((id, builder)) = self.builder.take() else { return Ok(()) };
        let finished = builder.finish();
        if finished.is_err() {
            self.store.remove(FileKind::Table(id));
        }
        self.written.push(finished?);
        Ok(())
    }
}
