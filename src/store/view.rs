//! What a reader pins: the memtables and a version.

use super::generation::Generation;
use super::version::Version;
use crate::error::{Error, Result};
use crate::format::{FileKind, LogId, SeqNo, ValueFileId, ValuePointer};
use crate::memtable::Memtable;
use crate::vlog::{ReadAhead, ValueFile};
use crate::wal::SyncTarget;
use arc_swap::{ArcSwap, Guard};
use parking_lot::{Condvar, Mutex};
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

/// How often [`Views::wait_while`] looks by itself.
const LOOK_AGAIN: Duration = Duration::from_millis(50);

/// A memtable that takes no more entries and waits to be written out.
#[derive(Debug)]
pub struct SealedMemtable {
    /// The memtable. Commits up to `last_seq` may still be on their way into it.
    pub memtable: Arc<Memtable>,
    /// No entry of it is newer.
    pub last_seq: SeqNo,
    /// The log file with the same content.
    pub log: LogId,
    /// The log position at which that begins.
    pub base: u64,
    /// The log file that followed.
    pub next_log: LogId,
    /// The log position at which that begins.
    pub next_base: u64,
    /// The log file as readers have it: values of the memtable may be there.
    pub values: Arc<ValueFile>,
    /// The log file, to be synced before it becomes a segment. Not kept longer: readers pin
    /// this memtable.
    pub log_file: Mutex<Option<SyncTarget>>,
    /// The file of the log that followed, until its header has been made durable for the edit
    /// that names it. Not kept longer: readers pin this memtable.
    pub next_file: Mutex<Option<SyncTarget>>,
}

/// Everything that a read looks at.
#[derive(Debug)]
pub struct View {
    /// Takes the writes.
    pub active: Arc<Memtable>,
    /// Its log file: values of it may be there.
    pub active_values: Arc<ValueFile>,
    /// Waiting to be written out, newest first.
    pub sealed: Vec<Arc<SealedMemtable>>,
    /// The tables.
    pub version: Arc<Version>,
    /// What it is a view of.
    pub generation: Arc<Generation>,
}

#[derive(Debug, Default)]
struct Progress {
    /// Why the flush worker cannot go on at the moment.
    failing: Option<Error>,
    /// The flush worker has ended, or is about to.
    stopped: bool,
}

impl View {
    /// What who holds `generation` reads from: this one if it is of it, else the last that was.
    #[must_use]
    #[inline]
    pub fn of<'a>(&'a self, generation: &'a Arc<Generation>) -> &'a View {
        match generation.last_view() {
            Some(last) if !Arc::ptr_eq(&self.generation, generation) => last,
            _ => self,
        }
    }

    /// Fills `into` with the value to which `pointer` leads, as it is stored, checked.
    ///
    /// # Errors
    /// [`Error::Corruption`], [`Error::Io`].
    pub fn read_stored(&self, pointer: &ValuePointer, into: &mut [u8]) -> Result<()> {
        self.value_file(pointer)?.read_stored_into(pointer, into)
    }

    /// The value to which `pointer` leads, encoded as an entry of this view holds it.
    ///
    /// # Errors
    /// [`Error::Corruption`], [`Error::Io`].
    pub fn read_value(&self, pointer: &[u8]) -> Result<Vec<u8>> {
        let pointer = decoded(pointer);
        self.value_file(&pointer)?.read(&pointer)
    }

    /// The same for a walk, which `ahead` goes with; and how many bytes were read for it.
    ///
    /// # Errors
    /// Likewise.
    pub fn read_value_ahead(
        &self,
        pointer: &[u8],
        ahead: &mut ReadAhead,
    ) -> Result<(Vec<u8>, u64)> {
        let pointer = decoded(pointer);
        ahead.read(self.value_file(&pointer)?, &pointer)
    }

    /// Has the system begin to fetch the value at `pointer`.
    pub fn will_need(&self, pointer: &ValuePointer) {
        // Damage is told when the value is read.
        if let Ok(file) = self.value_file(pointer) {
            file.will_need(pointer);
        }
    }

    fn value_file(&self, pointer: &ValuePointer) -> Result<&Arc<ValueFile>> {
        if let Some(segment) = self.version.segments().get(pointer.segment) {
            return Ok(&segment.file);
        }
        let sealed = self.sealed.iter().map(|sealed| &sealed.values);
        let logs = std::iter::once(&self.active_values).chain(sealed);
        logs.into_iter()
            .find(|log| log.own_segment() == pointer.segment)
            .ok_or_else(|| self.missing_segment(pointer))
    }

    /// Whether there is a file with the segment of `pointer`. There is, but for one that is gone because all in it
    /// had expired.
    #[must_use]
    pub fn has_segment(&self, pointer: &ValuePointer) -> bool {
        self.value_file(pointer).is_ok()
    }

    /// What it means that nothing has the segment of `pointer`.
    #[must_use]
    pub fn missing_segment(&self, pointer: &ValuePointer) -> Error {
        let ValuePointer { segment, offset, .. } = pointer;
        let file = FileKind::Values(ValueFileId(segment.0)).name();
        let detail = format!("an entry points to segment {segment}, of which there is no file");
        Error::corruption(&self.active_values.path().with_file_name(file), *offset, detail)
    }
}

/// The pointer that an entry holds.
#[inline]
fn decoded(pointer: &[u8]) -> ValuePointer {
    ValuePointer::decode(pointer).expect("an entry was checked when it was read")
}

/// The view in force, and the queue from rotation to flush that it contains.
#[derive(Debug)]
pub struct Views {
    current: ArcSwap<View>,
    progress: Mutex<Progress>,
    changed: Condvar,
    /// As in `progress`, for a look without the lock.
    stopped: AtomicBool,
    /// When the active memtable became that, in nanoseconds of the clock's elapsed time.
    active_since_ns: AtomicU64,
}

impl Views {
    /// Starts with `active`, whose log file is `active_values`, and `version`.
    #[must_use]
    pub fn new(active: Arc<Memtable>, active_values: Arc<ValueFile>, version: Version) -> Self {
        let version = Arc::new(version);
        let generation = Arc::default();
        Views::of(View { active, active_values, sealed: Vec::new(), version, generation })
    }

    /// Starts with `view`.
    #[must_use]
    pub fn of(view: View) -> Self {
        Views {
            current: ArcSwap::from_pointee(view),
            progress: Mutex::default(),
            changed: Condvar::new(),
            stopped: AtomicBool::new(false),
            active_since_ns: AtomicU64::new(0),
        }
    }

    /// The view in force, for a short look.
    #[inline]
    pub fn load(&self) -> Guard<Arc<View>> {
        self.current.load()
    }

    /// The view in force, for as long as wanted.
    pub fn pin(&self) -> Arc<View> {
        self.current.load_full()
    }

    /// Seals the active memtable and puts `active`, with its log file, in its place.
    /// `sealed` makes the entry for the queue out of the memtable. `now`: the
    /// clock's elapsed time.
    pub fn rotate(
        &self,
        now: Duration,
        active: Arc<Memtable>,
        active_values: Arc<ValueFile>,
        sealed: impl FnOnce(Arc<Memtable>, Arc<ValueFile>) -> SealedMemtable,
    ) {
        let _progress = self.progress.lock();
        let old = self.pin();
        let sealed = sealed(Arc::clone(&old.active), Arc::clone(&old.active_values));
        let sealed = Arc::new(sealed);
        let sealed = std::iter::once(sealed).chain(old.sealed.iter().cloned()).collect();
        let (version, generation) = (Arc::clone(&old.version), Arc::clone(&old.generation));
        let now_ns = u64::try_from(now.as_nanos()).unwrap_or(u64::MAX);
        self.active_since_ns.store(now_ns, Ordering::Relaxed);
        let view = View { active, active_values, sealed, version, generation };
        self.current.store(Arc::new(view));
        self.changed.notify_all();
    }

    /// Begins with `active` and its log file, in the place of those of the last run, in which nothing is. Both at once: who
    /// still reads in the view before knows of no file for values of this run, and must not find entries that point there.
    pub fn begin(&self, active: Arc<Memtable>, active_values: Arc<ValueFile>) {
        let _progress = self.progress.lock();
        let old = self.pin();
        let sealed = old.sealed.clone();
        let (version, generation) = (Arc::clone(&old.version), Arc::clone(&old.generation));
        let view = View { active, active_values, sealed, version, generation };
        self.current.store(Arc::new(view));
        self.changed.notify_all();
    }

    /// When the active memtable became that, by the clock's elapsed time.
    pub fn active_since(&self) -> Duration {
        Duration::from_nanos(self.active_since_ns.load(Ordering::Relaxed))
    }

    /// Puts `version` in force, and with it what it has in place of `flushed`.
    pub fn install(&self, flushed: Option<&Arc<SealedMemtable>>, version: Version) {
        let mut progress = self.progress.lock();
        let old = self.pin();
        let is_flushed = |s: &Arc<SealedMemtable>| flushed.is_some_and(|f| Arc::ptr_eq(s, f));
        let sealed = old.sealed.iter().filter(|s| !is_flushed(s)).cloned().collect();
        let active = Arc::clone(&old.active);
        let active_values = Arc::clone(&old.active_values);
        let (version, generation) = (Arc::new(version), Arc::clone(&old.generation));
        let view = View { active, active_values, sealed, version, generation };
        self.current.store(Arc::new(view));
        if flushed.is_some() {
            progress.failing = None;
        }
        self.changed.notify_all();
    }

    /// Puts `version` in force in place of everything but the active memtable, which must be empty, and
    /// begins a generation with it; returns the last view of the one before.
    pub fn replace(&self, version: Version) -> Arc<View> {
        let mut progress = self.progress.lock();
        let old = self.pin();
        let (active, active_values) = (Arc::clone(&old.active), Arc::clone(&old.active_values));
        // A copy, which does not hold the generation that holds it.
        old.generation.end(View {
            active: Arc::clone(&active),
            active_values: Arc::clone(&active_values),
            sealed: old.sealed.clone(),
            version: Arc::clone(&old.version),
            generation: Arc::default(),
        });
        let (version, generation) = (Arc::new(version), Arc::default());
        let view = View { active, active_values, sealed: Vec::new(), version, generation };
        // Whoever finds another generation in force finds the last view of its own (above).
        self.current.store(Arc::new(view));
        progress.failing = None;
        self.changed.notify_all();
        old
    }

    /// What who holds `generation` reads from.
    pub fn pin_of(&self, generation: &Arc<Generation>) -> Arc<View> {
        let view = self.pin();
        match generation.last_view() {
            Some(last) if !Arc::ptr_eq(&view.generation, generation) => Arc::clone(last),
            _ => view,
        }
    }

    /// Whether `sealed` still waits to be written out.
    pub fn is_wanted(&self, sealed: &Arc<SealedMemtable>) -> bool {
        self.load().sealed.iter().any(|other| Arc::ptr_eq(other, sealed))
    }

    /// Whether fewer than `sealed_max` memtables are sealed.
    pub fn has_room(&self, sealed_max: usize) -> bool {
        self.load().sealed.len() < sealed_max
    }

    /// Why waiting for the flush worker would not help, if it would not.
    ///
    /// # Errors
    /// As [`Views::wait_for_room`].
    pub fn check_flushing(&self) -> Result<()> {
        let progress = self.progress.lock();
        match &progress.failing {
            Some(e) => Err(e.clone()),
            None if progress.stopped => Err(Error::Closed),
            None => Ok(()),
        }
    }

    /// Waits until fewer than `sealed_max` memtables are sealed.
    ///
    /// # Errors
    /// As [`Views::wait_for_flushes`].
    pub fn wait_for_room(&self, sealed_max: usize) -> Result<()> {
        self.wait_for_flushes(|view| view.sealed.len() >= sealed_max)
    }

    /// Waits for the flush worker as long as `must_wait` says so of the view.
    ///
    /// # Errors
    /// What keeps the flush worker from going on: waiting longer would not
    /// help. [`Error::Closed`] when it has ended.
    pub fn wait_for_flushes(&self, must_wait: impl Fn(&View) -> bool) -> Result<()> {
        let mut progress = self.progress.lock();
        while must_wait(&self.load()) {
            if let Some(e) = &progress.failing {
                return Err(e.clone());
            }
            if progress.stopped {
                return Err(Error::Closed);
            }
            self.changed.wait(&mut progress);
        }
        Ok(())
    }

    /// Waits as long as `must_wait` says so. It is asked anew after each change, and
    /// every now and then: what it looks at may not be announced here.
    pub fn wait_while(&self, must_wait: impl Fn() -> bool) {
        let mut progress = self.progress.lock();
        while !progress.stopped && must_wait() {
            let _ = self.changed.wait_for(&mut progress, LOOK_AGAIN);
        }
    }

    /// Waits until every memtable sealed with `last_seq` or less is in a table.
    ///
    /// # Errors
    /// As [`Views::wait_for_room`].
    pub fn wait_until_flushed(&self, last_seq: SeqNo) -> Result<()> {
        self.wait_for_flushes(|view| view.sealed.iter().any(|sealed| sealed.last_seq <= last_seq))
    }

    /// For the flush worker: the oldest sealed memtable, once there is one.
    /// `None`: the worker is to end.
    pub fn next_to_flush(&self) -> Option<Arc<SealedMemtable>> {
        let mut progress = self.progress.lock();
        loop {
            if progress.stopped {
                return None;
            }
            if let Some(oldest) = self.load().sealed.last() {
                return Some(Arc::clone(oldest));
            }
            self.changed.wait(&mut progress);
        }
    }

    /// The oldest sealed memtable, if there is one and its flush is still wanted.
    pub fn oldest_sealed(&self) -> Option<Arc<SealedMemtable>> {
        let progress = self.progress.lock();
        if progress.stopped { None } else { self.load().sealed.last().cloned() }
    }

    /// Whether the workers are to end.
    pub fn is_stopped(&self) -> bool {
        self.stopped.load(Ordering::Relaxed)
    }

    /// For the compaction worker: waits until there is another version than
    /// `known`, for `limit` at most, or until it is to end; whether it is.
    pub fn wait_for_change(&self, known: &Weak<Version>, limit: Duration) -> bool {
        let mut progress = self.progress.lock();
        let deadline = std::time::Instant::now() + limit;
        while !progress.stopped && std::ptr::eq(Arc::as_ptr(&self.load().version), known.as_ptr()) {
            if self.changed.wait_until(&mut progress, deadline).timed_out() {
                break;
            }
        }
        progress.stopped
    }

    /// For the flush worker: tells those who wait for it that it met `e`.
    pub fn report_failure(&self, e: Error) {
        self.progress.lock().failing = Some(e);
        self.changed.notify_all();
    }

    /// For the flush worker: waits for `pause`, or until it is to end; whether it is.
    pub fn pause(&self, pause: Duration) -> bool {
        let mut progress = self.progress.lock();
        let deadline = std::time::Instant::now() + pause;
        while !progress.stopped {
            if self.changed.wait_until(&mut progress, deadline).timed_out() {
                break;
            }
        }
        progress.stopped
    }

    /// What keeps the flush worker from going on, if anything does.
    pub fn failure(&self) -> Option<Error> {
        self.progress.lock().failing.clone()
    }

    /// Ends the flush worker, and tells all who wait for it why.
    pub fn abort(&self, e: Error) {
        let mut progress = self.progress.lock();
        progress.failing = Some(e);
        progress.stopped = true;
        self.stopped.store(true, Ordering::Relaxed);
        self.changed.notify_all();
    }

    /// Tells the flush worker, and all who wait for it, to end.
    pub fn stop(&self) {
        self.progress.lock().stopped = true;
        self.stopped.store(true, Ordering::Relaxed);
        self.changed.notify_all();
    }
}
