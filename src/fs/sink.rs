//! A file that is written from front to back, in few calls.

use super::{File, Fs, IoContext, OpenMode, write_all_at};
use crate::error::Result;
use crate::format::codec::to_u64;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// How much is gathered before it is written, in bytes.
const WRITE_BUFFER_BYTES: usize = 256 << 10;

/// Gathers what is written to a new file, so that system calls are few.
#[derive(Debug)]
pub struct Sink {
    file: Arc<dyn File>,
    path: PathBuf,
    buffer: Vec<u8>,
    /// What has reached the file, in bytes.
    flushed: u64,
}

impl Sink {
    /// Makes the file at `path`.
    ///
    /// # Errors
    /// [`crate::Error::Io`]; also when the file exists.
    pub fn create(fs: &dyn Fs, path: PathBuf) -> Result<Self> {
        let file = fs.open(&path, OpenMode::CreateNew).during("create", &path)?;
        let buffer = Vec::with_capacity(WRITE_BUFFER_BYTES);
        Ok(Sink { file, path, buffer, flushed: 0 })
    }

    /// The file's path.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// Where the next byte goes.
    #[must_use]
    pub fn offset(&self) -> u64 {
        self.flushed + to_u64(self.buffer.len())
    }

    /// Adds `bytes`.
    ///
    /// # Errors
    /// [`crate::Error::Io`]; the file is then worth nothing.
    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        if self.buffer.len() + bytes.len() > WRITE_BUFFER_BYTES {
            self.flush()?;
        }
        if bytes.len() < WRITE_BUFFER_BYTES {
            self.buffer.extend_from_slice(bytes);
            return Ok(());
        }
        write_all_at(self.file.as_ref(), bytes, self.flushed).during("write", &self.path)?;
        self.flushed += to_u64(bytes.len());
        Ok(())
    }

    /// Writes the rest and makes the file's bytes durable; returns its length.
    ///
    /// # Errors
    /// As [`Sink::write`].
    pub fn finish(mut self) -> Result<u64> {
        self.flush()?;
        self.file.sync_data().during("sync", &self.path)?;
        Ok(self.flushed)
    }

    /// Writes the rest; the file is still to be synced, by its path for errors.
    ///
    /// # Errors
    /// As [`Sink::write`].
    pub fn finish_unsynced(mut self) -> Result<(Arc<dyn File>, PathBuf)> {
        self.flush()?;
        Ok((self.file, self.path))
    }

    fn flush(&mut self) -> Result<()> {
        write_all_at(self.file.as_ref(), &self.buffer, self.flushed).during("write", &self.path)?;
        self.flushed += to_u64(self.buffer.len());
        self.buffer.clear();
        Ok(())
    }
}
