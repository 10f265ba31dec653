//! Bytes that come one after the other, from wherever.

use crate::error::{Error, Result};
use crate::format::codec::{to_u64, to_usize};
use crate::fs::{File, IoContext};
use std::fmt;
use std::io::{self, ErrorKind, Read};
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// What is read with one call at most, and by how much the buffer grows at most, in bytes: never is
/// more made room for than has come and this, whatever a length says.
const STEP_BYTES: usize = 1 << 20;

/// The same at first. It grows with what has come: to clear a mebibyte takes longer than to read a small backup.
const FIRST_STEP_BYTES: usize = 32 << 10;

/// The bytes of a backup, from front to back.
pub struct Source<R> {
    read: R,
    path: PathBuf,
    buffer: Vec<u8>,
    /// What of the buffer is still to be taken.
    start: usize,
    end: usize,
    /// What was taken last ends where that starts, and is so long.
    taken: usize,
    /// Where in the backup that starts.
    offset: u64,
}

impl<R> fmt::Debug for Source<R> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Source { path, offset, .. } = self;
        f.debug_struct("Source").field("path", path).field("offset", offset).finish_non_exhaustive()
    }
}

impl<R: Read> Source<R> {
    /// Of what `read` gives; `path` is what errors name.
    pub fn new(read: R, path: PathBuf) -> Self {
        Source { read, path, buffer: Vec::new(), start: 0, end: 0, taken: 0, offset: 0 }
    }

    /// What errors name.
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the next byte stands.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// What it has in memory, in bytes.
    #[cfg(test)]
    pub fn memory_bytes(&self) -> usize {
        self.buffer.capacity()
    }

    /// Damage at `offset`.
    pub fn damage(&self, offset: u64, detail: impl Into<String>) -> Error {
        Error::corruption(&self.path, offset, detail)
    }

    /// The next `size` bytes, `what` being what they are.
    ///
    /// # Errors
    /// [`Error::Corruption`] where it ends before; [`Error::Io`].
    pub fn take(&mut self, size: usize, what: &str) -> Result<&[u8]> {
        while self.end - self.start < size {
            if !self.fill(size)? {
                let found = self.end - self.start;
                let detail =
                    format!("the backup is cut short: {what} of {size} bytes, {found} are there");
                return Err(self.damage(self.offset, detail));
            }
        }
        self.start += size;
        self.taken = size;
        self.offset += to_u64(size);
        Ok(self.taken())
    }

    /// What was taken last, once more.
    pub fn taken(&self) -> &[u8] {
        self.buffer.get(self.start - self.taken..self.start).unwrap_or_default()
    }

    /// Whether there is nothing more.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn is_at_end(&mut self) -> Result<bool> {
        Ok(self.start == self.end && !self.fill(1)?)
    }

    /// Reads on, for `size` bytes in a row; false at the end.
    fn fill(&mut self, size: usize) -> Result<bool> {
        self.taken = 0;
        if self.start > 0 && self.start + size > self.buffer.len() {
            self.buffer.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        // What a huge value took is given back.
        if self.buffer.len() > 8 * STEP_BYTES && size < STEP_BYTES && self.end < STEP_BYTES {
            self.buffer.truncate(STEP_BYTES);
            self.buffer.shrink_to_fit();
        }
        let has_come = to_usize(self.offset).unwrap_or(usize::MAX).max(self.end);
        let step = has_come.clamp(FIRST_STEP_BYTES, STEP_BYTES);
        if self.end == self.buffer.len() {
            self.buffer.resize(self.end + step, 0);
        } else if self.buffer.len() < step {
            self.buffer.resize(step, 0);
        }
        loop {
            let room = self.buffer.get_mut(self.end..).unwrap_or_default();
            match self.read.read(room) {
                Ok(count) => {
                    self.end += count.min(room.len());
                    return Ok(count > 0);
                }
                Err(e) if e.kind() == ErrorKind::Interrupted => {}
                Err(e) => return Err(Error::io("read", &self.path, e)),
            }
        }
    }
}

/// A file, from front to back.
#[derive(Debug)]
pub struct FileSource {
    file: Arc<dyn File>,
    offset: u64,
}

impl FileSource {
    /// Of `file`.
    pub fn new(file: Arc<dyn File>) -> Self {
        FileSource { file, offset: 0 }
    }

    /// How many bytes the file has, `path` being its own.
    ///
    /// # Errors
    /// [`Error::Io`].
    pub fn size_bytes(&self, path: &Path) -> Result<u64> {
        self.file.len().during("stat", path)
    }
}

impl Read for FileSource {
    fn read(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        let count = self.file.read_at(buf, self.offset)?;
        self.offset += to_u64(count);
        Ok(count)
    }
}
