//! Goes through the values of a log file, past the values themselves: for who collects
//! garbage among those that stayed there.

use super::format::{HEADER_SIZE, LogHeader};
use super::ops::{HEAD_BYTES_MAX, read_head};
use crate::error::{Error, Result};
use crate::format::codec::to_u64;
use crate::format::frame::FRAME_HEADER_SIZE;
use crate::format::{DatabaseId, FrameHeader, FramePlace, LogId, SeqNo};
use crate::fs::{File, IoContext, Window};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Most heads of operations are within this; only a long key takes more.
const HEAD_BYTES_USUAL: usize = 512;

/// A value in a log file; its key is [`LogValues::key`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogValue {
    /// When it was set.
    pub seq: SeqNo,
    /// Where it stands in the file.
    pub offset: u64,
    /// Its length as stored, in bytes.
    pub stored_bytes: usize,
    /// It is stored in Snappy.
    pub is_compressed: bool,
}

/// The values of one log file. Only the headers of frames are verified, not the bodies that
/// are passed over: what is taken for a value has to be verified by who reads it.
#[derive(Debug)]
pub struct LogValues {
    window: Window,
    path: PathBuf,
    database: DatabaseId,
    id: LogId,
    /// Where the next frame starts, and, inside a frame, the next operation.
    frame_at: u64,
    op_at: u64,
    body_end: u64,
    seq: u64,
    key: Vec<u8>,
}

impl LogValues {
    /// Of the log file `id`, open as `file`.
    ///
    /// # Errors
    /// [`Error::Corruption`] of the header, [`Error::UnsupportedFormat`], [`Error::Io`].
    pub fn new(file: Arc<dyn File>, path: &Path, id: LogId) -> Result<Self> {
        let mut window = Window::new(file).during("stat", path)?;
        let bytes = window.at(0, HEADER_SIZE).during("read", path)?;
        let header = LogHeader::decode(bytes, path, id)?
            .ok_or_else(|| Error::corruption(path, 0, "the header of the log is damaged"))?;
        Ok(LogValues {
            window,
            path: path.to_path_buf(),
            database: header.database,
            id,
            frame_at: to_u64(HEADER_SIZE),
            op_at: 0,
            body_end: 0,
            seq: 0,
            key: Vec::new(),
        })
    }

    /// The next value; `None` where no intact frame follows.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn next_value(&mut self) -> Result<Option<LogValue>> {
        loop {
            if self.op_at >= self.body_end && !self.enter_frame()? {
                return Ok(None);
            }
            if let Some(value) = self.next_op()? {
                return Ok(Some(value));
            }
        }
    }

    /// The key under which the value that came last was set. Most of them nobody needs, so none is copied for itself.
    #[must_use]
    pub fn key(&self) -> &[u8] {
        &self.key
    }

    /// How many bytes were read for it up to now.
    #[must_use]
    pub fn read_bytes(&self) -> u64 {
        self.window.read_bytes()
    }

    /// Nothing that follows is looked at. Were it damage, fewer values would be found than
    /// are accounted for.
    fn end(&mut self) {
        (self.op_at, self.body_end, self.frame_at) = (0, 0, u64::MAX);
    }

    fn enter_frame(&mut self) -> Result<bool> {
        if self.frame_at == u64::MAX {
            return Ok(false);
        }
        let bytes = self.window.at(self.frame_at, FRAME_HEADER_SIZE).during("read", &self.path)?;
        let (database, file) = (self.database, self.id.into());
        let place = FramePlace { database, file, offset: self.frame_at };
        let Some(header) = FrameHeader::decode(bytes, place) else { return Ok(false) };
        self.op_at = self.frame_at + to_u64(FRAME_HEADER_SIZE);
        self.body_end = self.op_at.saturating_add(header.body_bytes);
        self.frame_at = self.body_end;
        self.seq = header.sequence;
        Ok(header.body_bytes > 0)
    }

    /// The value of the next operation, if it has one.
    fn next_op(&mut self) -> Result<Option<LogValue>> {
        let at = self.op_at;
        let mut bytes = self.window.at(at, HEAD_BYTES_USUAL).during("read", &self.path)?;
        if read_head(bytes).is_none() {
            bytes = self.window.at(at, HEAD_BYTES_MAX).during("read", &self.path)?;
        }
        // Part of a record that was refused may stand at the end of a file that was sealed for it.
        let Some(head) = read_head(bytes) else {
            self.end();
            return Ok(None);
        };
        let value_at = at + to_u64(head.head_bytes + head.expiry_bytes);
        self.op_at = at + to_u64(head.head_bytes + head.payload_bytes);
        if self.op_at > self.body_end {
            self.end();
            return Ok(None);
        }
        let Some(key) = head.key else { return Ok(None) };
        let seq = SeqNo(self.seq);
        self.seq += 1;
        let stored_bytes = head.payload_bytes - head.expiry_bytes;
        self.key.clear();
        self.key.extend_from_slice(key);
        Ok((stored_bytes > 0).then_some(LogValue {
            seq,
            offset: value_at,
            stored_bytes,
            is_compressed: head.is_compressed,
        }))
    }
}
