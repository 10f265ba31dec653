//! Appending to the log.

use super::format::{HEADER_SIZE, LogHeader};
use super::stream::LogStream;
use crate::error::{Error, Result};
use crate::format::codec::to_u64;
use crate::format::{DatabaseId, FileKind, FrameHeader, FramePlace, LogId, put_frame};
use crate::fs::{File, Fs, IoContext, OpenMode, write_all_at};
use parking_lot::Mutex;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How far zeros are written ahead of records that are synced, in bytes. Each time the
/// next sync has the file's new size to keep as well: 50 us, once in a
/// thousand records.
const AHEAD_BYTES: usize = 256 << 10;

/// The same ahead of others: no more than one call. Nothing waits for a sync there, and sixteen
/// calls in a row, 190 us, were the slowest one in a thousand of small records, and one in thirty of 9 KB.
const AHEAD_BYTES_UNSYNCED: usize = ZEROS.len();

/// What is written at once and has this many bytes or more gets its room without zeros.
/// Those would be written to the disk and then once more with what comes there. In return the
/// sync commits the journal, which is more than that for less: docs/performance.md, "Tried".
const ALLOCATE_BYTES_MIN: u64 = 256 << 10;

/// Zeros, as many as go out in one call. A page cache keeps what is written in
/// one call in one folio, and walks all its blocks at each small write that
/// comes later: with a megabyte at a time an unsynced set took 4 us, 1.3 of
/// them for that.
static ZEROS: [u8; 16 << 10] = [0; 16 << 10];

/// Up to this size frames are gathered into one buffer, for one write call;
/// a body larger than this is written from where it stands.
const GATHER_BYTES_MAX: usize = 1 << 20;

/// What must be synced to make a position durable: a file of the log.
#[derive(Debug, Clone)]
pub struct SyncTarget {
    file: Arc<dyn File>,
    path: PathBuf,
    /// What the first sync that failed met (INV-5).
    failed: Arc<Mutex<Option<Error>>>,
}

impl SyncTarget {
    /// Makes the bytes that are in the file durable.
    ///
    /// # Errors
    /// [`Error::Io`]: this sync failed, or one before it.
    pub fn sync(&self) -> Result<()> {
        let mut failed = self.failed.lock();
        if let Some(e) = &*failed {
            return Err(e.clone());
        }
        let synced = self.file.sync_data().during("sync", &self.path);
        synced.inspect_err(|e| *failed = Some(e.clone()))
    }
}

impl SyncTarget {
    /// Ends the file, which takes no more records, after `len` bytes.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn cut(&self, len: u64) -> Result<()> {
        self.file.set_len(len).during("cut", &self.path)
    }
}

/// The end of the log: the file that is being written.
#[derive(Debug)]
pub struct LogWriter {
    id: LogId,
    target: SyncTarget,
    database: DatabaseId,
    /// Position of the file's first byte.
    base: u64,
    /// Where the next frame goes, in the file.
    end: u64,
    /// Up to where the file has been extended with zeros.
    extended: u64,
    /// How far it is extended ahead of the records.
    ahead_bytes: usize,
    /// Frames gathered for the next write.
    buffer: Vec<u8>,
    /// The file is sealed at `end`: a write to it failed (INV-3), or one to its successor.
    broken: bool,
}

impl LogWriter {
    /// Makes the log file `id` in `dir`, whose first byte has the position
    /// `base`. Nothing of it is durable until its file and the directory are synced.
    ///
    /// # Errors
    /// [`Error::Io`]; a file that was made in part is removed again.
    pub fn create(
        fs: &dyn Fs,
        dir: &Path,
        database: DatabaseId,
        id: LogId,
        base: u64,
        durable: u64,
    ) -> Result<Self> {
        let path = dir.join(FileKind::Log(id).name());
        let file = fs.open(&path, OpenMode::CreateNew).during("create", &path)?;
        let mut writer = LogWriter {
            id,
            target: SyncTarget { file, path, failed: Arc::default() },
            database,
            base,
            end: 0,
            extended: 0,
            ahead_bytes: AHEAD_BYTES,
            buffer: Vec::new(),
            broken: false,
        };
        let header = LogHeader { database, id, base, durable }.encode();
        // Zeros ahead of the records come with the first of them: many an open writes none.
        let written = write_all_at(writer.target.file.as_ref(), &header, 0)
            .during("write", &writer.target.path);
        if let Err(e) = written {
            // The first error is the one to tell; what cannot be removed now
            // is removed by the next open.
            let _ = fs.remove(&writer.target.path);
            return Err(e);
        }
        writer.end = to_u64(HEADER_SIZE);
        writer.extended = writer.end;
        Ok(writer)
    }

    /// The log file that was read as `log`, which begins at `base` and takes no more after `end`, its offset
    /// behind its last record: for a database that is only read, or that has not been written to yet.
    #[must_use]
    pub fn sealed(log: LogStream, base: u64, end: u64) -> Self {
        let LogStream { id, path, database, file, .. } = log;
        let target = SyncTarget { file, path, failed: Arc::default() };
        let (extended, buffer) = (end, Vec::new());
        let ahead_bytes = AHEAD_BYTES;
        LogWriter { id, target, database, base, end, extended, ahead_bytes, buffer, broken: true }
    }

    /// The file's number.
    #[must_use]
    pub fn id(&self) -> LogId {
        self.id
    }

    /// The position after the last frame.
    #[must_use]
    pub fn end_position(&self) -> u64 {
        self.base + self.end
    }

    /// Bytes in the file.
    #[must_use]
    pub fn file_bytes(&self) -> u64 {
        self.end
    }

    /// Position of the file's first byte.
    #[must_use]
    pub fn base(&self) -> u64 {
        self.base
    }

    /// True when the file holds no frame.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.end <= to_u64(HEADER_SIZE)
    }

    /// Seals the file where it ends: a new one must follow.
    pub fn seal(&mut self) {
        self.broken = true;
    }

    /// True when the file is sealed: it takes no more, a new one must follow.
    #[must_use]
    pub fn is_broken(&self) -> bool {
        self.broken
    }

    /// The file, to be synced.
    #[must_use]
    pub fn sync_target(&self) -> &SyncTarget {
        &self.target
    }

    /// Says whether what is written from now on is synced by those who write it.
    pub fn expect_syncs(&mut self, are_synced: bool) {
        self.ahead_bytes = if are_synced { AHEAD_BYTES } else { AHEAD_BYTES_UNSYNCED };
    }

    /// Adds a frame to the group that the next [`LogWriter::write`] writes.
    /// `body_crc` is the checksum of `body`; `sequence` rises from frame to frame.
    ///
    /// # Errors
    /// Only for a body beyond the gathering size, which is written at once: as
    /// [`LogWriter::write`].
    pub fn add(&mut self, sequence: u64, durable: u64, body: &[u8], body_crc: u32) -> Result<()> {
        let offset = self.end + to_u64(self.buffer.len());
        let place = FramePlace { database: self.database, file: self.id.into(), offset };
        if body.len() <= GATHER_BYTES_MAX {
            put_frame(&mut self.buffer, place, sequence, durable, body, body_crc);
            return Ok(());
        }
        let body_bytes = to_u64(body.len());
        let header = FrameHeader { body_crc, body_bytes, sequence, durable };
        self.buffer.extend_from_slice(&header.encode(place));
        let mut buffer = std::mem::take(&mut self.buffer);
        let written = self.write_parts(&[&buffer, body]);
        buffer.clear();
        self.buffer = buffer;
        written
    }

    /// Writes the gathered group with one call.
    ///
    /// # Errors
    /// [`Error::Io`] when there was no room: nothing was written, the writer
    /// goes on. [`Error::Indeterminate`] when the write itself failed: the
    /// file is sealed where it ended before ([`LogWriter::is_broken`]).
    pub fn write(&mut self) -> Result<()> {
        if self.buffer.is_empty() {
            return Ok(());
        }
        let mut buffer = std::mem::take(&mut self.buffer);
        let written = self.write_parts(&[&buffer]);
        buffer.clear();
        self.buffer = buffer;
        written
    }

    fn write_parts(&mut self, parts: &[&[u8]]) -> Result<()> {
        debug_assert!(!self.broken, "INV-3: the file was sealed by a failed write");
        let bytes: u64 = parts.iter().map(|part| to_u64(part.len())).sum();
        self.extend_to(self.end + bytes)?;
        let mut offset = self.end;
        for part in parts {
            if let Err(e) = write_all_at(self.target.file.as_ref(), part, offset) {
                self.broken = true;
                let cause = Error::io("write", &self.target.path, e);
                return Err(Error::Indeterminate { cause: Arc::new(cause) });
            }
            offset += to_u64(part.len());
        }
        self.end = offset;
        Ok(())
    }

    /// Claims room up to `end`, without zeros (INV-2); false: the file system cannot.
    fn allocate_to(&mut self, end: u64) -> Result<bool> {
        let SyncTarget { file, path, .. } = &self.target;
        let claimed = file.allocate(self.extended, end - self.extended).during("extend", path)?;
        if claimed {
            self.extended = end;
        }
        Ok(claimed)
    }

    /// Sees to it that the file reaches to `end` at least, in zeros (INV-2),
    /// and on to the next step.
    fn extend_to(&mut self, end: u64) -> Result<()> {
        if self.extended >= end {
            return Ok(());
        }
        if end - self.end >= ALLOCATE_BYTES_MIN && self.allocate_to(end)? {
            return Ok(());
        }
        let goal = end.next_multiple_of(to_u64(self.ahead_bytes));
        let call_bytes = to_u64(ZEROS.len());
        while self.extended < goal {
            // To the next multiple, so that calls begin where pages do.
            let passed = usize::try_from(self.extended % call_bytes).expect("less than a call's");
            let zeros = ZEROS.split_at(passed).1;
            let written = write_all_at(self.target.file.as_ref(), zeros, self.extended)
                .during("extend", &self.target.path);
            if let Err(e) = written {
                // Where there is room for what comes now, that there is no
                // more will show when more comes.
                return if self.extended >= end { Ok(()) } else { Err(e) };
            }
            self.extended += to_u64(zeros.len());
        }
        Ok(())
    }
}

#[cfg(all(test, feature = "sim"))]
mod tests {
    use super::*;
    use crate::fs::sim::SimFs;

    /// Bytes of the calls that write, by the simulation's trace; and how many calls claim room.
    fn written(fs: &SimFs) -> (usize, usize) {
        let trace = fs.trace();
        let writes = trace.iter().filter(|call| call.contains(" B at "));
        let size = |call: &String| {
            let before = call.split(" B at ").next()?;
            before.split(' ').next_back()?.parse::<usize>().ok()
        };
        let (claims, writes): (Vec<_>, Vec<_>) = writes.partition(|call| call.contains("allocate"));
        (writes.iter().map(|call| size(call).expect("a size")).sum(), claims.len())
    }

    #[test]
    fn what_is_large_is_written_once_and_what_is_small_into_zeros() {
        for (size, times) in [(20 << 10, 30), (300 << 10, 4), (2 << 20, 2)] {
            let fs = SimFs::new();
            fs.create_dir_all(Path::new("/log")).expect("a directory");
            let database = DatabaseId(7);
            let mut log =
                LogWriter::create(&fs, Path::new("/log"), database, LogId(1), 0, 0).expect("made");
            fs.set_trace(true);
            let body = vec![1; size];
            for sequence in 1..=times {
                log.add(sequence, 0, &body, crc32fast::hash(&body)).expect("gathered");
                log.write().expect("written");
            }
            let (bytes, claims) = written(&fs);
            let body_bytes = size * usize::try_from(times).expect("small");
            if size < 256 << 10 {
                assert!(claims == 0 && bytes > body_bytes * 2 - AHEAD_BYTES, "{size}: {bytes}");
            } else {
                assert!(claims as u64 == times && bytes < body_bytes + 4096, "{size}: {bytes}");
            }
        }
    }

    /// Of records that nobody syncs, none waits for more than one call of zeros.
    #[test]
    fn ahead_of_what_is_not_synced_the_file_grows_in_small_steps() {
        for (are_synced, most) in [(true, 16), (false, 1)] {
            let fs = SimFs::new();
            fs.create_dir_all(Path::new("/log")).expect("a directory");
            let (database, id) = (DatabaseId(7), LogId(1));
            let mut log =
                LogWriter::create(&fs, Path::new("/log"), database, id, 0, 0).expect("made");
            log.expect_syncs(are_synced);
            fs.set_trace(true);
            let body = vec![1; 9000];
            let mut slowest = 0;
            for sequence in 1..=100 {
                let before = fs.trace().len();
                log.add(sequence, 0, &body, crc32fast::hash(&body)).expect("gathered");
                log.write().expect("written");
                slowest = slowest.max(fs.trace().len() - before - 1);
            }
            assert_eq!(slowest, most);
        }
    }
}
