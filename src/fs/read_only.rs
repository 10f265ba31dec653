//! A file system of which nothing is written, whatever is tried.

use super::{DirLock, File, Fs, OpenMode};
use crate::clock::Clock;
use std::io;
use std::path::Path;
use std::sync::Arc;

/// Reads from the file system below, and refuses every other call as a medium without
/// writes does. Under a database that is open for reading only, so that it is not a matter of
/// care in many places that nothing is written.
#[derive(Debug)]
pub struct ReadOnlyFs {
    below: Arc<dyn Fs>,
}

impl ReadOnlyFs {
    /// Reads from `below`.
    #[must_use]
    pub fn new(below: Arc<dyn Fs>) -> Self {
        ReadOnlyFs { below }
    }
}

fn refused<T>() -> io::Result<T> {
    Err(io::ErrorKind::ReadOnlyFilesystem.into())
}

impl Fs for ReadOnlyFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        match mode {
            OpenMode::Read => Ok(Arc::new(ReadOnlyFile { below: self.below.open(path, mode)? })),
            OpenMode::CreateNew => refused(),
        }
    }

    fn create_dir_all(&self, _path: &Path) -> io::Result<()> {
        refused()
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        self.below.list(path)
    }

    fn rename(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        refused()
    }

    fn link(&self, _from: &Path, _to: &Path) -> io::Result<()> {
        refused()
    }

    fn remove(&self, _path: &Path) -> io::Result<()> {
        refused()
    }

    fn sync_dir(&self, _path: &Path) -> io::Result<()> {
        refused()
    }

    fn lock(&self, _path: &Path) -> io::Result<Option<Box<dyn DirLock>>> {
        refused()
    }

    fn lock_shared(&self, path: &Path) -> io::Result<Option<Box<dyn DirLock>>> {
        self.below.lock_shared(path)
    }

    fn clock(&self) -> Arc<dyn Clock> {
        self.below.clock()
    }

    fn random(&self) -> u64 {
        self.below.random()
    }

    fn allows_threads(&self) -> bool {
        self.below.allows_threads()
    }
}

#[derive(Debug)]
struct ReadOnlyFile {
    below: Arc<dyn File>,
}

impl File for ReadOnlyFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        self.below.read_at(buf, offset)
    }

    fn write_at(&self, _buf: &[u8], _offset: u64) -> io::Result<usize> {
        refused()
    }

    fn sync_data(&self) -> io::Result<()> {
        refused()
    }

    fn set_len(&self, _len: u64) -> io::Result<()> {
        refused()
    }

    fn len(&self) -> io::Result<u64> {
        self.below.len()
    }

    fn allocate(&self, _offset: u64, _bytes: u64) -> io::Result<bool> {
        refused()
    }

    fn will_need(&self, offset: u64, bytes: u64) {
        self.below.will_need(offset, bytes);
    }
}
