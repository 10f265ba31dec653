//! One verification under way: what it counts, whom it tells, and its pace.

use super::report::{Finding, VerifyOptions, VerifyProgress, VerifyReport};
use crate::error::Error;
use crate::format::{EntryRef, SegmentId};
use crate::fs::{Inspected, Inspector, Stop};
use crate::store::{Store, View};
use crate::table::TableInspector;
use std::collections::{BTreeMap, HashSet};
use std::ops::ControlFlow;
use std::path::PathBuf;
use std::time::Duration;

/// No more findings than this are listed: each takes memory, and a disk of zeros has one for each block.
const FINDINGS_MAX: usize = 10_000;

/// After how many bytes whoever asked for progress is told of it.
const TELL_EVERY_BYTES: u64 = 1 << 20;

/// Less than this is owed on, and no sleep is longer than the other, for the sake of a
/// database that is to be closed.
const SLEEP_MIN: Duration = Duration::from_millis(5);
const SLEEP_MAX: Duration = Duration::from_millis(100);

/// A verification under way.
pub struct Inspection<'a> {
    store: &'a Store,
    view: &'a View,
    options: VerifyOptions,
    progress: &'a mut dyn FnMut(VerifyProgress) -> ControlFlow<()>,
    bytes_in_all: u64,
    begun: Duration,
    /// When this many bytes are done, `progress` is called again.
    tell_at: u64,
    places: HashSet<(PathBuf, u64)>,
    /// Stored bytes of values that tables point to, by segment.
    pub counted: BTreeMap<SegmentId, u64>,
    /// Why it was told to stop; `None`: it was cancelled.
    pub stopped_by: Option<Error>,
    pub report: VerifyReport,
}

impl<'a> Inspection<'a> {
    /// Of what `view` has, some `bytes_in_all` together.
    pub fn new(
        store: &'a Store,
        view: &'a View,
        options: VerifyOptions,
        bytes_in_all: u64,
        progress: &'a mut dyn FnMut(VerifyProgress) -> ControlFlow<()>,
    ) -> Self {
        Inspection {
            store,
            view,
            options,
            progress,
            bytes_in_all,
            begun: store.home.clock.elapsed(),
            tell_at: 0,
            places: HashSet::new(),
            counted: BTreeMap::new(),
            stopped_by: None,
            report: VerifyReport::default(),
        }
    }

    /// Tells how far it has come.
    pub fn tell_progress(&mut self) -> Inspected {
        let VerifyReport { bytes, damages, .. } = self.report;
        let bytes_in_all = self.bytes_in_all.max(bytes);
        let progress = VerifyProgress { bytes_done: bytes, bytes_in_all, damages };
        match (self.progress)(progress) {
            ControlFlow::Continue(()) => Ok(()),
            ControlFlow::Break(()) => Err(Stop),
        }
    }

    /// Notes a finding, unless that place has one.
    pub fn find(&mut self, finding: Finding) {
        if self.places.len() < FINDINGS_MAX
            && !self.places.insert((finding.file.clone(), finding.offset))
        {
            return;
        }
        self.report.damages += u64::from(finding.is_damage());
        if self.report.findings.len() < FINDINGS_MAX {
            self.report.findings.push(finding);
        }
    }

    /// The time since it began.
    pub fn duration(&self) -> Duration {
        self.store.since(self.begun)
    }

    /// Sleeps for what the pace asks for, or a part of it: the rest is owed on.
    fn keep_pace(&mut self) -> Inspected {
        let rate = self.options.bytes_per_second;
        if rate == 0 {
            return Ok(());
        }
        let due = Duration::from_secs_f64(self.report.bytes as f64 / rate as f64);
        let ahead = due.saturating_sub(self.duration());
        if ahead >= SLEEP_MIN && self.store.views.pause(ahead.min(SLEEP_MAX)) {
            self.stopped_by = Some(Error::Closed);
            return Err(Stop);
        }
        Ok(())
    }

    fn check_open(&mut self) -> Inspected {
        self.store.health.check_open().map_err(|e| {
            self.stopped_by = Some(e);
            Stop
        })
    }
}

impl Inspector for Inspection<'_> {
    fn pass(&mut self, bytes: u64) -> Inspected {
        self.report.bytes += bytes;
        self.check_open()?;
        if self.report.bytes >= self.tell_at {
            self.tell_at = self.report.bytes + TELL_EVERY_BYTES;
            self.tell_progress()?;
        }
        self.keep_pace()
    }

    fn tell(&mut self, e: Error) {
        self.find(Finding::of(e));
    }
}

impl TableInspector for Inspection<'_> {
    /// Follows the pointer of `entry`, if it has one.
    fn see(&mut self, entry: EntryRef<'_>) -> Inspected {
        self.report.entries += 1;
        let Some(pointer) = entry.pointer() else { return Ok(()) };
        *self.counted.entry(pointer.segment).or_default() += pointer.bytes();
        match self.view.version.segments().get(pointer.segment) {
            Some(segment) => {
                self.report.values += 1;
                if let Err(e) = segment.file.read(&pointer) {
                    self.tell(e);
                }
                self.pass(pointer.bytes())
            }
            // A segment goes before its entries where all of them have expired.
            None if entry.expiry_ms().is_some_and(|ms| self.store.is_expired(ms)) => Ok(()),
            None => {
                self.tell(self.view.missing_segment(&pointer));
                Ok(())
            }
        }
    }
}
