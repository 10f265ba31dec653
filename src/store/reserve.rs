//! Room kept for the moment at which the disk is full.
//!
//! On a full disk a store without any cannot even delete: a tombstone takes log, and
//! compaction writes before it removes. So a file of real bytes, `RESERVE`, is kept, and
//! removed when a write finds no room. From then on commits with a set are refused, so
//! that what it gave is left to deletes, flushes and compaction, until it can be made again.
//!
//! The file is complete where it has its full length: the last bytes are written only after
//! all others are durable. One that is shorter, that is missing after a power cut, or whose
//! bytes are damaged does no harm: it is made again, or gives as much room as it takes.

use super::Store;
use super::observer::log_not_removed;
use crate::error::{Error, Result};
use crate::format::FileKind;
use crate::format::codec::{to_u64, to_usize};
use crate::fs::{Fs, IoContext, OpenMode, write_all_at};
use log::{info, warn};
use parking_lot::Mutex;
use std::io::{self, ErrorKind};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

/// What the file ends with.
const MARK: [u8; 8] = *b"ESKERRSV";

/// Bytes of one write.
const CHUNK_BYTES: usize = 256 << 10;

/// How long after the open it is made: an open has better to do, and who only looks
/// something up needs none.
const FIRST_AFTER: Duration = Duration::from_secs(1);

/// How long it is not tried again after it failed: it doubles from the first to the last. An
/// attempt takes, for a moment, what room there is.
const PAUSE_MIN: Duration = Duration::from_millis(500);
const PAUSE_MAX: Duration = Duration::from_secs(8);

/// The reserve of one database.
#[derive(Debug)]
pub struct Reserve {
    is_held: AtomicBool,
    is_given_up: AtomicBool,
    /// Held while the file is made or removed.
    attempts: Mutex<Attempts>,
}

#[derive(Debug)]
struct Attempts {
    /// When the next is due, by the clock's elapsed time.
    next: Duration,
    pause: Duration,
    /// Compactions by the last one: another may have freed something.
    compactions: u64,
}

impl Reserve {
    /// Not looked at yet. `now`: the clock's elapsed time.
    #[must_use]
    pub fn new(now: Duration) -> Self {
        let attempts = Attempts { next: now + FIRST_AFTER, pause: PAUSE_MIN, compactions: 0 };
        Reserve {
            is_held: AtomicBool::new(false),
            is_given_up: AtomicBool::new(false),
            attempts: Mutex::new(attempts),
        }
    }

    /// Whether the disk was full, and is not known to have room again.
    pub fn is_given_up(&self) -> bool {
        self.is_given_up.load(Ordering::Acquire)
    }
}

/// Whether `e` says that the disk, or what the user may have of it, is full. Not a sync
/// that failed: what that has dropped no room brings back, and nobody may try it again.
#[must_use]
pub fn is_no_space(e: &Error) -> bool {
    match e {
        Error::Io { op, source, .. } => {
            *op != "sync"
                && matches!(source.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded)
        }
        Error::Indeterminate { cause } => is_no_space(cause),
        _ => false,
    }
}

impl Store {
    /// Gives the reserve up where `e` says that the disk is full; whether it does. It is worth
    /// to try again then: the reserve has just gone, or else an attempt to make it, which
    /// takes all room for a moment, has ended.
    pub fn give_up_reserve(&self, e: &Error) -> bool {
        if self.options.disk_reserve_bytes == 0 || !is_no_space(e) {
            return false;
        }
        let path = self.home.path(FileKind::Reserve);
        let mut attempts = self.reserve.attempts.lock();
        self.reserve.is_held.store(false, Ordering::Release);
        let was_there = match self.home.fs.remove(&path) {
            Ok(()) => true,
            Err(e) => {
                if e.kind() != ErrorKind::NotFound {
                    log_not_removed(&path, &e);
                }
                false
            }
        };
        // Where there was none to give up, what failed has failed, and nothing else is refused.
        if !was_there && !self.reserve.is_given_up() {
            return false;
        }
        if !self.reserve.is_given_up.swap(true, Ordering::AcqRel) {
            attempts.pause = PAUSE_MIN;
            attempts.compactions = self.counters.compactions.get();
            attempts.next = self.home.clock.elapsed() + PAUSE_MIN;
            let name = path.display();
            warn!(target: "esker::files", "the disk is full, {name} is given up, sets are refused: {e}");
        }
        true
    }

    /// # Errors
    /// [`Error::Io`] while the reserve is given up.
    pub fn check_sets_pass(&self) -> Result<()> {
        if !self.reserve.is_given_up() {
            return Ok(());
        }
        let remedy = "the disk is full: free space on it, or delete keys, which is still \
                      possible; sets pass again when this file can be written in full";
        let e = io::Error::new(ErrorKind::StorageFull, remedy);
        Err(Error::io("set", &self.home.path(FileKind::Reserve), e))
    }

    /// Makes the reserve, if it is not there and an attempt is due: see above. Not for a
    /// writer's thread, but where there is no other.
    pub fn tend_reserve(&self) {
        let Store { reserve, home, options, .. } = self;
        let bytes = options.disk_reserve_bytes;
        if bytes == 0 || reserve.is_held.load(Ordering::Acquire) {
            return;
        }
        if self.health.check_open().and_then(|()| self.health.check_sound()).is_err() {
            return;
        }
        let mut attempts = reserve.attempts.lock();
        let (now, compactions) = (home.clock.elapsed(), self.counters.compactions.get());
        let is_freed = reserve.is_given_up()
            && (compactions != attempts.compactions || !home.fs.allows_threads());
        if now < attempts.next && !is_freed {
            return;
        }
        let path = home.path(FileKind::Reserve);
        match make(home.fs.as_ref(), &path, bytes) {
            Ok(()) => {
                reserve.is_held.store(true, Ordering::Release);
                if reserve.is_given_up.swap(false, Ordering::AcqRel) {
                    let path = path.display();
                    info!(target: "esker::files", "{path} is there again, sets pass");
                }
            }
            Err(e) => {
                log::debug!(target: "esker::files", "the reserve could not be made: {e}");
                attempts.next = now + attempts.pause;
                attempts.pause = PAUSE_MAX.min(attempts.pause * 2);
                attempts.compactions = compactions;
            }
        }
    }
}

/// Makes the file at `path`, unless it is there in full. What was made of it in vain is removed.
fn make(fs: &dyn Fs, path: &Path, bytes: u64) -> Result<()> {
    match fs.open(path, OpenMode::Read) {
        Ok(file) if file.len().during("read", path)? == bytes => return Ok(()),
        Ok(_) => fs.remove(path).during("remove", path)?,
        Err(e) if e.kind() == ErrorKind::NotFound => {}
        Err(e) => return Err(Error::io("open", path, e)),
    }
    write(fs, path, bytes).inspect_err(|_| {
        // The first error is the one to tell.
        let _ = fs.remove(path);
    })
}

fn write(fs: &dyn Fs, path: &Path, bytes: u64) -> Result<()> {
    let file = fs.open(path, OpenMode::CreateNew).during("create", path)?;
    let mark_at = bytes - to_u64(MARK.len());
    let noise = noise(to_usize(mark_at).unwrap_or(usize::MAX).min(CHUNK_BYTES));
    let mut at = 0;
    while at < mark_at {
        let len = to_usize(mark_at - at).unwrap_or(usize::MAX).min(noise.len());
        write_all_at(file.as_ref(), &noise[..len], at).during("write", path)?;
        at += to_u64(len);
    }
    file.sync_data().during("sync", path)?;
    write_all_at(file.as_ref(), &MARK, mark_at).during("write", path)
}

/// Bytes that no file system makes smaller.
fn noise(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state << 13;
        state ^= state >> 7;
        state ^= state << 17;
        bytes.extend(state.to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}
