//! Copying what lives of some files into one new file.

use super::live::{Candidate, live_pointer};
use crate::error::{Error, Result};
use crate::format::{FileKind, SegmentId, SegmentMeta, ValueFileId, ValuePointer};
use crate::fs::IoContext;
use crate::options::VALUE_THRESHOLD_MIN;
use crate::store::{Store, Version};
use crate::vlog::{Record, Records, ValueFile, ValueWriter};
use crate::wal::{LogValue, LogValues};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// How many records are gone through between two looks at whether to go on.
const LOOK_EVERY: u64 = 64;

/// Less than this is owed on: a sleep is not worth it.
const SLEEP_MIN: Duration = Duration::from_millis(5);

/// After as much sleep it looks whether there is still time for it.
const SLEEP_MAX: Duration = Duration::from_millis(100);

/// The places of one file, whatever its kind, where values were written.
enum Places {
    Log(LogValues, SegmentId),
    Records(Records),
}

impl Places {
    fn of(file: &ValueFile) -> Result<Self> {
        match file.kind() {
            FileKind::Log(id) => {
                let values = LogValues::new(file.file()?, file.path(), id)?;
                Ok(Places::Log(values, file.own_segment()))
            }
            _ => file.records().map(Places::Records),
        }
    }

    /// How many bytes were read up to now.
    fn read_bytes(&self) -> u64 {
        match self {
            Places::Log(values, _) => values.read_bytes(),
            Places::Records(records) => records.read_bytes(),
        }
    }

    /// The next place, and who is to be looked up for it; nobody where it is of a log and `is_wanted`, by length and
    /// whether it is in Snappy, is not for it.
    fn next(
        &mut self,
        is_wanted: impl Fn(usize, bool) -> bool,
    ) -> Result<Option<Option<Candidate>>> {
        match self {
            Places::Log(values, segment) => Ok(values.next_value()?.map(|value| {
                let LogValue { seq, offset, stored_bytes, is_compressed } = value;
                is_wanted(stored_bytes, is_compressed).then(|| Candidate {
                    key: values.key().to_vec(),
                    seq,
                    segment: *segment,
                    offset,
                })
            })),
            Places::Records(records) => Ok(records.next_record()?.map(|record| {
                let Record { key, seq, pointer, .. } = record;
                let ValuePointer { segment, offset, .. } = pointer;
                Some(Candidate { key, seq, segment, offset })
            })),
        }
    }
}

/// What comes of a copy.
#[derive(Debug)]
pub struct Copied {
    /// The segments, where they stand now.
    pub segments: Vec<(SegmentMeta, Arc<ValueFile>)>,
    /// Bytes written.
    pub written_bytes: u64,
    /// Values copied.
    pub values: u64,
}

/// Copies what lives of files of one version.
pub struct Copier<'a> {
    store: &'a Store,
    version: &'a Version,
    writer: ValueWriter,
    /// Stored bytes found alive, by segment.
    found: BTreeMap<SegmentId, u64>,
    records: u64,
    values: u64,
    /// How long a byte is to take; `None`: as long as it does.
    pace: Option<Pace>,
}

/// Keeps a collection from taking the disk from everybody else.
struct Pace {
    bytes_per_second: u64,
    begun: Duration,
    bytes: u64,
}

impl<'a> Copier<'a> {
    /// Into a new value file. `bytes_per_second`: how much is read and written in a second, 0 for
    /// as much as goes.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn new(store: &'a Store, version: &'a Version, bytes_per_second: u64) -> Result<Self> {
        let home = &store.home;
        let id = ValueFileId(home.draw_file_id().0);
        let writer = ValueWriter::create(home.fs.as_ref(), &home.dir, home.database, id);
        let writer = writer.inspect_err(|_| store.remove(FileKind::Values(id)))?;
        let begun = home.clock.elapsed();
        let pace = (bytes_per_second > 0).then_some(Pace { bytes_per_second, begun, bytes: 0 });
        let found = BTreeMap::new();
        Ok(Copier { store, version, writer, found, records: 0, values: 0, pace })
    }

    /// Copies `files`. What was written is removed again when that fails.
    ///
    /// # Errors
    /// [`Error::Corruption`] of a file, or of a table that is asked; [`Error::Io`];
    /// [`Error::Closed`] when the database is closed meanwhile.
    pub fn run(mut self, files: &[Arc<ValueFile>]) -> Result<Copied> {
        let (store, kind) = (self.store, FileKind::Values(self.writer.id()));
        let copied = files.iter().try_for_each(|file| self.copy(file));
        copied.and_then(|()| self.finish(files)).inspect_err(|_| store.remove(kind))
    }

    fn copy(&mut self, file: &Arc<ValueFile>) -> Result<()> {
        // The small values of a log stand in tables, and there are far more of these: each would be looked up
        // there, in vain. A threshold is that of its time: what is not among the large ones is among the others.
        let threshold = self.store.options.value_threshold;
        let is_large = |bytes: usize, is_compressed: bool| is_compressed || bytes >= threshold;
        self.copy_those(file, is_large)?;
        if is_log(file) && self.left_bytes(file) > 0 {
            self.copy_those(file, |bytes, is_compressed| {
                bytes >= VALUE_THRESHOLD_MIN && !is_large(bytes, is_compressed)
            })?;
        }
        self.check_found(file)
    }

    /// Copies what lives of `file`; of a log only such values as `is_wanted` is for, and up to the last that lives: no
    /// place comes twice there, so that what adds up to all that lives is all of it.
    fn copy_those(
        &mut self,
        file: &Arc<ValueFile>,
        is_wanted: impl Fn(usize, bool) -> bool,
    ) -> Result<()> {
        let mut left_bytes = self.left_bytes(file);
        let mut places = Places::of(file)?;
        let mut passed_bytes = 0;
        while (left_bytes > 0 || !is_log(file))
            && let Some(candidate) = places.next(&is_wanted)?
        {
            if self.records.is_multiple_of(LOOK_EVERY) {
                self.check_wanted()?;
            }
            self.records += 1;
            let read_bytes = places.read_bytes();
            self.keep_pace(read_bytes - passed_bytes)?;
            passed_bytes = read_bytes;
            let Some(candidate) = candidate else { continue };
            if let Some(pointer) = live_pointer(self.version, &candidate)? {
                let stored = file.read_stored(&pointer)?;
                let Candidate { key, seq, .. } = &candidate;
                self.writer.add_moved(key, *seq, pointer, &stored)?;
                *self.found.entry(pointer.segment).or_default() += pointer.bytes();
                self.values += 1;
                left_bytes = left_bytes.saturating_sub(pointer.bytes());
                self.keep_pace(2 * pointer.bytes())?;
            }
        }
        Ok(())
    }

    /// How many bytes of values that live in `file` have not been found.
    fn left_bytes(&self, file: &ValueFile) -> u64 {
        let segments = self.version.segments().iter().filter(|s| s.meta.file() == file.kind());
        let found = |id| self.found.get(&id).copied().unwrap_or(0);
        segments.map(|s| s.live_bytes.saturating_sub(found(s.meta.id))).sum()
    }

    /// INV-2: that as much was found of each segment of `file` as tables point to.
    fn check_found(&self, file: &ValueFile) -> Result<()> {
        let kind = file.kind();
        for segment in self.version.segments().iter().filter(|s| s.meta.file() == kind) {
            let found = self.found.get(&segment.meta.id).copied().unwrap_or(0);
            let live_bytes = segment.live_bytes;
            if found != live_bytes {
                let id = segment.meta.id;
                let detail = format!(
                    "tables point to {live_bytes} bytes of values of segment {id}, found {found}"
                );
                return Err(Error::corruption(file.path(), 0, detail));
            }
        }
        Ok(())
    }

    fn finish(self, files: &[Arc<ValueFile>]) -> Result<Copied> {
        let Copier { store, version, writer, found, values, .. } = self;
        let id = writer.id();
        let written_bytes = writer.finish()?;
        let home = &store.home;
        home.fs.sync_dir(&home.dir).during("sync", &home.dir)?;
        let file = store.open_values(FileKind::Values(id));
        let moved = version
            .segments()
            .iter()
            .filter(|segment| files.iter().any(|file| file.kind() == segment.meta.file()));
        let file_bytes = found.values().sum();
        let segments = moved.map(|segment| {
            let meta = SegmentMeta { moved_to: Some(id), file_bytes, ..segment.meta.clone() };
            (meta, Arc::clone(&file))
        });
        Ok(Copied { segments: segments.collect(), written_bytes, values })
    }

    fn check_wanted(&self) -> Result<()> {
        self.store.health.check_sound()?;
        self.store.health.check_open()?;
        if self.store.views.is_stopped() { Err(Error::Closed) } else { Ok(()) }
    }

    /// Waits until `bytes` more have had their time.
    fn keep_pace(&mut self, bytes: u64) -> Result<()> {
        if bytes == 0 {
            return Ok(());
        }
        let Some(pace) = &mut self.pace else { return Ok(()) };
        pace.bytes += bytes;
        let due = Duration::from_secs_f64(pace.bytes as f64 / pace.bytes_per_second as f64);
        let store = self.store;
        loop {
            let taken = store.home.clock.elapsed().saturating_sub(pace.begun);
            let ahead = due.saturating_sub(taken);
            // Space that comes to be short meanwhile is no time for patience.
            if ahead < SLEEP_MIN || store.space(&store.views.load().version).is_in_danger() {
                return Ok(());
            }
            if store.views.pause(ahead.min(SLEEP_MAX)) {
                return Err(Error::Closed);
            }
            // A clock that stands still must not keep us for ever.
            if store.home.clock.elapsed().saturating_sub(pace.begun) == taken {
                self.pace = None;
                return Ok(());
            }
        }
    }
}

fn is_log(file: &ValueFile) -> bool {
    matches!(file.kind(), FileKind::Log(_))
}
