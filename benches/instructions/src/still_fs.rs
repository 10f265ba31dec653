//! The operating system's file system, with time that stands almost still and no chance.
//!
//! So the same calls are the same instructions. Files are real ones, and open files are [`DiskFs`]'s own:
//! a system call is one instruction to who counts, and what stands round it is what a user's process executes, too.
//! On the simulated file system a set would be counted together with the bookkeeping of crash images.

use esker::{Clock, DirLock, DiskFs, File, Fs, OpenMode};
use std::io;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

/// See the header.
#[derive(Debug)]
pub struct StillFs {
    disk: DiskFs,
    clock: Arc<StillClock>,
    drawn: AtomicU64,
    allows_threads: bool,
}

impl StillFs {
    /// With [`Fs::allows_threads`] as it is given.
    pub fn new(allows_threads: bool) -> StillFs {
        StillFs {
            disk: DiskFs::new(),
            clock: Arc::default(),
            drawn: AtomicU64::new(0),
            allows_threads,
        }
    }
}

impl Fs for StillFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        self.disk.open(path, mode)
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        self.disk.create_dir_all(path)
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut names = self.disk.list(path)?;
        names.sort();
        Ok(names)
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.rename(from, to)
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        self.disk.link(from, to)
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        self.disk.remove(path)
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        self.disk.sync_dir(path)
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DirLock>>> {
        self.disk.lock(path)
    }

    fn lock_shared(&self, path: &Path) -> io::Result<Option<Box<dyn DirLock>>> {
        self.disk.lock_shared(path)
    }

    fn clock(&self) -> Arc<dyn Clock> {
        Arc::clone(&self.clock) as Arc<dyn Clock>
    }

    fn random(&self) -> u64 {
        crate::inputs::random(self.drawn.fetch_add(1, Ordering::Relaxed))
    }

    fn allows_threads(&self) -> bool {
        self.allows_threads
    }
}

/// Moves on by a microsecond whenever it is asked.
#[derive(Debug, Default)]
struct StillClock {
    asked: AtomicU64,
}

impl Clock for StillClock {
    fn now_ms(&self) -> u64 {
        1_800_000_000_000
    }

    fn elapsed(&self) -> Duration {
        Duration::from_micros(self.asked.fetch_add(1, Ordering::Relaxed))
    }
}
