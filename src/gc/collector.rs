//! The GC worker: picks files, copies what lives of them, puts that in force.

use super::copy::{Copied, Copier};
use super::pick::{Aim, pick};
use super::quiet::Quiet;
use crate::error::{Error, Result};
use crate::event::Event;
use crate::format::{FileKind, SegmentId};
use crate::options::Options;
use crate::store::{Catalog, Change, Store, Version, may_be_retried};
use crate::vlog::ValueFile;
use parking_lot::Mutex;
use std::collections::{HashMap, HashSet};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

/// How long the worker waits after a failure: it doubles from the first to the last.
const PAUSE_MIN: Duration = Duration::from_millis(50);
const PAUSE_MAX: Duration = Duration::from_secs(2);

/// How often the worker looks whether it is time, where nothing changes.
const TICK: Duration = Duration::from_millis(500);

/// A file that could not be read so often is taken for damaged.
const READ_FAILURES_MAX: u32 = 5;

/// From which part of garbage on files are collected when space is in danger, or somebody
/// asks for it, in percent.
const WORTH_PERCENT_MIN: u64 = 5;

/// What a collection did.
///
/// See the example of [`crate::Db::collect_garbage`].
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Collected {
    /// Files whose live values were written anew, or in which nothing lived.
    pub files: usize,
    /// Values that were copied.
    pub values: u64,
    /// Bytes that were written for it.
    pub written_bytes: u64,
    /// What the files with large values take less, in bytes.
    pub freed_bytes: u64,
}

impl Collected {
    fn add(&mut self, other: Collected) {
        self.files += other.files;
        self.values += other.values;
        self.written_bytes += other.written_bytes;
        self.freed_bytes += other.freed_bytes;
    }
}

/// Collects one lot of files after the other.
#[derive(Debug)]
pub struct Collector {
    store: Arc<Store>,
    catalog: Arc<Catalog>,
    /// Held during a collection: there is one at a time.
    work: Mutex<Work>,
}

#[derive(Debug, Default)]
struct Work {
    /// Files that turned out to be damaged.
    damaged: HashSet<FileKind>,
    /// How often a file could not be read.
    read_failures: HashMap<FileKind, u32>,
    /// When all files were looked at last, by the clock's elapsed time.
    looked_at: Duration,
    /// Whether little is written lately.
    quiet: Quiet,
    /// Since a collection failed that only quiet was the reason for, there is none of these before that.
    rests_until: Duration,
    /// A change that the manifest would not take yet. Its edit may stand in the manifest all
    /// the same, should the process die now: so the file that it names stays.
    pending: Option<(Change, Collected)>,
}

impl Collector {
    /// Works for `store`, whose segments are those of `catalog`.
    #[must_use]
    pub fn new(store: Arc<Store>, catalog: Arc<Catalog>) -> Self {
        Collector { store, catalog, work: Mutex::default() }
    }

    /// Works until told to end (`Views::stop`) or until the database is poisoned.
    pub fn run(&self) {
        let mut pause = PAUSE_MIN;
        loop {
            let version = Arc::downgrade(&self.store.views.load().version);
            let done = self.step();
            self.store.remove_discarded();
            let is_over = match done {
                Ok(Some(_)) => {
                    pause = PAUSE_MIN;
                    self.store.views.is_stopped()
                }
                Ok(None) => self.store.views.wait_for_change(&version, TICK),
                Err(Error::Poisoned { .. } | Error::Closed) => true,
                Err(Error::Corruption { .. }) => self.store.views.is_stopped(),
                Err(_) => {
                    let is_over = self.store.views.pause(pause);
                    pause = PAUSE_MAX.min(pause * 2);
                    is_over
                }
            };
            if is_over {
                return;
            }
        }
    }

    /// Does what is to be done now, in the caller's thread: how it works where there are no
    /// threads. After a failure the next call goes on.
    pub fn run_inline(&self) {
        if self.store.options.auto_compaction {
            while let Ok(Some(_)) | Err(Error::Corruption { .. }) = self.step() {}
            self.store.remove_discarded();
        }
    }

    /// Collects all files that are garbage for a twentieth or more.
    ///
    /// # Errors
    /// [`Error::Corruption`], where other files were collected all the same;
    /// [`Error::Io`], [`Error::Poisoned`], [`Error::Closed`].
    pub fn collect(&self) -> Result<Collected> {
        let mut all = Collected::default();
        let mut damage = None;
        loop {
            match self.step_with(0, Some(WORTH_PERCENT_MIN.min(self.worthwhile()))) {
                Ok(Some(collected)) => all.add(collected),
                Ok(None) => break,
                Err(e @ Error::Corruption { .. }) => damage = damage.or(Some(e)),
                Err(e) => return Err(e),
            }
        }
        self.store.remove_discarded();
        damage.map_or(Ok(all), Err)
    }

    /// Whether nothing is worth a collection, and nothing will be until tables change: what expires is in one that will.
    #[must_use]
    pub fn is_settled(&self) -> bool {
        let version = Arc::clone(&self.store.views.load().version);
        // The least that is collected where the space is in danger.
        let garbage_percent = WORTH_PERCENT_MIN.min(self.worthwhile());
        let aim = Aim { garbage_percent, live_bytes_max: u64::MAX, left_alone: &HashSet::new() };
        !self.store.options.auto_compaction || pick(&version.segments().files(), &aim).is_empty()
    }

    /// Waits for the end of the collection at hand, if there is one.
    pub fn wait(&self) {
        drop(self.work.lock());
    }

    fn worthwhile(&self) -> u64 {
        u64::from(self.store.options.value_garbage_percent)
    }

    /// One collection of the worker: what is due by the clock, because of the space, or because nobody is in its way.
    fn step(&self) -> Result<Option<Collected>> {
        let Options { value_gc_interval, value_gc_bytes_per_second, .. } = self.store.options;
        if self.store.space(&self.store.views.load().version).is_in_danger() {
            let percent = WORTH_PERCENT_MIN.min(self.worthwhile());
            return self.step_with(0, Some(percent));
        }
        let now = self.store.home.clock.elapsed();
        let mut work = self.work.lock();
        let is_time = now.saturating_sub(work.looked_at) >= value_gc_interval;
        let is_quiet = work.quiet.is_quiet(now, self.store.counters.user_bytes.get())
            && now >= work.rests_until;
        drop(work);
        let percent = (is_time || is_quiet).then(|| self.worthwhile());
        let done = self.step_with(value_gc_bytes_per_second, percent);
        match done {
            Ok(None) if is_time => self.work.lock().looked_at = now,
            // What is damaged is left alone, and others are collected meanwhile.
            Err(Error::Corruption { .. } | Error::UnsupportedFormat { .. }) => {}
            // Nobody needs it, and what failed may fail again and again.
            Err(_) if is_quiet => {
                self.work.lock().rests_until = now.saturating_add(value_gc_interval)
            }
            _ => {}
        }
        done
    }

    /// Collects one lot, of files with as much garbage as `percent` says; `None`: only what goes whole.
    fn step_with(&self, pace: u64, percent: Option<u64>) -> Result<Option<Collected>> {
        let work = &mut *self.work.lock();
        self.store.health.check_sound()?;
        self.store.health.check_open()?;
        if let Some((change, collected)) = work.pending.take() {
            return self.apply(change, collected, work).map(Some);
        }
        let version = Arc::clone(&self.store.views.load().version);
        if !work.damaged.is_empty() {
            // A restore may have replaced them.
            let files = version.segments().files();
            work.damaged.retain(|file| files.contains_key(file));
        }
        let expired = self.expired(&version);
        if !expired.is_empty() {
            return self.drop_expired(&version, expired, work).map(Some);
        }
        let Some(garbage_percent) = percent else { return Ok(None) };
        let live_bytes_max = self.store.options.log_file_bytes;
        let aim = Aim { garbage_percent, live_bytes_max, left_alone: &work.damaged };
        let picked = pick(&version.segments().files(), &aim);
        if picked.is_empty() {
            return Ok(None);
        }
        self.collect_files(&version, &picked, pace, work).map(Some)
    }

    fn collect_files(
        &self,
        version: &Version,
        picked: &[FileKind],
        pace: u64,
        work: &mut Work,
    ) -> Result<Collected> {
        let begun = self.store.home.clock.elapsed();
        let files = files_of(version, picked);
        let copy = || Copier::new(&self.store, version, pace)?.run(&files);
        let copied = copy()
            .or_else(|e| if self.store.give_up_reserve(&e) { copy() } else { Err(e) })
            .map_err(|e| {
                leave_alone(&files, &e, work);
                self.failed(e)
            })?;
        let Copied { segments, written_bytes, values } = copied;
        let bytes = version.segments().files();
        let picked_bytes = picked.iter().filter_map(|file| bytes.get(file));
        let freed_bytes = picked_bytes.map(|b| b.stored_bytes.saturating_sub(b.live_bytes)).sum();
        let collected = Collected { files: files.len(), values, written_bytes, freed_bytes };
        let worked_out_on = Some(version.restores());
        let change = Change { segments, worked_out_on, ..Change::default() };
        let done = self.apply(change, collected, work)?;
        self.store.latencies.collection.record(self.store.since(begun));
        Ok(done)
    }

    /// Segments all of whose values have expired long enough ago.
    fn expired(&self, version: &Version) -> Vec<SegmentId> {
        let store = &self.store;
        let retention = store.options.expired_retention.as_millis();
        let retention_ms = u64::try_from(retention).unwrap_or(u64::MAX);
        let now_ms = store.home.clock.now_ms().max(store.expiry.get());
        let until_ms = now_ms.saturating_sub(retention_ms);
        let is_over = |ms: u64| ms > 0 && ms <= until_ms;
        let segments = version.segments().iter();
        segments.filter(|s| is_over(s.meta.largest_expiry_ms)).map(|s| s.meta.id).collect()
    }

    fn drop_expired(
        &self,
        version: &Version,
        segments_dropped: Vec<SegmentId>,
        work: &mut Work,
    ) -> Result<Collected> {
        let mut collected = Collected::default();
        for segment in segments_dropped.iter().filter_map(|id| version.segments().get(*id)) {
            // Entries still point there: they must not come alive again. With the edit the floor
            // is durable.
            self.store.expiry.raise(segment.meta.largest_expiry_ms);
        }
        let goes = |file: &FileKind| {
            let mut segments = version.segments().iter().filter(|s| s.meta.file() == *file);
            segments.all(|s| segments_dropped.contains(&s.meta.id))
        };
        // Where others live in the same file, its room is given back once that is collected.
        for (_, bytes) in version.segments().files().iter().filter(|(file, _)| goes(file)) {
            collected.files += 1;
            collected.freed_bytes += bytes.stored_bytes;
        }
        let worked_out_on = Some(version.restores());
        let change = Change { segments_dropped, worked_out_on, ..Change::default() };
        self.apply(change, collected, work)
    }

    fn apply(&self, change: Change, collected: Collected, work: &mut Work) -> Result<Collected> {
        self.catalog.apply(change.clone()).map_err(|e| {
            if may_be_retried(&e) {
                work.pending = Some((change, collected));
            }
            self.failed(e)
        })?;
        let counters = &self.store.counters;
        counters.collections.add(1);
        counters.collection_written_bytes.add(collected.written_bytes);
        counters.collection_freed_bytes.add(collected.freed_bytes);
        self.store.pressure.set_collection_hindered(!work.damaged.is_empty());
        let Collected { files, written_bytes, freed_bytes, .. } = collected;
        self.store.emit(&Event::CollectionDone { files, written_bytes, freed_bytes });
        Ok(collected)
    }

    /// Counts a failure, and says what it means, as for a compaction.
    fn failed(&self, e: Error) -> Error {
        if !matches!(e, Error::Closed) {
            self.store.counters.collection_failures.add(1);
            self.store.give_up_reserve(&e);
            // Nobody waits for what may never come.
            self.store.pressure.set_collection_hindered(true);
            let will_retry = may_be_retried(&e);
            self.store.emit(&Event::CollectionFailed { error: e.clone(), will_retry });
        }
        match e {
            Error::Closed | Error::Corruption { .. } | Error::UnsupportedFormat { .. } => e,
            e if may_be_retried(&e) => e,
            e => self.store.poison(e),
        }
    }
}

fn files_of(version: &Version, picked: &[FileKind]) -> Vec<Arc<ValueFile>> {
    let find = |kind: &FileKind| {
        let mut segments = version.segments().iter();
        segments.find(|s| s.meta.file() == *kind).map(|s| Arc::clone(&s.file))
    };
    picked.iter().filter_map(find).collect()
}

/// Takes the file that turned out to be damaged out of what is collected; where it is a
/// table that is, all of these.
fn leave_alone(files: &[Arc<ValueFile>], e: &Error, work: &mut Work) {
    let of_path = |path: &Path| files.iter().find(|f| f.path() == path).map(|f| f.kind());
    match e {
        Error::Corruption { file, .. } | Error::UnsupportedFormat { file, .. } => {
            match of_path(file) {
                Some(kind) => drop(work.damaged.insert(kind)),
                None => work.damaged.extend(files.iter().map(|f| f.kind())),
            }
        }
        // It may be a mood of the disk; or a sector that is bad for good, and then the same
        // file would be the first to be picked again and again.
        Error::Io { path, .. } => {
            if let Some(kind) = of_path(path) {
                let failures = work.read_failures.entry(kind).or_insert(0);
                *failures += 1;
                if *failures >= READ_FAILURES_MAX {
                    work.damaged.insert(kind);
                }
            }
        }
        _ => {}
    }
}
