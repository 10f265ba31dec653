//! Reading the log back: one file at a time, from its bytes.

use super::format::{HEADER_SIZE, LogHeader};
use crate::error::Result;
use crate::format::codec::{to_u64, to_usize, without_zeros_at_end};
use crate::format::{DatabaseId, FileKind, Frame, FrameReader, LogId};
use crate::fs::{Fs, IoContext, OpenMode, read_exact_at};
use std::path::{Path, PathBuf};

/// A log file in memory.
#[derive(Debug)]
pub struct LogFile {
    /// Its number.
    pub id: LogId,
    /// Its path, for errors.
    pub path: PathBuf,
    /// Its header; `None` when that is not intact.
    pub header: Option<LogHeader>,
    pub(super) database: DatabaseId,
    pub(super) bytes: Vec<u8>,
}

/// How the intact part of a log file ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogEnd {
    /// Offset of the first byte that is not part of an intact frame.
    pub offset: u64,
    /// Bytes after it that are not zero padding, at most: 0 means that the
    /// file ends as one that was simply written no further.
    pub dropped_bytes: u64,
    /// The largest durable claim that stands after it.
    pub claim: Option<u64>,
}

/// Reads the log file `id` of `dir`.
///
/// # Errors
/// [`crate::Error::Io`]; [`crate::Error::UnsupportedFormat`].
pub fn read_log(fs: &dyn Fs, dir: &Path, database: DatabaseId, id: LogId) -> Result<LogFile> {
    let (path, bytes) = read_file(fs, dir, id)?;
    LogFile::new(path, database, id, bytes)
}

/// Reads only the header of the log file `id` of `dir`; `None` when it is not
/// intact or of another database.
///
/// # Errors
/// As [`read_log`].
pub fn read_log_header(
    fs: &dyn Fs,
    dir: &Path,
    database: DatabaseId,
    id: LogId,
) -> Result<Option<LogHeader>> {
    let path = dir.join(FileKind::Log(id).name());
    let file = fs.open(&path, OpenMode::Read).during("open", &path)?;
    let mut bytes = [0; HEADER_SIZE];
    if file.len().during("read", &path)? < to_u64(HEADER_SIZE) {
        return Ok(None);
    }
    read_exact_at(file.as_ref(), &mut bytes, 0).during("read", &path)?;
    header_of(&bytes, &path, database, id)
}

fn header_of(
    bytes: &[u8],
    path: &Path,
    database: DatabaseId,
    id: LogId,
) -> Result<Option<LogHeader>> {
    Ok(LogHeader::decode(bytes, path, id)?.filter(|header| header.database == database))
}

/// True when the log file `id` of `dir` holds an intact record, of the database
/// that its header names or one of `databases`: more than what may show in a
/// file that was never synced.
///
/// # Errors
/// As [`read_log`].
pub fn holds_records(fs: &dyn Fs, dir: &Path, id: LogId, databases: &[DatabaseId]) -> Result<bool> {
    let (path, bytes) = read_file(fs, dir, id)?;
    let named = LogHeader::decode(&bytes, &path, id)?.map(|header| header.database);
    let mut file = LogFile::new(path, DatabaseId(0), id, bytes)?;
    for database in named.into_iter().chain(databases.iter().copied()) {
        file = LogFile::new(file.path, database, id, file.bytes)?;
        // Behind damage, too, be it the header.
        if file.frames(u64::MAX).next().is_some() || file.end(u64::MAX).claim.is_some() {
            return Ok(true);
        }
    }
    Ok(false)
}

fn read_file(fs: &dyn Fs, dir: &Path, id: LogId) -> Result<(PathBuf, Vec<u8>)> {
    let path = dir.join(FileKind::Log(id).name());
    let file = fs.open(&path, OpenMode::Read).during("open", &path)?;
    let len = file.len().during("read", &path)?;
    let mut bytes = vec![
        0;
        to_usize(len).ok_or_else(|| {
            crate::error::Error::corruption(&path, 0, "the file is larger than the address space")
        })?
    ];
    read_exact_at(file.as_ref(), &mut bytes, 0).during("read", &path)?;
    Ok((path, bytes))
}

impl LogFile {
    /// Takes the `bytes` of the file at `path`.
    ///
    /// # Errors
    /// [`crate::Error::UnsupportedFormat`].
    pub fn new(path: PathBuf, database: DatabaseId, id: LogId, bytes: Vec<u8>) -> Result<Self> {
        let header = header_of(&bytes, &path, database, id)?;
        Ok(LogFile { id, path, header, database, bytes })
    }

    /// The frames of the intact part, in order, up to the file offset `limit`.
    pub fn frames(&self, limit: u64) -> impl Iterator<Item = Frame<'_>> {
        self.reader().take_while(move |frame| frame.offset < limit)
    }

    /// How the intact part ends, when nothing from `limit` on counts.
    #[must_use]
    pub fn end(&self, limit: u64) -> LogEnd {
        let mut reader = self.reader();
        let mut offset = reader.offset();
        while offset < limit && reader.next().is_some() {
            offset = reader.offset();
        }
        if offset >= limit {
            return LogEnd { offset, dropped_bytes: 0, claim: None };
        }
        if reader.only_zeros_follow() {
            return LogEnd { offset, dropped_bytes: 0, claim: None };
        }
        let start = to_usize(offset).unwrap_or(usize::MAX).min(self.bytes.len());
        let dropped_bytes = to_u64(without_zeros_at_end(&self.bytes[start..]).len());
        LogEnd { offset, dropped_bytes, claim: reader.claims_after() }
    }

    /// The largest durable claim that stands anywhere in the file.
    #[cfg(test)]
    pub fn claim(&self) -> Option<u64> {
        let first = self.header.map(|h| h.durable);
        let frames = self.reader().map(|f| f.durable).max();
        first.max(frames).max(self.end(u64::MAX).claim)
    }

    /// Bytes from the first record to the last byte that is not zero.
    #[must_use]
    pub fn record_bytes(&self) -> u64 {
        to_u64(without_zeros_at_end(&self.bytes).len().saturating_sub(HEADER_SIZE))
    }

    fn reader(&self) -> FrameReader<'_> {
        // Without an intact header no frame counts as part of the log, but
        // claims are looked for from the first byte on.
        let start = if self.header.is_some() { HEADER_SIZE } else { 0 };
        FrameReader::new(&self.bytes, start, self.database, self.id.into())
    }
}
