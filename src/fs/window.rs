//! A file that is gone through from front to back, but for what is passed over.

use super::File;
use crate::format::codec::{to_u64, to_usize};
use std::io;
use std::sync::Arc;

/// What is read with one call, in bytes, where no more is asked for.
const WINDOW_BYTES: usize = 64 << 10;

/// A part of a file in memory, which moves on as it is asked for what lies ahead.
#[derive(Debug)]
pub struct Window {
    file: Arc<dyn File>,
    /// The file's length when this was made: more is not looked at.
    len: u64,
    bytes: Vec<u8>,
    start: u64,
    /// What was read in all.
    read_bytes: u64,
}

impl Window {
    /// Over `file`, from its front.
    ///
    /// # Errors
    /// What the system says of its length.
    pub fn new(file: Arc<dyn File>) -> io::Result<Self> {
        let len = file.len()?;
        Ok(Window::of_length(file, len))
    }

    /// Over the first `len` bytes of `file`, which has as many: that it has fewer is an error where they are read.
    pub fn of_length(file: Arc<dyn File>, len: u64) -> Self {
        Window { file, len, bytes: Vec::new(), start: 0, read_bytes: 0 }
    }

    /// The same as [`Window::new`], which does not look at what lies behind `end`: that may be cut off meanwhile.
    ///
    /// # Errors
    /// As [`Window::new`].
    pub fn up_to(file: Arc<dyn File>, end: u64) -> io::Result<Self> {
        let window = Window::new(file)?;
        Ok(Window { len: window.len.min(end), ..window })
    }

    /// How many bytes were read up to now.
    #[must_use]
    pub fn read_bytes(&self) -> u64 {
        self.read_bytes
    }

    /// The bytes from `offset` on: as many as asked for, fewer at the file's end, or more.
    ///
    /// # Errors
    /// What the system says of the read.
    pub fn at(&mut self, offset: u64, size: usize) -> io::Result<&[u8]> {
        let left = to_usize(self.len.saturating_sub(offset)).unwrap_or(usize::MAX);
        let wanted = size.min(left);
        let held = offset.checked_sub(self.start).and_then(to_usize);
        let is_held = held.is_some_and(|at| {
            self.bytes.len().checked_sub(at).is_some_and(|behind| behind >= wanted)
        });
        if !is_held {
            let fill = wanted.max(WINDOW_BYTES).min(left);
            self.bytes.resize(fill, 0);
            self.start = offset;
            if let Err(e) = super::read_exact_at(self.file.as_ref(), &mut self.bytes, offset) {
                self.bytes.clear();
                return Err(e);
            }
            self.read_bytes += to_u64(fill);
        }
        let at = to_usize(offset - self.start).unwrap_or(usize::MAX);
        Ok(self.bytes.get(at..).unwrap_or_default())
    }
}
