//! Telling of what happens: the listener of the program, and the log of its diagnostics.

use super::Store;
use super::metrics::RecoveryReport;
use super::pressure::Drained;
use crate::counter::Counter;
use crate::error::{Error, Result};
use crate::event::{Event, Listener, StallReason};
use crate::format::Level;
use crate::worker::caught;
use log::{error, info, warn};
use std::path::Path;
use std::time::Duration;

/// Who is told of events.
#[derive(Debug, Default)]
pub struct Observer {
    listener: Option<Listener>,
    /// Panics in it.
    pub listener_panics: Counter,
}

impl Observer {
    /// Tells `listener`, if there is one.
    #[must_use]
    pub fn new(listener: Option<Listener>) -> Self {
        Observer { listener, listener_panics: Counter::default() }
    }

    /// Logs `event` and tells the listener. A panic in the program's code, be it in its
    /// listener or in its logger, ends here: it is no reason to stop a flush.
    pub fn emit(&self, event: &Event) {
        self.guard(|| log_event(event));
        if let Some(listener) = &self.listener
            && let Some(message) = self.guard(|| listener.tell(event))
        {
            self.guard(|| error!(target: "esker::listener", "the listener panicked: {message}"));
        }
    }

    /// Calls the program's code; its panic is counted, and returned as its message.
    fn guard(&self, act: impl FnOnce()) -> Option<String> {
        let message = caught(act).err()?;
        self.listener_panics.add(1);
        Some(message)
    }
}

impl Store {
    /// Tells of `event`.
    pub fn emit(&self, event: &Event) {
        self.observer.emit(event);
    }

    /// Has a writer wait for `reason`, and tells of it.
    pub fn stall<T>(&self, reason: StallReason, wait: impl FnOnce() -> T) -> T {
        self.counters.stalls.add(1);
        let begun = self.home.clock.elapsed();
        self.emit(&Event::StallBegan { reason });
        let waited = wait();
        let duration = self.since(begun);
        self.latencies.stall.record(duration);
        self.emit(&Event::StallEnded { reason, duration });
        waited
    }

    /// Takes the debt anew, after the tables or the memtables have changed; `drained`
    /// has just gone.
    pub fn measure_pressure(&self, drained: Drained) {
        let view = self.views.load();
        let (now, space) = (self.home.clock.elapsed(), self.space(&view.version));
        let tables = view.version.level(Level::ZERO).len();
        self.pressure.measure(now, tables, view.sealed.len(), drained);
        self.pressure.measure_space(now, space, drained.space_bytes);
    }

    /// For a leader, before its group is written, `of` so many bytes in all and of large values: sleeps
    /// for as long as the debt asks for, see [`super::Pressure::pay`].
    #[inline]
    pub fn pay_for(&self, of: impl FnOnce() -> (u64, u64)) {
        if self.pressure.is_limited() {
            let (bytes, value_bytes) = of();
            self.pay(bytes, value_bytes);
        }
    }

    #[cold]
    fn pay(&self, bytes: u64, value_bytes: u64) {
        let begun = self.home.clock.elapsed();
        let mut has_slept = false;
        self.pressure.pay(bytes, value_bytes, |step| {
            if self.health.check_open().and_then(|()| self.health.check_sound()).is_err() {
                return None;
            }
            has_slept = true;
            let begun = self.home.clock.elapsed();
            std::thread::sleep(step);
            Some(self.since(begun))
        });
        if has_slept {
            self.latencies.delay.record(self.since(begun));
        }
    }

    /// The time since `begun`, by the clock's elapsed time.
    #[inline]
    pub fn since(&self, begun: Duration) -> Duration {
        self.home.clock.elapsed().saturating_sub(begun)
    }

    /// Logs what `open` found.
    pub fn log_opened(&self, report: &RecoveryReport) {
        let dir = self.home.dir.display();
        let tables = self.views.load().version.tables().count();
        let (replayed, files) = (report.batches_replayed, report.log_files);
        info!(
            target: "esker::open",
            tables, batches_replayed = replayed, log_files = files,
            files_removed = report.files_removed;
            "opened {dir}: {tables} tables, {replayed} batches replayed from {files} log files"
        );
        if let Some((name, offset)) = &report.log_cut_at {
            let bytes = report.log_cut_bytes;
            warn!(
                target: "esker::open",
                log_cut_bytes = bytes, offset = *offset;
                "{dir}: the log ends in a torn tail: {bytes} bytes cut off, at {offset} of {name}"
            );
        }
    }

    /// Logs how `close` went.
    pub fn log_closed(&self, closed: &Result<()>) {
        let dir = self.home.dir.display();
        match closed {
            Ok(()) => info!(target: "esker::close", "closed {dir}"),
            Err(e) => warn!(
                target: "esker::close",
                "closed {dir}, but not all is written out; the next open recovers it: {e}"
            ),
        }
    }
}

/// Logs that a file could not be removed.
pub fn log_not_removed(path: &Path, e: &std::io::Error) {
    let path = path.display();
    warn!(target: "esker::files", "could not remove {path}, the next open tries again: {e}");
}

fn log_event(event: &Event) {
    match event {
        Event::FlushBegan { .. } | Event::FlushDone { .. } | Event::FlushFailed { .. } => {
            log_flush(event);
        }
        Event::CompactionBegan { .. }
        | Event::CompactionDone { .. }
        | Event::CompactionFailed { .. } => log_compaction(event),
        Event::CollectionDone { files, written_bytes, freed_bytes } => info!(
            target: "esker::gc",
            files = *files, written_bytes = *written_bytes, freed_bytes = *freed_bytes;
            "collected {files} files of values, {freed_bytes} bytes freed, {written_bytes} written"
        ),
        Event::CollectionFailed { error, will_retry } => {
            log_failure("esker::gc", error, *will_retry);
        }
        Event::ScrubDone { .. } | Event::ScrubFailed { .. } => log_scrub(event),
        Event::StallBegan { reason } => {
            warn!(target: "esker::stall", "writers wait: {reason}");
        }
        Event::StallEnded { duration, .. } => info!(
            target: "esker::stall", duration_us = us(*duration);
            "writers waited {duration:.1?}"
        ),
        Event::Poisoned { cause } => error!(
            target: "esker::health",
            "poisoned, nothing can be written until the next open: {cause}"
        ),
    }
}

fn log_flush(event: &Event) {
    match event {
        Event::FlushBegan { entries, memtable_bytes } => log::debug!(
            target: "esker::flush", entries = *entries, memtable_bytes = *memtable_bytes;
            "writing out a memtable of {entries} entries"
        ),
        Event::FlushDone { table_bytes, duration } => info!(
            target: "esker::flush", table_bytes = *table_bytes, duration_us = us(*duration);
            "wrote out a memtable, {table_bytes} bytes in {duration:.1?}"
        ),
        Event::FlushFailed { error, will_retry } => log_failure("esker::flush", error, *will_retry),
        _ => {}
    }
}

fn log_compaction(event: &Event) {
    match event {
        Event::CompactionBegan { from_level, to_level, tables, input_bytes } => log::debug!(
            target: "esker::compaction",
            from_level = *from_level, to_level = *to_level, tables = *tables,
            input_bytes = *input_bytes;
            "merging {tables} tables of {input_bytes} bytes from level {from_level} to {to_level}"
        ),
        Event::CompactionDone {
            from_level,
            to_level,
            tables_removed,
            tables_added,
            read_bytes,
            written_bytes,
            duration,
        } => info!(
            target: "esker::compaction",
            from_level = *from_level, to_level = *to_level, tables_removed = *tables_removed,
            tables_added = *tables_added, read_bytes = *read_bytes,
            written_bytes = *written_bytes, duration_us = us(*duration);
            "merged {tables_removed} tables into {tables_added}, level {from_level} to {to_level}, \
             {written_bytes} bytes in {duration:.1?}"
        ),
        Event::CompactionFailed { error, will_retry, .. } => {
            log_failure("esker::compaction", error, *will_retry);
        }
        _ => {}
    }
}

fn log_scrub(event: &Event) {
    match event {
        Event::ScrubDone { bytes, damages, first_damage: Some(e), .. } => error!(
            target: "esker::scrub", bytes = *bytes, damages = *damages;
            "verified {bytes} bytes, {damages} places are damaged, the first: {e}"
        ),
        Event::ScrubDone { bytes, duration, .. } => info!(
            target: "esker::scrub", bytes = *bytes, duration_us = us(*duration);
            "verified {bytes} bytes in {duration:.1?}, no damage"
        ),
        Event::ScrubFailed { error } => log_failure("esker::scrub", error, true),
        _ => {}
    }
}

fn log_failure(target: &str, e: &Error, will_retry: bool) {
    let next = if will_retry { "it is tried again" } else { "it is not tried again" };
    warn!(target: target, will_retry; "failed, {next}: {e}");
}

fn us(duration: Duration) -> u64 {
    u64::try_from(duration.as_micros()).unwrap_or(u64::MAX)
}
