//! The log as the pipeline uses it: written by the leader, synced by whoever
//! needs it, with the position up to which it is durable.

use super::batch::BodyPlace;
use crate::error::{Error, Result};
use crate::format::codec::to_u64;
use crate::format::frame::FRAME_HEADER_SIZE;
use crate::format::{LogId, SeqNo};
use crate::fs::IoContext;
use crate::store::Store;
use crate::wal::{LogWriter, SyncTarget};
use crate::worker::on_panic;
use parking_lot::Mutex;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

#[derive(Debug)]
struct LogState {
    writer: LogWriter,
    /// The directory has an entry for each of the files.
    directory_synced: bool,
    /// When the first commit was written that no sync covers, by the clock's elapsed time.
    unsynced_since: Option<Duration>,
}

/// One frame's worth of work for [`Log::append`].
#[derive(Debug, Clone, Copy)]
pub struct Record<'a> {
    /// Sequence number of its first operation.
    pub first_seq: SeqNo,
    /// The encoded operations.
    pub body: &'a [u8],
    /// Their checksum.
    pub body_crc: u32,
}

/// A log file that was sealed by [`Log::switch`].
#[derive(Debug, Clone)]
pub struct Sealed {
    /// The file.
    pub log: LogId,
    /// Where it begins.
    pub base: u64,
    /// The file itself.
    pub file: SyncTarget,
    /// The one after it.
    pub next_log: LogId,
    /// Where that begins.
    pub next_base: u64,
    /// Its file.
    pub next_file: SyncTarget,
}

/// The log's end.
#[derive(Debug)]
pub struct Log {
    store: Arc<Store>,
    state: Mutex<LogState>,
    /// Held during a sync: one at a time, others wait for it and mostly find
    /// that it served them too.
    slot: Mutex<()>,
    /// Everything below this position is durable.
    durable: AtomicU64,
}

impl Log {
    /// Goes on with `writer`, whose file is durable up to its end, name included.
    #[must_use]
    pub fn new(store: Arc<Store>, writer: LogWriter) -> Self {
        let durable = AtomicU64::new(writer.end_position());
        let state = LogState { writer, directory_synced: true, unsynced_since: None };
        Log { store, state: Mutex::new(state), slot: Mutex::new(()), durable }
    }

    /// Goes on with `writer`, the first log file of this run, in the place of that of the last one.
    pub fn begin(&self, writer: LogWriter) {
        let mut state = self.state.lock();
        self.durable.store(writer.end_position(), Ordering::Release);
        *state = LogState { writer, directory_synced: true, unsynced_since: None };
    }

    /// True when the current file is full, sealed by a failed write, or would with
    /// another `bytes` be more than an open is to replay.
    pub fn wants_switch(&self, bytes: u64) -> bool {
        let options = &self.store.options;
        let LogState { writer, .. } = &*self.state.lock();
        let is_too_much = writer.file_bytes().saturating_add(bytes) > options.log_replay_bytes_max;
        writer.is_broken()
            || writer.file_bytes() >= options.log_file_limit()
            || (is_too_much && !writer.is_empty())
    }

    /// The file that is being written, and where in it its records end.
    pub fn written(&self) -> (LogId, u64) {
        let LogState { writer, .. } = &*self.state.lock();
        (writer.id(), writer.file_bytes())
    }

    /// The position after the last record.
    pub fn end_position(&self) -> u64 {
        self.state.lock().writer.end_position()
    }

    /// Writes `records` with one call, which the caller is about to sync or not; returns the position after
    /// them, and the place of the first one's body: those of the others follow, each with a frame's header before it.
    ///
    /// # Errors
    /// As [`LogWriter::write`].
    pub fn append<'a>(
        &self,
        records: impl Iterator<Item = Record<'a>>,
        is_synced: bool,
    ) -> Result<(u64, BodyPlace)> {
        let durable = self.durable.load(Ordering::Acquire);
        let mut state = self.state.lock();
        let before = state.writer.end_position();
        let place = BodyPlace {
            log: state.writer.id(),
            offset: state.writer.file_bytes() + to_u64(FRAME_HEADER_SIZE),
        };
        state.writer.expect_syncs(is_synced);
        for record in records {
            state.writer.add(record.first_seq.0, durable, record.body, record.body_crc)?;
        }
        state.writer.write()?;
        if state.unsynced_since.is_none() && self.store.options.interval().is_some() {
            state.unsynced_since = Some(self.store.home.clock.elapsed());
        }
        let end = state.writer.end_position();
        self.store.counters.log_written_bytes.add(end - before);
        Ok((end, place))
    }

    /// Seals the current file and goes on in a new one.
    ///
    /// # Errors
    /// [`Error::Io`]: the current file stays, though perhaps it takes no more.
    pub fn switch(&self) -> Result<Sealed> {
        let home = &self.store.home;
        let mut state = self.state.lock();
        let next_base = state.writer.end_position();
        let created = LogWriter::create(
            home.fs.as_ref(),
            &home.dir,
            home.log_identity,
            LogId(home.draw_file_id().0),
            next_base,
            self.durable.load(Ordering::Acquire),
        );
        if let Err(Error::Io { op: "write", .. }) = &created {
            // The header may be on the disk all the same and, after a power
            // cut, in the directory: it says that the current file ends here.
            state.writer.seal();
        }
        let next = created?;
        let sealed = Sealed {
            log: state.writer.id(),
            base: state.writer.base(),
            file: state.writer.sync_target().clone(),
            next_log: next.id(),
            next_base,
            next_file: next.sync_target().clone(),
        };
        if self.durable.load(Ordering::Acquire) < next_base {
            let target = state.writer.sync_target().clone();
            self.store.unsynced_logs.push(sealed.log, target);
        }
        state.directory_synced = false;
        state.writer = next;
        Ok(sealed)
    }

    /// Makes everything that is written so far durable.
    ///
    /// # Errors
    /// [`Error::Poisoned`]: a sync failed, now or before.
    pub fn sync(&self) -> Result<()> {
        let end = self.state.lock().writer.end_position();
        self.sync_to(end)
    }

    /// Makes everything below `position` durable.
    ///
    /// # Errors
    /// [`Error::Poisoned`]: a sync failed, now or before.
    pub fn sync_to(&self, position: u64) -> Result<()> {
        if self.durable.load(Ordering::Acquire) >= position {
            return Ok(());
        }
        let _slot = self.slot.lock();
        if self.durable.load(Ordering::Acquire) >= position {
            return Ok(()); // The sync that we waited for served us too.
        }
        self.store.health.check_sound()?;
        // A panic would leave files that were taken off the list unsynced, and
        // the next sync would not know.
        let poison = |e| self.store.health.poison(e);
        on_panic(|e| drop(poison(e)), || self.sync_now()).map_err(poison)
    }

    /// Syncs, with the slot held.
    fn sync_now(&self) -> Result<()> {
        let begun = self.store.home.clock.elapsed();
        let (earlier, current, directory_synced, end) = {
            let mut state = self.state.lock();
            state.unsynced_since = None;
            let directory_synced = std::mem::replace(&mut state.directory_synced, true);
            (
                self.store.unsynced_logs.take(),
                state.writer.sync_target().clone(),
                directory_synced,
                state.writer.end_position(),
            )
        };
        // Files in order, so that what is durable is a prefix at any moment.
        for target in earlier.iter().chain([&current]) {
            target.sync()?;
            self.store.counters.log_syncs.add(1);
        }
        if !directory_synced {
            let home = &self.store.home;
            home.fs.sync_dir(&home.dir).during("sync", &home.dir)?;
        }
        self.durable.store(end, Ordering::Release);
        self.store.latencies.log_sync.record(self.store.since(begun));
        Ok(())
    }

    /// Under `SyncPolicy::Interval`: syncs if the oldest commit that no sync
    /// covers is older than the interval, so that a slow disk holds writers
    /// back instead of letting the window grow.
    ///
    /// # Errors
    /// As [`Log::sync`].
    pub fn hold_back(&self) -> Result<()> {
        let Some(interval) = self.store.options.interval() else { return Ok(()) };
        let since = self.state.lock().unsynced_since;
        match since {
            Some(since) if self.store.home.clock.elapsed().saturating_sub(since) > interval => {
                self.sync()
            }
            _ => Ok(()),
        }
    }
}
