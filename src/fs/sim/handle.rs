//! The traits of `fs`, on a [`SimFs`].

use super::fault::CallKind;
use super::inode::InodeRef;
use super::{Shared, SimFs};
use crate::clock::Clock;
use crate::fs::{DirLock, File, Fs, OpenMode};
use std::fmt;
use std::hash::{BuildHasher, RandomState};
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

impl Fs for SimFs {
    fn open(&self, path: &Path, mode: OpenMode) -> io::Result<Arc<dyn File>> {
        let mut state = self.shared.state.lock();
        let (kind, inode) = match mode {
            OpenMode::Read => (CallKind::Open, state.open(path)),
            OpenMode::CreateNew => (CallKind::Create, state.create(path)),
        };
        state.record(kind, || path.display().to_string(), &inode);
        Ok(Arc::new(SimFile {
            shared: Arc::clone(&self.shared),
            inode: inode?,
            path: path.to_path_buf(),
            is_writable: mode == OpenMode::CreateNew,
        }))
    }

    fn create_dir_all(&self, path: &Path) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        let result = state.create_dir_all(path);
        state.record(CallKind::CreateDir, || path.display().to_string(), &result);
        result
    }

    fn list(&self, path: &Path) -> io::Result<Vec<String>> {
        let mut state = self.shared.state.lock();
        let result = state.list(path);
        state.record(CallKind::List, || path.display().to_string(), &result);
        result
    }

    fn rename(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        let result = state.rename(from, to);
        let what = || format!("{} to {}", from.display(), to.display());
        state.record(CallKind::Rename, what, &result);
        result
    }

    fn link(&self, from: &Path, to: &Path) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        let result = state.link(from, to);
        let what = || format!("{} as {}", from.display(), to.display());
        state.record(CallKind::Link, what, &result);
        result
    }

    fn remove(&self, path: &Path) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        let result = state.remove(path);
        state.record(CallKind::Remove, || path.display().to_string(), &result);
        result
    }

    fn sync_dir(&self, path: &Path) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        let result = state.sync_dir(path);
        state.record(CallKind::SyncDir, || path.display().to_string(), &result);
        result
    }

    fn lock(&self, path: &Path) -> io::Result<Option<Box<dyn DirLock>>> {
        let mut state = self.shared.state.lock();
        let result = state.lock(path);
        state.record(CallKind::Lock, || path.display().to_string(), &result);
        Ok(result?.map(|inode| {
            let shared = Arc::clone(&self.shared);
            Box::new(SimLock { shared, inode }) as Box<dyn DirLock>
        }))
    }

    fn clock(&self) -> Arc<dyn Clock> {
        self.sim_clock()
    }

    /// From the first seed where there are no threads, else as on the disk.
    fn random(&self) -> u64 {
        let state = self.shared.state.lock();
        if state.has_threads { RandomState::new().hash_one(0) } else { state.identity() }
    }

    fn allows_threads(&self) -> bool {
        self.shared.state.lock().has_threads
    }
}

struct SimFile {
    shared: Arc<Shared>,
    inode: InodeRef,
    path: PathBuf,
    is_writable: bool,
}

impl SimFile {
    fn check_writable(&self) -> io::Result<()> {
        if self.is_writable {
            return Ok(());
        }
        Err(io::Error::new(io::ErrorKind::PermissionDenied, "the file is open for reading only"))
    }
}

impl File for SimFile {
    fn read_at(&self, buf: &mut [u8], offset: u64) -> io::Result<usize> {
        let mut state = self.shared.state.lock();
        let wanted = buf.len();
        let result = state.read(&self.inode, buf, offset);
        let what = || format!("{} {wanted} B at {offset}", self.path.display());
        state.record(CallKind::Read, what, &result);
        result
    }

    fn write_at(&self, buf: &[u8], offset: u64) -> io::Result<usize> {
        self.check_writable()?;
        let mut state = self.shared.state.lock();
        let result = state.write(&self.inode, buf, offset);
        let what = || format!("{} {} B at {offset}", self.path.display(), buf.len());
        state.record(CallKind::Write, what, &result);
        result
    }

    fn sync_data(&self) -> io::Result<()> {
        let mut state = self.shared.state.lock();
        let result = state.sync_data(&self.inode);
        state.record(CallKind::SyncData, || self.path.display().to_string(), &result);
        result
    }

    fn set_len(&self, len: u64) -> io::Result<()> {
        self.check_writable()?;
        let mut state = self.shared.state.lock();
        let result = state.set_len(&self.inode, len);
        let what = || format!("{} to {len} B", self.path.display());
        state.record(CallKind::SetLen, what, &result);
        result
    }

    // As a write of zeros: a crash may leave of the one what it may leave of the other.
    fn allocate(&self, offset: u64, bytes: u64) -> io::Result<bool> {
        self.check_writable()?;
        let zeros = vec![0; usize::try_from(bytes).map_err(io::Error::other)?];
        let (mut left, mut at) = (zeros.as_slice(), offset);
        let mut state = self.shared.state.lock();
        // What this call promises is neither short nor interrupted, so either goes on.
        while !left.is_empty() {
            let result = state.write(&self.inode, left, at);
            let what = || format!("{} allocate {} B at {at}", self.path.display(), left.len());
            state.record(CallKind::Write, what, &result);
            match result {
                Err(e) if e.kind() == io::ErrorKind::Interrupted => {}
                claimed => {
                    let claimed = claimed?;
                    at += claimed as u64;
                    left = left.split_at(claimed).1;
                }
            }
        }
        Ok(true)
    }

    fn len(&self) -> io::Result<u64> {
        let mut state = self.shared.state.lock();
        let result = state.len(&self.inode);
        state.record(CallKind::Len, || self.path.display().to_string(), &result);
        result
    }
}

// Not derived: the contents of a whole file system belong in no message.
impl fmt::Debug for SimFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimFile").field("path", &self.path).finish_non_exhaustive()
    }
}

struct SimLock {
    shared: Arc<Shared>,
    inode: InodeRef,
}

impl DirLock for SimLock {}

impl Drop for SimLock {
    fn drop(&mut self) {
        let _state = self.shared.state.lock();
        self.inode.lock().is_locked = false;
    }
}

impl fmt::Debug for SimLock {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SimLock").finish_non_exhaustive()
    }
}
