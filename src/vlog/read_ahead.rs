//! Reads values in runs: one call for many that follow on each other.
//!
//! Whoever walks over keys comes to their values in the order in which they stand, where they were written in
//! the order of their keys: loaded in bulk, restored, or set so. A small value is then read with those behind it.

use super::file::ValueFile;
use crate::error::Result;
use crate::format::codec::{to_u64, to_usize};
use crate::format::{FileKind, ValuePointer};
use std::io;

/// A value that stands at most so many bytes behind the last one follows on it: in a log there are small values, and
/// what records have beside them, between two.
const GAP_BYTES_MAX: u64 = 2 << 10;
/// A larger value, as it is stored, is read alone: the call is little of what that takes.
const SHORT_BYTES_MAX: usize = 8 << 10;
/// What is read with one call: twice as much each time, from the first to the last.
const RUN_BYTES_MIN: usize = 8 << 10;
const RUN_BYTES_MAX: usize = 64 << 10;

/// A run of what stands in a file with values, and where the walk is.
#[derive(Debug, Default)]
pub struct ReadAhead {
    /// The file of the last value, and where that ended in it.
    last: Option<(FileKind, u64)>,
    /// Bytes of that file, from `start` on.
    bytes: Vec<u8>,
    start: u64,
    /// What the last run was to have; 0: there was none since values last followed on each other.
    run_bytes: usize,
}

impl ReadAhead {
    /// The value of `pointer`, which is in `file`, and how many bytes were read for it: none where it was at hand.
    ///
    /// # Errors
    /// As [`ValueFile::read`].
    pub fn read(&mut self, file: &ValueFile, pointer: &ValuePointer) -> Result<(Vec<u8>, u64)> {
        let offset = file.locate(pointer)?;
        let last = self.last.replace((file.kind(), offset.saturating_add(pointer.bytes())));
        let gap = last
            .filter(|(kind, _)| *kind == file.kind())
            .and_then(|(_, end)| offset.checked_sub(end))
            .filter(|&gap| gap <= GAP_BYTES_MAX);
        if gap.is_none() {
            self.rest();
        } else if let Some(size) = to_usize(pointer.bytes()).filter(|&size| size <= SHORT_BYTES_MAX)
        {
            let read_bytes = match self.stored(offset, size) {
                Some(_) => 0,
                None => self.read_run(file, offset)?,
            };
            if let Some(stored) = self.stored(offset, size) {
                return Ok((file.open_stored(offset, pointer, stored)?, read_bytes));
            }
        }
        // Or the file ends before the value does, which is told here.
        Ok((file.read_at(offset, pointer)?, pointer.bytes()))
    }

    /// Keeps no memory: the walk has gone elsewhere.
    fn rest(&mut self) {
        if self.run_bytes > 0 {
            (self.bytes, self.run_bytes) = (Vec::new(), 0);
        }
    }

    fn stored(&self, offset: u64, size: usize) -> Option<&[u8]> {
        let from = to_usize(offset.checked_sub(self.start)?)?;
        self.bytes.get(from..from.checked_add(size)?)
    }

    /// Reads what stands from `offset` on, as far as one call gets, and says how much that is. A call that fails leaves
    /// nothing: what is wrong may be behind the value, and then is none of its reader's business.
    fn read_run(&mut self, file: &ValueFile, offset: u64) -> Result<u64> {
        let file = file.file()?;
        self.run_bytes = (self.run_bytes * 2).clamp(RUN_BYTES_MIN, RUN_BYTES_MAX);
        self.bytes.resize(self.run_bytes, 0);
        let read = loop {
            match file.read_at(&mut self.bytes, offset) {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                read => break read.unwrap_or(0),
            }
        };
        self.bytes.truncate(read);
        self.start = offset;
        Ok(to_u64(read))
    }
}
